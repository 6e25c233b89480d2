"""Files and folders that appear only when they are complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uva_tf.runtime.errors import InputError


def refuse_existing(path: Path) -> None:
    """Raise InputError if an output path is taken or lies below something that is no folder."""
    if path.exists():
        raise InputError(f"{path} exists already: choose another path or remove it first")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{above} is not a folder, so {path.name} can't be written below it")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it when the block succeeds.

    The temporary name keeps the suffix, which some writers read the format from.
    Raises InputError if `path` exists.
    """
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, renamed to it when the block succeeds.

    Raises InputError if `path` exists.
    """
    refuse_existing(path)
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
