"""Text tables as trackers and spreadsheets write them: opened, checked, read column by column.

Encoding, separator and the sign of decimals are recognised. What had to be guessed is listed in
`notes`.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import check_file, read_input
from uva_tf.gaze.names import composed

MOST_BYTES = 2**31  # of a table
MOST_CELL = 2**22  # characters; some experiment software writes all samples of a trial in one cell
SEPARATORS = (",", ";", "\t", "|")
MOST_HEAD = 100_000  # characters in the line of names
PREAMBLE = 200  # lines in which the names of the columns are looked for
CHUNK = 20_000  # rows that are held as text at a time
# What trackers and spreadsheets write where there is no value, in lower case.
NO_VALUE = {"", "-", "--", ".", "#n/a", "-nan", "<na>", "n/a", "na", "nan", "none", "null"}
# A comma in a number that can't separate thousands: it has not exactly three digits behind it,
# or more than three before it.
DECIMAL_COMMA = re.compile(r"(?<!\d)\d+,(?:\d{1,2}|\d{4,})(?!\d)|\d{4},\d")
DECIMAL_COMMAS = "commas in the table's numbers are decimal"
PLAIN_NUMBER = str.maketrans("", "", "0123456789.-+eE")


@dataclass(frozen=True)
class Rows:
    """Rows of a table by column.

    Attributes:
        text: `[n]` object, strings without surrounding blanks.
        numbers: `[n]` float64; NaN where the cell holds no value.
        line: `[n]` int64, where each row ends in the file, from 1.
        repeated: `[n]` bool, whether all cells of a row equal those of an earlier one.
        bad: by row, what is wrong with a cell that should be a number.
    """

    text: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    line: np.ndarray
    repeated: np.ndarray
    bad: dict[int, str]


class TextTable:
    """A table whose columns are named in its first line, or in a line after a preamble.

    Args:
        columns: that it must have.
        preamble: whether other lines may come before the names.
        rename: from a column's name as it is written to the one it is asked for by.
        separators: that may stand between cells; a blank stands for any number of blanks.
        head: of a file without a line of names: the names, and how many lines come before the
            rows.
        remedy: what to do about a column that is missing or there twice, for the message.

    Raises InputError if the file is no such table, a column is missing or there twice.

    Attributes:
        names: of its columns, after `rename`.
        written: the same names as they are in the file.
        notes: what was guessed to read it; complete after `read`.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        *,
        preamble: bool = False,
        rename: Callable[[str], str] = str,
        separators: Sequence[str] = SEPARATORS,
        head: tuple[Sequence[str], int] | None = None,
        remedy: str = "",
    ) -> None:
        self.path = path
        self._content = read_input(path, MOST_BYTES)
        self._encoding = _encoding(path, self._content)
        if head:
            self.written, self._skip = list(head[0]), head[1]
            self._separator = self._between(len(self.written), separators)
        else:
            within = PREAMBLE if preamble else 1
            self.written, self._separator, self._skip = self._head(
                columns, rename, within, separators
            )
        self.names = [rename(name) for name in self.written]
        _check_names(path, self.names, self.written, columns, remedy)
        guessed = [] if self._separator == "," else [f"with {self._separator!r} between cells"]
        guessed += [f"as {self._encoding}"] if self._encoding != "utf-8" else []
        self.notes = [f"{path.name} was read {' and '.join(guessed)}"] if guessed else []
        self._decimal: bool | None = None  # whether some comma can't separate thousands

    def read(self, text: Sequence[str] = (), numbers: Sequence[str] = ()) -> Rows:
        """Read some columns.

        Raises InputError, which names the line, for a row with other than the named cells.
        """
        places = {name: self.names.index(name) for name in (*text, *numbers)}
        cells: dict[str, list] = {name: [] for name in places}
        line: list[np.ndarray] = []
        hashes: list[np.ndarray] = []
        bad: dict[int, str] = {}
        count = 0
        rows = self._rows()
        while chunk := list(islice(rows, CHUNK)):
            lines = np.array([number for number, _ in chunk], np.int64)
            for name, place in places.items():
                column = [row[place] for _, row in chunk]
                if name in text:
                    cells[name].append(np.array([sys.intern(cell) for cell in column], object))
                else:
                    cells[name].append(self._numbers(name, column, lines, count, bad))
            line.append(lines)
            hashes.append(np.array([hash(tuple(row)) for _, row in chunk], np.int64))
            count += len(chunk)
        whole = np.concatenate(hashes) if hashes else np.zeros(0, np.int64)
        repeated = np.ones(len(whole), bool)
        repeated[np.unique(whole, return_index=True)[1]] = False
        joined = {
            name: np.concatenate(parts) if parts else np.zeros(0, object if name in text else float)
            for name, parts in cells.items()
        }
        return Rows(
            {name: joined[name] for name in text},
            {name: joined[name] for name in numbers},
            np.concatenate(line) if line else np.zeros(0, np.int64),
            repeated,
            bad,
        )

    def _lines(self) -> io.TextIOWrapper:
        text = io.TextIOWrapper(io.BytesIO(self._content), self._encoding, newline="")
        if text.read(1) != "\ufeff":
            text.seek(0)
        return text

    def _between(self, width: int, separators: Sequence[str]) -> str:
        """The separator that gives the first row so many cells."""
        row = next((line for line in islice(self._lines(), self._skip, None) if line.strip()), "")
        fits = [one for one in separators if len(_cells(row, one)) == width]
        if row and not fits:
            raise InputError(
                f"{self.path}: {row.strip()!r:.80} in its first row, expected "
                f"{' '.join(self.written)}"
            )
        return fits[0] if fits else separators[0]

    def _head(
        self,
        columns: Sequence[str],
        rename: Callable[[str], str],
        within: int,
        separators: Sequence[str],
    ) -> tuple[list[str], str, int]:
        """The names as written, the separator, and the number of lines up to and with the names."""
        first: tuple[list[str], str, int] | None = None
        looked_at = 0  # characters
        for number, line in enumerate(islice(self._lines(), PREAMBLE), start=1):
            if declared := _declared_separator(line):
                separators = (declared,)
            if declared or not line.strip(" \t\r\n,;|"):
                continue
            readings = [(_cells(line, one), one, number) for one in separators]
            best = max(readings, key=lambda one: len(set(columns) & set(map(rename, one[0]))))
            first = first or best
            looked_at += min(len(line), MOST_HEAD)
            if looked_at > 5 * MOST_HEAD:
                break
            if set(columns) <= set(map(rename, best[0])) or within == 1:
                return best
        return first or ([], ",", 0)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not blank, with the number of the line in which each ends."""
        lines = self._lines()
        for _ in islice(lines, self._skip):
            pass
        limit = csv.field_size_limit(MOST_CELL)
        reader = csv.reader(lines, delimiter=self._separator, skipinitialspace=True)
        width = len(self.names)
        try:
            for row in reader:
                cells = [cell.strip() for cell in row]
                if len(cells) != width:
                    if not any(cells):
                        continue
                    if len(cells) < width or any(cells[width:]):
                        number = "fewer" if len(cells) < width else "more"
                        raise InputError(
                            f"{self.path} line {self._skip + reader.line_num}: {number} cells "
                            "than in the first line"
                        )
                    del cells[width:]
                if not any(cells):  # spreadsheets add rows of nothing but separators
                    continue
                if not all(map(str.isascii, cells)):
                    cells = [composed(cell) for cell in cells]
                yield self._skip + reader.line_num, cells
        except csv.Error as error:
            raise InputError(
                f"{self.path}: not a table of comma-separated values ({error})"
            ) from None
        finally:
            csv.field_size_limit(limit)

    def _numbers(
        self, name: str, cells: list[str], lines: np.ndarray, start: int, bad: dict[int, str]
    ) -> np.ndarray:
        """Cells as numbers; what is no number goes to `bad`, under its row."""
        if not "".join(cells).translate(PLAIN_NUMBER):
            try:
                values = np.array([float(cell or "nan") for cell in cells])
                if not np.isinf(values).any():
                    return values
            except ValueError:
                pass
        values = np.full(len(cells), np.nan)
        for row, cell in enumerate(cells):
            if cell.lower() in NO_VALUE:
                continue
            try:
                values[row] = self._number(name, cell)
            except InputError as error:
                bad.setdefault(start + row, f"{self.path} line {lines[row]}: {error}")
        return values

    def _number(self, name: str, cell: str) -> float:
        # A comma that does not separate cells is a decimal comma.
        comma = self._separator != "," and "." not in cell and cell.count(",") == 1
        if comma:
            if self._decimal is None:
                self._decimal = any(DECIMAL_COMMA.search(line) for line in self._lines())
            if not self._decimal and cell[-4:-3] == "," and not cell.lstrip("-").startswith("0"):
                raise InputError(
                    f"{name} is {cell!r}: thousands or a decimal comma? write numbers without "
                    "commas"
                )
            if DECIMAL_COMMAS not in self.notes:
                self.notes.append(DECIMAL_COMMAS)
        try:
            value = float(cell.replace(",", ".") if comma else cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{name} is {cell!r}, expected a number")
        return value


def first_lines(path: Path) -> list[str]:
    """The lines in the first 64 kB of a text, of which the last may not be whole."""
    check_file(path)
    with path.open("rb") as file:
        content = file.read(2**16)
    text = content.decode(_unicode(content), "replace").removeprefix("\ufeff")
    return list(io.StringIO(text, newline=""))


def _unicode(content: bytes) -> str:
    """UTF-16 if bytes look like it, else UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content[:2]:  # UTF-16 without a byte order mark: a Latin letter has one byte 0
        return "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    return "utf-8"


def _encoding(path: Path, content: bytes) -> str:
    """A table's encoding: UTF-16 if it looks like it, else UTF-8, else cp1252."""
    if content.startswith(b"PK\3\4"):
        raise InputError(f"{path}: an Excel workbook, expected text: save its sheet as CSV UTF-8")
    # What Windows writes is cp1252. Letters of another code page are read wrong, but different
    # letters stay different.
    for one in (_unicode(content), "cp1252"):
        try:
            for _ in codecs.iterdecode((content[n : n + 2**20] for n in _steps(content)), one):
                pass
            return one
        except UnicodeDecodeError:
            continue
    raise InputError(f"{path}: neither UTF-8 nor cp1252: save it as UTF-8")


def _steps(content: bytes) -> range:
    return range(0, len(content), 2**20)


def _declared_separator(line: str) -> str:
    """The separator that Excel declares in a line such as `sep=;`, or ""."""
    line = line.strip('"\r\n')
    return line[4:5] if line[:4].lower() == "sep=" and len(line) == 5 else ""


def _cells(line: str, separator: str) -> list[str]:
    """The cells of a line, without empty ones at its end."""
    row = next(csv.reader([line[:MOST_HEAD]], delimiter=separator, skipinitialspace=True), [])
    cells = [composed(cell.strip()) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _check_names(
    path: Path, names: list[str], written: list[str], columns: Iterable[str], remedy: str
) -> None:
    remedy = remedy and f": {remedy}"
    for column in columns:
        if column not in names:
            found = ", ".join(map(repr, written)) or "nothing"
            raise InputError(
                f"{path}: no column {column!r}, expected {', '.join(columns)} in the first line, "
                f"found {found:.200}{remedy}"
            )
        if names.count(column) > 1:
            same = [one for one, name in zip(written, names, strict=True) if name == column]
            as_written = f" ({', '.join(map(repr, same))})" if set(same) != {column} else ""
            raise InputError(
                f"{path}: {len(same)} columns {column!r}{as_written}, expected one{remedy}"
            )
