"""Predict an archive of videos, on one machine or a cluster.

uva-tf predict-many 'films/*.mp4' --out DEST
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from uva_tf.commands.arguments import (
    add_model_argument,
    add_persistence_argument,
    add_reading_arguments,
    number,
)
from uva_tf.commands.command import Parser, command, goes_on

if TYPE_CHECKING:
    from uva_tf.archives.archive import Answers, Archive
    from uva_tf.archives.job import Job
    from uva_tf.archives.progress import Progress

EVERY = 30.0  # seconds between two lines of progress, where no terminal shows a bar
NAMED = 10  # failures that are printed; the table has all


@command
def main(argv: list[str] | None = None) -> None:
    """Parse, predict, print."""
    args = _parse(argv)
    from uva_tf.archives.actor import Actor
    from uva_tf.archives.archive import Archive
    from uva_tf.archives.child import OVERLAY
    from uva_tf.archives.engine import check_listens, done_by_ray
    from uva_tf.archives.job import PLACES
    from uva_tf.archives.sources import find_sources, outside
    from uva_tf.core.errors import InputError
    from uva_tf.runtime.default_model import choose_model
    from uva_tf.runtime.trial import check_model

    sources, repeated = find_sources(args.sources, args.list)
    model, why = choose_model(args.model)
    check_model(model)
    if args.address is not None:
        check_listens(args.address)
    job = _job(args, model)
    overlays = f"{job.out.rstrip('/')}/{PLACES[OVERLAY][0]}"
    kept = outside(sources, overlays)
    if not kept:
        raise InputError(f"{args.out}: all videos are its own overlays, expected other ones")
    archive = Archive(job, kept)
    answers = functools.partial(done_by_ray, address=args.address, jobs=args.jobs, actor=Actor)
    with goes_on("predict-many", argv):
        progress = _predict(archive, answers)
    _report(args.out, progress)
    notes = [f"{repeated} named more than once, taken once"] if repeated else []
    if own := len(sources) - len(kept):
        notes.append(f"{own} overlays of {args.out} itself left out")
    for note in [*([f"model {why}"] if why else []), *notes]:
        print(f"note: {note}")
    if progress.failed:
        error = (
            f"{len(progress.failed)} of {progress.total} videos: see the column error of the table"
        )
        raise OSError(error)


def _predict(archive: Archive, answers: Answers) -> Progress:
    """Predict what is left; returns the progress at the end."""
    with contextlib.closing(archive.run(answers)) as steps:
        progress = next(steps)
        try:
            _show(progress, steps)
        except (KeyboardInterrupt, OSError) as error:
            steps.close()
            error.add_note(f"{archive.finished()} of {progress.total} videos are done")
            raise
    return progress


def _parse(argv: list[str] | None) -> argparse.Namespace:
    from uva_tf.runtime.overlay import STYLES

    parser = Parser("predict-many", __doc__)
    parser.description += " The exit code is 1 if a video failed, 2 after a mistake."
    parser.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="*",
        help="video, folder of videos, pattern such as 'films/**/*.mp4', or an address of these: "
        "s3://BUCKET/films/*.mp4, gs://..., abfs://...; https://HOST/VIDEO.mp4",
    )
    parser.add_argument(
        "--list",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="file with a SOURCE a line; lines that begin with # are comments; may be repeated",
    )
    parser.add_argument(
        "--out",
        metavar="DEST",
        required=True,
        help="folder or address (s3://BUCKET/DEST): videos.parquet, maps/NAME.npz, "
        "places/NAME.csv; the same command resumes its work",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="Ray cluster to run on (default: this machine, where nothing need be started)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=number(1, 100_000),
        help="videos to predict at a time, one core each (default: one for each core)",
    )
    add_model_argument(parser)
    parser.add_argument(
        "--overlay",
        action="store_true",
        help="write overlays/NAME.mp4 too; long videos are not cut",
    )
    parser.add_argument(
        "--style",
        choices=STYLES,
        help="how overlays are drawn (default: heat)",
    )
    add_persistence_argument(parser)
    add_reading_arguments(parser)
    parser.add_argument(
        "--segment",
        metavar="SECONDS",
        type=number(0, 86_400),
        default=60,
        help="cut a video of more than one and a half times this length at key frames, into "
        "segments of about this length; 0 cuts none (default: %(default)s)",
    )
    parser.add_argument(
        "--most-seconds",
        metavar="SECONDS",
        type=number(0, 10**6),
        default=3600,
        help="give up a video that takes longer, or a segment of a long one that does; 0 for no "
        "limit (default: %(default)s)",
    )
    parser.add_argument(
        "--most-memory",
        metavar="MB",
        type=number(0, 10**7),
        default=4096,
        help="give up a video that takes more memory, on Linux; 0 for no limit (default: "
        "%(default)s)",
    )
    args = parser.parse_args(argv)
    if args.style and not args.overlay:
        parser.error("--style is of overlays: give --overlay too")
    return args


def _job(args: argparse.Namespace, model: Path) -> Job:
    from uva_tf.archives.job import Job
    from uva_tf.archives.sources import absolute
    from uva_tf.core.urls import is_url, refuse_one_slash
    from uva_tf.runtime.manifest import manifest_path, read_manifest

    refuse_one_slash(args.out)
    manifest, content = read_manifest(model)
    return Job(
        out=args.out if is_url(args.out) else str(absolute(Path(args.out))),
        model=content,
        manifest=manifest_path(model).read_bytes(),
        model_name=model.stem,
        sha256=manifest.sha256,
        persistence=manifest.persistence if args.persistence is None else args.persistence,
        overlay=args.overlay,
        style=args.style or "heat",
        stream=args.stream,
        deinterlace=args.deinterlace,
        strict=args.strict,
        segment=args.segment,
        seconds=args.most_seconds,
        memory=args.most_memory * 2**20,
    )


def _show(progress: Progress, steps: Iterator[Progress]) -> None:
    """Take all steps, and show them as a bar on stderr in a terminal, else as lines on stdout."""
    from tqdm import tqdm

    shown, counts = time.monotonic(), {"total": progress.total, "initial": progress.before}
    with tqdm(desc="predict-many", unit="video", disable=None, **counts) as bar:
        for _ in steps:
            finished = progress.before + progress.done + len(progress.failed)
            if not bar.disable:
                bar.set_postfix(failed=len(progress.failed), refresh=False)
                bar.update(finished - bar.n)
            elif time.monotonic() - shown > EVERY:
                shown = time.monotonic()
                print(_line(progress, finished), flush=True)


def _line(progress: Progress, finished: int) -> str:
    videos = (finished - progress.before) / progress.seconds
    frames = progress.frames / progress.seconds
    left = f", {_spelt(progress.left())} left" if progress.left() else ""
    return (
        f"{finished} of {progress.total} videos, {len(progress.failed)} failed, {videos:.2f} "
        f"videos/s, {frames:.0f} frames/s{left}"
    )


def _spelt(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes > 59 else f"{max(1, minutes)} min"


def _report(out: str, progress: Progress) -> None:
    done, seconds = progress.before + progress.done, progress.seconds
    before = f" ({progress.before} done before)" if progress.before else ""
    print(f"{done} of {progress.total} videos done{before}")
    if progress.done:
        print(
            f"{progress.frames} frames, {progress.duration:.0f} s of video in {seconds:.0f} s: "
            f"{progress.done / seconds:.2f} videos/s, {progress.frames / seconds:.0f} frames/s"
        )
    for row in progress.failed[:NAMED]:
        name = "" if row["source"] in row["error"] else f"{row['source']}: "
        print(f"failed: {name}{row['error']}", file=sys.stderr)
    more = len(progress.failed) - NAMED
    if more > 0:
        print(f"failed: {more} more", file=sys.stderr)
    files = "videos.parquet, throughput.png" if progress.done else "videos.parquet"
    print(f"wrote {out}: {files}")
