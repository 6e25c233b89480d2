"""What a file is by its first bytes, whatever its name says, so that an error names the cause."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

HEAD = 2**16  # bytes that are read of a file
# Offset, bytes found there, and what the file is; the first row that matches counts.
MAGIC = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n", "a PNG picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (4, b"ftypavi", "an AVIF picture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIF picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"jP  ", "a JPEG 2000 picture"),
    (8, b"AVI ", "an AVI video"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (4, b"ftyp", "an MP4 or QuickTime video"),
    (4, b"moov", "an MP4 or QuickTime video"),
    (4, b"mdat", "an MP4 or QuickTime video"),
    (0, b"\0\0\1\xba", "an MPEG video"),
    (0, b"OggS", "an Ogg video"),
    (0, b"FLV\1", "a Flash video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media video"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\xd0\xcf\x11\xe0", "an old Office document, such as .xls"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"MATLAB 5.0", "a MATLAB file"),
    (4, b"TFL3", "a TFLite model"),
    (0, b"version https://git-lfs", "a Git LFS pointer instead of the file (git lfs pull)"),
    (0, b"<!DOCTYPE html", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"#EXTM3U", "a playlist"),
    (0, b"ffconcat", "a playlist"),
)
# Sound codecs, which a container may name before the video's.
SOUND = ("ac-3", "alac", "ec-3", "mp4a", "Opus", "samr", "sowt", "twos")
TS = b"G"  # with which every packet of MPEG-TS begins, which has 188 bytes, or 4 before them
VIDEO_TRACK = rb"stsd.{12}(....)|strh....vids(....)|V_([A-Z0-9/_]+)"


def kind_of(content: bytes) -> str:
    """What a file is by its first bytes, with an article; "" if that is not known."""
    for offset, magic, kind in MAGIC:
        if content[offset : offset + len(magic)] == magic:
            return kind
    start = content[:1000]
    if start and not any(start):
        return "nothing but zeros"
    if start and not set(start) & set(range(9)):
        return "text"
    if any(content[at : at + 3 * step : step] == 3 * TS for at, step in ((0, 188), (4, 192))):
        return "an MPEG-TS video"
    return ""


def why_no_frame(path: Path, codec: str = "", *, built_in: bool = True) -> str:
    """Why no video frame can be read from a file that can be opened.

    Args:
        codec: of the decoder that FFmpeg chose, its name.
        built_in: False if FFmpeg found a video, and no decoder for it.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return "the file is empty"
    kind = kind_of(head) or ("a video" if codec else "")
    if not kind.endswith("video"):
        return f"it is {kind or 'of an unknown format'}, expected a video"
    if "MP4" in kind and "moov" not in (boxes := list(_boxes(path))):
        return f"{kind} that was cut short: its index (moov) is missing, found {', '.join(boxes)}"
    codec = codec or _codec(path)
    if not built_in:
        return (
            f"its codec {codec and f'{codec} '}is not built into this FFmpeg, convert it: "
            "ffmpeg -i IN -c:v libx264 OUT.mp4"
        )
    return f"{kind}{codec and f' ({codec})'} that is damaged or has no frames"


def why_no_frame_of_pipe(head: bytes) -> str:
    """Why no video frame can be read from a pipe that begins with `head`."""
    if not head:
        return "nothing came"
    kind = kind_of(head)
    if kind and not kind.endswith("video"):
        return f"it is {kind}, expected a video"
    if "MP4" in kind:
        return (
            f"{kind} with its index (moov) at the end, which a pipe can't go back from: give the "
            "file's name, or write it with ffmpeg -movflags +faststart"
        )
    return f"{kind or 'of an unknown format,'} damaged or without frames"


def _boxes(path: Path) -> Iterator[str]:
    """The names of an MP4's outermost boxes, up to the first that is cut off."""
    offset, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while offset + 8 <= size:
            file.seek(offset)
            length, name = struct.unpack(">I4s", file.read(8))
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            if length and offset + length > size:
                break
            yield name.decode("latin-1")
            if length < 8:  # 0: up to the end
                break
            offset += length


def _codec(path: Path) -> str:
    """The video codec that a container names near its beginning or its end."""
    with path.open("rb") as file:
        parts = [file.read(HEAD)]
        file.seek(max(0, path.stat().st_size - HEAD))
        parts.append(file.read())
    tracks = [m for part in parts for m in re.finditer(VIDEO_TRACK, part, re.DOTALL)]
    names = [next(filter(None, m.groups()), b"").decode("latin-1") for m in tracks]
    return next((n for n in names if n not in SOUND and n.replace("/", "").isalnum()), "")
