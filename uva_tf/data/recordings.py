"""What every layout yields: recordings, and their frames with the gaze on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.data.gaze import Fixations

# A slip of the tracker puts a few fixations outside the frame; more than this share of a
# recording means that its coordinates are not pixels of this frame.
MOST_OUTSIDE = 0.1

OUTSIDE = "fixations outside the frame"
NOWHERE = "fixations in no frame, such as after the last"
REPEATED = "rows that repeat another"
MISSING = "rows without gaze (a cell is empty, NaN or NA)"
LOST = "rows at exactly 0,0, as of lost tracking"


@dataclass(frozen=True)
class GazeFrame:
    """One frame and where people looked in it.

    Attributes:
        index: number of the frame in its recording, from 1.
        frame: `[H, W, 3]` uint8 RGB.
        density: `[h, w]` uint8, of datasets that publish maps in place of fixations.
        teachers: `[h, w]` uint8 maps that other models made, by `spatial` and `temporal`.
    """

    index: int
    frame: np.ndarray
    fixations: Fixations
    density: np.ndarray | None = None
    teachers: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """A clip or a photograph with its gaze.

    Attributes:
        name: unique in its dataset.
        still: whether it is a photograph.
        read: starts decoding; yields the samples in order. Raises InputError for what
            can't be read or does not fit.
        paths: the files and folders it is read from; should one change, so has the recording.
        split: `train`, `val` or `test`, where the dataset itself says so.
        problem: why it can't be read, where the folder's listing shows it already.
        withheld: whether its publisher keeps the gaze back.
        notes: what had to be done to make sense of it; complete after `read`.
        left_out: why and how many fixations were left out; complete after `read`.
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
    """A recording of which is known already that it can't be read."""

    def read() -> Iterator[GazeFrame]:
        raise InputError(problem)

    return Recording(name, False, read, problem=problem)


def withheld(name: str) -> Recording:
    """A recording whose publisher keeps the gaze back."""
    return Recording(name, False, lambda: iter(()), withheld=True)


def to_unit(
    x: np.ndarray, y: np.ndarray, width: int, height: int, name: object
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels to shares of the frame, and which of the fixations lie inside it.

    Args:
        x, y: `[n]`, origin upper left.
        name: of the recording, for the message.

    Returns:
        `[n, 2]` float32 points and `[n]` bool.

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
    """A hint where most places outside the frame are one and the same."""
    places, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
    (column, row), most = places[:, counts.argmax()], int(counts.max())
    if most < 2 or 2 * most < len(x):
        return ""
    told = f"{most} of them lie at exactly {column:g},{row:g}, as of lost tracking"
    return f"; {told}: leave such rows out"
