"""Untrusted picture files: their size is checked before they are decoded."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import read_input
from uva_tf.core.kinds import kind_of

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
MOST_BYTES = 2**28
MOST_PIXELS = 2**26


def decode(path: Path, flags: int) -> np.ndarray:
    """Read a picture file of at most `MOST_BYTES`, as OpenCV's `imdecode` does with `flags`.

    Raises InputError, which says why, for a file that can't be read as a whole picture.
    """
    content = read_input(path, MOST_BYTES, "picture")
    if not content:
        raise InputError(f"{path}: the file is empty, expected a picture")
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # more pixels than it allows
        picture = None
    pixels = _announced(content)
    if picture is None and pixels > MOST_PIXELS:
        raise InputError(f"{path}: {pixels} pixels, expected at most {MOST_PIXELS}")
    if _is_cut_short(content):
        raise InputError(f"{path}: the file was cut short: it ends within the picture")
    if picture is None:
        kind = kind_of(content) or "of an unknown format"
        damaged = kind.endswith(("JPEG picture", "PNG picture", "BMP picture"))
        raise InputError(
            f"{path}: OpenCV can't read it as a picture: it is {kind}"
            + (", but damaged" if damaged else f", expected {', '.join(IMAGE_SUFFIXES)}")
        )
    return picture


def _is_cut_short(content: bytes) -> bool:
    """Whether a JPEG or a PNG lacks its end: OpenCV would fill in what is missing."""
    if content.startswith(b"\xff\xd8"):
        # After the last start of a scan (FF DA) there must be an end marker (FF D9), which can't
        # occur within the pixels.
        return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    return content.startswith(b"\x89PNG") and b"IEND" not in content


def _announced(content: bytes) -> int:
    """The number of pixels in a picture's header; 0 if it can't be read."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", content[16:24].ljust(8, b"\0"))
    elif content.startswith(b"BM"):
        width, height = struct.unpack("<ii", content[18:26].ljust(8, b"\0"))
    elif found := re.search(rb"\xff[\xc0-\xc3]\0.\x08(....)", content, re.DOTALL):  # JPEG
        height, width = struct.unpack(">HH", found[1])
    else:
        return 0
    return abs(width * height)
