"""Where videos and outputs lie: folders of this machine, or a store such as S3.

An address is a path, or a URL whose scheme pyarrow knows (`s3`, `gs`, `abfs`, `hdfs`), or one of
fsspec's where that has a package for it. Videos may also come from `http` and `https`.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import re
import shutil
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fsspec.core import url_to_fs
from pyarrow import ArrowException
from pyarrow.fs import (
    FileInfo,
    FileSelector,
    FileSystem,
    FileType,
    FSSpecHandler,
    LocalFileSystem,
    PyFileSystem,
    copy_files,
)

from uva_tf.core.errors import USERS_ERRNO, InputError, first_line
from uva_tf.core.urls import is_url, masked

# The folder, beside the outputs, of what only an unfinished run needs. Nobody else's files lie in
# a folder of this name, so what is in it may be removed.
WORK = ".uva-tf-archive"
UNFINISHED = f"{WORK}/unfinished"  # what is being written
WEB = ("http", "https")
PATIENCE = 60  # seconds without data from a web server
PIECE = 2**20
AWS_ERROR = re.compile(r"AWS Error (\w+)")
# What S3 says to a user who gave a wrong bucket or wrong keys.
USERS_AWS = ("ACCESS DENIED", "NO SUCH BUCKET", "INVALID ACCESS KEY ID", "SIGNATURE DOES NOT MATCH")


def located(address: str) -> tuple[FileSystem, str]:
    """The file system of an address, and the path in it.

    Raises InputError for an address that no file system is known for.
    """
    if not is_url(address):
        return LocalFileSystem(), str(Path(address).absolute())
    start, rest = _split(address)
    system, base = _system(start)
    return system, base + rest


def address_of(path: str, like: str) -> str:
    """The address of a path in the file system of another address."""
    start, _ = _split(like)
    _, base = _system(start)
    return start + path.removeprefix(base)


def _split(address: str) -> tuple[str, str]:
    """An address up to its bucket or host, and the rest, which begins with a slash."""
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}", f"/{path}"


@functools.cache
def _system(start: str) -> tuple[FileSystem, str]:
    """A file system, and how it calls what an address begins with."""
    address = f"{start}/x"
    try:
        system, path = FileSystem.from_uri(address)
        return system, path.removesuffix("/x")
    except (ArrowException, OSError, ValueError, NotImplementedError) as error:
        refused = error
    try:
        system, path = url_to_fs(address)
        return PyFileSystem(FSSpecHandler(system)), path.removesuffix("/x")
    except (ImportError, OSError, ValueError) as error:
        why = first_line(refused if isinstance(error, ValueError) else error)
        raise InputError(f"{masked(start)}: can't be opened: {why}") from None


def is_web(address: str) -> bool:
    """Whether an address is a web server's."""
    return is_url(address) and address.partition("://")[0].lower() in WEB


def fetch(address: str, folder: Path) -> Path:
    """A video as a file of this machine: itself, or a copy in a folder.

    Raises InputError if it is not there.
    """
    if not is_url(address):
        return Path(address)
    name = PurePosixPath(urlsplit(address).path).name or "video"
    copy = folder / name[-100:]
    if is_web(address):
        _download(address, copy)
        return copy
    system, path = located(address)
    try:
        with system.open_input_stream(path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, PIECE)
    except FileNotFoundError:
        raise InputError(f"{masked(address)}: no such video file") from None
    except PermissionError:
        raise InputError(f"{masked(address)}: no permission to read it") from None
    return copy


def _download(url: str, copy: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as source, copy.open("wb") as target:
            announced = source.headers.get("Content-Length")
            while piece := source.read(PIECE):
                target.write(piece)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise InputError(f"{masked(url)}: can't be fetched: {why}") from None
    if announced and copy.stat().st_size != int(announced):
        raise InputError(f"{masked(url)}: the connection was lost before all of it had come")


def states(addresses: Sequence[str]) -> list[str]:
    """What tells each video from itself after a change: size and time; "" where there is neither.

    A video that is not there, or may not be read, has "" too: reading it will say so.
    """
    found, remote = {}, {}
    for address in addresses:
        if not is_url(address):
            try:
                state = os.stat(address)  # noqa: PTH116 - for a hundred thousand
                found[address] = f"{state.st_size} {state.st_mtime_ns}"
            except OSError:
                continue
        elif not is_web(address):
            system, path = located(address)
            remote.setdefault(id(system), (system, []))[1].append((address, path))
    for system, pairs in remote.values():
        infos = _infos(system, [path for _, path in pairs])
        for (address, _), info in zip(pairs, infos, strict=True):
            if info and info.type == FileType.File:
                found[address] = f"{info.size} {info.mtime_ns}"
    return [found.get(address, "") for address in addresses]


def _infos(system: FileSystem, paths: list[str]) -> list[FileInfo | None]:
    """What a store says of files, asked for many at a time; None where it refuses to say."""
    try:
        return system.get_file_info(paths)
    except OSError:
        if len(paths) == 1:
            return [None]
        return [info for path in paths for info in _infos(system, [path])]


def _explained(error: OSError, address: str, use: str) -> OSError | InputError:
    """A file system's error in one line: an InputError where the user gave a wrong address."""
    text = first_line(error)
    if error.errno:
        why = os.strerror(error.errno)
    elif found := AWS_ERROR.search(text):
        why = found[1].replace("_", " ")
    else:
        why = "NO SUCH BUCKET" if text.startswith("Bucket ") else text
    line = f"{masked(address)}: can't be {use} ({why.lower() if why in USERS_AWS else why})"
    if error.errno in USERS_ERRNO or why in USERS_AWS:
        return InputError(f"{line}, expected a folder that you may write to: choose another")
    return OSError(line) if error.errno is None else OSError(error.errno, why, masked(address))


class Store:
    """A folder of a file system, in which each file is whole or not there.

    Its methods raise InputError if it can't be read or written as the user wants, and OSError for
    what else fails, such as a full disk.
    """

    def __init__(self, address: str):
        self.address = address
        self.files, self.root = located(address)
        self._created: set[str] = set()

    def create(self, *folders: str) -> None:
        """Make folders in it."""
        with self._for("written"):
            for folder in [*folders, UNFINISHED]:
                self._create(folder)

    def put(self, local: Path, name: str) -> None:
        """Copy a file into the store; an older one of the name is replaced."""
        target, folder = self._path(name), name.rpartition("/")[0]
        partial = self._path(f"{UNFINISHED}/{uuid.uuid4().hex}")
        self.create(folder)
        with self._for("written"):
            copy_files(
                str(local),
                partial,
                source_filesystem=LocalFileSystem(),
                destination_filesystem=self.files,
            )
            self.files.move(partial, target)

    def get(self, name: str, local: Path) -> None:
        """Copy a file out of the store; raises FileNotFoundError if it is not there."""
        with self.open(name) as source, local.open("wb") as target:
            shutil.copyfileobj(source, target, PIECE)

    def open(self, name: str):
        """A file, for reading at any place of it; raises FileNotFoundError if it is not there."""
        try:
            return self.files.open_input_file(self._path(name))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _explained(error, self.address, "read") from None

    def has(self, *names: str) -> bool:
        """Whether all these files are there."""
        with self._for("read"):
            infos = self.files.get_file_info([self._path(name) for name in names])
        return all(info.type == FileType.File for info in infos)

    def listed(self, folder: str) -> dict[str, FileInfo]:
        """The files of a folder in the store by their names in it, sorted."""
        with self._for("read"):
            infos = self.files.get_file_info(FileSelector(self._path(folder), allow_not_found=True))
        files = {info.base_name: info for info in infos if info.is_file}
        return dict(sorted(files.items()))

    def remove_folder(self, folder: str) -> None:
        """Remove a folder and what is in it, if it is there."""
        self._created = {name for name in self._created if not f"{name}/".startswith(f"{folder}/")}
        with self._for("written"):
            if self.files.get_file_info(self._path(folder)).type == FileType.Directory:
                self.files.delete_dir(self._path(folder))

    def _create(self, folder: str) -> None:
        if folder not in self._created:
            self.files.create_dir(self._path(folder), recursive=True)
            self._created.add(folder)

    @contextlib.contextmanager
    def _for(self, use: str) -> Iterator[None]:
        """Explain what the file system refuses within the block."""
        try:
            yield
        except OSError as error:
            raise _explained(error, self.address, use) from None

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"
