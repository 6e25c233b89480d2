"""Time the input pipeline against a training step.

uva-tf time-batches --data SHARDS
"""

from __future__ import annotations

from operator import truediv
from statistics import median

from uva_tf.commands.arguments import add_data_argument, add_rounds_argument
from uva_tf.commands.command import Parser, command, progress
from uva_tf.core.processors import processors

ROUNDS = 7


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, measure in turn, print."""
    parser = Parser("time-batches", __doc__)
    add_data_argument(parser)
    add_rounds_argument(parser, ROUNDS)
    args = parser.parse_args(argv)

    from uva_tf.bench.batches import BATCH, VARIANT, measure
    from uva_tf.data.dataset import open_dataset

    datasets = [open_dataset(folder) for folder in args.data]
    rates = measure(datasets, rounds=args.rounds, progress=progress("measure", "round"))
    print(
        f"examples/s, medians of {args.rounds} turns: batch {BATCH}, {VARIANT}, frames stored at "
        f"{datasets[0].size} px, {processors()} processors"
    )
    for name, turns in rates.items():
        print(f"{name:44}{median(turns):8.0f}")
    # Ratios within a round: whatever slows the machine for a while slows both.
    pipeline, decode, step = rates.values()
    print(f"pipeline / training step {median(map(truediv, pipeline, step)):.1f}")
    print(f"pipeline / bare decode   {median(map(truediv, pipeline, decode)):.2f}")
