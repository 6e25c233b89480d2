"""One source, from opening it to its finished outputs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.core.interruption import hold
from uva_tf.core.outputs import new_file
from uva_tf.core.pictures import IMAGE_SUFFIXES, decode
from uva_tf.core.video import refuse_damage
from uva_tf.runtime.annotate import annotate
from uva_tf.runtime.overlay import STYLES, enlarge
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sinks import Options, Outputs, open_sinks, places
from uva_tf.runtime.streams import open_stream

T = TypeVar("T")


class Result(NamedTuple):
    """What became of a stream.

    Attributes:
        frames: how many all outputs have.
        seconds: that they took, reading and writing included.
        notes: of the source and the overlay, one line each.
        cause: what ended the stream early, see `annotate`.
    """

    frames: int
    seconds: float
    notes: list[str]
    cause: BaseException | None = None


def predict_stream(
    place: Path | int | str,
    predictor: Predictor,
    outputs: Outputs,
    options: Options,
    *,
    strict: bool = False,
    whole: bool = False,
    threads: int = 0,
    remote: dict[str, Any] | None = None,
    progress: Callable[[Iterator[T], int], Iterator[T]] = lambda items, total: items,
) -> Result:
    """Predict every frame of a stream and write the outputs.

    Args:
        place: as `open_stream` takes it.
        strict: refuse a video that is damaged or cut short.
        whole: if something ends the stream early, raise it, and write nothing.
        threads: for decoding, as of a VideoReader.
        remote: options of `open_url`, for a URL.
        progress: wraps the iterator over finished frames, of which there will be `total`.

    Raises InputError for a source that can't be read.
    """
    with hold() as stop:
        with contextlib.ExitStack() as stack:
            source = open_stream(
                place,
                rate=options.rate,
                stream=options.stream,
                deinterlace=options.deinterlace,
                threads=threads,
                **(remote or {}),
            )
            stack.callback(source.close)
            sinks, writer = open_sinks(outputs, options, source, stack)
            watched = getattr(source, "watched", iter)  # a live stream counts its latency
            begun = time.perf_counter()
            count, cause = annotate(
                source,
                predictor,
                sinks,
                lambda items: progress(watched(items), source.length),
                stop,
            )
            seconds = time.perf_counter() - begun
            if whole and cause:
                raise cause
            if strict:
                refuse_damage(source)
        stop.asked()  # a late signal has nothing left to stop: all is written
    if isinstance(cause, KeyboardInterrupt) and source.live:
        cause = None  # Ctrl-C is how a recording ends
    return Result(count, seconds, [*source.notes, *(writer.notes if writer else [])], cause)


def predict_still(
    picture: Path, predictor: Predictor, outputs: Outputs, style: str = "heat"
) -> list[str]:
    """Predict a picture, paired with itself, and write its overlay and its map.

    Args:
        outputs: picture files; the table is left to the caller.

    Returns:
        The map's `places`.

    Raises InputError for a picture that can't be read, or an overlay that is no picture.
    """
    # Before its outputs' names: with a video or an animated picture, those may be a video's.
    frame = Frame(decode(picture, cv2.IMREAD_COLOR))
    for path in filter(None, (outputs.overlay, outputs.maps)):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise InputError(
                f"{path}: expected a name that ends in {', '.join(IMAGE_SUFFIXES)} to write a "
                "picture"
            )
    (attention,) = predictor.run([frame])
    if outputs.overlay:
        _write(outputs.overlay, STYLES[style](frame.pixels, attention))
    if outputs.maps:
        _write(outputs.maps, enlarge(attention, frame.width, frame.height))
    return places(frame, attention)


def _write(path: Path, pixels: np.ndarray) -> None:
    with new_file(path) as partial:
        partial.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
