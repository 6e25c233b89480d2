"""Score models or maps beside baselines and human observers.

uva-tf evaluate --model RUN|FILE.keras|FILE.tflite --data SHARDS --split val
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from uva_tf.commands.arguments import (
    add_ahead_argument,
    add_data_argument,
    add_every_argument,
    add_persistence_argument,
    check_ahead,
    decimal,
    model_or_run,
    number,
)
from uva_tf.commands.command import Parser, command, progress, show, use_one_blas_thread
from uva_tf.config import SPLITS
from uva_tf.core.errors import InputError
from uva_tf.core.names import distinct_names
from uva_tf.core.outputs import new_file, new_folder, refuse_existing, refuse_overlap


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, score, print."""
    args = _parser().parse_args(argv)
    if not (args.model or args.maps):
        raise InputError("nothing to score: give --model or --maps (see --help)")
    if not args.model and (args.ahead or args.persistence is not None):
        raise InputError("--maps are scored as they are: leave out --persistence and --ahead")
    if any(model.suffix != ".tflite" for model in args.model):
        check_ahead(args)
    refuse_overlap({"--json": args.json, "--report": args.report})
    for path in filter(None, (args.json, args.report)):
        refuse_existing(path)

    use_one_blas_thread()
    from uva_tf.data.dataset import open_dataset
    from uva_tf.evaluation.evaluate import Settings, evaluate
    from uva_tf.evaluation.report import cost_section, evaluation_sections, write_report
    from uva_tf.evaluation.results import Evaluation, table
    from uva_tf.training.run import Run

    names = distinct_names(args.data)
    datasets = dict(zip(names, map(open_dataset, args.data), strict=True))
    for dataset in datasets.values():
        dataset.split(args.split)  # a missing split is refused before any scoring
    sources = {name: _sources(args, dataset.size) for name, dataset in datasets.items()}
    settings = Settings(args.smooth, args.seed, args.skip_bad, args.every)
    evaluations: dict[str, Evaluation] = {}
    for name, dataset in datasets.items():
        bar = progress("evaluate" if len(datasets) == 1 else f"evaluate {name}", "clip")
        scored = evaluate(sources[name], dataset, args.split, settings, progress=bar)
        recorded = scored.settings | {"persistence": args.persistence, "ahead": args.ahead}
        evaluations[name] = replace(scored, dataset=name, settings=recorded)
        text = "\n" * (len(evaluations) > 1) + table(evaluations[name])
        show(text, kept=bool(args.json or args.report))
    figures = {name: scored.to_dict() for name, scored in evaluations.items()}
    if args.json:
        with new_file(args.json) as path:
            path.write_text(_as_json(figures if len(figures) > 1 else figures[names[0]]))
    if not args.report:
        return
    with new_folder(args.report) as folder:
        for name, scored in evaluations.items():
            page = folder / name if len(datasets) > 1 else folder
            page.mkdir(parents=True, exist_ok=True)
            (page / "scores.json").write_text(_as_json(figures[name]))
            scored.write_frames(page / "frames.csv")
            title = f"Evaluation of {name}, split {args.split}"
            sections = evaluation_sections(scored, datasets[name], sources[name])
            runs = [model for model in args.model if model.is_dir()]
            students = dict.fromkeys(Run.open(run).config.student for run in runs)
            sections += map(cost_section, students)
            write_report(page / "report.html", title, sections)
    inside = "report.html, frames.csv, scores.json"
    print(f"wrote {args.report}: {inside}{' for each --data' if len(datasets) > 1 else ''}")


def _as_json(figures: dict) -> str:
    return json.dumps(figures, indent=1) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = Parser("evaluate", __doc__)
    parser.add_argument(
        "--model",
        metavar="DIR|FILE|NAME",
        type=model_or_run,
        action="append",
        default=[],
        help="run folder (its teachers are scored too), .keras file of a run, .tflite file, or "
        "shipped student such as uva-32; may be repeated, one row each",
    )
    parser.add_argument(
        "--maps",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="maps of any model: DIR/RECORDING/000001.png, 8-bit grey; may be repeated, one row "
        "each",
    )
    add_data_argument(parser, ", one table each")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="val",
        help="split to score: %(choices)s (default: %(default)s)",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write all scores as JSON, also those of each clip",
    )
    parser.add_argument(
        "--report",
        metavar="DIR",
        type=Path,
        help="write a page with pictures, and a table with a row per frame; several --data get a "
        "folder each, DIR/DATASET",
    )
    parser.add_argument(
        "--smooth",
        metavar="SIGMA",
        type=decimal(0, 1, " image widths"),
        default=0.0,
        help="blur the maps first, by a Gaussian of SIGMA image widths; choose it on validation "
        "clips only (default: 0, no blur)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=number(0, 10**9 - 1),
        default=0,
        help="random seed of intervals, negatives and halves of observers (default: %(default)s)",
    )
    add_persistence_argument(parser)
    add_ahead_argument(parser)
    add_every_argument(parser, default=1)
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out and count frames whose map is missing or unusable",
    )
    return parser


def _sources(args: argparse.Namespace, size: int) -> dict:
    """Map sources by the names of their rows, distinct even for models of the same name."""
    from uva_tf.evaluation.baselines import BASELINES
    from uva_tf.evaluation.map_sources import (
        maps_source,
        open_map_source,
        persistent,
        teachers_of,
    )
    from uva_tf.evaluation.results import CEILING, CENTRE
    from uva_tf.runtime.trial import check_model

    sources = {}
    models = distinct_names([m.resolve() for m in args.model], taken=(*BASELINES, CENTRE, CEILING))
    for name, model in zip(models, args.model, strict=True):
        if model.suffix == ".tflite":
            check_model(model)
        for row, teacher in teachers_of(model, size).items():
            lasting = persistent(teacher, args.persistence or 0, args.ahead)
            sources[row if len(models) == 1 else f"{name}, {row}"] = lasting
        sources[name] = open_map_source(model, size, args.persistence, args.ahead)
    for name, folder in zip(
        distinct_names([m.resolve() for m in args.maps]), args.maps, strict=True
    ):
        sources[f"maps {name}"] = maps_source(folder, skip_bad=args.skip_bad)
    return sources
