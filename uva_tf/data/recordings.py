"""What every layout lists: recordings, which yield gaze frames when they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.frames import Frame
from uva_tf.data.fixations import Fixations

# A tracker's errors put a few fixations outside the frame. If more than this fraction of a
# recording's lies there, its coordinates are not pixels of this frame.
MOST_OUTSIDE = 0.1

OUTSIDE = "fixations outside the frame"
NOWHERE = "fixations before the first frame or after the last"
REPEATED = "rows that repeat another"
MISSING = "rows without gaze (a cell is empty, NaN or NA)"
LOST = "rows at exactly 0,0, where tracking was lost"


@dataclass(frozen=True)
class GazeFrame:
    """One decoded frame, and where people looked in it.

    Attributes:
        index: number of the frame in its recording, from 1.
        frame: the picture.
        density: `[h, w]` uint8, from datasets that publish density maps instead of fixations.
        teachers: maps `[h, w]` uint8 that other models made, by kind (`spatial`, `temporal`).
    """

    index: int
    frame: Frame
    fixations: Fixations
    density: np.ndarray | None = None
    teachers: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """A clip or a photograph with its gaze, listed and not yet decoded.

    Attributes:
        name: unique in its dataset.
        still: whether it is a photograph.
        read: decodes the recording and yields its gaze frames in order. Raises InputError for
            what can't be read or does not fit.
        paths: the files and folders it is read from; if one changes, the recording has changed.
        split: `train`, `val` or `test`, if the dataset itself says so.
        problem: why it can't be read, if the folder's listing already shows that.
        withheld: whether its gaze is not published.
        notes: what was guessed or corrected to read it; complete after `read`.
        left_out: how many fixations were left out, by reason; complete after `read`.
    """

    name: str
    still: bool
    read: Callable[[], Iterator[GazeFrame]]
    paths: tuple[Path, ...] = ()
    split: str | None = None
    problem: str = ""
    withheld: bool = False
    notes: list[str] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)


def unreadable(name: str, problem: str) -> Recording:
    """A recording that is already known to be unreadable."""

    def read() -> Iterator[GazeFrame]:
        raise InputError(problem)

    return Recording(name, False, read, problem=problem)


def withheld(name: str) -> Recording:
    """A recording whose gaze is not published."""
    return Recording(name, False, lambda: iter(()), withheld=True)


def to_unit(
    x: np.ndarray, y: np.ndarray, width: int, height: int, name: object
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as fractions of the frame, and which of the fixations lie inside it.

    Args:
        x, y: `[n]` pixels, origin upper left.
        name: of the recording, for the message.

    Returns:
        `[n, 2]` float32 points, x and y from 0 to 1 inside the frame, and `[n]` bool.

    Raises InputError if more than `MOST_OUTSIDE` of them lie outside.
    """
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    outside = int((~inside).sum())
    if outside > MOST_OUTSIDE * len(x):
        raise InputError(
            f"{name}: {outside} of {len(x)} fixations lie outside the {width}x{height} frame, x "
            f"is {x.min():g} to {x.max():g} and y {y.min():g} to {y.max():g}, expected pixels of "
            f"this file{_lost(x[~inside], y[~inside])}"
        )
    return np.stack([x / width, y / height], axis=1).astype(np.float32), inside


def _lost(x: np.ndarray, y: np.ndarray) -> str:
    """A hint if most of the places outside the frame are the same place."""
    places, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
    (column, row), most = places[:, counts.argmax()], int(counts.max())
    if most < 2 or 2 * most < len(x):
        return ""
    return (
        f"; {most} of them lie at exactly {column:g},{row:g}, as if tracking was lost: leave such "
        "rows out"
    )
