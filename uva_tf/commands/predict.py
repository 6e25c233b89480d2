"""Predict where people look in videos or pictures.

uva-tf predict VIDEO --overlay OUT.mp4 --maps DIR --csv OUT.csv
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from uva_tf.commands.arguments import (
    add_ahead_argument,
    add_encoding_arguments,
    add_jobs_argument,
    add_model_argument,
    add_persistence_argument,
    add_reading_arguments,
    add_threads_argument,
    decimal,
    number,
)
from uva_tf.commands.command import Parser, command, goes_on, progress
from uva_tf.core.errors import InputError, counted

if TYPE_CHECKING:
    from uva_tf.runtime.batch import Answer, Batch
    from uva_tf.runtime.sources import Sources


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, predict, print."""
    from uva_tf.runtime.batch import Batch
    from uva_tf.runtime.default_model import choose_model
    from uva_tf.runtime.sinks import Options, Outputs
    from uva_tf.runtime.trial import check_model

    args = _parser().parse_args(argv)
    sources = _sources(args)
    model, why = choose_model(args.model)
    outputs = Outputs(args.overlay, args.maps, args.csv, args.regions)
    given = {name: getattr(args, name) for name in Options._fields}
    options = Options(**{name: value for name, value in given.items() if value is not None})
    if sources.several:
        batch = Batch(
            places=sources.places,
            stills=sources.stills,
            outputs=outputs,
            model=model,
            options=options,
            jobs=args.jobs,
            threads=args.threads,
            persistence=args.persistence,
            ahead=args.ahead,
            strict=args.strict,
        )
        check_model(model)
        with goes_on("predict", argv):
            notes, failure = _predict_all(batch)
    else:
        check_model(model)
        predict = _predict_still if sources.stills else _predict_stream
        notes, failure = predict(sources.places[0], model, outputs, options, args), None
    for path in dict.fromkeys(path for path in outputs if path and path.exists()):
        print(f"wrote {path}")
    if not any(outputs) and args.camera is None:
        notes.append("nothing is written unless --overlay, --maps, --csv or --regions says where")
    for note in [*([f"model {why}"] if why else []), *sources.notes, *notes]:
        print(f"note: {note}")
    if failure:
        raise failure


def _predict_stream(place, model, outputs, options, args) -> list[str]:
    """Predict a video, a film in pictures, a pipe, a URL or a camera; returns the notes."""
    from uva_tf.core.urls import is_url
    from uva_tf.runtime.predictor import Predictor
    from uva_tf.runtime.single import predict_stream

    remote = {}
    if is_url(place):
        remote = {"reconnect": args.reconnect, "transport": args.rtsp_transport or "tcp"}
    result = predict_stream(
        place,
        Predictor(model, threads=args.threads, persistence=args.persistence, ahead=args.ahead),
        outputs,
        options,
        strict=args.strict,
        remote=remote,
        progress=progress("predict", "frame"),
    )
    count = result.frames
    if result.cause:
        frames = f"{counted(count, 'finished frame')} {'is' if count == 1 else 'are'}"
        written = ", ".join(str(path) for path in outputs if path) or "no file"
        result.cause.add_note(f"{frames} in {written}")
        raise result.cause
    speed = count / result.seconds
    print(f"{counted(count, 'frame')} at {speed:.0f} frames/s, reading and writing included")
    return result.notes


def _predict_still(place, model, outputs, options, args) -> list[str]:
    """Predict a picture."""
    from uva_tf.core.outputs import new_file, refuse_existing
    from uva_tf.core.text_tables import write_csv
    from uva_tf.runtime.batch import TABLE
    from uva_tf.runtime.predictor import Predictor
    from uva_tf.runtime.single import predict_still

    maps = outputs.maps and outputs.maps / f"{place.stem}.png"
    for path in filter(None, (outputs.overlay, maps, outputs.csv)):
        refuse_existing(path)
    predictor = Predictor(model, threads=args.threads)
    places = predict_still(place, predictor, outputs._replace(maps=maps), options.style)
    if outputs.csv:
        with new_file(outputs.csv) as path:
            write_csv(path, [TABLE, [place.name, *places]])
    print("1 picture")
    return []


def _predict_all(batch: Batch) -> tuple[list[str], Exception | None]:
    """Predict many sources, and name those that failed on stderr.

    Returns:
        What is to be noted; and an error if some failed, an InputError if all did by the user's
        mistake.
    """
    total, failed, notes = len(batch.works), [], []
    unit = "picture" if batch.stills else "source"
    answers = batch.run()
    before = done = next(answers)
    try:
        for answer in progress("predict", unit)(answers, total - before):
            if "error" in answer.reply:
                failed.append(answer)
                continue
            done += 1
            if batch.stills:
                continue
            place = answer.work.place
            frames = counted(answer.reply["frames"], "frame")
            print(f"{done + len(failed)} of {total}: {place}, {frames}")
            notes += [f"{place}: {note}" for note in answer.reply["notes"]]
    except (KeyboardInterrupt, OSError) as error:
        _name(failed)
        done = max(done, batch.count_done())  # a source may have ended at the same moment
        error.add_note(f"{done} of {total} {unit}s are done")
        raise
    more = f" ({before} done before)" if before else ""
    print(f"{done} of {total} {unit}s done{more}")
    _name(failed)
    if not failed:
        return notes, None
    which = f"{len(failed)} of {total} {unit}s, named above"
    all_mistakes = not done and all(answer.reply["mistake"] for answer in failed)
    return notes, InputError(which) if all_mistakes else OSError(which)


def _name(failed: list[Answer]) -> None:
    """Name the sources that failed, with the causes."""
    for work, reply in sorted(failed):
        name = "" if str(work.place) in reply["error"] else f"{work.place}: "
        print(f"failed: {name}{reply['error']}", file=sys.stderr)


def _parser() -> Parser:
    from uva_tf.core.urls import TRANSPORTS
    from uva_tf.runtime.overlay import STYLES

    parser = Parser("predict", __doc__)
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="*",
        help="video or picture, folder of videos or of pictures, pattern such as '*.mp4', - for "
        "stdin, or URL (rtsp, http, https, rtmp, udp); of several sources, outputs go to folders, "
        "and the same command resumes its work",
    )
    parser.add_argument(
        "--camera", metavar="N", type=number(0, 99), help="read camera N instead, until Ctrl-C or q"
    )
    parser.add_argument(
        "--stills", action="store_true", help="take each picture of a folder by itself"
    )
    parser.add_argument(
        "--rate",
        metavar="N",
        type=decimal(0.01, 1000),
        help="take a folder of pictures for a film of N frames/s (default: 25 if numbered)",
    )
    add_jobs_argument(parser, "sources")
    add_reading_arguments(parser)
    parser.add_argument(
        "--reconnect",
        metavar="SECONDS",
        type=number(0, 86_400),
        help="try a lost URL again for this time (default: 30)",
    )
    parser.add_argument(
        "--rtsp-transport",
        choices=TRANSPORTS,
        help="transport of an rtsp URL (default: tcp, then udp if the server has no tcp)",
    )
    add_model_argument(parser)
    parser.add_argument(
        "--overlay",
        metavar="DIR|FILE",
        type=Path,
        help="write the video with attention drawn over it: .mp4 (H.264), .webm (VP9), .mkv, .mov; "
        "or the picture; of several sources, DIR/NAME.mp4, of pictures DIR/NAME.jpg",
    )
    parser.add_argument(
        "--style",
        choices=STYLES,
        help="how the overlay or the camera's window is drawn (default: heat)",
    )
    add_encoding_arguments(parser, "the overlay")
    parser.add_argument(
        "--maps",
        metavar="DIR",
        type=Path,
        help="write a grey map for every frame: DIR/000001.png, ...; of several sources, "
        "DIR/NAME/000001.png, of pictures DIR/NAME.png",
    )
    parser.add_argument(
        "--csv",
        metavar="DIR|FILE",
        type=Path,
        help="write the peak and centroid of every frame in pixels, as CSV; of several videos, "
        "DIR/NAME.csv",
    )
    parser.add_argument(
        "--regions",
        metavar="DIR|FILE",
        type=Path,
        help="write where an encoder should spend its bits, as CSV (docs/regions.md); of several "
        "videos, DIR/NAME.regions.csv",
    )
    add_persistence_argument(parser)
    add_ahead_argument(parser)
    add_threads_argument(parser)
    return parser


def _sources(args: argparse.Namespace) -> Sources:
    """The sources that arguments name; raises InputError for those that do not go together."""
    from uva_tf.core.outputs import refuse_overlap
    from uva_tf.core.urls import is_url
    from uva_tf.core.video_writer import check_codec
    from uva_tf.runtime.sinks import Outputs
    from uva_tf.runtime.sources import Sources, find_sources

    if bool(args.sources) == (args.camera is not None):
        raise InputError("expected either a SOURCE or --camera N")
    if (args.reconnect is not None or args.rtsp_transport) and not any(map(is_url, args.sources)):
        raise InputError("--reconnect and --rtsp-transport are for a URL: give one as SOURCE")
    reading = [args.stills, args.deinterlace, args.rate, args.stream]
    if args.camera is not None and any(one not in (None, False) for one in reading):
        raise InputError("--stills, --rate, --stream and --deinterlace are for files, not a camera")
    if args.camera is None:
        sources = find_sources(args.sources, stills=args.stills, rate=args.rate)
    else:
        sources = Sources([args.camera], several=False, stills=False, notes=[])
    outputs = {f"--{key}": getattr(args, key) for key in Outputs._fields}
    refuse_overlap(outputs, may_be_same=sources.several)
    film = any(isinstance(place, Path) and place.is_dir() for place in sources.places)
    if (sources.stills or film) and (args.stream is not None or args.deinterlace):
        raise InputError("--stream and --deinterlace are for videos: pictures have none")
    if args.persistence is not None and sources.stills:
        raise InputError("--persistence is for videos: pictures have none before them")
    if args.ahead and (sources.stills or args.camera is not None or any(map(is_url, args.sources))):
        raise InputError("--ahead is for recorded videos: give files")
    if args.ahead and args.persistence == 0:
        raise InputError(f"--ahead {args.ahead} joins no maps with --persistence 0: leave one out")
    if args.regions and sources.stills:
        raise InputError("--regions is for videos: pictures have none")
    if args.style and not args.overlay and args.camera is None:
        raise InputError("--style is of an overlay: give --overlay too")
    encodes = args.overlay and not sources.stills
    if not encodes and (args.codec or args.quality is not None):
        raise InputError("--codec and --quality are of an overlay video: give --overlay too")
    if encodes and not sources.several:
        check_codec(args.overlay, args.codec, args.quality)
    return sources
