"""Score crops that follow attention on recorded gaze.

uva-tf score-reframing --layout gaze --root RECORDINGS
"""

from __future__ import annotations

from pathlib import Path

from uva_tf.commands.arguments import add_model_argument, add_recordings_arguments
from uva_tf.commands.command import Parser, command, progress, show, use_one_blas_thread
from uva_tf.config import SPLITS
from uva_tf.core.outputs import new_file, refuse_existing

LAYOUTS_OF_VIDEOS = ("dhf1k", "gaze")


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, score, print."""
    parser = Parser("score-reframing", __doc__)
    add_recordings_arguments(parser, LAYOUTS_OF_VIDEOS, "all are scored together")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="val",
        help="split to score: %(choices)s (default: %(default)s)",
    )
    parser.add_argument(
        "--aspect",
        metavar="WIDTH:HEIGHT",
        default="9:16",
        help="aspect of the crop as displayed (default: %(default)s)",
    )
    add_model_argument(parser)
    parser.add_argument(
        "--strip",
        metavar="FILE.png",
        type=Path,
        help="draw frames of every clip with the crops and the fixations, as a PNG picture",
    )
    args = parser.parse_args(argv)
    if args.strip:
        refuse_existing(args.strip)
    use_one_blas_thread()
    import cv2

    from uva_tf.evaluation.reframing import clips_of, draw_strip, score, table
    from uva_tf.runtime.crop_path import parse_aspect
    from uva_tf.runtime.default_model import choose_model
    from uva_tf.runtime.predictor import Predictor
    from uva_tf.runtime.trial import check_model

    aspect = parse_aspect(args.aspect)
    model, _ = choose_model(args.model)
    check_model(model)
    predictor = Predictor(model)
    clips = [
        clip
        for root in args.root
        for clip in progress(f"read {root.name}", "clip")(
            clips_of(args.layout, root, args.split, predictor, aspect, strip=bool(args.strip)), None
        )
    ]
    show(f"{model.stem}, split {args.split}, {args.aspect}: {table(score(clips))}", kept=False)
    if args.strip:
        with new_file(args.strip) as path:
            path.write_bytes(cv2.imencode(".png", draw_strip(clips))[1].tobytes())
        print(f"wrote {args.strip}")
