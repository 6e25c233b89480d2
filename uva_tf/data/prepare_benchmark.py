"""How does preparing grow with the clips and the workers, and what would DHF1K cost?

python -m uva_tf.data.prepare_benchmark --layout gaze --root RECORDINGS
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from uva_tf.command import Parser, command, number, progress, start
from uva_tf.config import DataConfig
from uva_tf.runtime.children import python
from uva_tf.runtime.errors import InputError

ROUNDS = 3
DHF1K_CLIPS, DHF1K_FRAMES = 600, 346_140
# Copies of the recordings, workers.
CASES = ((1, 1), (2, 1), (1, 2), (2, 2))


@dataclass(frozen=True)
class Cost:
    """What one preparation took, without starting Python and loading TensorFlow.

    Attributes:
        peak: of the process's memory, bytes.
    """

    seconds: float
    peak: int
    frames: int
    size: int


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, measure in turn, print."""
    from uva_tf.data.layouts import LAYOUTS

    parser = Parser(description="Time and memory of preparing, by clips and workers.")
    parser.add_argument("--layout", choices=sorted(LAYOUTS), required=True)
    parser.add_argument("--root", metavar="DIR", type=Path, required=True, help="recordings")
    parser.add_argument("--rounds", type=number(1, 100), default=ROUNDS)
    args = parser.parse_args(argv)
    if not args.root.is_dir():
        raise InputError(f"{args.root}: no such folder of recordings")
    costs: dict[tuple[int, int], list[Cost]] = {case: [] for case in CASES}
    for _ in progress("measure", "round")(range(args.rounds), args.rounds):
        for copies, jobs in CASES:
            costs[copies, jobs].append(_in_a_process(args.layout, args.root, copies, jobs))
    print(f"medians of {args.rounds} turns, a fresh process each")
    print(
        f"{'recordings':>10} {'workers':>8} {'frames':>8} {'s':>8} {'frames/s':>9} {'peak MB':>8}"
    )
    median = {case: _median(turns) for case, turns in costs.items()}
    for (copies, jobs), cost in median.items():
        print(
            f"{f'{copies} x':>10} {jobs:8} {cost.frames:8} {cost.seconds:8.2f} "
            f"{cost.frames / cost.seconds:9.0f} {cost.peak / 1e6:8.0f}"
        )
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


def prepare_copies(layout: str, root: Path, copies: int, jobs: int) -> Cost:
    """Prepare every recording of `root` so many times, into a folder that is thrown away."""
    import resource

    from uva_tf.data.layouts import LAYOUTS
    from uva_tf.data.writer import write_dataset

    recordings = [
        replace(recording, name=f"{recording.name}-{copy}")
        for copy in range(copies)
        for recording in LAYOUTS[layout](root)
        if not recording.withheld
    ]
    split = {recording.name: "train" for recording in recordings}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "shards"
        start = time.perf_counter()
        dataset = write_dataset(
            recordings, split, out, layout=layout, config=DataConfig(), jobs=jobs
        )
        seconds = time.perf_counter() - start
        return Cost(
            seconds,
            1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            sum(shard.frames for shard in dataset.shards),
            sum(path.stat().st_size for path in out.iterdir()),
        )


def prepare_here() -> None:
    """Prepare in this fresh process, told `prepare_copies`' arguments, and print what it took."""
    layout, root, copies, jobs = sys.argv[1:]
    try:
        cost = prepare_copies(layout, Path(root), int(copies), int(jobs))
    except InputError as error:
        sys.exit(str(error))
    print(json.dumps(asdict(cost)))


def _in_a_process(layout: str, root: Path, copies: int, jobs: int) -> Cost:
    program = "from uva_tf.data.prepare_benchmark import prepare_here; prepare_here()"
    command = python(program, layout, str(root), str(copies), str(jobs))
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise InputError(reason)
    return Cost(**json.loads(done.stdout))


def _median(costs: list[Cost]) -> Cost:
    return replace(
        costs[0],
        seconds=statistics.median(cost.seconds for cost in costs),
        peak=int(statistics.median(cost.peak for cost in costs)),
    )


if __name__ == "__main__":
    start(main)
