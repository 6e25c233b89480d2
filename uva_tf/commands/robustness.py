"""Score a model on clips made dark, noisy, slower, recompressed.

uva-tf robustness --model RUN|FILE.tflite --data SHARDS --out STUDY
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import add_data_argument, add_every_argument, model_or_run
from uva_tf.commands.command import Parser, as_typed, command, progress


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, score, write."""
    args = _parser().parse_args(argv)

    from uva_tf.core.outputs import make_folder, refuse_existing, refuse_undecodable
    from uva_tf.runtime.trial import check_model
    from uva_tf.studies import robustness as study

    refuse_existing(args.out / study.FILE)
    refuse_undecodable(args.out)
    if args.model.suffix == ".tflite":
        check_model(args.model)
    bar = progress("score", "clip")
    scores = study.score_conditions(args.model, args.data, every=args.every, progress=bar)
    make_folder(args.out)
    study.write_study(args.out, scores, as_typed("robustness", argv))
    print((args.out / study.FILE).read_text("utf-8"))


def _parser() -> Parser:
    parser = Parser("robustness", __doc__)
    parser.add_argument(
        "--model",
        metavar="DIR|FILE|NAME",
        type=model_or_run,
        required=True,
        help="run folder, .keras file of a run, .tflite file, or shipped student such as uva-32",
    )
    add_data_argument(parser, "; its val split is scored")
    add_every_argument(parser, default=8)
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="where to write table.md"
    )
    return parser
