"""Files and folders that appear only when they are complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uva_tf.runtime.errors import InputError
from uva_tf.runtime.interruption import hold


def refuse_existing(path: Path) -> None:
    """Raise InputError if an output path is taken or lies below something that is no folder."""
    if path.exists():
        raise InputError(f"{path} exists already: choose another path or remove it first")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{above} is not a folder, so {path.name} can't be written below it")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block succeeds, else goes.

    It has the same name, in a folder of its own beside `path`. Raises InputError if
    `path` exists.
    """
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name[:99]}.", dir=path.parent))
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


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block succeeds, else goes.

    Raises InputError if `path` exists.
    """
    with new_file(path) as partial:
        partial.mkdir()
        yield partial


@contextmanager
def resumable_folder(path: Path) -> Iterator[Path]:
    """Yield a folder that becomes `path` when the block succeeds.

    Whatever else ends the block leaves it as `.NAME.partial` beside `path`, unless it is empty,
    and the next block for `path` gets it with all that is in it. Raises InputError if `path`
    exists or another process is at it.
    """
    import fcntl  # not on Windows, where the rest of the runtime must work

    refuse_existing(path)
    partial = path.with_name(f".{path.name[:99]}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    handle = os.open(partial, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            moved = not os.path.samestat(os.fstat(handle), partial.stat())
        except BlockingIOError:
            raise InputError(f"{path} is being written by another process") from None
        except FileNotFoundError:
            moved = True
        if moved:  # between opening and locking
            raise InputError(f"{path} was being written by another process until now")
        try:
            yield partial
            refuse_existing(path)
        except BaseException:
            if not any(partial.iterdir()):
                partial.rmdir()
            raise
        partial.replace(path)
    finally:
        os.close(handle)
