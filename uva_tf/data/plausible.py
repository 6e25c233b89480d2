"""Whether numbers of a table of fixations can be the pixels and milliseconds they should be.

A wrong unit makes no error of its own: shares of the frame are pixels of its corner, seconds
are milliseconds of its first frame. The bounds leave real recordings alone, in which a tenth of
the rows may lie beside the frame and a quarter after the clip's end.
"""

from __future__ import annotations

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.data.recordings import MOST_OUTSIDE

# More than this share of rows before a clip begins or after it ended: another clock.
MOST_ELSEWHERE = 0.5
# Rows from which on an order of magnitude says something.
ENOUGH = 10
# The eye rests for 50 ms at least; what is shorter, in ms, is a sample or in another unit.
SHORTEST = 20.0
# No sample of a tracker is shorter than 0.5 ms, and those of one recording are alike.
SAMPLE, ALIKE = 2.0, 1.5

# Observers look at nearly all of a clip; a part as small as this is told.
LEAST_COVERED = 0.15

SAMPLES = f"rows last less than {SHORTEST:.0f} ms, as samples do and not fixations: each counts"


def check_pixels(x: np.ndarray, y: np.ndarray, width: int, height: int, name: object) -> None:
    """Raise InputError for places that are shares of a frame in place of its pixels.

    Args:
        x, y: `[n]`, origin upper left.
        name: of the recording, for the message.
    """
    places = np.stack([x, y])
    _check_percent(places, width, height, name)
    beyond = (np.abs(places) > 1).any(axis=0)
    # A real fixation may lie in the very corner, but not nearly all of them, at fractions of it.
    if beyond.sum() > MOST_OUTSIDE * len(x) or (places == np.rint(places)).all():
        return
    low, high = places[:, ~beyond].min(), places[:, ~beyond].max()
    remedy = (
        f"multiply x by {width} and y by {height}"
        if (places < 0).any(axis=0).sum() <= MOST_OUTSIDE * len(x)
        else "convert them, origin upper left"
    )
    raise InputError(
        f"{name}: x and y of its fixations lie between {low:.3g} and {high:.3g}, expected pixels "
        f"of the {width}x{height} frame: {remedy}"
    )


def _check_percent(places: np.ndarray, width: int, height: int, name: object) -> None:
    """Raise InputError where nothing lies beyond 100 in a frame that is far larger."""
    if places.shape[1] < 5 * ENOUGH or min(width, height) < 300:
        return
    low, high = places.min(), places.max(axis=1)
    if low >= 0 and (high <= 100).all() and (high > 50).all():
        raise InputError(
            f"{name}: x and y of its fixations lie between {low:.3g} and {high.max():.3g}, "
            f"expected pixels of the {width}x{height} frame: percent? multiply x by "
            f"{width / 100:g} and y by {height / 100:g}"
        )


def check_times(onset: np.ndarray, duration: np.ndarray, length: float, name: object) -> None:
    """Raise InputError for times that are no milliseconds from a clip's first frame on.

    Args:
        onset, duration: `[n]`, as they came.
        length: of the clip in milliseconds.
        name: of the recording, for the message.
    """
    end = onset + duration
    elsewhere = int(((onset >= length) | (end < 0)).sum())
    count, first, last = len(onset), onset.min(initial=0), onset.max(initial=0)
    if elsewhere == count > 0 or (count > 2 and elsewhere > MOST_ELSEWHERE * count):
        remedy = "subtract when the clip began" if onset.min() >= length else "shift them"
        for factor, unit in ((1e3, "microseconds"), (1e6, "nanoseconds")):
            if first >= 0 and length / 10 < last / factor <= 1.5 * length:
                remedy = f"{unit}? divide onset and duration by {factor:.0f}"
        raise InputError(
            f"{name}: {elsewhere} of {count} fixations lie outside its {length:.0f} ms, onsets "
            f"are {onset.min():.15g} to {last:.15g}, expected milliseconds from the first frame: "
            + remedy
        )
    # In seconds, all of a clip's gaze would be over within a thousandth of it.
    most, several = 1.5 * length / 1000, len(np.unique(onset)) >= ENOUGH / 2
    latest = last if several else end.max(initial=0)
    short = np.median(duration) < SHORTEST if count else False
    fractions = (onset != np.rint(onset)).any()
    if 0 < latest <= most and (short or fractions) and (several or latest < SHORTEST):
        raise InputError(
            f"{name}: its onsets are {onset.min():g} to {last:g} in a clip of {length:.0f} ms, "
            "expected milliseconds from the first frame: seconds? multiply onset and duration "
            "by 1000"
        )
    if count < ENOUGH:
        return
    low, median, high = np.percentile(duration, [10, 50, 90])
    if 0 < median < SAMPLE and high > ALIKE * low:
        told, remedy = f"a median of {median:.3g}", "seconds? multiply them by 1000"
    elif median > ENOUGH * length and len(np.unique(duration)) >= ENOUGH / 2:
        told, remedy = f"a median of {median:.15g}", "microseconds? divide them by 1000"
    else:
        return
    raise InputError(
        f"{name}: its durations have {told} in a clip of {length:.0f} ms, expected "
        f"milliseconds: {remedy}"
    )


def covered(onset: np.ndarray, duration: np.ndarray, length: float) -> str:
    """A note if all gaze lies in a small part of a clip, `length` ms long; else nothing."""
    if len(onset) < ENOUGH:
        return ""
    first, last = max(0.0, onset.min()), (onset + duration).max()
    if last - first > LEAST_COVERED * length:
        return ""
    part = f"{first / 1000:.2f} and {last / 1000:.2f} s of {length / 1000:.2f} s"
    return f"all gaze lies between {part}: are the times milliseconds?"


def are_samples(duration: np.ndarray) -> bool:
    """Whether rows are too short for fixations, `[n]` milliseconds."""
    return len(duration) >= ENOUGH and bool(np.median(duration) < SHORTEST)
