"""Time preparing by number of recordings and workers.

uva-tf time-preparing --layout gaze --root RECORDINGS
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from uva_tf.commands.arguments import add_layout_arguments, add_rounds_argument
from uva_tf.commands.command import Parser, command, progress
from uva_tf.core.errors import InputError
from uva_tf.core.text_tables import aligned

if TYPE_CHECKING:
    from uva_tf.bench.preparing import Cost

ROUNDS = 3
DHF1K_CLIPS, DHF1K_FRAMES = 600, 346_140
# (copies of the recordings, workers)
CASES = ((1, 1), (2, 1), (1, 2), (2, 2))


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, measure in turn, print."""
    from uva_tf.bench.preparing import prepare_in_a_process
    from uva_tf.data.layouts import LAYOUTS

    parser = Parser("time-preparing", __doc__)
    add_layout_arguments(parser, sorted(LAYOUTS))
    add_rounds_argument(parser, ROUNDS)
    args = parser.parse_args(argv)
    if not args.root.is_dir():
        raise InputError(f"{args.root}: no such folder of recordings")
    costs: dict[tuple[int, int], list[Cost]] = {case: [] for case in CASES}
    for _ in progress("measure", "round")(range(args.rounds), args.rounds):
        for copies, jobs in CASES:
            costs[copies, jobs].append(prepare_in_a_process(args.layout, args.root, copies, jobs))
    print(f"medians of {args.rounds} turns, a fresh process each")
    median = {case: _median(turns) for case, turns in costs.items()}
    rows = [
        [
            f"{copies} x",
            str(jobs),
            str(cost.frames),
            f"{cost.seconds:.2f}",
            f"{cost.frames / cost.seconds:.0f}",
            f"{cost.peak / 1e6:.0f}",
        ]
        for (copies, jobs), cost in median.items()
    ]
    print(aligned([["recordings", "workers", "frames", "s", "frames/s", "peak MB"], *rows]))
    once, twice = median[1, 2], median[2, 2]
    print(
        f"twice the recordings: {twice.seconds / once.seconds:.2f} times as long, "
        f"{twice.peak / once.peak:.2f} times the memory"
    )
    print(f"two workers: {median[2, 1].seconds / twice.seconds:.2f} times as fast as one")
    hours = DHF1K_FRAMES * twice.seconds / twice.frames / 3600
    gigabytes = DHF1K_FRAMES * twice.size / twice.frames / 1e9
    print(
        f"DHF1K's {DHF1K_CLIPS} clips of {DHF1K_FRAMES} frames at this rate, two workers: "
        f"{hours:.2f} hours, {gigabytes:.1f} GB"
    )


def _median(costs: list[Cost]) -> Cost:
    return replace(
        costs[0],
        seconds=statistics.median(cost.seconds for cost in costs),
        peak=int(statistics.median(cost.peak for cost in costs)),
    )
