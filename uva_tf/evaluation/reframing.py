"""What a crop that follows attention keeps of what people looked at, and how calmly it moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from uva_tf.config import DHF1K_SIGMA
from uva_tf.core.errors import InputError, counted
from uva_tf.core.text_tables import aligned
from uva_tf.core.video import VIDEO_SUFFIXES, VideoReader
from uva_tf.data.fixations import density_map
from uva_tf.data.layouts import LAYOUTS
from uva_tf.data.prepare import splits_of
from uva_tf.data.recordings import Recording
from uva_tf.evaluation.baselines import residual
from uva_tf.evaluation.intervals import estimate, share
from uva_tf.evaluation.results import percent, span
from uva_tf.runtime.crop_path import SMALL, Crop, change, crop_of, crop_path, find_cuts, profile
from uva_tf.runtime.predictor import Predictor

CENTRE, RESIDUAL, SINGLE, ATTENTION, GAZE = ROWS = (
    *("centre crop", "spectral residual", "attention, each frame by itself"),
    *("attention", "recorded gaze"),
)
GRID = 64  # side of the density maps of recorded gaze
# Of a strip: frames from each clip, their height in pixels, colours in BGR.
SHOWN, HEIGHT = 8, 120
OURS, THEIRS, LOOK = (0, 230, 255), (255, 255, 255), (60, 60, 255)


@dataclass(frozen=True)
class Clip:
    """One clip as the crops see it.

    Attributes:
        seconds: times of the frames, `[n]`.
        side: of the crop by the frame's, along the axis that it moves along.
        cuts: frames that begin a new shot.
        profiles: attention along the axis, `[n, R]` for each row that follows something.
        places: along the axis from 0 to 1, where people looked, `[m]`.
        frames: the frame of each of these, `[m]`.
        pictures: small frames with the fixations, for a strip; none if none is wanted.
    """

    name: str
    seconds: np.ndarray
    crop: Crop
    side: float
    cuts: np.ndarray
    profiles: dict[str, np.ndarray]
    places: np.ndarray
    frames: np.ndarray
    pictures: list[np.ndarray]

    def paths(self) -> dict[str, np.ndarray]:
        """Where the crop of each row begins in every frame, `[n]` from 0 to 1 - side."""
        paths = {
            name: crop_path(profiles, self.seconds, self.side, self.cuts)
            for name, profiles in self.profiles.items()
        }
        paths[CENTRE] = np.full(len(self.seconds), (1 - self.side) / 2)
        alone = self.profiles[ATTENTION]
        paths[SINGLE] = np.concatenate(
            [crop_path(alone[[n]], np.zeros(1), self.side) for n in range(len(alone))]
        )
        return {name: paths[name] for name in ROWS}

    def inside(self, path: np.ndarray) -> float:
        """The share of fixations inside the crop, each counted in every frame that it lasts."""
        left = path[self.frames]
        return float(((self.places >= left) & (self.places <= left + self.side)).mean())

    def derivative(self, path: np.ndarray, order: int) -> np.ndarray:
        """The path's speed (1), acceleration (2) or jerk (3), within shots."""
        bounds = [0, *self.cuts, len(path)]
        shots = []
        for start, end in itertools.pairwise(bounds):
            values, times = path[start:end], self.seconds[start:end]
            for _ in range(order):
                values, times = np.diff(values) / np.diff(times), (times[1:] + times[:-1]) / 2
            shots.append(values)
        return np.concatenate(shots)


@dataclass(frozen=True)
class Reframing:
    """The outcome on some clips.

    Attributes:
        inside: share of fixations inside the crop, `[clips]` by row.
        speed, jerk: the highest speed and the root mean square of jerk, `[clips]` by row, in
            sides of the frame per second and per second cubed.
    """

    clips: tuple[str, ...]
    inside: dict[str, np.ndarray]
    speed: dict[str, np.ndarray]
    jerk: dict[str, np.ndarray]
    frames: int
    fixations: int
    cuts: int


def clips_of(
    layout: str, root: Path, split: str, predictor: Predictor, aspect: Fraction, *, strip: bool
) -> Iterator[Clip]:
    """Read the clips of one split, and predict them.

    Raises InputError if there are none, or for one that is no video, that can't be read or
    that has no fixations.
    """
    found = LAYOUTS[layout](root)
    known = [one for one in found if not one.withheld]
    splits = splits_of(known, found, root, None)
    chosen = [one for one in known if splits[one.name] == split]
    if not chosen:
        raise InputError(f"{root}: no recordings with gaze in split {split}")
    for recording in chosen:
        yield read_clip(recording, predictor, aspect, strip=strip)


def read_clip(
    recording: Recording, predictor: Predictor, aspect: Fraction, *, strip: bool = False
) -> Clip:
    """Read and predict a clip; raises InputError as `clips_of` does."""
    if recording.problem:
        raise InputError(recording.problem)
    if recording.still or recording.paths[0].suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"{recording.name}: expected recordings of videos, found pictures")
    with VideoReader(recording.paths[0]) as video:
        width, height = video.width, video.height
        crop = crop_of(width, height, aspect, video.pixel_aspect)
    rows: dict[str, list[np.ndarray]] = {RESIDUAL: [], ATTENTION: [], GAZE: []}
    seconds, places, changes, pictures, before = [], [], [], [], None
    predictor.reset()
    for gaze in recording.read():
        points, small = gaze.fixations.points, gaze.frame.small(SMALL)
        maps = {
            RESIDUAL: residual(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)),
            ATTENTION: predictor.step(gaze.frame),
            GAZE: density_map(points, GRID, GRID, DHF1K_SIGMA, gaze.aspect),
        }
        for name, attention in maps.items():
            rows[name].append(profile(attention, crop.axis))
        seconds.append(gaze.frame.seconds)
        places.append(points[:, crop.axis])
        changes.append(0.0 if before is None else change(small, before))
        before = small
        if strip:
            pictures.append(_picture(gaze.frame.pixels, points))
    frames = np.repeat(np.arange(len(places)), [len(part) for part in places])
    if not len(frames):
        raise InputError(f"{recording.name}: no fixations, expected recorded gaze")
    return Clip(
        recording.name,
        np.array(seconds),
        crop,
        (crop.height / height) if crop.axis else (crop.width / width),
        find_cuts(np.array(changes)),
        {name: np.array(profiles) for name, profiles in rows.items()},
        np.concatenate(places),
        frames,
        pictures,
    )


def score(clips: Sequence[Clip]) -> Reframing:
    """Score the crops of all rows on some clips."""
    paths = [clip.paths() for clip in clips]

    def per_row(value: Callable[[Clip, np.ndarray], float]) -> dict[str, np.ndarray]:
        return {
            row: np.array([value(clip, of[row]) for clip, of in zip(clips, paths, strict=True)])
            for row in ROWS
        }

    return Reframing(
        tuple(clip.name for clip in clips),
        per_row(Clip.inside),
        per_row(lambda clip, path: np.abs(clip.derivative(path, 1)).max(initial=0)),
        per_row(lambda clip, path: np.sqrt(np.mean(clip.derivative(path, 3) ** 2))),
        sum(len(clip.seconds) for clip in clips),
        sum(len(clip.frames) for clip in clips),
        sum(len(clip.cuts) for clip in clips),
    )


def table(scores: Reframing) -> str:
    """The scores as aligned text tables: means over the clips, then the share in each."""
    low, high = scores.inside[CENTRE][None], scores.inside[GAZE][None]
    cells = [["crop that follows", "inside", "95 %", "share", "top speed", "jerk"]]
    for row in ROWS:
        inside = estimate(scores.inside[row][None])
        ends = span(tuple(100 * end for end in inside.interval), 1)
        way = percent(share(scores.inside[row][None], low, high))
        cells.append(
            [
                *(row, percent(inside.value), ends, way),
                *(_digits(scores.speed[row].max()), _digits(scores.jerk[row].mean())),
            ]
        )
    each = [["inside, by clip", *ROWS]]
    for n, clip in enumerate(scores.clips):
        each.append([clip, *(percent(scores.inside[row][n]) for row in ROWS)])
    clips, cuts = counted(len(scores.clips), "clip"), counted(scores.cuts, "cut")
    lines = [
        f"{clips}, {scores.frames} frames, {scores.fixations} fixations "
        f"(counted in every frame that they last), {cuts}",
        aligned(cells),
        "inside: mean over the clips of the share of fixations inside the crop; 95 %: bootstrap "
        "over clips",
        "share: of the way from the centre crop to recorded gaze",
        "top speed: sides of the frame per second; jerk: root mean square, mean over clips, sides "
        "per second cubed",
        "",
        aligned(each),
    ]
    return "\n".join(lines)


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def draw_strip(clips: Sequence[Clip]) -> np.ndarray:
    """Frames of each clip, one row of pictures per clip, `[h, w, 3]` uint8 BGR.

    The crop that follows attention is yellow, the one that follows recorded gaze is white;
    fixations are red.
    """
    rows = []
    for clip in clips:
        paths, pictures = clip.paths(), []
        for n in np.linspace(0, len(clip.pictures) - 1, SHOWN).round().astype(int):
            picture = clip.pictures[n].copy()
            for name, colour in ((GAZE, THEIRS), (ATTENTION, OURS)):
                _box(picture, clip, paths[name][n], colour)
            words = f"{clip.name} {clip.seconds[n]:.1f} s"
            cv2.putText(picture, words, (4, 14), cv2.FONT_HERSHEY_PLAIN, 0.8, THEIRS)
            pictures.append(picture)
        rows.append(np.hstack(pictures))
    wide = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 2), (0, wide - row.shape[1]), (0, 0))) for row in rows])


def _picture(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A frame `[H, W, 3]` BGR in small, with its fixations."""
    width = round(HEIGHT * frame.shape[1] / frame.shape[0])
    small = cv2.resize(frame, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    for x, y in points:
        cv2.circle(small, (int(x * width), int(y * HEIGHT)), 2, LOOK, -1)
    return small


def _box(picture: np.ndarray, clip: Clip, begins: float, colour: tuple[int, int, int]) -> None:
    height, width = picture.shape[:2]
    low, high = np.array([[0, 0], [width - 1, height - 1]])
    length = (width, height)[clip.crop.axis]
    low[clip.crop.axis] = round(begins * length)
    high[clip.crop.axis] = min(length - 1, round((begins + clip.side) * length))
    cv2.rectangle(picture, low.tolist(), high.tolist(), colour, 2)
