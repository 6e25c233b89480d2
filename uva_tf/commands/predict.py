"""Predict where people look in a video, with a .tflite model.

uva-tf predict VIDEO --overlay OUT.mp4 --maps DIR --csv OUT.csv
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

from uva_tf.commands.command import Parser, command, number, progress
from uva_tf.core.errors import InputError
from uva_tf.core.interruption import hold
from uva_tf.core.outputs import new_file, new_folder

if TYPE_CHECKING:
    from uva_tf.core.video_writer import VideoWriter
    from uva_tf.runtime.sinks import Sink
    from uva_tf.runtime.streams import Stream


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, predict, print."""
    from uva_tf.runtime.annotate import annotate
    from uva_tf.runtime.default_model import choose_model
    from uva_tf.runtime.predictor import Predictor
    from uva_tf.runtime.streams import open_stream
    from uva_tf.runtime.trial import check_model

    args = _parse(argv)
    model, why = choose_model(args.model)
    check_model(model)
    predictor = Predictor(model, threads=args.threads)
    with hold() as stop:
        with contextlib.ExitStack() as stack:
            place = args.video if args.camera is None else args.camera
            remote = {}
            if isinstance(place, str):
                remote = {"reconnect": args.reconnect, "transport": args.rtsp_transport or "tcp"}
            source = open_stream(place, stream=args.stream, deinterlace=args.deinterlace, **remote)
            stack.callback(source.close)
            sinks, writer = _sinks(args, source, stack)
            bar = progress("predict", "frame")
            watched = getattr(source, "watched", iter)
            begun = time.perf_counter()
            count, cause = annotate(
                source, predictor, sinks, lambda items: bar(watched(items), source.length), stop
            )
            seconds = time.perf_counter() - begun
            if args.strict and source.damaged:
                raise InputError(f"{source.name}: {'; '.join(source.notes)} (--strict)")
        stop.asked()  # a late signal has nothing left to stop: all is written
    written = [str(path) for path in (args.overlay, args.maps, args.csv, args.regions) if path]
    if isinstance(cause, KeyboardInterrupt) and source.live:
        cause = None  # Ctrl-C is how a recording ends
    if cause:
        frames = f"{count} finished frames are" if count > 1 else "1 finished frame is"
        cause.add_note(f"{frames} in {', '.join(written) or 'no file'}")
        raise cause
    print(f"{count} frames at {count / seconds:.0f} frames/s, reading and writing included")
    for path in written:
        print(f"wrote {path}")
    for note in [
        *([f"model {why}"] if why else []),
        *source.notes,
        *(writer.notes if writer else []),
    ]:
        print(f"note: {note}")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    from uva_tf.core.urls import TRANSPORTS
    from uva_tf.core.video_writer import CODECS, check_codec
    from uva_tf.runtime.overlay import STYLES

    parser = Parser("predict", __doc__)
    parser.add_argument(
        "video",
        metavar="VIDEO",
        nargs="?",
        type=_source,
        help="video file, folder of pictures, or URL: rtsp, http, https, rtmp, udp, srt",
    )
    parser.add_argument(
        "--camera", metavar="N", type=number(0, 99), help="read camera N instead, until Ctrl-C or q"
    )
    parser.add_argument(
        "--stream",
        metavar="N",
        type=number(0, 999),
        help="read the file's stream N (default: the one marked as default, else the largest)",
    )
    parser.add_argument(
        "--deinterlace", action="store_true", help="make whole pictures of interlaced ones"
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse a damaged video instead of noting the damage"
    )
    parser.add_argument(
        "--reconnect",
        metavar="SECONDS",
        type=number(0, 86_400),
        help="try a lost URL again for this time (default: 30)",
    )
    parser.add_argument(
        "--rtsp-transport",
        choices=TRANSPORTS,
        help="of an rtsp URL (default: tcp, then udp if the server has no tcp)",
    )
    parser.add_argument(
        "--model",
        metavar="FILE.tflite",
        type=Path,
        help="int8 or fp16, the shipped 64 px student, or a model file with its manifest beside it "
        "(default: int8 if the processor has fast 8-bit instructions, else fp16)",
    )
    parser.add_argument(
        "--overlay",
        metavar="FILE",
        type=Path,
        help="write the video with attention drawn over it: .mp4 (H.264), .webm (VP9), .mkv, .mov",
    )
    parser.add_argument(
        "--style",
        choices=STYLES,
        default="heat",
        help="how the overlay or the camera's window is drawn (default: %(default)s)",
    )
    parser.add_argument(
        "--codec",
        choices=CODECS,
        help="of the overlay (default: h264, in .webm vp9)",
    )
    parser.add_argument(
        "--quality",
        metavar="N",
        type=number(0, 63),
        help="constant rate factor of the overlay, less is better "
        f"(default: {', '.join(f'{c.quality} for {name}' for name, c in CODECS.items())})",
    )
    parser.add_argument(
        "--maps",
        metavar="DIR",
        type=Path,
        help="write a grey map for every frame: DIR/000001.png, ...",
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        type=Path,
        help="write the peak and centroid of every frame in pixels, as CSV",
    )
    parser.add_argument(
        "--regions",
        metavar="FILE",
        type=Path,
        help="write where an encoder should spend its bits, as CSV (docs/regions.md)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=number(1, 256),
        default=1,
        help="threads that the model runs on (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    if (args.video is None) == (args.camera is None):
        raise InputError("expected one source: either VIDEO or --camera N")
    if not isinstance(args.video, str) and (args.reconnect is not None or args.rtsp_transport):
        raise InputError("--reconnect and --rtsp-transport are for a URL: give one as VIDEO")
    outputs = {"overlay": args.overlay, "maps": args.maps, "csv": args.csv, "regions": args.regions}
    for one, other in itertools.combinations([key for key in outputs if outputs[key]], 2):
        if _overlap(outputs[one], outputs[other]):
            raise InputError(f"--{one} and --{other} overlap: choose separate paths")
    if args.overlay:
        check_codec(args.overlay, args.codec, args.quality)
    elif args.codec or args.quality is not None:
        raise InputError("--codec and --quality are the overlay's: give --overlay FILE too")
    return args


def _sinks(
    args: argparse.Namespace, source: Stream, stack: contextlib.ExitStack
) -> tuple[list[Sink], VideoWriter | None]:
    """Open the outputs that the arguments ask for; the stack completes them."""
    from uva_tf.core.video_writer import VideoWriter
    from uva_tf.runtime.overlay import STYLES
    from uva_tf.runtime.sinks import (
        show,
        write_maps,
        write_overlay,
        write_places,
        write_regions,
    )

    sinks, style, writer = [], STYLES[args.style], None
    if args.maps:
        sinks.append(write_maps(stack.enter_context(new_folder(args.maps))))
    if args.csv:
        path = stack.enter_context(new_file(args.csv))
        sinks.append(write_places(stack.enter_context(path.open("wb", buffering=0))))
    if args.regions:
        path = stack.enter_context(new_file(args.regions))
        sinks.append(write_regions(stack.enter_context(path.open("wb", buffering=0))))
    if args.overlay:
        path = stack.enter_context(new_file(args.overlay))
        writer = VideoWriter(
            path,
            source.rate,
            2 * source.width if args.style == "beside" else source.width,
            source.height,
            tick=source.tick,
            sound_of=source.path,
            pixel_aspect=source.pixel_aspect,
            codec=args.codec,
            quality=args.quality,
            live=source.live,
        )
        sinks.append(write_overlay(stack.enter_context(writer).write, style))
    if source.live and not sinks:
        sinks.append(show(f"{source.name}: q to quit", style))
    return sinks, writer


def _source(text: str) -> Path | str:
    """A URL as it is, since a Path would lose one of its slashes."""
    return text if "://" in text else Path(text)


def _overlap(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one == other or one in other.parents or other in one.parents
