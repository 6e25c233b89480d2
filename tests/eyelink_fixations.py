"""Fixations found in EyeLink's samples against those that its own software found in them.

python tests/eyelink_fixations.py FOLDER_OF_ASC_FILES
"""

import argparse
import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.detection import fixations_of
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.trials import Samples, Screen, Trial

DISTANCE_CM = 60.0  # any: together with pixels per degree it gives the width of the screen


def read(path):
    """By eye, its samples `[n, 3]` (ms, x, y) and EFIX rows `[m, 4]` (ms from, to, x, y).

    Also when blocks begin and end, the screen's size, and pixels per degree.
    None if the samples are not in pixels of the screen.
    """
    text = path.read_text(errors="replace")
    settings = re.search(r"^SAMPLES\s+(\w+)\s+(.*)", text, re.MULTILINE)
    if settings[1] != "GAZE":
        return None
    eyes = [eye[0] for eye in ("LEFT", "RIGHT") if eye in settings[2]]
    rows = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    samples = {
        eye: np.array(
            [[float("nan" if row[c] == "." else row[c]) for c in (0, at, at + 1)] for row in rows]
        )
        for eye, at in zip(eyes, (1, 4), strict=False)
    }
    lines = re.findall(r"^EFIX (\w)\s+(.*)", text, re.MULTILINE)
    rate = float(re.search(r"RATE\s+([\d.]+)", settings[2])[1])
    fixations = {
        eye: np.array(
            [
                [float(part) for part in (row.split()[i] for i in (0, 1, 3, 4))]
                for of, row in lines
                if of == eye
            ]
        )
        for eye in eyes
    }
    for one in fixations.values():
        one[:, 1] += 1000 / rate  # the last sample lasts, too
    width, height = re.search(r"GAZE_COORDS 0\.00 0\.00 ([\d.]+) ([\d.]+)", text).groups()
    starts = [float(start) for start in re.findall(r"^START\s+(\d+)", text, re.MULTILINE)]
    blocks = list(pairwise([*starts, np.inf]))
    return samples, fixations, blocks, (round(float(width)), round(float(height))), _pixels(text)


def _pixels(text):
    """Pixels per degree: of the END lines, else the median over saccades longer than 2 degrees."""
    stated = re.findall(r"^END.*RES\s+([\d.]+)\s+([\d.]+)", text, re.MULTILINE)
    if stated:
        return float(np.mean(np.array(stated, float)))
    lines = [line.split() for line in re.findall(r"^ESACC.*", text, re.MULTILINE)]
    saccades = [[float(part) for part in line[5:10]] for line in lines if "." not in line[5:9]]
    return float(
        np.median([np.hypot(c - a, d - b) / size for a, b, c, d, size in saccades if size > 2])
    )


def joined(fixations, degree):
    """EFIX rows `[n, 4]` with neighbours merged within 75 ms and half a degree, as I-VT merges."""
    rows = []
    for row in fixations:
        last = rows[-1] if rows else np.full(4, -np.inf)
        if row[0] - last[1] <= 75 and np.hypot(*(row[2:] - last[2:])) <= 0.5 * degree:
            part = (last[1] - last[0]) / (row[1] - row[0] + last[1] - last[0])
            rows[-1] = np.array([last[0], row[1], *(part * last[2:] + (1 - part) * row[2:])])
        else:
            rows.append(row)
    return np.array(rows)


def compare(path):
    """Of each eye, how many fixations the tracker and we found, and how many of its agree.

    Two agree if they lie within a degree and begin and end within 50 ms. Fixations of the tracker
    that are shorter than 60 ms, or of which the excerpt lacks samples, do not count. Compared are
    its fixations as they are, and those that `joined` makes of them.
    """
    content = read(path)
    if content is None:
        return
    samples, fixations, blocks, size, degree = content
    width_cm = DISTANCE_CM * np.tan(np.radians(1)) * size[0] / degree
    screen = Screen(*size, width_cm, DISTANCE_CM)
    for eye in samples:
        time, x, y = samples[eye].T
        trials = [
            Trial("clip", eye, path, n, Samples(time[block], x[block], y[block]), screen=screen)
            for n, block in enumerate(blocks, start=1)
            for block in [(time >= block[0]) & (time < block[1])]
        ]
        options = GazeOptions(fixations="ivt", placed="stretch")
        columns = fixations_of(trials, size, options, {eye: 0}).columns
        event, place = columns["event"], np.stack([columns["x"], columns["y"]], axis=1)
        ours = np.array(
            [
                [
                    columns["onset_ms"][event == one].min(),
                    (columns["onset_ms"] + columns["duration_ms"])[event == one].max(),
                    *place[event == one].mean(axis=0),
                ]
                for one in np.unique(event)
            ]
        ).reshape(-1, 4)
        step = np.median(np.diff(time))
        counts = []
        for theirs in (fixations[eye], joined(fixations[eye], degree)):
            whole = [
                one
                for one in theirs
                if one[1] - one[0] >= 60
                and ((time >= one[0]) & (time < one[1])).sum() >= 0.9 * (one[1] - one[0]) / step
            ]
            agree = [
                (
                    (np.abs(ours[:, :2] - one[:2]) <= 50).all(axis=1)
                    & (np.hypot(*(ours[:, 2:] - one[2:]).T) <= degree)
                ).any()
                for one in whole
            ]
            counts += [sum(agree), len(whole)]
        yield eye, degree, len(fixations[eye]), len(ours), *counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="DIR", type=Path, help="with .asc files")
    args = parser.parse_args()
    head = ("file", "eye", "px/deg", "EFIX", "found", "agree", "of", "agree", "of joined")
    print(f"{head[0]:36}", *(f"{name:>9}" for name in head[1:]))
    for path in sorted(args.folder.glob("*.asc")):
        try:
            for eye, degree, *counts in compare(path):
                print(f"{path.name:36} {eye:>9} {degree:9.1f}", *(f"{count:9}" for count in counts))
        except InputError as error:
            print(error)


if __name__ == "__main__":
    main()
