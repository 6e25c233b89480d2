"""The files of an export."""

from __future__ import annotations

from pathlib import Path

from uva_tf.core.files import is_hidden


def files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with one of the suffixes in a folder and those below it, sorted, hidden ones not."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(suffixes)
        and path.is_file()
        and not any(is_hidden(folder / part) for part in path.relative_to(folder).parents)
        and not is_hidden(path)
    )
