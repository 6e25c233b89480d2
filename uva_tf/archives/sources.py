"""Which videos are meant: paths, folders, patterns and addresses, typed or listed in a file."""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from fsspec.implementations.arrow import ArrowFSWrapper

from uva_tf.archives.storage import address_of, is_web, located
from uva_tf.core.errors import InputError
from uva_tf.core.files import listed, read_input
from uva_tf.core.outputs import as_text
from uva_tf.core.urls import is_url, masked, refuse_one_slash
from uva_tf.core.video import VIDEO_SUFFIXES

WILD = set("*?[")
MOST_LISTED = 2**30  # bytes of a listing
MOST_BYTES = 200  # of a video's name in the names of its outputs


class Source(NamedTuple):
    """A video: its address, a path that is absolute or a URL; and what its outputs are called."""

    address: str
    name: str


def find_sources(given: Sequence[str], listings: Sequence[Path] = ()) -> tuple[list[Source], int]:
    """The videos that arguments and listings name, each once, and how many were named again.

    Args:
        given: files, folders of videos, patterns such as `films/**/*.mp4`, or addresses of these.
        listings: files with one of these a line; lines that begin with `#` are comments. Paths are
            from the current folder.

    Raises InputError for a pattern, folder or listing that names nothing, a listing that is no
    text, or a mistyped address.
    """
    sources: dict[str, Source] = {}
    count = 0
    for text in [*given, *(line for path in listings for line in _lines(path))]:
        for address in _found(text):
            count += 1
            sources.setdefault(address, Source(address, name_of(address)))
    if not sources:
        raise InputError("no videos: give files, folders, patterns, addresses, or --list FILE")
    return list(sources.values()), count - len(sources)


def outside(sources: Sequence[Source], folder: str) -> list[Source]:
    """The sources that do not lie in a folder or below an address.

    Args:
        folder: an absolute path without `..`, or an address.
    """
    inside = folder.rstrip("/") + "/"
    return [source for source in sources if not source.address.startswith(inside)]


def name_of(address: str) -> str:
    """What a video's outputs are called: its stem, and a checksum of its address.

    So no two videos share a name, and none gets another when others join the archive.
    """
    path = urlsplit(address).path if is_url(address) else address
    stem = as_text(PurePosixPath(path.replace(os.sep, "/")).stem)
    safe = "".join(c if c.isalnum() or c in "-_. " else "_" for c in stem)[:60]
    # File systems limit names to 255 bytes, of which a character may take four.
    safe = safe.encode()[:MOST_BYTES].decode(errors="ignore").strip(" .")
    checksum = hashlib.sha256(os.fsencode(address)).hexdigest()[:12]
    return f"{safe or 'video'}-{checksum}"


def _lines(listing: Path) -> Iterator[str]:
    """The lines of a listing in UTF-8, in UTF-16 with its mark, or in the system's own bytes."""
    content = read_input(listing, MOST_LISTED, "listing")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16", "replace")
    else:
        text = os.fsdecode(content.removeprefix(codecs.BOM_UTF8))
    if "\0" in text:
        raise InputError(f"{listing}: not a text, expected a path or address a line")
    lines = [line.strip() for line in text.split("\n")]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise InputError(f"{listing}: the listing is empty, expected a path or address a line")
    return iter(found)


def _found(text: str) -> Iterable[str]:
    """The addresses that one argument or line names."""
    refuse_one_slash(text)
    if is_web(text):
        return [text]
    if is_url(text):
        return _found_in_store(text)
    path = Path(text)
    if os.path.isdir(text):  # noqa: PTH112 - False for a name that is too long
        paths = listed(path, VIDEO_SUFFIXES)
        if not paths:
            raise InputError(f"{path}: no videos in it, expected {', '.join(VIDEO_SUFFIXES)}")
    elif WILD & set(text) and not os.path.lexists(text):
        paths = sorted(map(Path, glob.iglob(text, recursive=True)))  # noqa: PTH207 - as a shell
        paths = [path for path in paths if not path.is_dir()]
        if not paths:
            raise InputError(f"{text}: nothing matches it, expected videos")
    else:
        paths = [path]  # one that is not there is named in the table
    return [str(absolute(path)) for path in paths]


def absolute(path: Path) -> Path:
    """A path from the root, without `..`; links in it stay, unless `..` goes back over one."""
    return path.parent.resolve() / path.name if ".." in path.parts else path.absolute()


def _found_in_store(text: str) -> Iterable[str]:
    folder, pattern = text.endswith("/"), f"{text}*" if text.endswith("/") else text
    system, path = located(pattern)
    if not WILD & set(pattern):
        return [text]
    found = sorted(ArrowFSWrapper(system).glob(path))
    if folder:
        found = [one for one in found if one.lower().endswith(VIDEO_SUFFIXES)]
    if not found:
        raise InputError(f"{masked(text)}: nothing matches it, expected videos")
    return [address_of(one, text) for one in found]
