"""A video cropped to another aspect: read once to choose the crop's path, once more to write."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from typing import BinaryIO, NamedTuple, TypeVar

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame, new_frame
from uva_tf.core.interruption import Stop
from uva_tf.runtime.annotate import DEPTH, ahead, annotate
from uva_tf.runtime.crop_path import SMALL, Crop, change, crop_of, crop_path, find_cuts, profile
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sinks import Sink, write_row
from uva_tf.runtime.streams import Stream

COLUMNS = ("frame", "seconds", "x", "y", "width", "height")
GAP = 5.0  # seconds without a frame, after which the path begins anew
T = TypeVar("T")


class Plan(NamedTuple):
    """Where the crop is in every frame.

    Attributes:
        places: of the crop's left or upper edge along its axis, `[n]` whole pixels.
        cuts: how many cuts were found.
    """

    crop: Crop
    places: np.ndarray
    cuts: int

    def corner(self, number: int) -> tuple[int, int]:
        """The crop's upper left corner in a frame, counted from 0: x and y in pixels."""
        place = int(self.places[number])
        return (0, place) if self.crop.axis else (place, 0)


def plan_crop(
    source: Stream,
    predictor: Predictor,
    aspect: Fraction,
    progress: Callable[[Iterator[T]], Iterator[T]] = iter,
    stop: Stop | None = None,
) -> Plan:
    """Read and predict a whole video, and choose the crop's path.

    Of each frame, only its attention along one axis is kept.

    Args:
        aspect: wanted, width to height, as displayed.
        progress, stop: as of `annotate`.

    Raises KeyboardInterrupt and OSError if the video could not be read to its end, and
    InputError for a frame of another size than the first.
    """
    width, height = source.width, source.height
    crop = crop_of(width, height, aspect, source.pixel_aspect)
    seconds, profiles, smalls, changes = [], [], [], [0.0]
    numbers = itertools.count(1)

    def make(frame: Frame, attention: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        number = next(numbers)
        if (frame.width, frame.height) != (width, height):
            raise InputError(
                f"{source.name}: frame {number} is {frame.width}x{frame.height}, the "
                f"first was {width}x{height}: expected frames of one size"
            )
        return frame.seconds, profile(attention, crop.axis), frame.small(SMALL)

    def take(item: tuple[float, np.ndarray, np.ndarray]) -> None:
        seconds.append(item[0])
        profiles.append(item[1])
        if smalls:
            changes.append(change(item[2], smalls.pop()))
        smalls.append(item[2])

    _, cause = annotate(source, predictor, [Sink(make, take)], progress, stop)
    if cause:
        raise cause
    gaps = np.flatnonzero(np.diff(seconds) > GAP) + 1
    cuts = sorted({*find_cuts(np.array(changes)).tolist(), *gaps.tolist()})
    side, whole = (crop.height, height) if crop.axis else (crop.width, width)
    path = crop_path(np.array(profiles), np.array(seconds), side / whole, cuts)
    # Rounded twice, so that noise far below a pixel can't move a crop at rest.
    return Plan(crop, np.rint(np.round(path * whole, 3)).astype(int), len(cuts))


def write_crop(
    source: Stream,
    plan: Plan,
    write: Callable[[Frame], None],
    table: BinaryIO | None = None,
    progress: Callable[[Iterator[T]], Iterator[T]] = iter,
    stop: Stop | None = None,
) -> tuple[int, BaseException | None]:
    """Read the video again, and write each frame's crop.

    Args:
        source: the same video, opened again.
        write: takes each cropped frame, such as `VideoWriter.write`.
        table: a new file, opened for unbuffered writing, for a CSV row per frame: its number,
            its time, the crop in pixels.
        progress, stop: as of `annotate`.

    Returns:
        As `annotate`. Raises InputError if the video has changed since it was planned.
    """
    stop, count = stop or Stop(), 0
    if table:
        write_row(table, COLUMNS)
    with closing(ahead(_cropped(source, plan), DEPTH)) as frames:
        try:
            for frame in progress(frames):
                write(frame)
                if table:
                    place = (*plan.corner(count), plan.crop.width, plan.crop.height)
                    write_row(table, (count + 1, f"{frame.seconds:.3f}", *place))
                count += 1
                if stop.asked():
                    raise KeyboardInterrupt
        except (KeyboardInterrupt, OSError) as cause:
            if not count:
                raise
            return count, cause
    if count != len(plan.places):
        raise _changed(source)
    return count, None


def _cropped(source: Stream, plan: Plan) -> Iterator[Frame]:
    for number, frame in enumerate(source.timed()):
        if number == len(plan.places):
            raise _changed(source)
        yield cropped(frame, *plan.corner(number), plan.crop.width, plan.crop.height)


def cropped(frame: Frame, x: int, y: int, width: int, height: int) -> Frame:
    """A part of a frame, in 4:2:0.

    Luma is copied as it is. So is chroma, which has half the resolution, if x and y are even; else
    it is the mean of neighbours.

    Args:
        x, y: of the upper left corner in pixels.
        width, height: in pixels, both even.
    """
    planes = frame.planes()
    part, (luma, *chroma) = new_frame(width, height, planes, frame)
    luma[:] = planes.y[y : y + height, x : x + width]
    for plane, target in zip((planes.u, planes.v), chroma, strict=True):
        rows, columns = target.shape
        one = plane[y // 2 :, x // 2 :][:rows, :columns]
        other = plane[(y + 1) // 2 :, (x + 1) // 2 :][:rows, :columns]
        cv2.addWeighted(one, 0.5, other, 0.5, 0, dst=target)
    return part


def _changed(source: Stream) -> InputError:
    return InputError(f"{source.name}: it changed while it was read, try again")
