"""Picture files, untrusted: their size is looked at before they are unpacked."""

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
    """Read a picture file, of `MOST_BYTES` at most, as OpenCV's `imdecode` does by `flags`.

    Raises InputError that says why for anything else, or one that stops short.
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
        raise InputError(f"{path}: it announces {pixels} pixels, too many to be read")
    if _stops_short(content):
        raise InputError(f"{path}: the file ends before its picture does")
    if picture is None:
        kind = kind_of(content) or "of no format known here"
        damaged = kind.endswith(("JPEG picture", "PNG picture", "BMP picture"))
        raise InputError(
            f"{path}: not a picture that OpenCV can read: it is {kind}"
            + (", but damaged" if damaged else f", expected {', '.join(IMAGE_SUFFIXES)}")
        )
    return picture


def _stops_short(content: bytes) -> bool:
    """Whether a JPEG or a PNG lacks its end: OpenCV fills in what is missing."""
    if content.startswith(b"\xff\xd8"):
        # After the last start of a scan (FF DA) there must be an end (FF D9), which can't be
        # part of the pixels.
        return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    return content.startswith(b"\x89PNG") and b"IEND" not in content


def _announced(content: bytes) -> int:
    """How many pixels a picture says that it has, 0 if that is not known."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", content[16:24].ljust(8, b"\0"))
    elif content.startswith(b"BM"):
        width, height = struct.unpack("<ii", content[18:26].ljust(8, b"\0"))
    elif found := re.search(rb"\xff[\xc0-\xc3]\0.\x08(....)", content, re.DOTALL):  # JPEG
        height, width = struct.unpack(">HH", found[1])
    else:
        return 0
    return abs(width * height)
