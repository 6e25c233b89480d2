"""Whether the numbers in a table of fixations can be pixels and milliseconds, as they should be.

A wrong unit raises no error by itself: fractions of the frame would be read as pixels in its
corner, seconds as milliseconds within its first frame. The bounds accept real recordings, in
which a tenth of the rows may lie outside the frame and a quarter after the clip's end. A user
who knows better states the unit, with `--units`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError, counted
from uva_tf.gaze.fixation_table import FixationTable
from uva_tf.gaze.placing import MOST_OUTSIDE

# If more than this fraction of the rows is outside the time of the clip, the times are of another
# clock.
MOST_OUTSIDE_CLIP = 0.5
# Rows that it takes to judge an order of magnitude; and one that is wrong beyond doubt.
ENOUGH, SEVERAL = 10, 5
# Rows that say percent if none is beyond 100 in a frame with sides of so many pixels; fewer rows,
# and frames down to SMALL, say so if they spread over more than this of the 100.
MANY, LARGE, SMALL, SPREAD = 30, 300, 200, 60
# In ms. The eye rests for at least 50 ms; a shorter row is a tracker's sample, or in another unit.
SHORTEST = 20.0
LONGEST = 60_000.0  # longer is no fixation, though it may mean "to the end"
# A tracker's samples are no shorter than 0.5 ms and equally long within a recording. So rows with
# a median below SAMPLE ms are in another unit if their lengths differ by more than ALIKE.
SAMPLE, ALIKE = 2.0, 1.5
FASTEST = 0.5
# Few or equal durations may only mean "to the end": these are not of so many clips, or far longer
# than the clip in microseconds too.
FAR = 100
# Samples follow each other without a pause; rows that begin further apart are none.
SPARSE = 50.0

# Observers look at nearly all of a clip; a note says so if the gaze covers a smaller fraction.
LEAST_COVERED = 0.15

# Fixations of one observer follow each other. If more than this fraction of a table's overlap
# with another of the same observer, a name stands for several people.
MOST_OVERLAPPING = 0.5
DAY = 86_400_000.0  # ms

ONE_OBSERVER = "all fixations have the same observer: there is no human ceiling"


def check_pixels(
    x: np.ndarray,
    y: np.ndarray,
    width: int,
    height: int,
    name: object,
    together: np.ndarray | None = None,
) -> None:
    """Raise InputError for places that are fractions or percent of a frame instead of its pixels.

    Args:
        x, y: `[n]`, origin upper left.
        name: of the recording, for the message.
        together: `[2, m]` x and y of all recordings of the table, by which few are judged.
    """
    places = np.stack([x, y])
    together = places if together is None else together
    _check_percent(places if len(x) >= MANY else together, width, height, name)
    _check_axes(places if len(x) >= SEVERAL else together, width, height, name)
    beyond = (np.abs(places) > 1).any(axis=0)
    # A real fixation may lie in the corner pixel, but not nearly all of them, and at fractions.
    if beyond.sum() > MOST_OUTSIDE * len(x) or (places == np.rint(places)).all():
        return
    low, high = places[:, ~beyond].min(), places[:, ~beyond].max()
    remedy = (
        f"multiply x by {width} and y by {height}, or state --units fractions"
        if (places < 0).any(axis=0).sum() <= MOST_OUTSIDE * len(x)
        else "convert them, origin upper left, or state --units fractions --origin centre"
    )
    raise InputError(
        f"{name}: x and y of its fixations lie between {low:.3g} and {high:.3g}, expected pixels "
        f"of the {width}x{height} frame: {remedy} (--units pixels if they are right)"
    )


def _check_axes(places: np.ndarray, width: int, height: int, name: object) -> None:
    """Raise InputError if several places are fractions of the frame on one axis alone."""
    if places.shape[1] < SEVERAL:
        return
    small = (np.abs(places) <= 1).mean(axis=1) >= 1 - MOST_OUTSIDE
    if any(small) and not all(small):
        axis, values, side = ("x", places[0], width) if small[0] else ("y", places[1], height)
        if (values != np.rint(values)).any():
            raise InputError(
                f"{name}: {axis} of its fixations lies between {values.min():.3g} and "
                f"{values.max():.3g}, expected pixels of the {width}x{height} frame: multiply it "
                f"by {side} (--units pixels if it is right)"
            )


def _check_percent(places: np.ndarray, width: int, height: int, name: object) -> None:
    """Raise InputError if places all lie within 0 to 100 although the frame is far larger.

    If rows are few or the frame is small, places must spread as percent do: people may look at one
    part for a while.
    """
    if places.shape[1] < ENOUGH or min(width, height) < SMALL:
        return
    low, high = places.min(), places.max(axis=1)
    spread = (np.ptp(places, axis=1) > SPREAD).all()
    if low >= 0 and (high <= 100).all() and (high > 50).all():
        if not spread and (places.shape[1] < MANY or min(width, height) < LARGE):
            return
        raise InputError(
            f"{name}: x and y of its fixations lie between {low:.3g} and {high.max():.3g}, "
            f"expected pixels of the {width}x{height} frame: percent? multiply x by "
            f"{width / 100:g} and y by {height / 100:g}, or state --units percent (--units pixels "
            "if they are right)"
        )


def check_times(
    onset: np.ndarray,
    duration: np.ndarray,
    length: float,
    name: object,
    *,
    right: bool = False,
    exported: bool = False,
) -> None:
    """Raise InputError for times that are not milliseconds from a clip's first frame.

    Args:
        onset, duration: `[n]`, as they are in the table.
        length: of the clip in milliseconds.
        name: of the recording, for the message.
        right: whether a user stated that they are; then only some must lie within the clip.
        exported: whether they are of an export, whose unit is known.
    """
    end = onset + duration
    outside = int(((onset >= length) | (end < 0)).sum())
    if right and outside < len(onset):
        return
    count, first, last = len(onset), onset.min(initial=0), onset.max(initial=0)
    if outside == count > 0 or (count > 2 and outside > MOST_OUTSIDE_CLIP * count):
        remedy = "subtract when the clip began" if onset.min() >= length else "shift them"
        for factor, unit, short in ((1e3, "microseconds", "us"), (1e6, "nanoseconds", "ns")):
            # Clocks give numbers as large, but hardly differ, or are of durations in another unit.
            spread = count == 1 or last - first >= last / 100
            long = not 0 < np.median(duration) < FASTEST * factor
            if first >= 0 and length / 10 < last / factor <= 1.5 * length and spread and long:
                remedy = f"{unit}? divide onset and duration by {factor:.0f}, or state --units "
                remedy += short
        if exported:
            remedy = "state when the clip began, with --onset or by onset_ms in trials.csv"
            remedy += ", or --units ms if they are right"
        raise InputError(
            f"{name}: {outside} of {count} fixations lie outside its {length:.0f} ms, onsets "
            f"are {onset.min():.15g} to {last:.15g}, expected milliseconds from the first frame: "
            + remedy
        )
    # Seconds read as milliseconds would end within the first thousandth of the clip.
    most, several = 1.5 * length / 1000, len(np.unique(onset)) >= SEVERAL
    latest = last if several else end.max(initial=0)
    short = np.median(duration) < SHORTEST if count else False
    fractions = (onset != np.rint(onset)).any()
    if 0 < latest <= most and (short or fractions) and (several or latest < SHORTEST):
        raise InputError(
            f"{name}: its onsets are {onset.min():g} to {last:g} in a clip of {length:.0f} ms, "
            "expected milliseconds from the first frame: seconds? multiply onset and duration "
            "by 1000, or state --units s (--units ms if they are right)"
        )
    if count < (ENOUGH if exported else 1):
        return
    low, median, high = np.percentile(duration, [10, 50, 90])
    longest = ENOUGH if count >= ENOUGH and len(np.unique(duration)) >= SEVERAL else FAR
    if 0 < median < SAMPLE and (high > ALIKE * low or (median < FASTEST and not exported)):
        found, remedy = f"{median:.3g}", "seconds? multiply them by 1000"
    elif median > longest * length and (longest < FAR or median <= 1500 * length):
        found, remedy = f"{median:.15g}", "microseconds? divide them by 1000"
    else:
        return
    raise InputError(
        f"{name}: its durations have a median of {found} in a clip of {length:.0f} ms, expected "
        f"milliseconds: {remedy} (--units ms if they are right)"
    )


def check_frames(frame: np.ndarray, frames: int, rate: float, name: object) -> None:
    """Raise InputError if most of the frame numbers `[n]` are beyond a clip of so many frames.

    Args:
        rate: of the clip, in frames a second.
    """
    beyond = int((frame > frames).sum())
    if beyond > MOST_OUTSIDE_CLIP * len(frame):
        raise InputError(
            f"{name}: {beyond} of {len(frame)} frame numbers are beyond its {frames} frames, the "
            f"last is {frame.max():.0f}: are they of a clip at another rate than its {rate:g} "
            "frames a second?"
        )


def check_units(x: np.ndarray, y: np.ndarray, units: str, name: object) -> None:
    """Raise InputError for places `[n]` that can't be in the units that a user stated."""
    most = {"fractions": 2.0, "percent": 200.0}.get(units)
    if most and len(x) and np.median(np.abs([x, y])) > most:
        raise InputError(
            f"{name}: x is {x.min():g} to {x.max():g} and y {y.min():g} to {y.max():g}, expected "
            f"{units} as stated: leave --units {units} out if they are pixels"
        )


def covered(onset: np.ndarray, duration: np.ndarray, length: float) -> str:
    """A note if all gaze lies in a small part of a clip of `length` ms; else ""."""
    if len(onset) < ENOUGH:
        return ""
    first, last = max(0.0, onset.min()), (onset + duration).max()
    if last - first > LEAST_COVERED * length:
        return ""
    part = f"{first / 1000:.2f} and {last / 1000:.2f} s of {length / 1000:.2f} s"
    return f"all gaze lies between {part}: are the times in milliseconds?"


def check_table(
    tables: Mapping[str, FixationTable], path: Path, *, times_stated: bool
) -> list[str]:
    """Check the rows of all recordings together, which may be few in each of them.

    Args:
        tables: the rows by recording.
        times_stated: whether the user stated the unit of times.

    Returns:
        A note for each thing that looks odd and is allowed.

    Raises InputError for rows that are samples, or whose times are in another unit or of another
    clock.
    """
    observers = np.concatenate([table.observers for table in tables.values()])
    if len(observers) < ENOUGH:
        return []
    notes = [ONE_OBSERVER] if len(np.unique(observers)) == 1 else []
    if "onset_ms" not in next(iter(tables.values())).columns:
        return notes
    onset, duration = (
        np.concatenate([table.columns[name] for table in tables.values()])
        for name in ("onset_ms", "duration_ms")
    )
    if endless := int((duration > LONGEST).sum()):
        notes.append(
            f"{counted(endless, 'fixation')} of more than a minute, taken to last until its clip "
            "ends: are the durations in milliseconds?"
        )
    clip = np.repeat(np.arange(len(tables)), [len(table.observers) for table in tables.values()])
    order = np.lexsort((onset, observers, clip))
    same = (np.diff(observers[order]) == 0) & (np.diff(clip[order]) == 0)
    if not times_stated:
        _check_clock(onset, duration, np.diff(onset[order])[same], path)
    # 1 ms for rounding
    overlapping = float((same & (np.diff(onset[order]) < duration[order][:-1] - 1)).mean())
    if overlapping > MOST_OVERLAPPING:
        notes.append(
            f"{overlapping:.0%} of the fixations overlap another of the same observer in time: if "
            "a name stands for several people, the human ceiling is wrong"
        )
    return notes


def _check_clock(onset: np.ndarray, duration: np.ndarray, steps: np.ndarray, path: Path) -> None:
    """Raise InputError for a table whose times are not milliseconds from each clip's start.

    Args:
        steps: from each row of an observer to the next one.
    """
    low, median, high = np.percentile(duration, [10, 50, 90])
    if onset.min() > DAY:
        found = f"onsets are {onset.min():.15g} to {onset.max():.15g}"
        remedy = "from the first frame of each clip: subtract when the clip began"
    elif 0 < median < SAMPLE and (high > ALIKE * low or median < FASTEST):
        found = f"durations have a median of {median:.3g}"
        remedy = "of fixations: seconds? state --units s (--units ms if they are right)"
    elif 0 < median < SHORTEST and high <= ALIKE * low and len(steps) and np.median(steps) < SPARSE:
        found = f"rows last {median:.3g} ms, as samples of a tracker do"
        remedy = "of fixations: prepare them with --layout samples (--units ms if right)"
    else:
        return
    raise InputError(f"{path}: {found}, expected milliseconds {remedy}")
