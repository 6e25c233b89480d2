"""Whether the numbers of a tracker's samples can be milliseconds and pixels.

A user who knows better states the unit, with `--units`.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.options import TIME_UNITS, GazeOptions

# In ms, 2.5 kHz to 2.5 Hz. The bounds are a factor of 1000 apart, as s, ms, us and ns are, so a
# rate within them leaves them if its unit is wrong.
SHORTEST_STEP, LONGEST_STEP = 0.4, 400.0
DAY = 86_400_000.0  # ms
ENOUGH = 10  # samples that it takes to judge a trial
ENOUGH_PERCENT = 30
# A tracker's errors and looks beside the screen: fewer samples than this are out of bounds.
FEW = 0.1
# Around an origin in the centre, about half of the places are negative on each axis.
MANY_NEGATIVE = 0.25


def check_steps(steps: np.ndarray, where: str) -> None:
    """Raise InputError for steps between samples, `[n]` ms, that are those of another unit.

    Args:
        where: file and lines, for the message.
    """
    if len(steps) < ENOUGH:
        return
    step = float(np.median(steps))
    if SHORTEST_STEP <= step < LONGEST_STEP:
        return
    guesses = [
        unit
        for unit, factor in TIME_UNITS.items()
        if unit != "ms" and SHORTEST_STEP <= step * factor < LONGEST_STEP
    ]
    guess = f"{guesses[0]}? state --units {guesses[0]}" if guesses else "state --units"
    raise InputError(
        f"{where}: samples follow each other in steps of {step:.3g}, expected milliseconds: "
        f"{guess} (--units ms if they are right)"
    )


def check_clock(time: np.ndarray, where: str) -> None:
    """Raise InputError for times, in ms, that count from another day than the clip's start."""
    if len(time) and time[0] > DAY:
        raise InputError(
            f"{where}: times begin at {time[0]:.15g} ms, expected ms from the clip's first frame: "
            "subtract when the clip began, or list it in trials.csv "
            "(file,trial,clip,observer,onset_ms)"
        )


def check_places(x: np.ndarray, y: np.ndarray, where: str, options: GazeOptions) -> None:
    """Raise InputError for places that can't be pixels with the origin upper left.

    Args:
        x, y: `[n]`; NaN where tracking was lost.
        where: file and lines, for the message.
        options: what the user stated is not checked.
    """
    places = np.stack([x, y])[:, ~np.isnan(x)]  # (2, m)
    if places.shape[1] < ENOUGH:
        return
    low, high = places.min(axis=1), places.max(axis=1)
    found = f"x is {low[0]:.6g} to {high[0]:.6g} and y {low[1]:.6g} to {high[1]:.6g}"
    if not options.units:
        small = (np.abs(places) <= 1).mean(axis=1) >= 1 - FEW  # (2,)
        if small.any() and (places != np.rint(places)).any():
            rest = "" if small.all() else ", after converting the other axis"
            raise InputError(
                f"{where}: {found}, expected pixels: fractions? state --units fractions{rest} "
                "(--units pixels if they are right)"
            )
    if not options.origin and ((places < 0).mean(axis=1) > MANY_NEGATIVE).all():
        raise InputError(
            f"{where}: {found}, expected an origin upper left: is it in the centre? state --origin "
            "centre (--origin upper-left if it is right)"
        )


def check_percent(x: np.ndarray, y: np.ndarray, where: str, options: GazeOptions) -> None:
    """Raise InputError for the places of a table that can't be pixels but percent.

    Nearly all lie within 0 to 100 and spread over half of that; those of a single trial may.

    Args:
        x, y: `[n]`; NaN where tracking was lost.
    """
    places = np.stack([x, y])[:, ~np.isnan(x)]  # (2, m)
    if options.units or places.shape[1] < ENOUGH_PERCENT:
        return
    inside = (places >= 0) & (places <= 100)
    spread = np.ptp(np.where(inside, places, 50.0), axis=1) > 25
    if (
        inside.all(axis=0).mean() >= 1 - FEW
        and (places.max(axis=1) > 50).all()
        and (np.abs(places) <= 150).all()
        and spread.all()
    ):
        raise InputError(
            f"{where}: x and y lie between {places.min():.6g} and {places.max():.6g}, expected "
            "pixels: percent? state --units percent (--units pixels if they are right)"
        )


def counted(masks: dict[str, np.ndarray], rows: np.ndarray) -> Counter:
    """How many of some rows each mask has."""
    return Counter({why: int(mask[rows].sum()) for why, mask in masks.items() if mask[rows].any()})
