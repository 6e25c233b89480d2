"""Videos in, overlay videos and map pictures out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from uva_tf.runtime.errors import InputError
from uva_tf.runtime.resize import resize

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
MOST_PIXELS = 2**26


class VideoReader:
    """The frames of a video file or a camera, as `[H, W, 3]` uint8 BGR arrays.

    Iterating yields every frame in order, once. Raises InputError on opening if
    the source is absent, is no video, holds no frame, or announces frames of more than
    `MOST_PIXELS`.

    Args:
        source: a file, or the number of a camera.
        threads: for decoding a file; 0 leaves it to FFmpeg.

    Attributes:
        width, height: size of the frames in pixels.
        rate: frames per second.
        length: number of frames the container announces; 0 if it does not say.
    """

    def __init__(self, source: Path | int, *, threads: int = 0):
        if isinstance(source, Path) and not source.is_file():
            raise InputError(f"{source}: no such video file")
        name = f"camera {source}" if isinstance(source, int) else str(source)
        # Absolute: FFmpeg takes what stands before a colon for a protocol.
        self._capture = (
            cv2.VideoCapture(source)
            if isinstance(source, int)
            else cv2.VideoCapture(
                str(source.absolute()), cv2.CAP_ANY, [cv2.CAP_PROP_N_THREADS, threads]
            )
        )
        pixels = math.prod(
            self._capture.get(side)
            for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if pixels > MOST_PIXELS:
            raise InputError(
                f"{name}: frames of {pixels:.0f} pixels, expected {MOST_PIXELS} at most"
            )
        ok, self._next = self._capture.read() if self._capture.isOpened() else (False, None)
        if not ok:
            raise InputError(f"{name}: no frame can be read, expected a video that OpenCV decodes")
        self.height, self.width = self._next.shape[:2]
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)
        if not 0 < self.rate < 1000:
            if isinstance(source, Path):
                raise InputError(f"{name}: the frame rate reads {self.rate}, expected 1 to 1000")
            self.rate = 30.0  # many cameras do not say
        self.length = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def __iter__(self) -> Iterator[np.ndarray]:
        while self._next is not None:
            frame, self._next = self._next, None
            yield frame
            ok, frame = self._capture.read()
            self._next = frame if ok else None

    def close(self) -> None:
        """Release the file or the camera."""
        self._capture.release()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VideoWriter:
    """An MPEG-4 video of BGR frames of one size.

    Raises InputError if the file can't be opened for writing, and OSError on leaving
    its block if not all frames have arrived in the file.
    """

    def __init__(self, path: Path, rate: float, width: int, height: int):
        self._path, self._count = path.absolute(), 0
        # MPEG-4 counts time in at most 65535 parts of a second.
        rate = round(rate, 3 if rate < 65 else 1)
        code = cv2.VideoWriter_fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._path), code, rate, (width, height))
        if not self._writer.isOpened():
            raise InputError(
                f"{path.name}: can't be written as {width}x{height} MPEG-4 at {rate} frames/s, "
                "expected a name that ends in .mp4"
            )

    def write(self, frame: np.ndarray) -> None:
        """Append one `[H, W, 3]` uint8 BGR frame."""
        self._writer.write(frame)
        self._count += 1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._writer.release()
        if kind is None and self._count:
            arrived = cv2.VideoCapture(str(self._path)).get(cv2.CAP_PROP_FRAME_COUNT)
            if arrived != self._count:
                raise OSError(f"{self._path.name}: not all frames were written, is the disk full?")


def enlarge(attention: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize an attention map `[h, w]` uint8 to `[height, width]` uint8, as evaluation does."""
    levels = resize(attention, height, width, np.float32)
    # In place: new arrays of this size cost more than the resizing.
    np.rint(levels, out=levels)
    np.clip(levels, 0, 255, out=levels)
    return levels.astype(np.uint8)


def overlay(frame: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Draw attention over a frame as a heat map that is clear where nobody looks.

    Args:
        frame: `[H, W, 3]` uint8 BGR.
        attention: `[h, w]` uint8, 255 at the most looked-at place.

    Returns:
        `[H, W, 3]` uint8 BGR.
    """
    height, width = frame.shape[:2]
    # Colour the small map: enlarging three channels costs less than colouring every pixel.
    heat = cv2.applyColorMap(attention, cv2.COLORMAP_TURBO)  # (h, w, 3)
    heat = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    # For the eye OpenCV's cubic will do, which takes a fifth of the time of `enlarge`.
    weight = cv2.resize(attention, (width, height), interpolation=cv2.INTER_CUBIC)
    weight = weight.astype(np.float32)[..., None] * (0.7 / 255)
    return (frame + weight * (heat.astype(np.float32) - frame)).astype(np.uint8)
