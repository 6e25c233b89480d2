"""Time students in batches, on a GPU or another device.

uva-tf time-device --variants uva-32 uva-64 --precision bfloat16
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from uva_tf.commands.arguments import add_rounds_argument, number
from uva_tf.commands.command import Parser, command, progress, show
from uva_tf.core.errors import InputError
from uva_tf.core.names import current
from uva_tf.core.outputs import new_file, refuse_existing

BACKENDS = ("tensorflow", "jax")
PRECISIONS = ("float32", "bfloat16")
ROUNDS = 5
LARGEST = 2**16


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, measure in turn, print."""
    parser = Parser("time-device", __doc__)
    parser.add_argument(
        "--variants",
        metavar="NAME",
        type=current,
        nargs="+",
        help="students or plain networks, such as uva-64 plain-32 (default: all students)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="what convolutions compute in (default: %(default)s)",
    )
    parser.add_argument(
        "--largest",
        metavar="N",
        type=number(1, LARGEST),
        default=LARGEST,
        help="largest batch to try (default: %(default)s)",
    )
    add_rounds_argument(parser, ROUNDS)
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the table as CSV too")
    args = parser.parse_args(argv)
    if args.csv:
        refuse_existing(args.csv)

    backend = os.environ.get("KERAS_BACKEND", BACKENDS[0])
    if backend not in BACKENDS:
        raise InputError(f"KERAS_BACKEND is {backend!r}: expected {' or '.join(BACKENDS)}")
    if importlib.util.find_spec(backend) is None:
        raise InputError(f"{backend} is not installed: pip install {backend}, or see KERAS_BACKEND")

    from uva_tf.bench.device import device, measure, table, to_csv
    from uva_tf.models.variants import VARIANTS

    rows = measure(
        list(dict.fromkeys(args.variants or VARIANTS)),
        precision=args.precision,
        most=args.largest,
        rounds=args.rounds,
        progress=progress("measure", "model"),
    )
    head = f"{device()}, {args.precision}, medians of {args.rounds} turns"
    show(f"{head}\n{table(rows)}", kept=bool(args.csv))
    if args.csv:
        with new_file(args.csv) as path:
            path.write_text(to_csv(rows))
