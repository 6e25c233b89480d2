"""Train variants alike, then set their accuracy against their speed, beside the plain network.

python pipelines/frontier.py --data SHARDS --data MORE_SHARDS --preset quick --out STUDY
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

from uva_tf.command import (
    Parser,
    add_study_arguments,
    command,
    goes_on,
    progress,
    start,
    use_one_blas_thread,
)
from uva_tf.config import PRESETS
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.outputs import locked, refuse_existing, refuse_undecodable

SCRIPT = "pipelines/frontier.py"


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, score, time, write."""
    args = _parser().parse_args(argv)
    use_one_blas_thread()
    from uva_tf.evaluation import frontier
    from uva_tf.evaluation.comparison import score_runs, to_score
    from uva_tf.models.variants import VARIANTS
    from uva_tf.training.study import check_trainings, train_all

    for name in frontier.FILES:
        refuse_existing(args.out / name)
    refuse_undecodable(args.out)
    names = args.variants or list(VARIANTS)
    if unknown := [name for name in names if name not in VARIANTS]:
        raise InputError(f"no variant {unknown[0]!r}: choose from {', '.join(VARIANTS)}")
    to_score(args.data)  # refuses before hours of training
    preset = PRESETS[args.preset]()
    runs = frontier.frontier_trainings(names, args.seeds, args.changes, preset)
    folder = args.out / "runs"
    check_trainings(runs, preset, args.data, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with goes_on(SCRIPT, argv), locked(folder, args.out, "written"):
        seconds = train_all(
            runs, preset, args.data, folder, jobs=args.jobs, progress=progress("train", "run")
        )
        for run, taken in seconds.items():
            print(f"{run.name}: {taken:.0f} s")
        scores = score_runs(runs, folder, every=args.every, progress=progress("evaluate", "clip"))
        with tempfile.TemporaryDirectory() as files:
            points = frontier.measure(scores, Path(files), preset.changed(*args.changes).student)
        line = shlex.join([SCRIPT, *(argv or sys.argv[1:])])
        frontier.write_frontier(args.out, points, scores, line)
    print((args.out / "frontier.md").read_text("utf-8"))


def _parser() -> Parser:
    parser = Parser(description="Accuracy and speed of variants beside the plain network.")
    add_study_arguments(parser, list(PRESETS))
    parser.add_argument("--variants", metavar="NAME", nargs="+", help="of students (all)")
    return parser


if __name__ == "__main__":
    start(main)
