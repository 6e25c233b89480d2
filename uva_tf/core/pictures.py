"""Untrusted picture files: their size is checked before they are decoded."""

from __future__ import annotations

import contextlib
import re
import struct
from pathlib import Path

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.file_kinds import kind_of
from uva_tf.core.files import read_input

IMAGE_SUFFIXES = (".avif", ".bmp", ".jpeg", ".jpg", ".png", ".webp")
MOST_BYTES = 2**28
MOST_PIXELS = 2**26


def decode(path: Path, flags: int) -> np.ndarray:
    """Read a picture file of at most `MOST_BYTES`, as OpenCV's `imdecode` does with `flags`.

    Raises InputError, which says why, for a file that can't be read as a whole picture.
    """
    content = read_input(path, MOST_BYTES, "picture")
    if not content:
        raise InputError(f"{path}: the file is empty, expected a picture")
    if _is_animated(content):
        raise InputError(
            f"{path}: an animated {kind_of(content).partition(' ')[2]}, expected a still one"
        )
    picture, pixels = None, _announced(content)
    if pixels <= MOST_PIXELS or content.startswith(b"\xff\xd8"):  # within a JPEG may be others
        with contextlib.suppress(cv2.error):  # more pixels than it allows
            picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if picture is None and pixels > MOST_PIXELS:
        raise InputError(f"{path}: {pixels} pixels, expected at most {MOST_PIXELS}")
    if _is_cut_short(content):
        raise InputError(f"{path}: the file was cut short: it ends within the picture")
    if picture is None:
        kind = kind_of(content) or "of an unknown format"
        why = f", expected {', '.join(IMAGE_SUFFIXES)}"
        if kind.endswith(("JPEG picture", "PNG picture", "BMP picture", "WebP picture")):
            why = ", but damaged"
        elif kind.endswith("AVIF picture"):
            why = ", damaged or new to this OpenCV: pip install --upgrade opencv-python"
        raise InputError(f"{path}: OpenCV can't read it as a picture: it is {kind}{why}")
    return picture


def _is_animated(content: bytes) -> bool:
    """Whether a file holds several pictures, of which OpenCV would take the first."""
    if _is_webp(content):
        return content[12:16] == b"VP8X" and bool(content[20] & 2)
    if content.startswith(b"\x89PNG"):  # the number of pictures stands before their pixels
        found = re.search(rb"\0\0\0\x08acTL(.{4})", content.partition(b"IDAT")[0], re.DOTALL)
        return found is not None and int.from_bytes(found[1]) > 1
    if content.startswith(b"GIF8"):  # whatever its name; each picture begins with its delay
        return len(re.findall(rb"\x21\xf9\x04.{4}\0[\x21\x2c]", content, re.DOTALL)) > 1
    return content[4:12] == b"ftypavis"


def _is_webp(content: bytes) -> bool:
    return content[8:12] == b"WEBP" and len(content) >= 30  # as long as the header


def _is_cut_short(content: bytes) -> bool:
    """Whether a JPEG, a PNG or a WebP lacks its end: OpenCV would fill in what is missing."""
    if _is_webp(content):
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
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
    elif _is_webp(content):
        width, height = _webp_size(content)
    elif content[4:11] == b"ftypavi":
        # Of the whole picture and of the tiles that it may be made of.
        sizes = re.findall(rb"ispe\0{4}(.{4})(.{4})", content[: 2**16], re.DOTALL)
        return max((int.from_bytes(w) * int.from_bytes(h) for w, h in sizes), default=0)
    elif found := re.search(rb"\xff[\xc0-\xc3]\0.\x08(....)", content, re.DOTALL):  # JPEG
        height, width = struct.unpack(">HH", found[1])
    else:
        return 0
    return abs(width * height)


def _webp_size(content: bytes) -> tuple[int, int]:
    """Width and height of a WebP, by the header of its kind (RFC 9649)."""
    kind = content[12:16]
    if kind == b"VP8X":
        return tuple(1 + int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return 1 + bits % 2**14, 1 + (bits >> 14) % 2**14
    width, height = struct.unpack("<HH", content[26:30])
    return width % 2**14, height % 2**14
