"""Score trained students by kind of scene, on clips new to them.

uva-tf score-kinds --row NAME RUN RUN --data SHARDS --kinds kinds.csv --out STUDY
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from uva_tf.commands.arguments import (
    add_ahead_argument,
    add_centre_arguments,
    add_data_argument,
    add_every_argument,
    add_kinds_arguments,
    add_persistence_argument,
    check_ahead,
    decimal,
)
from uva_tf.commands.command import Parser, as_typed, command, progress
from uva_tf.core.errors import InputError


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, score, write."""
    args = _parser().parse_args(argv)

    from uva_tf.core.outputs import make_folder, refuse_existing, refuse_undecodable
    from uva_tf.studies import kinds as study
    from uva_tf.studies.trainings import refuse_repeats

    for file in study.FILES:
        refuse_existing(args.out / file)
    refuse_undecodable(args.out)
    check_ahead(args)
    refuse_repeats([name for name, *_ in args.row])
    if alone := [name for name, *runs in args.row if not runs]:
        raise InputError(f"--row {alone[0]}: expected a name and one run or several")
    datasets = study.datasets_by_name(args.data)
    of_clips = study.read_kinds(args.kinds, datasets)
    rows = {name: [Path(run) for run in runs] for name, *runs in args.row}
    students = study.students_of(rows, list(datasets.values()))
    scores = {}
    with tempfile.TemporaryDirectory() as folder:
        folds = study.folds(datasets, of_clips, Path(folder))
        study.link_folds(datasets, folds)
        for kind, of_kind in folds.items():
            scores[kind] = study.score_kind(
                students,
                [one.folder for one in of_kind if one.has("val")],
                every=args.every,
                progress=progress(f"score {kind}", "clip"),
                external=args.external_maps,
                persistence=args.persistence,
                ahead=args.ahead,
                centre=args.centre,
                centre_share=args.centre_share,
                temperature=args.temperature,
            )
    make_folder(args.out)
    study.write_study(args.out, scores, {}, as_typed("score-kinds", argv))
    print((args.out / study.FILES[0]).read_text("utf-8"))


def _parser() -> Parser:
    parser = Parser("score-kinds", __doc__)
    parser.add_argument(
        "--row",
        metavar=("NAME", "RUN"),
        nargs="+",
        action="append",
        required=True,
        help="a row's name and its run folders, of one seed each; may be repeated",
    )
    add_data_argument(parser, "; no run may have been trained on it")
    add_kinds_arguments(parser)
    add_every_argument(parser, default=8)
    add_persistence_argument(parser, default=0.0)
    add_ahead_argument(parser)
    add_centre_arguments(parser)
    parser.add_argument(
        "--temperature",
        metavar="T",
        type=decimal(0.1, 10),
        default=0.0,
        help="divide the students' logits by T, in place of their runs' own temperature (default: "
        "as trained)",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="folder to write the tables to"
    )
    return parser
