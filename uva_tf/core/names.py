"""Names: short ones that tell paths apart, and the current ones of what was renamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from uva_tf.core.errors import InputError
from uva_tf.core.outputs import as_text

# Names of students, presets and shipped files up to version 0.1.0, and what they are called now.
# In those versions `uva-64` and `uva-32` meant what is now `paper-64` and `paper-32`.
OLDER = {"uva-64-s": "uva-64", "uva-32-s": "uva-32"}


def current(name: str) -> str:
    """The current name for `name`, which may be an older one, with or without an ending."""
    for older, now in OLDER.items():
        if name == older or name.startswith((f"{older}-", f"{older}.")):
            return now + name.removeprefix(older)
    return name


def distinct_names(paths: Sequence[Path], taken: Sequence[str] = ()) -> list[str]:
    """As `distinct_ends`, for tables: bytes that are not valid text are escaped."""
    return [as_text(name) for name in distinct_ends(paths, taken)]


def distinct_ends(paths: Sequence[Path], taken: Sequence[str] = ()) -> list[str]:
    """The shortest ends of the paths that differ from each other: `a/run`, `b/run`.

    Args:
        taken: names that are already used for something else.

    Raises InputError for a path that is given twice.
    """
    meant = [path.resolve() for path in paths]
    parts = [
        (to if ".." in path.parts else path.absolute()).parts[1:]  # without the root
        for path, to in zip(paths, meant, strict=True)
    ]
    names, times, ends = [], Counter(meant), {}
    for path, to, own in zip(paths, meant, parts, strict=True):
        if times[to] > 1:
            raise InputError(f"{path} is given twice: give it once")
        for length in range(1, len(own) + 1):
            if length not in ends:
                ends[length] = Counter(other[-length:] for other in parts)
            name = "/".join(own[-length:])
            if name not in taken and ends[length][own[-length:]] == 1:
                break
        names.append(name)
    return names
