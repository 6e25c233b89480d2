"""Score students on kinds of scenes that they never saw.

uva-tf kinds --data SHARDS --kinds kinds.csv --rows rows.toml --preset uva-64 --out STUDY
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import (
    add_ahead_argument,
    add_centre_arguments,
    add_kinds_arguments,
    add_persistence_argument,
    add_study_arguments,
    check_ahead,
)
from uva_tf.commands.command import Parser, as_typed, command, goes_on, progress
from uva_tf.presets import PRESETS


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, train, score, write."""
    args = _parser().parse_args(argv)

    from uva_tf.core.outputs import locked, make_folder, refuse_existing, refuse_undecodable
    from uva_tf.studies import kinds as study
    from uva_tf.studies.trainings import check_trainings, train_all
    from uva_tf.training.run import Run

    for file in study.FILES:
        refuse_existing(args.out / file)
    refuse_undecodable(args.out)
    preset = PRESETS[args.preset]()
    rows = study.read_rows(args.rows)
    datasets = study.datasets_by_name(args.data)
    more = {name: one.folder for name, one in study.datasets_by_name(args.more or []).items()}
    of_clips = study.read_kinds(args.kinds, datasets)
    check_ahead(args)
    folds = study.folds(datasets, of_clips, args.out / "data")
    runs = study.trainings(rows, folds, more, args.seeds, args.changes, preset)
    make_folder(args.out)
    with goes_on("kinds", argv), locked(args.out, args.out, "written"):
        study.link_folds(datasets, folds)
        out = args.out / "runs"
        out.mkdir(exist_ok=True)
        check_trainings(runs, preset, (), out)
        bar = progress("train", "run")
        seconds = train_all(runs, preset, (), out, jobs=args.jobs, progress=bar)
        scores = {
            kind: study.score_kind(
                {
                    row.name: [
                        Run.open(out / run.name)
                        for run in runs
                        if (run.row, run.without) == (row.name, kind)
                    ]
                    for row in rows
                },
                [one.folder for one in of_kind if one.has("val")],
                every=args.every,
                progress=progress(f"score {kind}", "clip"),
                external=args.external_maps,
                persistence=args.persistence,
                ahead=args.ahead,
                centre=args.centre,
                centre_share=args.centre_share,
            )
            for kind, of_kind in folds.items()
        }
        minutes: dict[str, float] = {}
        for run, taken in seconds.items():
            runs_alike = len(args.seeds) * (len(folds) if run.without else 1)
            minutes[run.row] = minutes.get(run.row, 0.0) + taken / 60 / runs_alike
        study.write_study(args.out, scores, minutes, as_typed("kinds", argv))
    print((args.out / study.FILES[0]).read_text("utf-8"))


def _parser() -> Parser:
    parser = Parser("kinds", __doc__)
    add_study_arguments(parser, list(PRESETS))
    add_kinds_arguments(parser)
    parser.add_argument(
        "--more",
        metavar="DIR",
        type=Path,
        action="append",
        help="prepared dataset that rows may add to the training; may be repeated",
    )
    parser.add_argument(
        "--rows",
        metavar="FILE",
        type=Path,
        required=True,
        help="TOML with a [[row]] for each row: name, like, data, weights, set, hinted",
    )
    add_persistence_argument(parser, default=0.0)
    add_ahead_argument(parser)
    add_centre_arguments(parser)
    return parser
