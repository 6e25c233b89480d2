"""How well fixations and pursuit are found in samples whose truth is known.

python tests/measured_detection.py
python tests/measured_detection.py --method idt

A row is the gaze of six observers during 20 s: of what they do between saccades 30 % is pursuit at
5 to 20 degrees/s, about half of the time; they blink every four seconds. The columns:

found       fixations found with their onset within 50 ms and their place within 0.5 degrees
false       of the fixations and pursuits that were found, those in which gaze was elsewhere
pursuit     of the time of pursuit, what rows cover
off         their mean distance from where the eye was, in degrees
CC          correlation of density maps with those of true gaze, mean over frames of 40 ms
CC mean     the same if pursuit becomes one place, its mean
CC without  the same if pursuit is left out
CC truth    the same of rows without an error: a frame with a saccade has two places
"""

import argparse

import numpy as np
from made_gaze import (
    DISTANCE_CM,
    HEIGHT,
    PIXELS,
    WIDTH,
    WIDTH_CM,
    degrees_at,
    movements,
    pixels,
    sampled,
)

from uva_tf.config import DHF1K_SIGMA
from uva_tf.data.fixations import density_map
from uva_tf.gaze.detection import fixations_of
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import Screen, Trial

SIZE = WIDTH, HEIGHT
SCREEN = Screen(WIDTH, HEIGHT, WIDTH_CM, DISTANCE_CM)
FRAME = 40.0


def trial(samples, observer="a", **more):
    return Trial("clip", observer, "made up", samples=samples, screen=SCREEN, **more)


def found_in(samples, method="ivt"):
    return fixations_of([trial(samples)], SIZE, GazeOptions(fixations=method), {"a": 0})


def events(columns):
    """Onset, end and mean place in pixels of each event, `[n, 4]`."""
    rows = []
    for event in np.unique(columns["event"]):
        mine = columns["event"] == event
        onset, duration = columns["onset_ms"][mine], columns["duration_ms"][mine]
        place = [np.average(columns[axis][mine], weights=duration) for axis in ("x", "y")]
        rows.append([onset.min(), (onset + duration).max(), *place])
    return np.reshape(rows, (-1, 4))


def matched(columns, truth, blink):
    """Shares of true fixations that are found, and of found ones that are false.

    A true fixation is found if an event begins within 50 ms and lies within half a degree. Those
    that a blink touches do not count. An event is false if no movement but saccades overlaps it
    for half of its length.
    """
    fixations = [one for one in truth if one.kind == "fixation" and not blink(one.onset, one.end)]
    places = pixels(np.array([one.start for one in fixations]))
    found = events(columns)
    hit = [
        (np.abs(found[:, 0] - one.onset) <= 50)
        & (np.hypot(*(found[:, 2:] - place).T) <= 0.5 * PIXELS)
        for one, place in zip(fixations, places, strict=True)
    ]
    slow = np.array([(one.onset, one.end) for one in truth if one.kind != "saccade"])
    overlap = np.minimum(found[:, 1:2], slow[:, 1]) - np.maximum(found[:, :1], slow[:, 0])
    inside = np.maximum(overlap, 0).sum(axis=1) >= 0.5 * (found[:, 1] - found[:, 0])
    return np.mean([one.any() for one in hit]), np.mean(~inside)


def followed(columns, truth, time):
    """Of pursuit at these times the share that rows cover, and their mean distance in degrees."""
    kinds = np.array([one.kind for one in truth])
    which = np.searchsorted([one.onset for one in truth], time, "right") - 1
    now = time[kinds[which] == "pursuit"]
    onset = columns["onset_ms"]
    during = (onset <= now[:, None]) & (now[:, None] < onset + columns["duration_ms"])  # (t, n)
    covered = during.any(axis=1)
    if not covered.any():
        return 0.0, np.nan
    row = during.argmax(axis=1)
    places = np.stack([columns["x"], columns["y"]], axis=1)[row[covered]]
    apart = np.hypot(*(places - pixels(degrees_at(truth, now[covered]))).T) / PIXELS
    return covered.mean(), apart.mean()


def frames_of(columns, seconds):
    """By frame, the places of an observer's events as fractions of the clip."""
    onset, end = columns["onset_ms"], columns["onset_ms"] + columns["duration_ms"]
    for start in np.arange(0, 1000 * seconds, FRAME):
        now = (onset < start + FRAME) & (end > start)
        means = [
            [columns[axis][now & (columns["event"] == event)].mean() for axis in ("x", "y")]
            for event in np.unique(columns["event"][now])
        ]
        yield np.reshape(means, (-1, 2)) / SIZE


def correlation(tables, truths, seconds):
    """Mean CC of the frames' density maps with those of true gaze outside saccades.

    A frame in which nobody is found to look has a map of zeros, and CC 0.
    """
    scores = []
    for start, *found in zip(
        np.arange(0, 1000 * seconds, FRAME),
        *(frames_of(columns, seconds) for columns in tables),
        strict=True,
    ):
        middle = np.array([start + FRAME / 2])
        true = []
        for truth in truths:
            which = np.searchsorted([one.onset for one in truth], middle[0], "right") - 1
            if truth[which].kind != "saccade":
                true.append(pixels(degrees_at(truth, middle))[0] / SIZE)
        if not true:
            continue
        maps = [
            density_map(np.reshape(points, (-1, 2)), 36, 64, DHF1K_SIGMA)
            for points in (np.concatenate(found), true)
        ]
        scores.append(np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] if maps[0].any() else 0)
    return np.mean(scores)


def in_one_place(columns):
    """Each event as one row at its mean, as if nothing moved."""
    onset, end, x, y = events(columns).T
    return {
        "onset_ms": onset,
        "duration_ms": end - onset,
        "x": x,
        "y": y,
        "event": np.arange(len(x)),
    }


def without_pursuit(columns):
    """Only events of one row."""
    _, inverse, count = np.unique(columns["event"], return_inverse=True, return_counts=True)
    return {name: column[count[inverse] == 1] for name, column in columns.items()}


def rows_of(truth):
    """Rows as the truth would have them: pursuit in pieces of 40 ms."""
    rows = []
    for event, one in enumerate(truth):
        if one.kind != "saccade":
            count = max(1, round((one.end - one.onset) / 40)) if one.kind == "pursuit" else 1
            edges = np.linspace(one.onset, one.end, count + 1)
            places = pixels(one.at((edges[1:] + edges[:-1]) / 2))
            rows += [
                (onset, end - onset, *place, event)
                for onset, end, place in zip(edges, edges[1:], places, strict=False)
            ]
    return dict(zip(("onset_ms", "duration_ms", "x", "y", "event"), np.array(rows).T, strict=True))


def _means(pursuits):
    """Of observers' shares and distances; a distance is missing where no pursuit is found."""
    shares, apart = np.array(pursuits).T
    return shares.mean(), apart[shares > 0].mean() if shares.any() else np.nan


def measure(rate, noise, method="ivt", *, seconds=20, observers=6, jitter=0.0, pursuit=0.3):
    """The figures of a row of the table."""
    rng = np.random.default_rng([rate, round(1000 * noise)])
    truths, tables, shares, pursuits = [], [], [], []
    for _ in range(observers):
        truth = movements(rng, seconds, pursuit)
        samples, blinks = sampled(rng, truth, seconds, rate, noise, jitter=jitter)
        columns = found_in(samples, method).columns
        times = samples.time[blinks]
        shares.append(matched(columns, truth, lambda a, b, t=times: ((t >= a) & (t < b)).any()))
        seen = np.arange(0, 1000 * seconds, 10.0)
        seen = seen[np.isin(np.searchsorted(samples.time, seen), np.flatnonzero(~blinks))]
        pursuits.append(followed(columns, truth, seen))
        truths.append(truth)
        tables.append(columns)
    maps = [
        correlation([change(columns) for columns in tables], truths, seconds)
        for change in (dict, in_one_place, without_pursuit)
    ]
    maps.append(correlation([rows_of(truth) for truth in truths], truths, seconds))
    return *np.mean(shares, axis=0), *_means(pursuits), *maps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="ivt")
    args = parser.parse_args()
    head = (
        "rate",
        "noise",
        "found",
        "false",
        "pursuit",
        "off",
        "CC",
        "CC mean",
        "CC without",
        "CC truth",
    )
    print(*(f"{name:>10}" for name in head))
    for rate in (30, 60, 250, 1000):
        for noise in (0.05, 0.2, 0.3, 0.5):
            figures = measure(rate, noise, args.method)
            print(f"{rate:10}{noise:11}", *(f"{figure:10.3f}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
