"""Crop a video to another aspect, where people look.

uva-tf reframe VIDEO --aspect 9:16 --out OUT.mp4
"""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path

from uva_tf.commands.arguments import (
    add_encoding_arguments,
    add_model_argument,
    add_reading_arguments,
    add_threads_argument,
    file_of_video,
)
from uva_tf.commands.command import Parser, command, progress
from uva_tf.core.errors import counted
from uva_tf.core.interruption import hold
from uva_tf.core.outputs import new_file, refuse_overlap


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, plan, write, print."""
    from uva_tf.core.video import VideoReader, refuse_damage
    from uva_tf.core.video_writer import VideoWriter
    from uva_tf.runtime.crop_path import parse_aspect
    from uva_tf.runtime.default_model import choose_model
    from uva_tf.runtime.predictor import Predictor
    from uva_tf.runtime.reframe import plan_crop, write_crop
    from uva_tf.runtime.trial import check_model

    args = _parse(argv)
    aspect = parse_aspect(args.aspect)
    model, why = choose_model(args.model)
    check_model(model)
    predictor = Predictor(model, threads=args.threads)
    options = {"stream": args.stream, "deinterlace": args.deinterlace}
    with hold() as stop:
        with contextlib.ExitStack() as stack:
            path = stack.enter_context(new_file(args.out))
            table = None
            if args.csv:
                rows = stack.enter_context(new_file(args.csv))
                table = stack.enter_context(rows.open("wb", buffering=0))
            begun = time.perf_counter()
            bar = progress("predict", "frame")
            with VideoReader(args.video, **options) as source:
                plan = plan_crop(
                    source, predictor, aspect, lambda items: bar(items, source.length), stop
                )
                if args.strict:
                    refuse_damage(source)
            source = stack.enter_context(VideoReader(args.video, **options))
            writer = VideoWriter.like(
                source,
                path,
                width=plan.crop.width,
                height=plan.crop.height,
                codec=args.codec,
                quality=args.quality,
            )
            stack.enter_context(writer)
            bar = progress("write", "frame")
            count, cause = write_crop(
                source,
                plan,
                writer.write,
                table,
                lambda items: bar(items, len(plan.places)),
                stop,
            )
            seconds = time.perf_counter() - begun
        stop.asked()  # a late signal has nothing left to stop: all is written
    written = [str(path) for path in (args.out, args.csv) if path]
    if cause:
        frames = f"{count} finished frames are" if count > 1 else "1 finished frame is"
        cause.add_note(f"{frames} in {', '.join(written)}")
        raise cause
    print(
        f"{counted(count, 'frame')} of {plan.crop.width}x{plan.crop.height}, "
        f"{counted(plan.cuts, 'cut')}, at {count / seconds:.0f} frames/s, "
        "reading twice and writing included"
    )
    for path in written:
        print(f"wrote {path}")
    for note in [*([f"model {why}"] if why else []), *source.notes, *writer.notes]:
        print(f"note: {note}")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    from uva_tf.core.video_writer import check_codec

    parser = Parser("reframe", __doc__)
    parser.add_argument("video", metavar="VIDEO", type=file_of_video, help="video file")
    parser.add_argument(
        "--aspect",
        metavar="WIDTH:HEIGHT",
        default="9:16",
        help="wanted aspect as displayed (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="write the cropped video: .mp4 (H.264), .webm (VP9), .mkv, .mov",
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        type=Path,
        help="write the crop of every frame in pixels, as CSV",
    )
    add_reading_arguments(parser)
    add_model_argument(parser)
    add_encoding_arguments(parser, "the cropped video")
    add_threads_argument(parser)
    args = parser.parse_args(argv)
    refuse_overlap({"--out": args.out, "--csv": args.csv})
    check_codec(args.out, args.codec, args.quality)
    return args
