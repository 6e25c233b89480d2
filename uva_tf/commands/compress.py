"""Compare compression recipes by size, speed and accuracy.

uva-tf compress --run RUN --run OTHER_RUN --out STUDY
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import (
    add_every_argument,
    add_form_argument,
    add_jobs_argument,
    add_study_folder_argument,
)
from uva_tf.commands.command import (
    Parser,
    as_typed,
    command,
    goes_on,
    progress,
    use_one_blas_thread,
)
from uva_tf.core.errors import InputError
from uva_tf.core.outputs import locked, refuse_existing


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, fine-tune, convert, score, time, write."""
    args = _parser().parse_args(argv)
    use_one_blas_thread()
    from uva_tf.compression.recipes import RECIPES, TRAINED
    from uva_tf.studies import recipes as study
    from uva_tf.studies.trainings import fine_tune_all
    from uva_tf.training.run import Run

    refuse_existing(args.out / study.FILE)
    recipes = args.recipes or list(RECIPES)
    if unknown := [name for name in recipes if name not in RECIPES]:
        raise InputError(f"no recipe {unknown[0]!r}: choose from {', '.join(RECIPES)}")
    recipes = list(dict.fromkeys([study.BASELINE, *recipes]))
    runs = [Run.open(folder) for folder in args.run]
    study.open_comparison(runs, args.out)
    trained = [recipe for recipe in recipes if recipe in TRAINED]
    with goes_on("compress", argv), locked(args.out, args.out, "written"):
        fine_tune_all(runs, trained, jobs=args.jobs, progress=progress("fine-tune", "run"))
        files = study.convert_all(runs, recipes, args.form, args.out)
        scores = study.score_files(files, every=args.every, progress=progress("score", "clip"))
        study.write_study(args.out, study.measure(files, scores), as_typed("compress", argv))
    print((args.out / study.FILE).read_text("utf-8"))


def _parser() -> Parser:
    parser = Parser("compress", __doc__)
    parser.add_argument(
        "--run",
        metavar="DIR",
        type=Path,
        action="append",
        required=True,
        help="run folder (made by uva-tf train); may be repeated",
    )
    add_study_folder_argument(parser)
    parser.add_argument(
        "--recipes",
        metavar="NAME",
        nargs="+",
        help="recipes to compare with fp32: fp16, dynamic, int8, int8-qat, int8-pruned "
        "(default: all)",
    )
    add_form_argument(parser)
    add_every_argument(parser, default=8)
    add_jobs_argument(parser, "fine-tunings")
    return parser
