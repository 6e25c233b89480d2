"""Tables of fixations and splits: comma-separated values with a line of names."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uva_tf.runtime.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class FixationTable:
    """The fixations of one recording.

    Attributes:
        observers: `[n]` int32, numbered as they come in the file.
        columns: `[n]` float64 by the column's name.
        repeated: rows left out because they are another row over again.
    """

    observers: np.ndarray
    columns: dict[str, np.ndarray]
    repeated: int


def read_fixations(
    path: Path, key: str, numbers: tuple[str, ...]
) -> tuple[dict[str, FixationTable], dict[str, str]]:
    """Read a table of fixations.

    Args:
        key: the column that names the recording.
        numbers: the columns that hold numbers, beside `observer`.

    Returns:
        The tables by recording, and by recording what is wrong with its rows.

    Raises InputError if the file is no such table or has no rows.
    """
    values: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    observers: dict[str, list[int]] = defaultdict(list)
    seen: dict[str, set] = defaultdict(set)
    repeated: dict[str, int] = defaultdict(int)
    problems: dict[str, str] = {}
    numbering: dict[str, int] = {}
    for line, row in _rows(path, (key, "observer", *numbers)):
        name, whole = row[key], tuple(map(str, row.values()))
        if whole in seen[name]:
            repeated[name] += 1
            continue
        seen[name].add(whole)
        try:
            values[name].append(tuple(_number(row[c], c, path, line) for c in numbers))
        except InputError as error:
            problems.setdefault(name, str(error))
            continue
        observers[name].append(numbering.setdefault(row["observer"], len(numbering)))
    if not seen:
        raise InputError(f"{path}: no fixation in it")
    tables = {}
    for name in seen:
        rows = np.array(values[name], float).reshape(-1, len(numbers))
        columns = dict(zip(numbers, rows.T, strict=True))
        tables[name] = FixationTable(np.array(observers[name], np.int32), columns, repeated[name])
    return tables, problems


def read_split(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, str]:
    """Read a split file, `name,split` with splits `train`, `val`, `test`.

    Raises InputError unless it gives each of `names` one split and names nothing else,
    but what is `optional`.
    """
    split: dict[str, str] = {}
    for line, row in _rows(path, ("name", "split")):
        if row["split"] not in SPLITS:
            raise InputError(
                f"{path} line {line}: split {row['split']!r}, expected {', '.join(SPLITS)}"
            )
        if split.setdefault(row["name"], row["split"]) != row["split"]:
            raise InputError(f"{path} line {line}: {row['name']!r} is in two splits")
    if missing := sorted(set(names) - set(split)):
        raise InputError(f"{path}: {some(missing)} of the dataset not listed, add a row for each")
    if surplus := sorted(set(split) - set(names) - set(optional)):
        raise InputError(f"{path}: {some(surplus)} listed but not in the dataset")
    return split


def some(names: Sequence[object]) -> str:
    """A few names of a list that may be long."""
    shown = ", ".join(str(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with their line numbers; InputError if a column is not there."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        try:
            for column in columns:
                if column not in (reader.fieldnames or ()):
                    raise InputError(
                        f"{path}: no column {column!r}, "
                        f"expected {', '.join(columns)} in the first line"
                    )
            for row in reader:
                if None in row or any(value is None for value in row.values()):
                    number = "more" if None in row else "fewer"
                    raise InputError(
                        f"{path} line {reader.line_num}: {number} fields than the first"
                    )
                yield reader.line_num, row
        except csv.Error as error:
            raise InputError(f"{path}: not a table of comma-separated values ({error})") from None


def _number(text: str, column: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path} line {line}: {column} is {text!r}, expected a number")
    if value < 0 and column == "duration_ms":
        raise InputError(f"{path} line {line}: {column} is {text!r}, expected 0 or more")
    return value
