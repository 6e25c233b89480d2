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
from uva_tf.data.recordings import Recording
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.regions import FLOOR, Attach, Region, regions

GRID = 64  # side of the maps
SHRINK = 4  # the squared error is weighted on a grid this much coarser than the frame
CRFS = (22, 27, 32, 37)
RATE = 25  # nominal; at a constant rate factor it changes little
MODEL, PRIOR, RECORDED = SOURCES = ("model", "centre prior", "recorded gaze")
# Chosen on the training clips, for each source by itself (docs/regions.md).
FLOORS = {MODEL: FLOOR, PRIOR: 0.1, RECORDED: 0.1}


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


def read_clip(recording: Recording, count: int, model: Path | None, prior: np.ndarray) -> Clip:
    """Decode the first frames of a recording, and make their maps.

    Raises InputError for a photograph, or if nobody looked at these frames.
    """
    if recording.still:
        raise InputError(f"{recording.name}: expected a clip, found a photograph")
    predictor, frames, points = Predictor(model), [], []
    pictures = []
    for gaze, _ in zip(recording.read(), range(count), strict=False):
        height, width = (side & ~1 for side in gaze.frame.shape[:2])  # H.264 takes even sides
        picture = np.ascontiguousarray(gaze.frame[:height, :width])
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = len(frames), Fraction(1, RATE)
        frames.append(frame)
        points.append(gaze.fixations.points)
        pictures.append(picture)
    if not any(map(len, points)):
        raise InputError(f"{recording.name}: no fixations in its first {len(frames)} frames")
    aspect = height / width
    maps = {
        MODEL: list(predictor.run(pictures)),
        PRIOR: [prior] * len(frames),
        RECORDED: [density_map(one, GRID, GRID, DHF1K_SIGMA, aspect) for one in points],
    }
    return Clip(frames, points, maps)


def mean_density(recordings: Iterable[Recording], count: int) -> np.ndarray:
    """The mean density map of the first `count` frames of clips, `[64, 64]` float32."""
    total = np.zeros((GRID, GRID), np.float32)
    for recording in recordings:
        for gaze, _ in zip(recording.read(), range(count), strict=False):
            height, width = gaze.frame.shape[:2]
            total += density_map(gaze.fixations.points, GRID, GRID, DHF1K_SIGMA, height / width)
    return total


def curve(
    clip: Clip, source: str | None, floor: float, crfs: Sequence[int], preset: str
) -> list[Point]:
    """Encode a clip at several rate factors, with a source's regions or, for None, without."""
    width, height = clip.frames[0].width, clip.frames[0].height
    found: list[list[Region]] = [[] for _ in clip.frames]
    if source is not None:
        found = [regions(one, width, height, floor) for one in clip.maps[source]]
    return [_encode(clip, found, crf, preset) for crf in crfs]


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
