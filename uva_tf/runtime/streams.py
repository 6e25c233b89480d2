"""Streams, where frames come from: a video file, a folder of pictures, or a camera."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2

from uva_tf.core.errors import InputError
from uva_tf.core.files import is_hidden, listed
from uva_tf.core.pictures import IMAGE_SUFFIXES, decode
from uva_tf.core.video import Frame, VideoReader

RATE = 25.0  # frames per second of a folder of pictures


class PictureReader:
    """The pictures of a folder as a stream of frames, 2.png before 10.png.

    Attributes as of VideoReader. Raises InputError for a folder without pictures, and for a
    picture that can't be read, which it names.
    """

    live = False

    def __init__(self, folder: Path, rate: float = RATE):
        self.name, self.rate = str(folder), rate
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


Stream = VideoReader | PictureReader


def open_stream(source: Path | int) -> Stream:
    """Open a video file, a folder of pictures, or a camera by its number."""
    if isinstance(source, Path) and source.is_dir():
        return PictureReader(source)
    return VideoReader(source)


def _in_order(name: str) -> list[tuple[int, str]]:
    """A sort key that orders numbers within names by their value."""
    return [(int(digits or 0), other) for digits, other in re.findall(r"(\d+)|(\D+)", name)]
