"""A calm crop that follows attention: from the maps of a whole video to a place for every frame.

Places are fractions of the side that the crop moves along: the frame's width, or its height if
the wanted aspect is wider than the frame's.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from uva_tf.core.errors import InputError

# Hard limits of the crop's movement, in sides per second and per second squared.
SPEED, ACCELERATION = 0.4, 1.0
# Moving the crop by a whole side costs as much as losing all attention for so many seconds.
RELUCTANCE = 0.5
EDGE = 0.1  # how much less attention counts at the crop's edge than in its middle
CENTRING = 0.03  # what a crop at the frame's edge costs, in shares of attention
POSITIONS = 96  # of the crop, among which the path is chosen
STEP = 0.2  # seconds between two choices
FINE = 240  # samples per second of the path while it is smoothed

SMALL = 64  # side of the frames between which cuts are found
# A cut changes the small frames by so many levels (mean over pixels and channels), and by so many
# times as much as the two frames before and the two after it change. These are known here, so that
# fewer levels will do than in `core.cuts`, which sees two frames alone.
CUT_LEVELS, CUT_RATIO, CUT_NEIGHBOURS = 12.0, 2.0, 2

MOST_ASPECT = 20  # of one side to the other


class Crop(NamedTuple):
    """A crop's size in pixels, both sides even, and the axis it moves along: 0 is x, 1 is y."""

    width: int
    height: int
    axis: int


def parse_aspect(text: str) -> Fraction:
    """A display aspect, width to height, such as `9:16`, `1:1` or `2.39:1`.

    Raises InputError for anything else, and for one side of more than `MOST_ASPECT` others.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?):(\d{1,6}(?:\.\d{1,6})?)", text, re.ASCII)
    width, height = map(Fraction, found.groups()) if found else (0, 0)
    if not width or not height or not width <= MOST_ASPECT * height <= MOST_ASPECT**2 * width:
        raise InputError(
            f"aspect {text!r:.40}: expected WIDTH:HEIGHT such as 9:16, from 1:{MOST_ASPECT} to "
            f"{MOST_ASPECT}:1"
        )
    return width / height


def crop_of(width: int, height: int, aspect: Fraction, pixel_aspect: Fraction = 1) -> Crop:
    """The largest crop of a display aspect that fits a frame.

    Args:
        width, height: of the frame in pixels.
        aspect: wanted, width to height, as displayed.
        pixel_aspect: width to height of one pixel.

    Raises InputError if the frame has no room for a crop of two pixels.
    """
    ratio = aspect / Fraction(pixel_aspect)  # in pixels
    axis = int(ratio > Fraction(width, height))
    wanted = (width, width / ratio) if axis else (height * ratio, height)
    sides = [
        2 * min(round(w / 2), side // 2) for w, side in zip(wanted, (width, height), strict=True)
    ]
    if min(sides) < 2:
        raise InputError(f"a frame of {width}x{height} has no room for a crop of this aspect")
    return Crop(*sides, axis)


def profile(attention: np.ndarray, axis: int) -> np.ndarray:
    """How a map's attention is distributed along an axis.

    Args:
        attention: `[h, w]`, 0 or more.
        axis: 0 is x, 1 is y.

    Returns:
        `[w]` or `[h]` float32 that sums to 1; all 0 for an empty map.
    """
    total = attention.sum(axis=axis, dtype=np.float32)
    return total / max(total.sum(), np.finfo(np.float32).tiny)


def change(small: np.ndarray, before: np.ndarray) -> float:
    """Mean difference of two frames in levels.

    Args:
        small, before: `[SMALL, SMALL, 3]` uint8.
    """
    return float(np.abs(small.astype(np.int16) - before).mean())


def find_cuts(changes: np.ndarray) -> np.ndarray:
    """The frames that begin a new shot; a flash of one frame does not.

    Args:
        changes: `[n]`, how much each frame differs from the one before it; the first is not read.

    Returns:
        `[k]` indices in rising order; 0 is not among them.
    """
    around = np.zeros_like(changes)
    for shift in range(1, CUT_NEIGHBOURS + 1):
        around[shift:] = np.maximum(around[shift:], changes[:-shift])
        around[:-shift] = np.maximum(around[:-shift], changes[shift:])
    found = (changes > CUT_LEVELS) & (changes > CUT_RATIO * around)
    return np.flatnonzero(found[1:]) + 1


def crop_path(
    profiles: np.ndarray, seconds: np.ndarray, share: float, cuts: Iterable[int] = ()
) -> np.ndarray:
    """Where the crop begins in every frame: calm within a shot, free to jump at a cut.

    In each shot, the path is the one with the most attention inside the crop, less the cost of
    moving, among all that keep to `SPEED` (dynamic programming over `POSITIONS`, one choice every
    `STEP` seconds). It is then averaged twice over 2 SPEED / ACCELERATION seconds. Its speed
    stays within `SPEED`, and its acceleration, which can't exceed twice the speed over
    that time, within `ACCELERATION`.

    Args:
        profiles: `[n, R]`, what `profile` gives for each frame.
        seconds: `[n]` rising times of the frames.
        share: the crop's side by the frame's, more than 0, at most 1.
        cuts: the frames that begin a new shot.

    Returns:
        `[n]` float64 from 0 to 1 - share.
    """
    bounds = [0, *cuts, len(seconds)]
    shots = [slice(*pair) for pair in itertools.pairwise(bounds)]
    return np.concatenate([_shot(profiles[s], seconds[s], share) for s in shots])


def _shot(profiles: np.ndarray, seconds: np.ndarray, share: float) -> np.ndarray:
    """The path of one shot, `[n]`."""
    times = seconds - seconds[0]
    lasts = np.diff(times)
    lasts = np.append(lasts, lasts.mean() if len(lasts) else STEP)
    end = times[-1] + lasts[-1]
    count = max(1, round(end / STEP))
    knots = np.linspace(0, end, count + 1)
    attention = _between(profiles, np.append(times, end), knots)  # (count, R), times seconds
    places = np.linspace(0, 1 - share, POSITIONS)
    gain = attention @ _inside(profiles.shape[1], places, share)  # (count, POSITIONS)
    gain -= end / count * CENTRING * np.abs(np.linspace(-1, 1, POSITIONS))
    chosen = places[_best(gain, places[1], SPEED * end / count)]
    fine = np.arange(0, end + 1 / FINE, 1 / FINE)
    path = np.interp(fine, (knots[1:] + knots[:-1]) / 2, chosen)
    for _ in range(2):
        path = _averaged(path, round(2 * SPEED / ACCELERATION * FINE))
    return np.clip(np.interp(times, fine, path), 0, 1 - share)


def _between(values: np.ndarray, bounds: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Integrals over time between knots of values that each last from one bound to the next.

    Args:
        values: `[n, R]`.
        bounds: `[n + 1]` rising times.
        knots: `[k + 1]` rising times within the bounds.

    Returns:
        `[k, R]` float64.
    """
    lasts = np.diff(bounds)
    total = np.zeros((len(bounds), values.shape[1]))
    np.cumsum(values * lasts[:, None], axis=0, out=total[1:])
    at = np.clip(np.searchsorted(bounds, knots, "right") - 1, 0, len(values) - 1)
    return np.diff(total[at] + values[at] * (knots - bounds[at])[:, None], axis=0)


def _inside(columns: int, places: np.ndarray, share: float) -> np.ndarray:
    """How much of each column's attention counts in a crop at each place, `[columns, places]`."""
    left = np.arange(columns)[:, None] / columns
    right = left + 1 / columns
    overlap = np.minimum(right, places + share) - np.maximum(left, places)  # (columns, places)
    off = ((left + right - share) / 2 - places) / (share / 2)  # 1 at the crop's edge
    return columns * np.maximum(overlap, 0) * (1 - EDGE * np.minimum(off**2, 1))


def _best(gain: np.ndarray, spacing: float, reach: float) -> np.ndarray:
    """The places, one for each knot, with the most gain less the cost of moving.

    Args:
        gain: `[knots, places]`.
        spacing: distance of two places.
        reach: the farthest move from knot to knot.

    Returns:
        `[knots]` indices.
    """
    index = np.arange(gain.shape[1])
    distance = np.abs(index[:, None] - index) * spacing  # (from, to)
    cost = np.where(distance <= reach * (1 + 1e-9), RELUCTANCE * distance, np.inf)
    value, came = gain[0], np.empty(gain.shape, np.int16)
    for knot in range(1, len(gain)):
        moves = value[:, None] - cost
        came[knot] = moves.argmax(axis=0)
        value = moves[came[knot], index] + gain[knot]
    path = [int(value.argmax())]
    for knot in range(len(gain) - 1, 0, -1):
        path.append(int(came[knot, path[-1]]))
    return np.array(path[::-1])


def _averaged(path: np.ndarray, width: int) -> np.ndarray:
    """A path's mean over `width` samples around each; its ends last."""
    padded = np.pad(path - path[0], (width // 2 + 1, (width - 1) // 2), mode="edge")
    total = np.cumsum(padded)
    return path[0] + (total[width:] - total[:-width]) / width
