"""Predict where people look in a video, with a .tflite model.

python tflite/predict.py --model MODEL.tflite VIDEO --overlay OUT.mp4 --maps DIR
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from uva_tf.command import Parser, command, number, progress
from uva_tf.runtime.annotate import annotate, show, write_maps, write_overlay
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.outputs import new_file, new_folder
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.video import VideoReader, VideoWriter


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, predict, print."""
    parser = Parser(description="Predict where people look in a video.")
    parser.add_argument("video", metavar="VIDEO", nargs="?", type=Path, help="a video file")
    parser.add_argument(
        "--camera", metavar="N", type=number(0, 99), help="show camera N live, until q is pressed"
    )
    parser.add_argument(
        "--model", metavar="FILE.tflite", type=Path, required=True, help="manifest beside it"
    )
    parser.add_argument(
        "--overlay", metavar="OUT.mp4", type=Path, help="write the video under its heat map"
    )
    parser.add_argument(
        "--maps", metavar="DIR", type=Path, help="write every frame's map, 000001.png on"
    )
    parser.add_argument(
        "--threads", type=number(1, 256), default=1, help="of the model (default 1)"
    )
    args = parser.parse_args(argv)
    if (args.video is None) == (args.camera is None):
        raise InputError("expected one source: either VIDEO or --camera N")
    if args.overlay and args.maps and _overlap(args.overlay, args.maps):
        raise InputError("--overlay and --maps overlap: choose paths beside each other")
    if args.overlay and args.overlay.suffix.lower() != ".mp4":
        raise InputError(f"{args.overlay}: an overlay is MPEG-4, use a name that ends in .mp4")

    predictor = Predictor(args.model, threads=args.threads, channels="bgr")
    with contextlib.ExitStack() as stack:
        video = stack.enter_context(VideoReader(args.camera if args.video is None else args.video))
        sinks = []
        if args.camera is not None and not (args.overlay or args.maps):
            sinks.append(show(f"camera {args.camera}: q to quit"))
        if args.maps:
            sinks.append(write_maps(stack.enter_context(new_folder(args.maps))))
        if args.overlay:
            path = stack.enter_context(new_file(args.overlay))
            writer = VideoWriter(path, video.rate, video.width, video.height)
            sinks.append(write_overlay(stack.enter_context(writer).write))
        start = time.perf_counter()
        count = annotate(progress("predict", "frame")(video, video.length), predictor, sinks)
        seconds = time.perf_counter() - start
    print(f"{count} frames at {count / seconds:.0f} frames/s, reading and writing included")
    for path in filter(None, (args.overlay, args.maps)):
        print(f"wrote {path}")


def _overlap(overlay: Path, maps: Path) -> bool:
    one, other = overlay.resolve(), maps.resolve()
    return one == other or one in other.parents or other in one.parents


if __name__ == "__main__":
    sys.exit(main())
