"""Trials: what one observer looked at during one clip, as a tracker recorded it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Screen:
    """The screen on which gaze was recorded.

    Attributes:
        width, height: in pixels.
        width_cm, distance_cm: its width and how far the eye was from it; 0 if not known.
    """

    width: int
    height: int
    width_cm: float = 0.0
    distance_cm: float = 0.0


@dataclass(frozen=True)
class Samples:
    """Where an eye looked, sample by sample.

    Attributes:
        time: `[n]` float64, rising, in ms from the clip's first frame; None if samples are
            numbered by frame.
        x, y: `[n]` float64 in the trial's units; NaN where the tracker had lost the eye. The
            mean of both eyes where both were tracked, else that of the one which was.
        frame: `[n]` int64, number of the clip's frame from 1, in place of a time.
    """

    time: np.ndarray | None
    x: np.ndarray
    y: np.ndarray
    frame: np.ndarray | None = None


@dataclass(frozen=True)
class RecordedFixations:
    """Fixations as the tracker's own software found them: `[n]` float64 each.

    Attributes:
        onset, duration: in ms, the onset from the clip's first frame.
        x, y: in the trial's units.
        means: `[n]` bool, which places are the means of samples; None if none is.
    """

    onset: np.ndarray
    duration: np.ndarray
    x: np.ndarray
    y: np.ndarray
    means: np.ndarray | None = None


@dataclass(frozen=True)
class Trial:
    """One observer's gaze during one clip, read from an export.

    Attributes:
        clip: the clip's name as the export gives it; "" if it does not.
        observer: "" if the export does not name one.
        file: that it was read from.
        number: of the trial in that file, from 1.
        samples, fixations: what the export has; at least one of them.
        units: of x and y, one of `PLACE_UNITS`.
        origin: where x and y are 0, one of `ORIGINS`.
        on_clip: whether places are those of the clip itself, not of the screen that showed it.
        screen: as the export states it.
        shown: where the clip was on it, as the export states it, whose places are then those of
            the clip: left, top, width and height in pixels. It is certain that gaze beside the
            clip is there.
        left_out: how many rows were left out, by reason.
        notes: what was guessed to read the file, a line each.
    """

    clip: str
    observer: str
    file: Path
    number: int = 1
    samples: Samples | None = None
    fixations: RecordedFixations | None = None
    units: str = "pixels"
    origin: str = "upper-left"
    on_clip: bool = False
    screen: Screen | None = None
    shown: tuple[float, float, float, float] | None = None
    left_out: Counter = field(default_factory=Counter)
    notes: tuple[str, ...] = ()
