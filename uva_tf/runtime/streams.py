"""Streams, where frames come from: a video, a folder of pictures, a camera or a URL."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2

from uva_tf.core.errors import InputError
from uva_tf.core.files import is_hidden, listed
from uva_tf.core.frames import BT601_LIMITED, Frame
from uva_tf.core.pictures import IMAGE_SUFFIXES, decode
from uva_tf.core.video import RATE, VideoReader
from uva_tf.runtime.live import LiveReader, open_url

STDIN = "-"
CAMERA_RATE = 30.0  # frames per second; many cameras do not say


class PictureReader:
    """The pictures of a folder as a stream of frames, 2.png before 10.png.

    Attributes as of VideoReader. Raises InputError for a folder without pictures, and for a
    picture that can't be read, which it names.
    """

    live, path, has_sound, pixel_aspect = False, None, False, Fraction(1)
    damaged, incomplete, colours = 0, False, BT601_LIMITED

    def __init__(self, folder: Path, rate: float = RATE):
        self.name, self.rate, self.tick = str(folder), rate, None
        self.notes: list[str] = []
        files = listed(folder, IMAGE_SUFFIXES)
        self._files = sorted(files, key=lambda path: _in_order(path.name))
        if not self._files:
            counts = Counter(p.suffix or p.name for p in folder.iterdir() if not is_hidden(p))
            found = ", ".join(f"{n} {suffix}" for suffix, n in counts.most_common(3)) or "nothing"
            raise InputError(
                f"{folder}: no pictures, expected {', '.join(IMAGE_SUFFIXES)}, found {found}"
            )
        self.length = len(self._files)
        self.height, self.width = decode(self._files[0], cv2.IMREAD_COLOR).shape[:2]

    def timed(self) -> Iterator[Frame]:
        """Every picture as a Frame, its time in seconds from the first."""
        for number, path in enumerate(self._files):
            try:
                picture = decode(path, cv2.IMREAD_COLOR)
            except OSError as error:  # `annotate` would take it for an error in writing
                raise InputError(f"{path}: can't be read: {error.strerror}") from None
            yield Frame(picture, number / self.rate)

    def close(self) -> None:
        """Does nothing: no file is open between pictures."""


class CameraReader:
    """The frames of a camera, with the time since it was opened.

    Attributes as of VideoReader. Raises InputError if no frame comes on opening, and OSError
    once no more frames come.
    """

    live, path, has_sound, length, tick = True, None, False, 0, None
    pixel_aspect, damaged, incomplete = Fraction(1), 0, False
    colours = BT601_LIMITED

    def __init__(self, number: int):
        self.name = f"camera {number}"
        self.notes: list[str] = []
        self._capture, self._start = cv2.VideoCapture(number), time.monotonic()
        self._next = self._read() if self._capture.isOpened() else None
        if self._next is None:
            raise InputError(f"{self.name}: no frame can be read: is it plugged in and free?")
        self.width, self.height = self._next.width, self._next.height
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else CAMERA_RATE

    def timed(self) -> Iterator[Frame]:
        """Every frame, its time in seconds."""
        while self._next is not None:
            frame, self._next = self._next, None
            yield frame
            self._next = self._read()
        raise OSError(f"{self.name} gives no more frames, was it unplugged?")

    def _read(self) -> Frame | None:
        ok, pixels = self._capture.read()
        return Frame(pixels, time.monotonic() - self._start) if ok else None

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()


Stream = VideoReader | PictureReader | CameraReader | LiveReader


def open_stream(source: Path | int | str, *, rate: float | None = None, **options) -> Stream:
    """Open a video file, a folder of pictures, a camera by its number, a URL, or stdin as STDIN.

    Args:
        rate: frames per second of a folder of pictures; 25 by default.
        options: of a VideoReader; of a URL, those of `open_url` too.
    """
    if isinstance(source, int):
        return CameraReader(source)
    if source == STDIN:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError("stdin is closed or a terminal: expected a video through a pipe")
        return VideoReader(sys.stdin.buffer, **options)
    if isinstance(source, str):
        return open_url(source, **options)
    return (
        PictureReader(source, rate or RATE) if source.is_dir() else VideoReader(source, **options)
    )


def _in_order(name: str) -> list[tuple[int, str]]:
    """A sort key that orders numbers within names by their value."""
    return [(int(digits or 0), other) for digits, other in re.findall(r"(\d+)|(\D+)", name)]
