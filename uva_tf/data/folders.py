"""The files in a dataset's folders: listed in order, and joined by their numbers."""

from __future__ import annotations

from pathlib import Path

from uva_tf.core.errors import InputError
from uva_tf.core.files import check_folder, is_hidden, listed


def files_by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files by name without suffix, sorted; raises InputError for two files of one name."""
    check_folder(folder, ", the layout needs it")
    files: dict[str, Path] = {}
    for path in listed(folder, suffixes):
        if path.stem in files:
            raise InputError(f"{path} and {files[path.stem].name}: two files have the same name")
        files[path.stem] = path
    return files


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted."""
    check_folder(folder, ", the layout needs it")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path))


def numbered_files(folder: Path, prefix: str, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Files by number, in order: `NUMBER.*` or `PREFIX_NUMBER.*`, where `-` may replace any `_`.

    Raises InputError for any other name, for two files of the same number, and for no files.
    """
    by_number: dict[int, Path] = {}
    start = f"{prefix}_".replace("-", "_") if prefix else ""
    for path in listed(folder, suffixes):
        digits = path.stem.replace("-", "_").removeprefix(start)
        if not (digits.isdecimal() and len(digits) < 10):
            raise InputError(f"{path}: expected a name such as {start}00001{path.suffix}")
        other = by_number.setdefault(int(digits), path)
        if other != path:
            raise InputError(f"{path} and {other.name}: two files have the same number")
    if not by_number:
        raise InputError(f"{folder}: no pictures in it")
    return dict(sorted(by_number.items()))


def check_joined(
    pictures: dict[int, Path], maps: dict[int, Path], frames: Path, ground: Path
) -> None:
    """Raise InputError, naming the first, for a frame without a map or a map without a frame."""
    if missing := sorted(set(pictures) - set(maps)):
        raise InputError(f"{pictures[missing[0]]}: no map with this number in {ground}")
    if surplus := sorted(set(maps) - set(pictures)):
        raise InputError(f"{maps[surplus[0]]}: no frame with this number in {frames}")
