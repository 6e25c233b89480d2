"""Videos and cameras in, overlay videos out."""

from __future__ import annotations

import errno
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file
from uva_tf.core.kinds import why_no_frame
from uva_tf.core.pictures import MOST_PIXELS

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")


class Frame(NamedTuple):
    """A frame of a stream: `[H, W, 3]` uint8 BGR, and when it is shown, in seconds."""

    pixels: np.ndarray
    seconds: float


def opencv_name(path: Path) -> str | bytes:
    """A video file's path as OpenCV and its FFmpeg take it.

    The path is absolute, since FFmpeg takes what stands before a colon for a protocol. It is
    bytes where the path or the locale is not UTF-8, for OpenCV does not survive such text.
    """
    name = str(path.absolute())
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


class VideoReader:
    """The frames of a video file or a camera, in order, once.

    Iterating yields `[H, W, 3]` uint8 BGR arrays; `timed()` yields them as Frames. Frames are
    turned upright as the file's metadata say. A camera that gives no more frames raises OSError.

    Raises InputError on opening if the source is missing, is not a video, has no frames, or
    announces frames of more than `MOST_PIXELS`.

    Args:
        source: a file, or the number of a camera.
        threads: for decoding a file; 0 leaves it to FFmpeg.

    Attributes:
        name: of the source, for messages.
        width, height: size of the first frame in pixels.
        rate: frames per second, the mean where it varies.
        length: number of frames that the container announces; 0 if it does not.
        live: whether it is a camera.
    """

    def __init__(self, source: Path | int, *, threads: int = 0):
        self.live = isinstance(source, int)
        self.name = f"camera {source}" if self.live else str(source)
        if not self.live:
            check_file(source, "video file")
        self._capture = (
            cv2.VideoCapture(source)
            if self.live
            else cv2.VideoCapture(
                opencv_name(source), cv2.CAP_ANY, [cv2.CAP_PROP_N_THREADS, threads]
            )
        )
        pixels = math.prod(
            self._capture.get(side)
            for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if pixels > MOST_PIXELS:
            raise InputError(
                f"{self.name}: frames of {pixels:.0f} pixels, expected at most {MOST_PIXELS}"
            )
        self._start = time.monotonic()
        self._next = self._read() if self._capture.isOpened() else None
        if self._next is None:
            code = int(self._capture.get(cv2.CAP_PROP_FOURCC))  # 0 or -1 if unknown
            codec = code.to_bytes(4, "little").decode("latin-1").strip("\0 ") if code > 0 else ""
            why = "is it plugged in and free?" if self.live else why_no_frame(source, codec)
            raise InputError(f"{self.name}: no frame can be read: {why}")
        self._first = self._next.seconds  # many containers do not begin at 0
        self.height, self.width = self._next.pixels.shape[:2]
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)
        if not 0 < self.rate < 1000:
            if not self.live:
                raise InputError(
                    f"{self.name}: a frame rate of {self.rate}, expected more than 0, below 1000"
                )
            self.rate = 30.0  # many cameras do not say
        self.length = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def timed(self) -> Iterator[Frame]:
        """Every frame, its time in seconds from the first."""
        while self._next is not None:
            frame, self._next = self._next, None
            yield frame._replace(seconds=frame.seconds - self._first)
            self._next = self._read()
        if self.live:
            raise OSError(f"{self.name} gives no more frames, was it unplugged?")

    def __iter__(self) -> Iterator[np.ndarray]:
        return (frame.pixels for frame in self.timed())

    def _read(self) -> Frame | None:
        ok, pixels = self._capture.read()
        if not ok:
            return None
        if self.live:
            return Frame(pixels, time.monotonic() - self._start)
        return Frame(pixels, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)

    def close(self) -> None:
        """Release the file or the camera."""
        self._capture.release()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VideoWriter:
    """An MPEG-4 video of BGR frames of one size.

    Raises InputError if the file can't be opened for writing, and OSError at the end of
    its block if the file lacks some of the frames.
    """

    def __init__(self, path: Path, rate: float, width: int, height: int):
        self._path, self._size, self._count = path.absolute(), (width, height), 0
        # MPEG-4 divides a second into at most 65535 ticks.
        rate = round(rate, 3 if rate < 65 else 1)
        code = cv2.VideoWriter_fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(opencv_name(path), code, rate, self._size)
        if not self._writer.isOpened():
            raise InputError(
                f"{path.name}: can't be written as {width}x{height} MPEG-4 at {rate} frames/s, "
                "expected a name that ends in .mp4"
            )

    def write(self, frame: np.ndarray) -> None:
        """Append one `[H, W, 3]` uint8 BGR frame.

        Raises InputError for a frame of another size, and OSError when the disk is nearly full,
        early enough to finish the file so that the frames before can be seen.
        """
        if frame.shape[1::-1] != self._size:
            width, height = self._size
            raise InputError(
                f"frame {self._count + 1} is {frame.shape[1]}x{frame.shape[0]}, the first was "
                f"{width}x{height}: all frames of a video have the same size"
            )
        if shutil.disk_usage(self._path.parent).free < self._reserve():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path.name)
        self._writer.write(frame)
        self._count += 1

    def _reserve(self) -> int:
        """Bytes that the next frame, FFmpeg's buffers and the file's index may need."""
        width, height = self._size
        return 2**20 + width * height + 64 * self._count

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._writer.release()
        if kind is None and self._count:
            arrived = cv2.VideoCapture(opencv_name(self._path)).get(cv2.CAP_PROP_FRAME_COUNT)
            if arrived != self._count:
                raise OSError(f"{self._path.name}: not all frames were written, is the disk full?")
