"""Which of a tracker's samples say that it lost the eye, whatever value it writes there."""

from __future__ import annotations

import numpy as np

from uva_tf.gaze.fixation_table import AT_EXACTLY, LEAST_LOST, LOST

# What trackers write on both axes where they lost the eye, other than 0,0 and -1,-1.
LOST_VALUES = (-999.0, -9999.0, -32768.0, 1e8)
FARTHEST = 1e5  # pixels; no screen is as large
LOST_AT = "tracking was lost where samples are at exactly {}"
ENOUGH = 10  # times that another value recurs, to be one of these


def lost_places(x: np.ndarray, y: np.ndarray, *, centred: bool = False) -> dict[str, np.ndarray]:
    """By reason, which places are a tracker's sign for lost tracking, `[n]` bool.

    Args:
        x, y: `[n]` of one eye.
        centred: whether 0,0 is the centre of the screen, around which all are places to look at.
    """
    return {
        LOST if value == 0 else f"{AT_EXACTLY}{_twice(value)}, where tracking was lost": lost
        for value, lost in _signs(x, y, centred).items()
    }


def without_lost(
    x: np.ndarray, y: np.ndarray, *, centred: bool = False
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A tracker's places, both NaN where one is or the eye was lost, and notes on what said so.

    In an export of samples 0,0 is no place, even once.

    Args:
        x, y, centred: as in `lost_places`.
    """
    signs = _signs(x, y, centred)
    zero = (x == 0) & (y == 0) & (not centred)
    far = (np.abs(x) >= FARTHEST) | (np.abs(y) >= FARTHEST)
    lost = np.logical_or.reduce([np.isnan(x), np.isnan(y), zero, far, *signs.values()])
    notes = [LOST_AT.format(_twice(value)) for value in signs if value != 0]
    return np.where(lost, np.nan, x), np.where(lost, np.nan, y), notes


def _signs(x: np.ndarray, y: np.ndarray, centred: bool) -> dict[float, np.ndarray]:
    """Where both axes have the same value that stands for lost tracking, `[n]` bool by value.

    Beside `LOST_VALUES` and 0, it is one below 0 that recurs. An eye may look just outside the
    screen, but then most of the places there differ.
    """
    sure = np.isin(x, LOST_VALUES)
    same = (x == y) & (sure | ((x <= 0) & (not centred)))
    outside = ((x < 0) & (y < 0) & ~sure).sum()
    least = dict.fromkeys(LOST_VALUES, 1) | {0.0: LEAST_LOST, -1.0: max(LEAST_LOST, outside / 2)}
    other = max(ENOUGH, outside / 2)
    values, counts = np.unique(x[same], return_counts=True)
    found = values[[n >= least.get(v, other) for v, n in zip(values, counts, strict=True)]]
    return {float(value): same & (x == value) for value in found}


def _twice(value: float) -> str:
    return f"{value:.15g},{value:.15g}"
