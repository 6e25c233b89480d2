"""Names that tell files and folders apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from uva_tf.core.errors import InputError
from uva_tf.core.outputs import as_text


def distinct_names(paths: Sequence[Path], taken: Sequence[str] = ()) -> list[str]:
    """Each path's last part, with as many folders before it as tell it apart: `a/run`, `b/run`.

    Args:
        taken: names that something else has already.

    Raises InputError for a path that is given twice.
    """
    meant = [path.resolve() for path in paths]
    parts = [
        (to if ".." in path.parts else path.absolute()).parts
        for path, to in zip(paths, meant, strict=True)
    ]
    names = []
    for path, own in zip(paths, parts, strict=True):
        if meant.count(path.resolve()) > 1:
            raise InputError(f"{path} is given twice: give it once")
        for length in range(1, len(own) + 1):
            name = "/".join(own[-length:])
            if name not in taken and sum(other[-length:] == own[-length:] for other in parts) == 1:
                break
        names.append(as_text(name))
    return names
