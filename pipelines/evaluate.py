"""Score a model, or any model's maps, beside baselines and people.

python pipelines/evaluate.py --model RUN|FILE.keras|FILE.tflite --data SHARDS --split val
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from uva_tf.command import Parser, command, number, progress, show, start, use_one_blas_thread
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.outputs import as_text, new_file, new_folder, refuse_existing


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, score, print."""
    args = _parser().parse_args(argv)
    if not (args.model or args.maps):
        raise InputError("nothing to score: give --model or --maps (see --help)")
    for path in (args.json, args.report):
        if path:
            refuse_existing(path)

    use_one_blas_thread()
    from uva_tf.data.dataset import open_dataset
    from uva_tf.evaluation.evaluate import Settings, evaluate
    from uva_tf.evaluation.report import cost_section, evaluation_sections, write_report
    from uva_tf.evaluation.results import table
    from uva_tf.training.run import Run

    dataset = open_dataset(args.data)
    sources = _sources(args, dataset.size)
    settings = Settings(args.smooth, args.seed, args.skip_bad, args.every)
    evaluation = evaluate(
        sources, dataset, args.split, settings, progress=progress("evaluate", "clip")
    )
    show(table(evaluation), kept=bool(args.json or args.report))
    scores = json.dumps(evaluation.to_dict(), indent=1) + "\n"
    if args.json:
        with new_file(args.json) as path:
            path.write_text(scores)
    if args.report:
        with new_folder(args.report) as folder:
            (folder / "scores.json").write_text(scores)
            evaluation.write_frames(folder / "frames.csv")
            title = f"{evaluation.dataset}, split {evaluation.split}"
            sections = evaluation_sections(evaluation, dataset, sources)
            if args.model and args.model.is_dir():
                sections.append(cost_section(Run.open(args.model).config.student))
            write_report(folder / "report.html", title, sections)
        print(f"wrote {args.report}: report.html, frames.csv, scores.json")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(description="Score a model, or any model's maps, beside baselines and people.")
    parser.add_argument(
        "--model", type=Path, help="a run folder (teachers too), its .keras files, or a .tflite"
    )
    parser.add_argument("--maps", metavar="DIR", type=Path, help="DIR/RECORDING/000001.png, 8-bit")
    parser.add_argument("--data", metavar="DIR", type=Path, required=True, help="by prepare.py")
    parser.add_argument("--split", metavar="NAME", default="val", help="default val")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures, by clip too")
    parser.add_argument(
        "--report",
        metavar="DIR",
        type=Path,
        help="write a page with pictures and a table of frames",
    )
    parser.add_argument(
        "--smooth",
        metavar="SIGMA",
        type=_sigma,
        default=0.0,
        help="Gaussian over the maps, in image widths; choose it on validation clips (none)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all draws (0)")
    parser.add_argument(
        "--every", metavar="N", type=number(1, 10**6), default=1, help="score every Nth frame (1)"
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave out frames without a usable map, and count"
    )
    return parser


def _sigma(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0 to 1 image widths")
    return value


def _sources(args: argparse.Namespace, size: int) -> dict:
    from uva_tf.evaluation.sources import maps_source, open_source, teachers_of
    from uva_tf.runtime.trial import check_model

    sources = {}
    if args.model:
        if args.model.suffix == ".tflite":
            check_model(args.model)
        sources = teachers_of(args.model, size)
        sources[as_text(args.model.resolve().name)] = open_source(args.model, size)
    if args.maps:
        name = f"maps {as_text(args.maps.resolve().name)}"
        sources[name] = maps_source(args.maps, skip_bad=args.skip_bad)
    return sources


if __name__ == "__main__":
    start(main)
