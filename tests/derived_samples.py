"""Make a dataset of samples from one of fixations, of which a tracker might have found them.

python tests/derived_samples.py FIXATIONS OUT
python tests/derived_samples.py FIXATIONS OUT --compare ParkScene,BQMall,Cactus

The first writes OUT in the layout `samples`; the second compares some of its clips, as they are
read, with those of FIXATIONS in the layout `gaze`.
"""

import argparse
import csv
import re
import shutil
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from uva_tf.config import DHF1K_SIGMA
from uva_tf.core.files import listed
from uva_tf.core.outputs import new_folder
from uva_tf.core.video import VIDEO_SUFFIXES, VideoReader
from uva_tf.data.fixations import density_map
from uva_tf.data.layouts import recordings_of
from uva_tf.gaze.options import NOTHING_STATED, GazeOptions

RATE, NOISE = 250, 0.3  # Hz, degrees
# How large the clip was: its width spans 44 degrees.
WIDTH_CM, DISTANCE_CM = 53.0, 65.0
PAUSE = 75.0  # ms between fixations that a saccade may take; in a longer one the eye was lost
SEED = 1


def stream(fixations, degree, rng):
    """Samples of an observer: times `[n]` in ms, and places `[n, 2]` that are NaN where lost.

    Gaze rests during fixations; a fixation ends where the next one begins. A saccade lies in the
    middle of the pause between two, takes 21 ms + 2.2 ms/deg (Carpenter, "Movements of the eyes",
    1988), if need be from the fixations too, and has the least jerk.

    Args:
        fixations: `[m, 4]` onset, duration, x, y in ms and pixels.
        degree: in pixels.
    """
    fixations = fixations[np.argsort(fixations[:, 0])]
    begin, places = fixations[:, 0], fixations[:, 2:]
    end = np.minimum(begin + fixations[:, 1], np.append(begin[1:], np.inf))
    time = np.arange(0, end[-1], 1000 / RATE)
    which = np.clip(np.searchsorted(begin, time, "right") - 1, 0, None)
    path = places[which]
    path[(time < begin[which]) | (time > end[which] + PAUSE)] = np.nan
    for one, other in pairwise(range(len(begin))):
        if begin[other] - end[one] > PAUSE:
            path[(time > end[one]) & (time < begin[other])] = np.nan
            continue
        step = places[other] - places[one]
        half = (21 + 2.2 * np.hypot(*step) / degree) / 2
        middle = (begin[other] + end[one]) / 2
        now = slice(*np.searchsorted(time, [middle - half, begin[other] + half]))
        part = np.clip((time[now] - middle + half) / (2 * half), 0, 1)[:, None]
        path[now] = places[one] + step * part**3 * (10 - 15 * part + 6 * part**2)
    return time, path + NOISE * degree * rng.normal(size=path.shape)


def write(source, out):
    """Write the dataset; videos are links."""
    rng, observers = np.random.default_rng(SEED), defaultdict(list)
    with (source / "fixations.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            numbers = [float(row[name]) for name in ("onset_ms", "duration_ms", "x", "y")]
            observers[row["video"], row["observer"]].append(numbers)
    videos = {path.stem: path for path in listed(source / "videos", VIDEO_SUFFIXES)}
    widths = {}
    for name, path in videos.items():
        with VideoReader(path) as video:
            widths[name] = video.width
    with new_folder(out) as folder:
        (folder / "gaze").mkdir()
        (folder / "videos").mkdir()
        for path in videos.values():
            (folder / "videos" / path.name).symlink_to(path.resolve())
        if (source / "split.csv").exists():
            shutil.copy(source / "split.csv", folder)
        with (folder / "gaze" / "samples.csv").open("w") as file:
            file.write("video,observer,t_ms,x,y\n")
            for (video, observer), fixations in observers.items():
                degree = DISTANCE_CM * widths[video] / WIDTH_CM * np.tan(np.radians(1))
                time, path = stream(np.array(fixations), degree, rng)
                file.writelines(
                    f"{video},{observer},{t:.0f},,\n"
                    if np.isnan(x)
                    else f"{video},{observer},{t:.0f},{x:.1f},{y:.1f}\n"
                    for t, (x, y) in zip(time, path, strict=True)
                )


def compare(source, out, names):
    """Print for each clip how many fixations a frame has in both, and how alike the maps are."""
    stated = GazeOptions(screen_cm=WIDTH_CM, distance_cm=DISTANCE_CM)
    both = [
        {recording.name: recording for recording in recordings_of(layout, root, options)}
        for layout, root, options in (
            ("gaze", source, NOTHING_STATED),
            ("samples", out, stated),
        )
    ]
    print(f"{'clip':20}{'fixations':>10}{'found':>10}{'a frame':>10}{'found':>10}{'CC':>8}")
    for name in names:
        rows, counts, scores = 0, [], []
        with (source / "fixations.csv").open(newline="") as file:
            rows = sum(row["video"] == name for row in csv.DictReader(file))
        for frames in zip(*(one[name].read() for one in both), strict=True):
            points = [frame.fixations.points for frame in frames]
            counts.append([len(one) for one in points])
            maps = [density_map(one, 36, 64, DHF1K_SIGMA).ravel() for one in points]
            if maps[0].any():
                scores.append(np.corrcoef(*maps)[0, 1] if maps[1].any() else 0.0)
        found = next(note for note in both[1][name].notes if " still, " in note)
        a_frame = "".join(f"{count:10.1f}" for count in np.mean(counts, axis=0))
        found = sum(map(int, re.findall(r"\d+(?= still| moving)", found)))
        print(f"{name:20}{rows:10}{found:10}{a_frame}{np.mean(scores):8.3f}")
        print(*(f"  {note}\n" for note in both[1][name].notes), sep="", end="")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="FIXATIONS", type=Path, help="dataset, layout gaze")
    parser.add_argument("out", metavar="OUT", type=Path, help="dataset of samples")
    parser.add_argument("--compare", metavar="NAMES", help="of clips, with commas between")
    args = parser.parse_args()
    if args.compare:
        compare(args.source, args.out, args.compare.split(","))
    else:
        write(args.source, args.out)


if __name__ == "__main__":
    main()
