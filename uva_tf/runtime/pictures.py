"""Picture files, untrusted: their size is looked at before they are unpacked."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from uva_tf.runtime.errors import InputError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
MOST_BYTES = 2**28
MOST_PIXELS = 2**26


def decode(path: Path, flags: int) -> np.ndarray:
    """Read a picture file, of `MOST_BYTES` at most, as OpenCV's `imdecode` does by `flags`.

    Raises InputError for anything else, or one that stops short.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes are too many for a picture")
    content = path.read_bytes()
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # no bytes, or more pixels than allowed
        picture = None
    if picture is None:
        raise InputError(f"{path}: not a picture that OpenCV can read")
    # Where a JPEG stops short, OpenCV fills in grey: after the last start of a scan (FF DA)
    # there must be an end (FF D9), which can't be part of the pixels.
    jpeg = content.startswith(b"\xff\xd8")
    if jpeg and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise InputError(f"{path}: the file ends before its picture does")
    return picture
