"""What an eye does between saccades: it rests (a fixation), or follows what moves (pursuit).

Fixations are found by velocity (I-VT) or by dispersion (I-DT), both as `pymovements` implements
them after Salvucci and Goldberg, "Identifying fixations and saccades in eye-tracking protocols",
ETRA 2000. Before and after that, samples are treated as in Olsen, "The Tobii I-VT Fixation
Filter", 2012: short gaps are filled, fixations that belong together are merged, short ones are
discarded. Neither method knows pursuit, which is as slow as a fixation. So whatever moved between
two saccades is followed in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uva_tf.core.errors import InputError

# Times are in ms, angles in degrees, speeds in degrees/s. Olsen's values:
LONGEST_GAP = 75.0  # that is filled; blinks are longer
VELOCITY = 30.0  # slower than a saccade
SPEED_WINDOW = 20.0
MERGED_WITHIN, MERGED_CLOSER = 75.0, 0.5
SHORTEST = 60.0
# Salvucci and Goldberg's values for I-DT, and the time between the samples that they had.
DISPERSION, SHORTEST_IDT, IDT_STEP = 1.0, 100.0, 1000 / 60
# Before and after a blink the lid covers a part of the pupil, whose centre seems to move. Trackers
# that mark it do so for 20 to 60 ms; the faster part of it is taken for a saccade anyway.
BLINK_EDGE = 30.0
# Speed is taken over a longer time if noise alone would give more than a part of `VELOCITY`, so
# that a Gaussian reaches it less than once in 1,000 times.
LONGEST_SPEED_WINDOW, NOISE_PART = 100.0, 4.0
# Below this rate a fixation has too few samples.
SLOWEST = 50.0
# Gaze moved if means over STRETCH ms are further apart than the Gaussian of a density map is wide
# (2 % of the clip's width), and than NOISE standard deviations of such a mean.
STRETCH, MOVED, NOISE = 100.0, 0.02, 8.0
PIECE = 40.0  # about a frame


@dataclass(frozen=True)
class Track:
    """An eye's samples at a steady rate; after each stretch without a gap a row of NaN.

    Attributes:
        step: time between two, in ms.
        time: `[n]` float64 in ms.
        places: `[n, 2]` float64 pixels of the clip.
        degrees: `[n, 2]` float64; NaN if not known.
        beside_blinks: number of samples that were dropped because they were beside a blink.
    """

    step: float
    time: np.ndarray
    places: np.ndarray
    degrees: np.ndarray
    beside_blinks: int


def interval(time: np.ndarray) -> float:
    """The usual time between samples, 0 if there are fewer than two.

    Times may be rounded, so it is the mean of those intervals that are no gaps.
    """
    intervals = np.diff(np.unique(time))
    if not len(intervals):
        return 0.0
    return float(intervals[intervals < 1.5 * np.median(intervals)].mean())


def tracked(time: np.ndarray, places: np.ndarray, degrees: np.ndarray, name: object) -> Track:
    """Samples at a steady rate, with short gaps filled and long ones widened to `BLINK_EDGE`.

    Args:
        time: `[n]` in ms, not falling.
        places, degrees: `[n, 2]`; NaN where there is no gaze.
        name: of the recording, for the message.

    Raises InputError if the samples come too slowly or too unevenly.
    """
    step = interval(time)
    if step > SLOWEST:
        raise InputError(
            f"{name}: a sample every {step:.3g} ms, expected one every {SLOWEST:g} ms or faster "
            "to find fixations: --fixations samples takes samples as they are"
        )
    there = np.isfinite(places).all(axis=1)
    time, first = np.unique(time[there], return_inverse=True)
    values = np.concatenate([places, degrees], axis=1)[there]  # (n, 4)
    count = np.bincount(first)
    values = np.stack([np.bincount(first, column) / count for column in values.T], axis=1)
    # Each stretch without a long gap, from its first sample to its last; at a gap less its edges.
    cuts = np.flatnonzero(np.diff(time) > LONGEST_GAP) + 1
    begins = np.concatenate([time[:1], time[cuts] + BLINK_EDGE])
    ends = np.concatenate([time[cuts - 1] - BLINK_EDGE, time[-1:]])
    begins, ends = begins[begins <= ends], ends[begins <= ends]
    step = max(step, 0.5)
    counts = ((ends - begins) / step + 1e-6).astype(np.int64) + 1
    if counts.sum() > 10 * len(time) + 1000:
        raise InputError(
            f"{name}: samples usually come every {step:.3g} ms, but most of the time far less "
            "often: --fixations samples takes samples as they are"
        )
    grid = [np.arange(n) * step + begin for begin, n in zip(begins, counts, strict=True)]
    kept = np.searchsorted(time, ends, "right") - np.searchsorted(time, begins)
    blank = np.full((1, 4), np.nan)
    steady, even = [np.zeros(0)], [np.zeros((0, 4))]
    for times in grid:
        columns = [np.interp(times, time, column) for column in values.T]
        steady += [times, times[-1:] + step]
        even += [np.stack(columns, axis=1), blank]
    joined = np.concatenate(even)
    return Track(
        step,
        np.concatenate(steady),
        joined[:, :2],
        joined[:, 2:],
        len(time) - int(kept.sum()),
    )


def by_velocity(track: Track) -> tuple[np.ndarray, np.ndarray, int, float]:
    """Fixations and pursuit by I-VT.

    Returns:
        `[n, 2]` first row of each in the track and the row after its last, `[n, 2]` when it begins
        and ends in ms, how many stretches were too short, and the time in ms over which speed was
        taken.
    """
    from pymovements.events import ivt  # late: it takes seconds

    window, velocity = _velocity(track)
    found = ivt(velocity, minimum_duration=0, velocity_threshold=VELOCITY).frame
    bounds = np.stack([found["onset"].to_numpy(), found["offset"].to_numpy() + 1], axis=1)
    bounds = _merged(bounds.astype(np.int64), track)
    times = _widened(bounds, track, max(0.0, (window - track.step - SPEED_WINDOW) / 2))
    enough = times[:, 1] - times[:, 0] >= SHORTEST
    return bounds[enough], times[enough], int((~enough).sum()), window


def by_dispersion(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Fixations by I-DT: their rows and times as `by_velocity` returns them.

    Samples are averaged over about `IDT_STEP` ms before, since noise adds to the dispersion.
    """
    from pymovements.events import idt  # late: it takes seconds

    together = max(1, round(IDT_STEP / track.step))
    least = max(2, int(np.ceil(SHORTEST_IDT / (together * track.step) - 1e-6)))
    bounds = [np.zeros((0, 2), np.int64)]
    for begin, end in _stretches(track):
        count = (end - begin) // together
        if count <= least:
            continue
        blocks = track.degrees[begin : begin + count * together]
        means = blocks.reshape(count, together, 2).mean(axis=1)  # (count, 2)
        found = idt(means, minimum_duration=least, dispersion_threshold=DISPERSION).frame
        first, last = found["onset"].to_numpy(), found["offset"].to_numpy()
        # The last of a window is the first sample that is too far, unless the stretch ends.
        last = last + (last == count - 1)
        bounds.append(np.stack([first, last], axis=1).astype(np.int64) * together + begin)
    rows = np.concatenate(bounds)
    return rows, _widened(rows, track, 0.0)


def pursued(track: Track, bounds: np.ndarray, width: int) -> np.ndarray:
    """During which of the fixations gaze moved, `[n]` bool; `bounds` as `by_velocity` gives them.

    Args:
        width: of the clip in pixels.
    """
    paths = [_means(track, begin, end) for begin, end in bounds]
    # A still or evenly moving eye leaves only noise in second differences, of 6 times its variance.
    jumps = [np.zeros((0, 2)), *(np.diff(path, 2, axis=0) for path in paths if len(path) > 2)]
    jumps = np.abs(np.concatenate(jumps))
    noise = np.median(jumps) / 0.6745 / np.sqrt(6) if len(jumps) >= 4 else 0.0
    furthest = [np.hypot(*np.ptp(path, axis=0)) if len(path) > 1 else 0.0 for path in paths]
    return np.array(furthest) > max(MOVED * width, NOISE * noise)


def pieces(track: Track, begin: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pursuit in pieces of about `PIECE` ms.

    Returns:
        Onsets `[n]`, ends `[n]` in ms, and `[n, 2]` mean places in pixels of the clip, of the
        path without its noise: a line through `STRETCH` ms around each sample.
    """
    from scipy.signal import savgol_filter  # late: pymovements brings it

    rows = begin + np.flatnonzero(np.isfinite(track.places[begin:end, 0]))
    path = track.places[rows]
    window = _odd(STRETCH / track.step, len(rows))
    if window > 2:
        path = savgol_filter(path, window, 1, axis=0)
    count = max(1, round(len(rows) * track.step / PIECE))
    first = np.linspace(0, len(rows), min(count, len(rows)), endpoint=False).astype(int)
    size = np.diff(np.append(first, len(rows)))
    means = np.add.reduceat(path, first) / size[:, None]
    onsets = track.time[rows[first]] - track.step / 2
    return onsets, np.append(onsets[1:], track.time[rows[-1]] + track.step / 2), means


def _stretches(track: Track) -> list[tuple[int, int]]:
    """First row of each stretch without a gap, and the row after its last."""
    blank = np.flatnonzero(np.isnan(track.places[:, 0]))
    first = np.append(0, blank + 1)[: len(blank)]
    return list(zip(first.tolist(), blank.tolist(), strict=True))


def _odd(count: float, most: int) -> int:
    """An odd number of samples, near to `count`, 3 or more, but at most `most` (or that less 1)."""
    return min(max(3, 2 * round((count - 1) / 2) + 1), most - 1 + most % 2)


def _velocity(track: Track) -> tuple[float, np.ndarray]:
    """Velocity `[n, 2]` in degrees/s, and over which time it was taken in ms.

    The slope of a line through `SPEED_WINDOW` ms, or as many more as noise demands.
    """
    from pymovements.transforms.numpy import pos2vel  # late: it takes seconds

    rate, stretches = 1000 / track.step, _stretches(track)
    velocity, last = np.full_like(track.degrees, np.nan), 0
    for length in np.geomspace(SPEED_WINDOW, LONGEST_SPEED_WINDOW, 12):
        window = _odd(length / track.step, max(3, len(track.time)))
        if window == last:
            continue
        if last and window * track.step > LONGEST_SPEED_WINDOW + 1e-6:
            break
        last = window
        for begin, end in stretches:
            if end - begin > 2:
                velocity[begin:end] = pos2vel(
                    track.degrees[begin:end],
                    sampling_rate=rate,
                    method="savitzky_golay",
                    window_length=_odd(window, end - begin),
                    polyorder=1,
                )
        # Between saccades, windows without a common sample differ by twice the noise's variance.
        slow = np.hypot(*velocity.T) < VELOCITY
        change = np.abs(velocity[window:] - velocity[:-window])[slow[window:] & slow[:-window]]
        noise = np.median(change) / 0.6745 / np.sqrt(2) if len(change) else np.inf
        if noise <= VELOCITY / NOISE_PART:
            break
    return last * track.step, velocity


def _merged(bounds: np.ndarray, track: Track) -> np.ndarray:
    """Fixations with those merged that a saccade can't separate.

    As Olsen merges them: the pause is short, and the places before and after it are near to each
    other; here after the eye moved on during the pause as fast as it did before and after it.
    """
    if len(bounds) < 2:
        return bounds
    span = max(2, round(STRETCH / track.step))
    before = np.array([_line(track, max(a, b - span), b, b) for a, b in bounds[:-1]])  # (n, 4)
    after = np.array([_line(track, a, min(b, a + span), a) for a, b in bounds[1:]])
    pause = track.time[bounds[1:, 0]] - track.time[bounds[:-1, 1] - 1]
    moved = (before[:, 2:] + after[:, 2:]) / 2 * pause[:, None]
    apart = np.hypot(*(after[:, :2] - before[:, :2] - moved).T)
    joined = (pause <= MERGED_WITHIN) & (apart <= MERGED_CLOSER)
    first, last = np.append(True, ~joined), np.append(~joined, True)
    return np.stack([bounds[first, 0], bounds[last, 1]], axis=1)


def _widened(bounds: np.ndarray, track: Track, more: float) -> np.ndarray:
    """When fixations begin and end, `[n, 2]` in ms: half a sample and `more` outside their rows.

    A longer window makes more of a fixation's ends seem fast, which `more` makes up for. They end
    before the next one begins, and do not reach beyond their stretch.
    """
    if not len(bounds):
        return np.zeros((0, 2))
    begin, end = track.time[bounds[:, 0]], track.time[bounds[:, 1] - 1]
    blank = np.isnan(np.append(track.places[:, 0], np.nan))
    apart = np.maximum(0.0, np.append(begin[1:], np.inf) - end - track.step)
    before = np.minimum(more, np.append(np.inf, apart[:-1]) / 2)
    after = np.minimum(more, apart / 2)
    before[blank[bounds[:, 0] - 1]] = 0  # row -1 is blank, as each stretch's last is
    after[blank[bounds[:, 1]]] = 0
    half = track.step / 2
    return np.stack([begin - half - before, end + half + after], axis=1)


def _line(track: Track, begin: int, end: int, at: int) -> np.ndarray:
    """A line through gaze from row `begin` to `end`: its place at row `at`, and slope per ms."""
    degrees = track.degrees[begin:end]
    mean = degrees.mean(axis=0)
    if (end - begin) * track.step < PIECE or end - begin < 3:
        return np.append(mean, [0.0, 0.0])
    row = np.arange(begin, end) - (begin + end - 1) / 2
    slope = row @ degrees / (row @ row)
    return np.append(mean + slope * (at - (begin + end - 1) / 2), slope / track.step)


def _means(track: Track, begin: int, end: int) -> np.ndarray:
    """Mean places over about `STRETCH` ms each, `[n, 2]`."""
    path = track.places[begin:end]
    path = path[np.isfinite(path[:, 0])]
    if not len(path):
        return path
    count = min(len(path), max(1, round(len(path) * track.step / STRETCH)))
    first = np.linspace(0, len(path), count, endpoint=False).astype(int)
    return np.add.reduceat(path, first) / np.diff(np.append(first, len(path)))[:, None]
