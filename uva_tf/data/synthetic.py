"""Synthetic recordings, whose true attention is known: the data that the package can draw itself.

Each clip shows discs on a textured background while the camera pans. One disc moves against the
background and is looked at most; one has a striking colour and is looked at sometimes; the
others are never looked at. Observers fixate one target after another, at random with fixed
weights: the moving disc, the coloured disc or the centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from uva_tf.core.outputs import new_folder
from uva_tf.core.text_tables import write_csv
from uva_tf.core.video_writer import VideoWriter
from uva_tf.data.fixations import density_map

WIDTH, HEIGHT, RATE = 256, 144, 25
OBSERVERS = 16
DISCS = 5
# Fractions of the fixations that go to the moving disc, the coloured disc and the centre.
MOVING, COLOURED, CENTRE = 0.7, 0.15, 0.15
# Standard deviation of fixations around their target, in image widths.
SPREAD = 0.015


@dataclass(frozen=True)
class Scene:
    """One synthetic clip: what moves where, as fractions of the frame's width and height.

    Attributes:
        starts: `[DISCS, 2]` positions in the first frame, x and y from 0 to 1.
        velocities: `[DISCS, 2]` movement per frame, which includes the pan.
        colours: `[DISCS, 3]` uint8 BGR.
        pan: `[2]` movement of the background per frame.
        seed: of the texture and the fixations.
        length: number of frames.
    """

    starts: np.ndarray
    velocities: np.ndarray
    colours: np.ndarray
    pan: np.ndarray
    seed: int
    length: int

    def positions(self, t: float) -> np.ndarray:
        """Where the discs are at frame `t` (from 0), `[DISCS, 2]`; they rebound near the border."""
        low, high = 0.1, 0.9
        phase = np.mod(self.starts - low + t * self.velocities, 2 * (high - low))
        return low + np.minimum(phase, 2 * (high - low) - phase)

    def attention(self, index: int, height: int, width: int) -> np.ndarray:
        """The distribution that fixations on frame `index` (from 1) are drawn from.

        Returns:
            `[height, width]` float32 that sums to 1.
        """
        targets = np.vstack([self.positions(index - 1)[:2], [[0.5, 0.5]]])
        spread = max(SPREAD, 0.5 / width)
        maps = [density_map(t[None], height, width, spread, HEIGHT / WIDTH) for t in targets]
        return np.average(maps, axis=0, weights=[MOVING, COLOURED, CENTRE]).astype(np.float32)


def scene(number: int, *, seed: int = 1, length: int = 50) -> Scene:
    """Scene number `number` of those that `seed` generates."""
    rng = np.random.default_rng([seed, number])
    pan = rng.uniform(-0.006, 0.006, 2)
    velocities = np.tile(pan, (DISCS, 1))
    angle = rng.uniform(0, 2 * np.pi)
    velocities[0] += 0.022 * np.array([np.cos(angle), np.sin(angle)])
    grey = rng.integers(70, 190, (DISCS, 1)) + rng.integers(-12, 13, (DISCS, 3))
    colours = grey.astype(np.uint8)
    colours[1] = rng.permutation([30, 60, 230])
    return Scene(
        starts=rng.uniform(0.15, 0.85, (DISCS, 2)),
        velocities=velocities,
        colours=colours,
        pan=pan,
        seed=int(rng.integers(2**31)),
        length=length,
    )


def draw(clip: Scene) -> list[np.ndarray]:
    """The frames of a scene, `[HEIGHT, WIDTH, 3]` uint8 BGR."""
    rng = np.random.default_rng(clip.seed)
    texture = _texture(rng)
    frames = []
    for t in range(clip.length):
        dx, dy = -clip.pan * t * (WIDTH, HEIGHT)
        shift = np.float32([[1, 0, -dx], [0, 1, -dy]])
        frame = cv2.warpAffine(texture, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_WRAP)
        for (x, y), colour in zip(clip.positions(t), clip.colours, strict=True):
            centre = (round(x * WIDTH * 16), round(y * HEIGHT * 16))  # 4 fractional bits
            cv2.circle(frame, centre, 11 * 16, colour.tolist(), -1, cv2.LINE_AA, shift=4)
            cv2.circle(frame, centre, 5 * 16, (colour // 2).tolist(), -1, cv2.LINE_AA, shift=4)
        frames.append(frame)
    return frames


def fixations(clip: Scene) -> list[tuple[int, int, int, float, float]]:
    """Draw fixations on a scene: rows of observer, onset and duration in ms, x and y in pixels."""
    rng = np.random.default_rng(clip.seed + 1)
    end = clip.length * 1000 / RATE
    rows = []
    for observer in range(1, OBSERVERS + 1):
        onset = int(rng.integers(0, 120))
        while onset < end:
            duration = int(rng.integers(80, 240))
            target = rng.choice(3, p=[MOVING, COLOURED, CENTRE])
            # The eye rests while the disc moves: aim at where the disc is half-way through.
            middle = (onset + duration / 2) * RATE / 1000
            aim = (0.5, 0.5) if target == 2 else clip.positions(middle)[target]
            spread = SPREAD * np.array([1, WIDTH / HEIGHT])
            x, y = np.clip(aim + rng.normal(0, 1, 2) * spread, 0, 0.999)
            rows.append((observer, onset, duration, round(x * WIDTH, 1), round(y * HEIGHT, 1)))
            onset += duration + int(rng.integers(20, 60))
    return rows


def write_recordings(
    root: Path, *, train: int = 20, val: int = 4, length: int = 50, seed: int = 1
) -> None:
    """Draw clips and fixations, and write them to `root` in the layout `gaze` with a split.

    Args:
        train, val: number of clips in each split.
        length: of each clip, in frames.

    Raises InputError if `root` exists.
    """
    names = {f"clip{n:02d}": "train" if n <= train else "val" for n in range(1, train + val + 1)}
    with new_folder(root) as folder:
        (folder / "videos").mkdir()
        table, split = [("video", "observer", "onset_ms", "duration_ms", "x", "y")], []
        for number, name in enumerate(names, start=1):
            clip = scene(number, seed=seed, length=length)
            path = folder / "videos" / f"{name}.mp4"
            with VideoWriter(path, RATE, WIDTH, HEIGHT) as video:
                for frame in draw(clip):
                    video.write(frame)
            table += [(name, *row) for row in fixations(clip)]
        split = [("name", "split"), *names.items()]
        for file, rows in (("fixations.csv", table), ("split.csv", split)):
            write_csv(folder / file, rows)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Periodic, smooth grey noise of several grain sizes, `[HEIGHT, WIDTH, 3]` uint8."""
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    for grain, weight in ((24, 1.0), (8, 0.5), (3, 0.25)):
        noise = rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
        smooth = cv2.GaussianBlur(np.tile(noise, (3, 3)), (0, 0), grain)
        smooth = smooth[HEIGHT : 2 * HEIGHT, WIDTH : 2 * WIDTH]
        total += weight * smooth / smooth.std()
    grey = np.clip(128 + 32 * total, 0, 255).astype(np.uint8)
    return cv2.merge([grey, grey, grey])
