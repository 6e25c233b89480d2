"""Output files and folders that appear only when they are complete."""

from __future__ import annotations

import itertools
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from uva_tf.core.errors import InputError, is_users
from uva_tf.core.interruption import hold

RANDOM = re.compile("[a-z0-9_]{8}")  # what `mkdtemp` appends
LOG = logging.getLogger(__name__)
# For text that contains file names, which need not be valid Unicode.
UTF8 = {"encoding": "utf-8", "errors": "backslashreplace"}


def as_text(name: str) -> str:
    """A file's name for tables and pictures; bytes that are not valid text are escaped."""
    return name.encode(**UTF8).decode()


def refuse_existing(path: Path) -> None:
    """Raise InputError if an output path exists, can't be, or lies below what is not a folder."""
    try:
        path.lstat()  # a link to nothing exists too
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise _unwritable(path, error) from None
    else:
        raise InputError(f"{path} exists already: choose another path or remove it first")
    above = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        raise InputError(f"{above} is not a folder, so {path.name} can't be written below it")


def refuse_overlap(outputs: Mapping[str, Path | None], *, may_be_same: bool = False) -> None:
    """Raise InputError if two outputs of a command are one path, or one lies inside the other.

    Args:
        outputs: by the option that names each; None for one that is not asked for.
        may_be_same: whether several may go to one folder.
    """
    places = {option: path.resolve() for option, path in outputs.items() if path}
    for (one, place), (other, elsewhere) in itertools.combinations(places.items(), 2):
        same = place == elsewhere and not may_be_same
        if same or place in elsewhere.parents or elsewhere in place.parents:
            raise InputError(f"{one} and {other} overlap: choose separate paths")


def refuse_undecodable(path: Path) -> None:
    """Raise InputError for a path that is not UTF-8: TensorFlow takes no other."""
    where = str(path.resolve())
    try:
        where.encode()
    except UnicodeEncodeError:
        try:
            os.fsencode(where).decode()
            remedy = "this locale can't spell it: set PYTHONUTF8=1"
        except UnicodeDecodeError:
            remedy = "it is not UTF-8: rename it, or the folder above it that is not"
        raise InputError(f"{path}: TensorFlow can't take this path, {remedy}") from None


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which is renamed to `path` if the block succeeds, else removed.

    It has the same name, in a new folder beside `path`. Raises InputError if `path` exists or
    its folder can't be written to, and OSError if the system can't, as on a full disk.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from None
    partial = beside / path.name
    try:
        yield partial
        with hold():
            refuse_existing(path)
            partial.replace(path)
            beside.rmdir()
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove what `new_file` for each path left when it was killed; nobody else may write there."""
    begins: dict[Path, set[str]] = {}
    for path in paths:
        begins.setdefault(path.parent, set()).add(f".{path.name[:40]}.")
    for folder, names in begins.items():
        for beside in folder.iterdir() if folder.is_dir() else ():
            begin, random = beside.name[:-8], beside.name[-8:]
            if not (begin in names and RANDOM.fullmatch(random) and beside.is_dir()):
                continue
            # Inside is nothing but the unfinished output; else it is the user's.
            if all(path.name.startswith(begin[1:-1]) for path in beside.iterdir()):
                shutil.rmtree(beside, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> InputError | OSError:
    """The error for an output path, whatever temporary one the system refused."""
    if not is_users(error):
        return OSError(error.errno, error.strerror, str(path))
    place = path.absolute().parent
    return InputError(
        f"{path}: can't be written in {place} ({error.strerror}), choose another path"
    )


def make_folder(folder: Path, path: Path | None = None) -> None:
    """Make a folder, and those above it, unless it is there; raises as `new_file` does.

    Args:
        path: for the message, if the folder is temporary.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path or folder, error) from None


def replace_file(path: Path, text: str) -> None:
    """Replace a file's content, completely or not at all."""
    # In a new folder beside it: a name that can be guessed may be a user's file, or a link.
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
    try:
        partial = beside / path.name
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder, which is renamed to `path` if the block succeeds, else removed.

    Raises InputError as `new_file` does.
    """
    with new_file(path) as partial:
        partial.mkdir()
        yield partial


@contextmanager
def resumable_folder(path: Path) -> Iterator[Path]:
    """Yield a folder that is renamed to `path` if the block succeeds.

    If the block fails, the folder stays as `.NAME.partial` beside `path`, unless it is empty, and
    the next block for `path` gets it with everything in it. Raises InputError if `path` exists or
    another process is writing it.
    """
    refuse_existing(path)
    partial = path.with_name(f".{path.name[:99]}.partial")
    make_folder(partial, path)
    with locked(partial, path, "written"):
        try:
            yield partial
            refuse_existing(path)
        except BaseException:
            if not any(partial.iterdir()):
                partial.rmdir()
            raise
        partial.replace(path)


@contextmanager
def locked(place: Path, path: Path, use: str) -> Iterator[None]:
    """Keep out of the block other processes that lock the same `place`, a file or a folder.

    The system releases the lock when the process ends, however it ends. Where a file system has
    no locks, and on Windows, a warning on stderr says that nothing is kept out.

    Args:
        path, use: for the messages, such as RUN and "trained".

    Raises InputError if another process holds the lock.
    """
    try:
        handle = os.open(place, os.O_RDONLY if place.is_dir() else os.O_RDWR)
    except PermissionError:  # a folder on Windows
        handle = None
    try:
        if handle is None or not _lock(handle, f"{path} is being {use} by another process"):
            LOG.warning("%s can't be locked: make sure that no other process uses it", path)
        elif not _is_at(handle, place):  # replaced between opening and locking
            raise InputError(f"{path} was being {use} by another process until now")
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(handle: int, refusal: str) -> bool:
    """Lock an open file or folder; False if this system or file system has no locks."""
    try:
        import fcntl  # not on Windows

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(refusal) from None
    except (ImportError, OSError):  # such as ENOLCK on a network file system
        return False
    return True


def _is_at(handle: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), place.stat())
    except FileNotFoundError:
        return False
