"""Heads of two text formats of gaze on videos, GazeCom's among them: `.coord` and ARFF.

Both give times in microseconds and places in pixels of a video of a stated size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uva_tf.core.errors import InputError
from uva_tf.gaze.tables import first_lines
from uva_tf.gaze.trials import Screen

_ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)", re.IGNORECASE)
_METADATA = re.compile(r"%\s*@METADATA\s+(\w+)\s+([\d.]+)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """What comes before the rows.

    Attributes:
        names: of the columns.
        lines: how many lines it has.
        screen: the area to whose pixels the places belong; None if it is not stated.
    """

    names: Sequence[str]
    lines: int
    screen: Screen | None


def head_of(path: Path) -> Head | None:
    """The head of a file in one of the two formats; None of any other file.

    Raises InputError for a head without rows or with a size that is none.
    """
    lines = [line.strip() for line in first_lines(path)]
    words = [line.casefold().split() for line in lines]
    if any(row[:1] == ["@relation"] for row in words[:100]):
        return _arff(path, lines)
    if any(row[:1] == ["gaze"] and len(row) == 3 for row in words[:100]):
        return _coord(path, words)
    return None


def _arff(path: Path, lines: list[str]) -> Head:
    data = next((n for n, line in enumerate(lines) if line.casefold() == "@data"), None)
    if data is None:
        raise InputError(f"{path}: an ARFF file without @DATA")
    found = [_ATTRIBUTE.match(line) for line in lines[:data]]
    stated = dict(m.groups() for line in lines[:data] if (m := _METADATA.match(line)))
    size = [_number(path, stated.get(f"{side}_px", "0")) for side in ("width", "height")]
    cm = [_number(path, stated.get(f"{what}_mm", "0")) / 10 for what in ("width", "distance")]
    screen = Screen(round(size[0]), round(size[1]), *cm) if all(size) else None
    return Head([match[1].strip("'\"") for match in found if match], data + 1, screen)


def _coord(path: Path, words: list[list[str]]) -> Head:
    """`#` comments, `gaze WIDTH HEIGHT`, `geometry distance D width W height H` in metres."""
    stated = {row[0]: row[1:] for row in words if row and row[0] in ("gaze", "geometry")}
    size = [round(_number(path, one)) for one in stated["gaze"]]
    geometry = stated.get("geometry", [])
    metres = dict(zip(geometry[::2], geometry[1::2], strict=False))
    cm = [100 * _number(path, metres.get(what, "0")) for what in ("width", "distance")]
    first = next((n for n, row in enumerate(words) if row and _is_number(row[0])), len(words))
    return Head(("time", "x", "y", "valid"), first, Screen(*size, *cm) if all(size) else None)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d{1,18}(\.\d{0,18})?", text))


def _number(path: Path, text: str) -> float:
    if not _is_number(text) or not 0 <= float(text) < 1e5:
        raise InputError(f"{path}: a size of {text!r:.40} in its head, expected a number")
    return float(text)
