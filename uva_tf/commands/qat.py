"""Fine-tune a trained student for 8 bits, before conversion.

uva-tf qat --run RUN [--recipe int8-pruned]
"""

from __future__ import annotations

from uva_tf.commands.arguments import add_run_argument
from uva_tf.commands.command import Parser, as_typed, command, goes_on, losses_printed
from uva_tf.compression.recipes import TRAINED


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, fine-tune, print."""
    parser = Parser("qat", __doc__)
    add_run_argument(parser)
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        choices=list(TRAINED),
        default="int8-qat",
        help="recipe to fine-tune for: %(choices)s (default: %(default)s)",
    )
    args = parser.parse_args(argv)

    from uva_tf.compression.qat import fine_tune
    from uva_tf.training.run import Run

    run = Run.open(args.run)
    with goes_on("qat", argv), losses_printed():
        path = fine_tune(run, args.recipe)
    for stage, losses in run.last_losses().items():
        print(f"{stage}: {losses}")
    line = as_typed("convert", ["--run", str(args.run), "--recipe", args.recipe])
    print(f"wrote {path}; convert it with: {line} --out FILE.tflite")
