"""Count parameters, multiply-adds and memory, layer by layer.

uva-tf cost --variant uva-64 --form step --csv COST.csv
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import add_form_argument
from uva_tf.commands.command import Parser, command, show
from uva_tf.core.outputs import new_file, refuse_existing


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, build, print."""
    parser = Parser("cost", __doc__)
    parser.add_argument(
        "--variant",
        metavar="NAME",
        required=True,
        help="student or plain network, such as uva-64, paper-64 or plain-32",
    )
    add_form_argument(parser)
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write a row per layer as CSV")
    args = parser.parse_args(argv)
    if args.csv:
        refuse_existing(args.csv)

    from uva_tf.bench.cost import layer_costs, table, to_csv
    from uva_tf.config import StudentConfig
    from uva_tf.models.student import build_student

    rows = layer_costs(build_student(StudentConfig(args.variant)), args.form)
    show(table(rows), kept=bool(args.csv))
    if args.csv:
        with new_file(args.csv) as path:
            path.write_text(to_csv(rows))
