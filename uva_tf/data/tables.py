"""Tables of fixations and splits: comma-separated values whose first line names the columns.

A table is read in steps: its text, its separator, its rows, their numbers. What had to be
guessed on the way is listed in `notes`, and rows that were left out are counted.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import read_input
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VIDEO_SUFFIXES
from uva_tf.data.recordings import LOST, MISSING, REPEATED

SPLITS = ("train", "val", "test")
MOST_BYTES = 2**31  # of a table
SEPARATORS = (",", ";", "\t", "|")
# What trackers and spreadsheets write where there is no value, in lower case.
NO_VALUE = {"", "-", "--", ".", "#n/a", "-nan", "<na>", "n/a", "na", "nan", "none", "null"}
# One fixation may lie at exactly 0,0; if several do, the tracker had lost the eye.
LEAST_LOST = 2
# A comma in a number that can't separate thousands: it has not exactly three digits behind it,
# or more than three before it.
DECIMAL_COMMA = re.compile(r"(?<!\d)\d+,(?:\d{1,2}|\d{4,})(?!\d)|\d{4},\d")
DECIMAL_COMMAS = "commas in the table's numbers are decimal"


@dataclass(frozen=True)
class FixationTable:
    """The fixations of one recording.

    Attributes:
        observers: `[n]` int32, numbered in the order in which the file first names them.
        columns: `[n]` float64, by name of the column.
        left_out: how many rows were left out, by reason.
        notes: what was guessed to read the file.
    """

    observers: np.ndarray
    columns: dict[str, np.ndarray]
    left_out: Counter = field(default_factory=Counter)
    notes: tuple[str, ...] = ()


def read_fixations(
    path: Path, key: str, numbers: tuple[str, ...]
) -> tuple[dict[str, FixationTable], dict[str, str]]:
    """Read a table of fixations.

    Args:
        key: the column that names the recording.
        numbers: the columns that hold numbers; `observer` is read too.

    Returns:
        By recording, its table; and by recording, what is wrong with its rows, if anything.

    Raises InputError if the file is not such a table or has no rows.
    """
    values: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    observers: dict[str, list[int]] = defaultdict(list)
    seen: dict[str, set] = defaultdict(set)
    left_out: dict[str, Counter] = defaultdict(Counter)
    problems: dict[str, str] = {}
    numbering: dict[str, int] = {}
    table = _open_table(path, (key, "observer", *numbers))
    for line, row, whole in table.rows:
        name, observer = row[key], row["observer"]
        if not name:
            raise InputError(f"{path} line {line}: {key} is empty, expected a name")
        if whole in seen[name]:
            left_out[name][REPEATED] += 1
            continue
        seen[name].add(whole)
        cells = [(column, row[column]) for column in numbers]
        if any(cell.lower() in NO_VALUE for _, cell in cells):
            left_out[name][MISSING] += 1
            continue
        try:
            if not observer:
                raise InputError(f"{path} line {line}: observer is empty, expected a name")
            values[name].append(tuple(_number(*cell, table, line) for cell in cells))
        except InputError as error:
            problems.setdefault(name, str(error))
            continue
        observers[name].append(numbering.setdefault(observer, len(numbering)))
    if not seen:
        raise InputError(f"{path}: no fixations in it")
    tables = {}
    lost = _lost(values, numbers)
    for name in seen:
        rows = np.array(values[name], float).reshape(-1, len(numbers))[~lost[name]]
        left_out[name][LOST] += int(lost[name].sum())
        if not len(rows) and name not in problems:
            counts = ", ".join(f"{n} {why}" for why, n in left_out[name].items() if n)
            problems[name] = f"{path}: no row of {name!r} has gaze ({counts})"
        columns = dict(zip(numbers, rows.T, strict=True))
        people = np.array(observers[name], np.int32)[~lost[name]]
        tables[name] = FixationTable(people, columns, left_out[name], tuple(table.notes))
    return tables, problems


def _lost(
    values: dict[str, list[tuple[float, ...]]], numbers: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """By recording, `[n]` bool: rows at exactly 0,0; none if the table has only one such row."""
    lost = {}
    for name, rows in values.items():
        places = [[row[numbers.index(axis)] for axis in ("x", "y")] for row in rows]
        lost[name] = ~np.array(places, float).reshape(-1, 2).any(axis=1)
    if sum(int(rows.sum()) for rows in lost.values()) < LEAST_LOST:
        lost = {name: np.zeros_like(rows) for name, rows in lost.items()}
    return defaultdict(lambda: np.zeros(0, bool), lost)


def read_split(path: Path, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, str]:
    """Read a split file: rows of `name,split`, with the splits `train`, `val` and `test`.

    Args:
        names: the recordings that it must name.
        optional: those that it may name.

    Returns:
        The split by name of the recording.

    Raises InputError if a name is missing, unknown or in two splits.
    """
    rows = list(_open_table(path, ("name", "split")).rows)
    meant = matched([row["name"] for _, row, _ in rows], {*names, *optional})
    split: dict[str, str] = {}
    for line, row, _ in rows:
        name = meant.get(row["name"], row["name"])
        if row["split"] not in SPLITS:
            raise InputError(
                f"{path} line {line}: split {row['split']!r}, expected {', '.join(SPLITS)}"
            )
        if split.setdefault(name, row["split"]) != row["split"]:
            raise InputError(f"{path} line {line}: {row['name']!r} is in two splits")
    if missing := sorted(set(names) - set(split)):
        raise InputError(f"{path}: no row for {some(missing)} of the dataset: add one for each")
    if surplus := sorted(set(split) - set(names) - set(optional)):
        raise InputError(f"{path}: {some(surplus)} not in the dataset: remove or correct such rows")
    return split


def matched(listed: Iterable[str], files: Collection[str]) -> dict[str, str]:
    """Match names in a table to files that differ in extension or in the encoding of accents.

    Args:
        listed: names in the table.
        files: names of files, without extension.

    Returns:
        The file's name by the table's name. Left out are names that equal a file's, and
        matches that are not one to one.
    """
    listed = set(listed)
    forms: dict[str, list[str]] = defaultdict(list)
    for file in files:
        forms[_composed(file)].append(file)
    meant = {name: forms.get(_composed(without_suffix(name)), []) for name in listed}
    meant |= {name: forms[_composed(name)] for name in listed if _composed(name) in forms}
    counts = Counter(name for found in meant.values() for name in found)
    return {
        name: found[0]
        for name, found in meant.items()
        if len(found) == 1 and counts[found[0]] == 1 and found[0] != name
    }


def without_suffix(name: str) -> str:
    """A file's name without the extension of a video or a picture."""
    path = Path(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES else name


def some(names: Sequence[object]) -> str:
    """The first three names of a list, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


class _Table(NamedTuple):
    """An open table; `rows` gives line number, wanted cells by column, and all cells of a row."""

    path: Path
    separator: str
    rows: Iterator[tuple[int, dict[str, str], tuple[str, ...]]]
    notes: list[str]
    decimal: bool  # whether some comma in a number can't separate thousands


def _open_table(path: Path, columns: tuple[str, ...]) -> _Table:
    """Open a table; raises InputError for a missing column. Rows are checked as they are read."""
    text, encoding = _text(path)
    separator = _separator(text, columns)
    guessed = [] if separator == "," else [f"with {separator!r} between cells"]
    guessed += [f"as {encoding}"] if encoding != "utf-8" else []
    notes = [f"{path.name} was read {' and '.join(guessed)}"] if guessed else []
    decimal = separator != "," and bool(DECIMAL_COMMA.search(text))
    return _Table(path, separator, _rows(path, text, separator, columns), notes, decimal)


def _text(path: Path) -> tuple[str, str]:
    """A table's text and its encoding: UTF-16 if it looks like it, else UTF-8, else cp1252."""
    content = read_input(path, MOST_BYTES)
    encoding = "utf-8"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in content[:2]:  # UTF-16 without a byte order mark: a Latin letter has one byte 0
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    try:
        return content.decode(encoding).removeprefix("\ufeff"), encoding
    except UnicodeDecodeError:
        pass
    try:
        # What Windows writes. Letters of another code page are read wrong, but different letters
        # stay different.
        return content.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        raise InputError(f"{path}: neither UTF-8 nor cp1252: save it as UTF-8") from None


def _separator(text: str, columns: tuple[str, ...]) -> str:
    """The separator of cells: the one with which the first line names the most columns."""
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")[:10_000]
    if declared := _declared_separator(first):
        return declared

    def named(separator: str) -> int:
        row = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
        return len(set(columns) & set(_cells(row)))

    return max(SEPARATORS, key=named)


def _declared_separator(line: str) -> str:
    """The separator that Excel declares in a line such as `sep=;`, or ""."""
    line = line.strip('"\r\n')
    return line[4:5] if line[:4].lower() == "sep=" and len(line) == 5 else ""


def _rows(
    path: Path, text: str, separator: str, columns: tuple[str, ...]
) -> Iterator[tuple[int, dict[str, str], tuple[str, ...]]]:
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    head: list[str] = []
    try:
        for row in reader:
            cells = _cells(row)
            if not any(cells):  # spreadsheets add rows of nothing but separators
                continue
            if not head:
                if len(cells) < 3 and cells[0].lower().startswith("sep="):  # by Excel
                    continue
                head = _head(path, cells, columns)
                places = {column: head.index(column) for column in columns}
                continue
            if len(cells) < len(head) or any(cells[len(head) :]):
                number = "fewer" if len(cells) < len(head) else "more"
                raise InputError(
                    f"{path} line {reader.line_num}: {number} cells than in the first line"
                )
            wanted = {column: cells[place] for column, place in places.items()}
            yield reader.line_num, wanted, tuple(cells[: len(head)])
    except csv.Error as error:
        raise InputError(f"{path}: not a table of comma-separated values ({error})") from None
    if not head:
        _head(path, [], columns)


def _head(path: Path, cells: list[str], columns: tuple[str, ...]) -> list[str]:
    """Check the first line, the names of the columns, and drop empty cells at its end."""
    while cells and not cells[-1]:
        cells = cells[:-1]
    for column in columns:
        if column not in cells:
            found = ", ".join(map(repr, cells)) or "nothing"
            raise InputError(
                f"{path}: no column {column!r}, expected {', '.join(columns)} in the first line, "
                f"found {found:.200}"
            )
        if cells.count(column) > 1:
            raise InputError(f"{path}: {cells.count(column)} columns {column!r}, expected one")
    return cells


def _cells(row: Iterable[str]) -> list[str]:
    """Cells without surrounding blanks, their accented letters as single characters (NFC)."""
    return [_composed(cell.strip()) for cell in row]


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _number(column: str, text: str, table: _Table, line: int) -> float:
    # A comma that does not separate cells is a decimal comma.
    decimal = table.separator != "," and "." not in text and text.count(",") == 1
    if decimal:
        if not table.decimal and text[-4:-3] == "," and not text.lstrip("-").startswith("0"):
            raise InputError(
                f"{table.path} line {line}: {column} is {text!r}: thousands or a decimal comma? "
                "write numbers without commas"
            )
        if DECIMAL_COMMAS not in table.notes:
            table.notes.append(DECIMAL_COMMAS)
    try:
        value = float(text.replace(",", ".") if decimal else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{table.path} line {line}: {column} is {text!r}, expected a number")
    if value < 0 and column == "duration_ms":
        raise InputError(f"{table.path} line {line}: {column} is {text!r}, expected 0 or more")
    return value
