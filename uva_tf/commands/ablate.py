"""Measure what distillation brings, over several seeds.

uva-tf ablate --data SHARDS --data MORE_SHARDS --preset quick --out STUDY
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.command import (
    Parser,
    add_study_arguments,
    as_typed,
    command,
    goes_on,
    progress,
)
from uva_tf.config import PRESETS
from uva_tf.core.outputs import locked, refuse_existing, refuse_undecodable


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, score, write."""
    args = _parser().parse_args(argv)
    table = args.out / "table.md"
    refuse_existing(table)
    refuse_undecodable(args.out)

    from uva_tf.studies.ablation import ROWS, trainings
    from uva_tf.studies.comparison import FILES, score_runs, to_score, write_study
    from uva_tf.studies.trainings import check_trainings, train_all

    for name in FILES:
        refuse_existing(args.out / name)
    to_score(args.data)  # refuses before hours of training
    preset = PRESETS[args.preset]()
    runs = trainings(preset, args.rows or list(ROWS), args.seeds, args.changes)
    folder = args.out / "runs"
    check_trainings(runs, preset, args.data, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with goes_on("ablate", argv), locked(folder, args.out, "written"):
        seconds = train_all(
            runs, preset, args.data, folder, jobs=args.jobs, progress=progress("train", "run")
        )
        for run, taken in seconds.items():
            print(f"{run.name}: {taken:.0f} s")
        scores = score_runs(
            runs,
            folder,
            every=args.every,
            external=args.external_maps,
            progress=progress("evaluate", "clip"),
        )
        write_study(args.out, scores, as_typed("ablate", argv))
    print(table.read_text("utf-8"))


def _parser() -> Parser:
    parser = Parser("ablate", __doc__)
    add_study_arguments(parser, list(PRESETS))
    parser.add_argument(
        "--rows",
        metavar="ROW",
        nargs="+",
        help="rows of the study's table to train, such as coupled 'no teacher' (default: all)",
    )
    parser.add_argument(
        "--external-maps",
        metavar="DIR",
        type=Path,
        help="also score an external teacher's maps: DIR/DATASET/CLIP/000001.png, 8-bit grey",
    )
    return parser
