"""Train variants alike, then set their accuracy against their speed, beside the plain network.

python pipelines/frontier.py --data SHARDS --data MORE_SHARDS --preset quick --out STUDY
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

from uva_tf.command import Parser, command, number, progress, use_one_blas_thread
from uva_tf.config import PRESETS
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.outputs import refuse_existing


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, score, time, write."""
    args = _parser().parse_args(argv)
    use_one_blas_thread()
    from uva_tf.evaluation import frontier
    from uva_tf.evaluation.comparison import score_runs, to_score
    from uva_tf.models.variants import VARIANTS
    from uva_tf.training.study import train_all

    for name in frontier.FILES:
        refuse_existing(args.out / name)
    names = args.variants or list(VARIANTS)
    if unknown := [name for name in names if name not in VARIANTS]:
        raise InputError(f"no variant {unknown[0]!r}: choose from {', '.join(VARIANTS)}")
    to_score(args.data)  # refuses before hours of training
    preset = PRESETS[args.preset]()
    runs = frontier.frontier_trainings(names, args.seeds, args.changes, preset)
    folder = args.out / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    seconds = train_all(
        runs, preset, args.data, folder, jobs=args.jobs, progress=progress("train", "run")
    )
    for run, taken in seconds.items():
        print(f"{run.name}: {taken:.0f} s")
    scores = score_runs(runs, folder, every=args.every, progress=progress("evaluate", "clip"))
    with tempfile.TemporaryDirectory() as files:
        points = frontier.measure(scores, Path(files), preset.changed(*args.changes).student)
    command = shlex.join(["pipelines/frontier.py", *(argv or sys.argv[1:])])
    frontier.write_frontier(args.out, points, scores, command)
    print((args.out / "frontier.md").read_text())


def _parser() -> Parser:
    parser = Parser(description="Accuracy and speed of variants beside the plain network.")
    parser.add_argument(
        "--data", metavar="DIR", type=Path, action="append", required=True, help="by prepare.py"
    )
    parser.add_argument("--preset", choices=list(PRESETS), required=True)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="goes on in it")
    parser.add_argument("--variants", metavar="NAME", nargs="+", help="of students (all)")
    parser.add_argument("--seeds", metavar="N", type=number(0, 10**6), nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        dest="changes",
        help="change a field of every run's config.json, such as joint.steps=600",
    )
    parser.add_argument(
        "--every", type=number(1, 10**6), default=8, help="score every N-th frame (8)"
    )
    parser.add_argument("--jobs", type=number(1, 256), default=1, help="trainings at a time (1)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
