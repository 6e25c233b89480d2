"""Train variants alike and compare their accuracy and speed.

uva-tf frontier --data SHARDS --data MORE_SHARDS --preset quick --out STUDY
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from uva_tf.commands.command import (
    Parser,
    add_study_arguments,
    as_typed,
    command,
    goes_on,
    progress,
    use_one_blas_thread,
)
from uva_tf.config import PRESETS
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import locked, refuse_existing, refuse_undecodable


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, score, time, write."""
    args = _parser().parse_args(argv)
    use_one_blas_thread()
    from uva_tf.models.variants import VARIANTS
    from uva_tf.studies import frontier
    from uva_tf.studies.comparison import score_runs, to_score
    from uva_tf.studies.trainings import check_trainings, train_all

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
    with goes_on("frontier", argv), locked(folder, args.out, "written"):
        seconds = train_all(
            runs, preset, args.data, folder, jobs=args.jobs, progress=progress("train", "run")
        )
        for run, taken in seconds.items():
            print(f"{run.name}: {taken:.0f} s")
        scores = score_runs(runs, folder, every=args.every, progress=progress("evaluate", "clip"))
        with tempfile.TemporaryDirectory() as files:
            points = frontier.measure(scores, Path(files), preset.changed(*args.changes).student)
        line = as_typed("frontier", argv)
        frontier.write_frontier(args.out, points, scores, line)
    print((args.out / "frontier.md").read_text("utf-8"))


def _parser() -> Parser:
    parser = Parser("frontier", __doc__)
    add_study_arguments(parser, list(PRESETS))
    parser.add_argument(
        "--variants",
        metavar="NAME",
        nargs="+",
        help="students to train, such as uva-64 paper-64 (default: all); the plain network is "
        "trained too",
    )
    return parser
