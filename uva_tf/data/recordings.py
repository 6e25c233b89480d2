"""What every layout lists: recordings, which yield gaze frames when they are read."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError, some
from uva_tf.core.frames import Frame
from uva_tf.data.fixations import Fixations


@dataclass(frozen=True)
class GazeFrame:
    """One decoded frame, and where people looked in it.

    Attributes:
        index: number of the frame in its recording, from 1.
        frame: the picture.
        density: `[h, w]` uint8, from datasets that publish density maps instead of fixations.
        teachers: maps `[h, w]` uint8 that other models made, by kind (`spatial`, `temporal`).
        hint: `[GRID, GRID, K]` uint8, features of another network, see `data.hints`.
        samples: the tracker's samples during the frame, as points, if they were recorded.
        pixel_aspect: a pixel's width divided by its height, as displayed.
    """

    index: int
    frame: Frame
    fixations: Fixations
    density: np.ndarray | None = None
    teachers: dict[str, np.ndarray] = field(default_factory=dict)
    hint: np.ndarray | None = None
    samples: Fixations | None = None
    pixel_aspect: float = 1.0

    @property
    def aspect(self) -> float:
        """Height / width of the picture, as displayed."""
        return self.frame.height / self.frame.width / self.pixel_aspect


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
        observers: the names of all observers of the dataset, by number, where they are known.
        tracked: the fraction of samples with gaze by observer, where there were samples;
            complete after `read`.
        taken: how many samples that is of, by observer.
        durations: of fixations in ms by observer, `[n]` float64, where they are known; complete
            after `read`.
        as_found: like `read`, but takes places and times for what the files claim, even where
            that can't be: for looking at what `read` refuses. Places outside the frame come
            along, as points below 0 or above 1. None if `read` makes no such checks.
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
    observers: tuple[str, ...] = ()
    tracked: dict[int, float] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=dict)
    durations: dict[int, np.ndarray] = field(default_factory=dict)
    as_found: Callable[[], Iterator[GazeFrame]] | None = None


def unreadable(name: str, problem: str) -> Recording:
    """A recording that is already known to be unreadable."""

    def read() -> Iterator[GazeFrame]:
        raise InputError(problem)

    return Recording(name, False, read, problem=problem)


def withheld(name: str) -> Recording:
    """A recording whose gaze is not published."""
    return Recording(name, False, lambda: iter(()), withheld=True)


def remarks(
    left_out: Mapping[str, Mapping[str, int]], notes: Mapping[str, Sequence[str]]
) -> list[str]:
    """What was left out of recordings and what was noted: one line for each reason and note.

    Args:
        left_out: how many fixations, by recording and reason.
        notes: by recording.
    """
    reasons: dict[str, Counter] = defaultdict(Counter)
    noted: dict[str, list[str]] = defaultdict(list)
    for name, counts in left_out.items():
        for reason, count in counts.items():
            if count:
                reasons[reason][name] += count
    for name, found in notes.items():
        for note in found:
            noted[note].append(name)
    lines = []
    for reason, counts in reasons.items():
        worst = [f"{name} {count}" for name, count in counts.most_common()]
        lines.append(f"left out: {counts.total()} {reason} ({some(worst)})")
    return lines + _alike_once(noted)


def _alike_once(noted: dict[str, list[str]]) -> list[str]:
    """A line for each note and its recordings; one line for notes that differ in numbers alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    for note in noted:
        alike[re.sub(r"\d+", "0", note)].append(note)
    lines = []
    for first, *others in alike.values():
        shown = set(noted[first])
        names = [name for note in others for name in noted[note] if name not in shown]
        more = f"; similar in {some(names)}" if names else ""
        lines.append(f"note: {first} ({some(noted[first])}{more})")
    return lines
