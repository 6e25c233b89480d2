"""What is made of frames and their maps: an overlay video, pictures, a table, a window."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.outputs import new_file, new_folder
from uva_tf.core.text_tables import csv_text
from uva_tf.core.video_writer import VideoWriter
from uva_tf.runtime.overlay import STYLES, Style, enlarge
from uva_tf.runtime.places import centroid, peak
from uva_tf.runtime.regions import COLUMNS as REGION_COLUMNS
from uva_tf.runtime.regions import regions
from uva_tf.runtime.streams import Stream

COLUMNS = ("frame", "seconds", "peak_x", "peak_y", "centroid_x", "centroid_y")


class Outputs(NamedTuple):
    """Where a source's outputs go; None for what is not wanted."""

    overlay: Path | None = None
    maps: Path | None = None
    csv: Path | None = None
    regions: Path | None = None


class Options(NamedTuple):
    """What the outputs depend on besides the source and the model; as `uva-tf predict` has it.

    Attributes:
        style, codec, quality: of the overlay.
        stream, deinterlace: of a video.
        rate: of a folder of pictures that is taken for a film.
    """

    style: str = "heat"
    codec: str | None = None
    quality: int | None = None
    stream: int | None = None
    deinterlace: bool = False
    rate: float | None = None


class Stopped(Exception):
    """Raised by a sink's `take` to end the stream."""


class Sink(NamedTuple):
    """Two functions: `make` turns a frame and its map into an item, `take` writes or shows it.

    An item is made while the one before it is being taken. The map is `[R, R]` uint8.
    """

    make: Callable[[Frame, np.ndarray], Any]
    take: Callable[[Any], None]


def open_sinks(
    outputs: Outputs, options: Options, source: Stream, stack: contextlib.ExitStack
) -> tuple[list[Sink], VideoWriter | None]:
    """The sinks for a source's outputs, and the overlay's writer; the stack completes the files.

    A live source without outputs is shown in a window.
    """
    sinks, style, writer = [], STYLES[options.style], None
    if outputs.maps:
        sinks.append(write_maps(stack.enter_context(new_folder(outputs.maps))))
    if outputs.csv:
        path = stack.enter_context(new_file(outputs.csv))
        sinks.append(write_places(stack.enter_context(path.open("wb", buffering=0))))
    if outputs.regions:
        path = stack.enter_context(new_file(outputs.regions))
        sinks.append(write_regions(stack.enter_context(path.open("wb", buffering=0))))
    if outputs.overlay:
        path = stack.enter_context(new_file(outputs.overlay))
        writer = VideoWriter.like(
            source,
            path,
            width=2 * source.width if options.style == "beside" else None,
            codec=options.codec,
            quality=options.quality,
            live=source.live,
        )
        if source.has_sound and not source.path:
            writer.notes.append("no sound: it is read only from files")
        sinks.append(write_overlay(stack.enter_context(writer).write, style))
    if source.live and not sinks:
        sinks.append(show(f"{source.name}: q to quit", style))
    return sinks, writer


def write_overlay(write: Callable[[Frame], None], style: Style) -> Sink:
    """Draw each frame in a style and pass it to `write`, such as `VideoWriter.write`."""
    return Sink(style, write)


def write_maps(folder: Path) -> Sink:
    """Write each map as `000001.png` and so on: 8-bit grey, as large as the frame."""
    numbers = itertools.count(1)

    def make(frame: Frame, attention: np.ndarray) -> bytes:
        picture = enlarge(attention, frame.width, frame.height)
        return cv2.imencode(".png", picture)[1].tobytes()

    def take(picture: bytes) -> None:
        path = folder / f"{next(numbers):06d}.png"
        try:
            path.write_bytes(picture)
        except BaseException:  # an interruption too
            path.unlink(missing_ok=True)
            raise

    return Sink(make, take)


def write_places(stream: BinaryIO) -> Sink:
    """Write a CSV row for each frame: its number, its time, its map's peak and centroid.

    Frames are counted from 1; peak and centroid are in pixels of the frame, origin upper left.

    Args:
        stream: a new file, opened for unbuffered writing.
    """
    numbers = itertools.count(1)
    write_row(stream, COLUMNS)

    def make(frame: Frame, attention: np.ndarray) -> tuple[object, ...]:
        return next(numbers), f"{frame.seconds:.3f}", *places(frame, attention)

    return Sink(make, lambda row: write_row(stream, row))


def write_regions(stream: BinaryIO) -> Sink:
    """Write a CSV row for each region of interest of each frame (`runtime/regions.py`).

    Args:
        stream: a new file, opened for unbuffered writing.
    """
    numbers = itertools.count(1)
    write_row(stream, REGION_COLUMNS)

    def make(frame: Frame, attention: np.ndarray) -> list[tuple[object, ...]]:
        number, seconds = next(numbers), f"{frame.seconds:.3f}"
        found = regions(attention, frame.width, frame.height)
        return [(number, seconds, *one) for one in found]

    return Sink(make, lambda rows: write_rows(stream, rows))


def places(frame: Frame, attention: np.ndarray) -> list[str]:
    """A map's peak and centroid in pixels of the frame, the last four of COLUMNS."""
    size = frame.width, frame.height
    return [f"{v:.1f}" for v in (*peak(attention, *size), *centroid(attention, *size))]


def show(title: str, style: Style) -> Sink:
    """Show the overlay in a window until q is pressed; raises InputError without a display."""
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        raise InputError("no display to show the overlay on: give --overlay, --maps or --csv")

    def take(picture: np.ndarray) -> None:
        cv2.imshow(title, picture)
        if cv2.waitKey(1) & 0xFF == ord("q"):
            cv2.destroyWindow(title)
            raise Stopped

    return Sink(lambda frame, attention: style(frame, attention).pixels, take)


def write_row(stream: BinaryIO, values: Iterable[object]) -> None:
    """Write a row completely, or nothing of it if that fails."""
    write_rows(stream, [values])


def write_rows(stream: BinaryIO, table: Iterable[Iterable[object]]) -> None:
    """Write rows completely, or nothing of them if that fails."""
    rows, before = csv_text(table).encode(), stream.tell()
    try:
        written = 0
        while written < len(rows):
            written += stream.write(rows[written:])
    except BaseException:
        stream.truncate(before)
        raise
