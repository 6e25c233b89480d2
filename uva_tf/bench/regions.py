"""What regions of interest save: bits at equal quality where people look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from uva_tf.config import DHF1K_SIGMA
from uva_tf.core.errors import InputError
from uva_tf.data.fixations import density_map
from uva_tf.data.prepare import splits_of
from uva_tf.data.recordings import Recording
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.regions import FLOOR, Attach, Region, regions

GRID = 64  # side of the maps
SHRINK = 4  # the squared error is weighted on a grid this much coarser than the frame
CRFS = (22, 27, 32, 37)
MEAN = "mean"
RATE = 25  # nominal; at a constant rate factor it changes little
MODEL, PRIOR, RECORDED = SOURCES = ("model", "centre prior", "recorded gaze")


class Point(NamedTuple):
    """One encoding: bytes, and the luma's PSNR in dB, weighted by recorded gaze and plain."""

    size: int
    eye: float
    plain: float


@dataclass(frozen=True)
class Clip:
    """The first frames of a clip with gaze.

    Attributes:
        frames: yuv420p.
        points: of each frame, `[n, 2]` x and y from 0 to 1, where people looked.
        maps: by source, a map `[64, 64]` of each frame.
    """

    frames: list[av.VideoFrame]
    points: list[np.ndarray]
    maps: dict[str, list[np.ndarray]]


class Saved(NamedTuple):
    """What regions save on a clip, by source, as shares of the bits.

    Attributes:
        floor: what the regions were made with.
        eye: at equal PSNR weighted by recorded gaze.
        plain: at equal PSNR of all pixels alike.
    """

    clip: str
    floor: float
    eye: tuple[float, ...]
    plain: tuple[float, ...]


def split_clips(
    recordings: Sequence[Recording], root: Path, split: str
) -> tuple[list[Recording], list[Recording]]:
    """The clips of a split and those of `train`; raises InputError if either is empty."""
    usable = [one for one in recordings if not (one.still or one.withheld)]
    for one in usable:
        if one.problem:
            raise InputError(one.problem)
    splits = splits_of(usable, recordings, root, None)
    parts = [[one for one in usable if splits[one.name] == part] for part in (split, "train")]
    for part, name in zip(parts, (split, "train"), strict=True):
        if not part:
            raise InputError(f"{root}: no clips with gaze in the split {name!r}")
    return parts[0], parts[1]


def compare(
    clips: Iterable[Recording],
    train: Sequence[Recording],
    floors: Sequence[float],
    count: int,
    model: Path,
    preset: str,
) -> list[Saved]:
    """Encode the first `count` frames of each clip, plain and with every source's regions.

    Args:
        train: the clips that the centre prior is the mean of.
        floors: what regions are made with.
        preset: x264's.

    Returns:
        For each clip and floor what is saved.
    """
    prior, found = mean_density(train, count), []
    for recording in clips:
        clip = read_clip(recording, count, model, prior)
        plain = curve(clip, None, FLOOR, preset)
        for floor in floors:
            curves = [curve(clip, source, floor, preset) for source in SOURCES]
            shares = ([saved(plain, one, kind) for one in curves] for kind in ("eye", "plain"))
            found.append(Saved(recording.name, floor, *map(tuple, shares)))
    return found


def means(found: Sequence[Saved]) -> list[Saved]:
    """For each floor, the mean over all clips."""
    rows = []
    for floor in sorted({one.floor for one in found}):
        same = [one for one in found if one.floor == floor]
        shares = (np.mean([getattr(one, kind) for one in same], 0) for kind in ("eye", "plain"))
        rows.append(Saved(MEAN, floor, *(tuple(map(float, one)) for one in shares)))
    return rows


def read_clip(recording: Recording, count: int, model: Path, prior: np.ndarray) -> Clip:
    """Decode the first frames of a recording, and make their maps.

    Raises InputError if nobody looked at these frames.
    """
    shown = [one for one, _ in zip(recording.read(), range(count), strict=False)]
    points = [one.fixations.points for one in shown]
    if not any(map(len, points)):
        raise InputError(f"{recording.name}: no fixations in its first {len(shown)} frames")
    width, height = (side + side % 2 for side in (shown[0].frame.width, shown[0].frame.height))
    frames = []
    for number, one in enumerate(shown):
        frame = one.frame.video((width, height)).reformat(format="yuv420p")  # even sides
        frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, RATE), 0
        frames.append(frame)
    aspect = height / width / shown[0].pixel_aspect
    maps = {
        MODEL: list(Predictor(model).run(one.frame for one in shown)),
        PRIOR: [prior] * len(frames),
        RECORDED: [density_map(one, GRID, GRID, DHF1K_SIGMA, aspect) for one in points],
    }
    return Clip(frames, points, maps)


def mean_density(recordings: Iterable[Recording], count: int) -> np.ndarray:
    """The mean density map of the first `count` frames of clips, `[64, 64]` float32."""
    total = np.zeros((GRID, GRID), np.float32)
    for recording in recordings:
        for gaze, _ in zip(recording.read(), range(count), strict=False):
            points = gaze.fixations.points
            total += density_map(points, GRID, GRID, DHF1K_SIGMA, gaze.aspect)
    return total


def curve(clip: Clip, source: str | None, floor: float, preset: str) -> list[Point]:
    """Encode a clip at all of `CRFS`, with a source's regions or, for None, without."""
    width, height = clip.frames[0].width, clip.frames[0].height
    found: list[list[Region]] = [[] for _ in clip.frames]
    if source is not None:
        found = [regions(one, width, height, floor) for one in clip.maps[source]]
    return [_encode(clip, found, crf, preset) for crf in CRFS]


def saved(plain: Sequence[Point], other: Sequence[Point], quality: str = "eye") -> float:
    """The share of bits saved at equal quality, 0 to 1, below 0 for bits lost.

    Bjontegaard's difference (VCEG-M33, 2001): a cubic of the logarithm of the size through each
    curve's points, and the mean difference over the qualities that both reach.
    """
    curves = [
        (np.array([getattr(p, quality) for p in points]), np.log([p.size for p in points]))
        for points in (plain, other)
    ]
    low = max(qualities.min() for qualities, _ in curves)
    high = min(qualities.max() for qualities, _ in curves)
    if low >= high:
        return float("nan")
    means = []
    for qualities, sizes in curves:
        whole = np.polyint(np.polyfit(qualities - low, sizes, min(3, len(sizes) - 1)))
        means.append((np.polyval(whole, high - low) - np.polyval(whole, 0)) / (high - low))
    return 1 - float(np.exp(means[1] - means[0]))


def _encode(clip: Clip, found: Sequence[Sequence[Region]], crf: int, preset: str) -> Point:
    """Encode with x264 in memory, decode again, compare."""
    first = clip.frames[0]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = first.width, first.height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, RATE), Fraction(RATE)
    encoder.options = {"crf": str(crf), "preset": preset}
    encoder.thread_count = 2
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 2
    attach = Attach()

    size = 0

    def packets() -> Iterator[av.Packet]:
        for frame, one in zip(clip.frames, found, strict=True):
            yield from encoder.encode(attach(frame, one))
        yield from encoder.encode(None)

    errors, weighted = [], []

    def compare(decoded: av.VideoFrame) -> None:
        number = len(errors)
        shape = first.height // SHRINK, first.width // SHRINK
        one, other = _luma(clip.frames[number]), _luma(decoded)
        difference = cv2.absdiff(one, other)
        squares = cv2.multiply(difference, difference, dtype=cv2.CV_32F)
        squares = cv2.resize(squares, shape[::-1], interpolation=cv2.INTER_AREA)
        errors.append(float(squares.mean()))
        if len(points := clip.points[number]):
            weighted.append(float((density_map(points, *shape, DHF1K_SIGMA) * squares).sum()))

    for packet in packets():
        size += packet.size
        for decoded in decoder.decode(packet):
            compare(decoded)
    for decoded in decoder.decode(None):
        compare(decoded)
    if len(errors) != len(clip.frames):
        raise OSError(f"x264: {len(errors)} frames came back of {len(clip.frames)}")
    return Point(size, _psnr(np.mean(weighted)), _psnr(np.mean(errors)))


def _luma(frame: av.VideoFrame) -> np.ndarray:
    """A frame's first plane, `[H, W]` uint8."""
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : frame.width]


def _psnr(error: float) -> float:
    return float(10 * np.log10(255**2 / max(error, 1e-3)))
