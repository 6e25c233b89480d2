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
from itertools import compress, islice
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.file_kinds import kind_of
from uva_tf.core.files import check_file, read_input
from uva_tf.gaze.names import composed

MOST_BYTES = 2**31  # of a table
MOST_CELL = 2**22  # characters; some experiment software writes all samples of a trial in one cell
SEPARATORS = (",", ";", "\t", "|")
MOST_HEAD = 100_000  # characters in the line of names
MOST_BEFORE = 1000  # characters of a line before them that are kept
PREAMBLE = 200  # lines in which the names of the columns are looked for
CHUNK = 200_000  # cells that are held as text at a time
# What trackers and spreadsheets write where there is no value, in lower case.
NO_VALUE = {"", "-", "--", ".", "#n/a", "-nan", "<na>", "n/a", "na", "nan", "none", "null"}
# A comma in a number that can't separate thousands: it has not exactly three digits behind it,
# or more than three before it.
DECIMAL_COMMA = re.compile(r"(?<!\d)\d+,(?:\d{1,2}|\d{4,})(?!\d)|\d{4},\d")
DECIMAL_COMMAS = "commas in the table's numbers are decimal"
# A number whose points may separate thousands; in 0.234, 12.34 and 1234.567 they can't.
GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+")
HUNDREDS = re.compile(r"^[-+]?[1-9]\d\d$", re.MULTILINE)  # one in a cell of its own
TIMES = re.compile("time|onset|offset|duration|start|stamp", re.IGNORECASE)  # names of columns
LONGER = re.compile(r"^[-+]?\d{4}", re.MULTILINE)  # where points separate, a number has one by then
PLAIN_NUMBER = str.maketrans("", "", "0123456789.-+eE")
CONTROL = set(range(9)) | set(range(14, 32))
# Rows that were left out.
SHORT_ROWS = "rows with too few cells"
MOST_SHORT, FEW_SHORT = 0.05, 1  # of all rows; as many may be left out of any table


@dataclass(frozen=True)
class Rows:
    """Rows of a table by column.

    Attributes:
        text: `[n]` object, strings without surrounding blanks.
        numbers: `[n]` float64; NaN where the cell holds no value.
        line: `[n]` int64, where each row ends in the file, from 1.
        repeated: `[n]` bool, whether all cells of a row equal those of an earlier one, if that was
            asked for.
        bad: by row, what is wrong with a cell that should be a number.
        skipped: how many rows were left out because of too few cells.
    """

    text: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    line: np.ndarray
    repeated: np.ndarray
    bad: dict[int, str]
    skipped: int = 0


@dataclass
class _Points:
    """What the cells of a column say of its points.

    Attributes:
        grouped: the line and the cell of the first number whose points may separate thousands.
        decimal: whether a number has a point that can't.
        hundreds: whether there are whole numbers of three digits.
        longer: whether there are larger ones without a point.
    """

    grouped: str = ""
    decimal: bool = False
    hundreds: bool = False
    longer: bool = False


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
        short: what becomes of rows with fewer cells than names: they are `refused`, `filled` with
            empty cells, or `skipped` and counted, as long as they are few.

    Raises InputError if the file is no such table, a column is missing or there twice.

    Attributes:
        names: of its columns, after `rename`.
        before: the lines before the names, cut to `MOST_BEFORE` characters each.
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
        short: str = "refused",
    ) -> None:
        self.path = path
        self._short, self._skipped = short, 0
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
        if not self.written:
            what = f" with {', '.join(columns)} in its first line" if columns else ""
            raise InputError(f"{path}: empty, expected a table{what}: export or write it again")
        self.names = [rename(name) for name in self.written]
        _check_names(path, self.names, self.written, columns, remedy)
        self.before = [line[:MOST_BEFORE] for line in islice(self._lines(), max(0, self._skip - 1))]
        guessed = [] if self._separator == "," else [f"with {self._separator!r} between cells"]
        guessed += [f"as {self._encoding}"] if self._encoding != "utf-8" else []
        self.notes = [f"{path.name} was read {' and '.join(guessed)}"] if guessed else []
        self._decimal: bool | None = None  # whether some comma can't separate thousands
        self._points: dict[str, _Points] = {}  # by column

    def read(
        self, text: Sequence[str] = (), numbers: Sequence[str] = (), *, repeats: bool = False
    ) -> Rows:
        """Read some columns.

        Args:
            repeats: whether to find rows that repeat another, which takes time in wide tables.

        Raises InputError, which names the line, for a row with other than the named cells, if
        many were skipped, or if points in numbers may separate thousands.
        """
        width = len(self.names)
        places = {name: self.names.index(name) for name in (*text, *numbers)}
        parts: dict[str, list[np.ndarray]] = {name: [np.zeros(0, object)] for name in text}
        parts |= {name: [np.zeros(0)] for name in numbers}
        line, hashes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        bad: dict[int, str] = {}
        count = self._skipped = 0
        self._points = {name: _Points() for name in numbers}
        rows = self._rows()
        while chunk := list(islice(rows, max(1, CHUNK // width))):
            lines = np.array([number for number, _ in chunk], np.int64)
            for name, place in places.items():
                column = [row[place].strip() for _, row in chunk]
                if name in text:
                    if not all(map(str.isascii, column)):
                        column = [composed(cell) for cell in column]
                    column = [sys.intern(cell) for cell in column]
                    parts[name].append(np.array(column, object))
                else:
                    parts[name].append(self._numbers(name, column, lines, count, bad))
            line.append(lines)
            if repeats:
                whole = [hash(tuple([cell.strip() for cell in row[:width]])) for _, row in chunk]
                hashes.append(np.array(whole, np.int64))
            count += len(chunk)
        every = self._skipped + count
        if self._skipped > MOST_SHORT * every and self._skipped > FEW_SHORT:
            raise InputError(
                f"{self.path}: {self._skipped} of {every} rows have fewer cells than names of "
                "columns: export it again"
            )
        self._check_points()
        columns = {name: np.concatenate(of_column) for name, of_column in parts.items()}
        repeated = np.zeros(count, bool)
        if repeats:
            repeated[:] = True
            repeated[np.unique(np.concatenate(hashes), return_index=True)[1]] = False
        return Rows(
            {name: columns[name] for name in text},
            {name: columns[name] for name in numbers},
            np.concatenate(line),
            repeated,
            bad,
            self._skipped,
        )

    def lines_with(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """The number and the cells of each line that holds a text, for what is in no column."""
        for number, line in enumerate(self._lines(), start=1):
            if text in line:
                yield number, [cell.strip() for cell in line.split(self._separator)]

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
        """Rows that are not blank, with the number of the line in which each ends.

        Cells are as they are in the file.
        """
        lines = self._lines()
        for _ in islice(lines, self._skip):
            pass
        limit = csv.field_size_limit(MOST_CELL)
        reader = csv.reader(lines, delimiter=self._separator, skipinitialspace=True)
        width, begins, ends = len(self.names), 1, 0  # lines of a row
        try:
            for row in reader:
                begins, ends = ends + 1, reader.line_num
                if len(row) == width and row[0].strip():  # the usual row, first
                    yield self._skip + reader.line_num, row
                    continue
                if _is_blank(row):  # spreadsheets add rows of nothing but separators
                    continue
                if len(row) < width and self._short == "skipped":
                    self._skipped += 1
                    continue
                if len(row) < width and self._short == "filled":
                    row += [""] * (width - len(row))
                if len(row) < width or not _is_blank(row[width:]):
                    number = "fewer" if len(row) < width else "more"
                    wrong = f"{number} cells than in the first line: mend the row"
                    if ends > begins:
                        wrong = (
                            f"a quote opens there and runs on to line {self._skip + ends}: close it"
                        )
                    raise InputError(
                        f"{self.path} line {self._skip + begins}: {wrong}, or export the file again"
                    )
                yield self._skip + reader.line_num, row
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
        values = np.full(len(cells), np.nan)
        there = np.ones(len(cells), bool)
        if not all(cells) or "".join(cells).translate(PLAIN_NUMBER):
            there = np.array([cell.lower() not in NO_VALUE for cell in cells], bool)
        given = list(compress(cells, there))
        self._look_at_points(name, given, lines[there])
        if not "".join(given).translate(PLAIN_NUMBER):
            try:
                values[there] = [float(cell) for cell in given]
                if np.isfinite(values[there]).all():
                    return values
            except ValueError:
                pass
            values[:] = np.nan
        for row, cell in enumerate(cells):
            if cell.lower() in NO_VALUE:
                continue
            try:
                values[row] = self._number(name, cell)
            except InputError as error:
                bad.setdefault(start + row, f"{self.path} line {lines[row]}: {error}")
        return values

    def _look_at_points(self, name: str, cells: list[str], lines: np.ndarray) -> None:
        """Keep what the cells with a value, and their lines, say of a column's points."""
        points = self._points[name]
        if points.decimal:
            return
        text = "\n".join(cells)
        if "." in text:
            pointed = [n for n, cell in enumerate(cells) if "." in cell]
            points.decimal = not all(GROUPED.fullmatch(cells[n]) for n in pointed)
            first = pointed[0]
            points.grouped = points.grouped or f"line {lines[first]}: {name} is {cells[first]!r}"
        points.hundreds |= bool(HUNDREDS.search(text))
        points.longer |= bool(LONGER.search(text))

    def _check_points(self) -> None:
        """Raise InputError if the points of a column separate thousands, or may.

        They do if decimals have commas. Else a column may just have three decimals; but hardly one
        of times whose other numbers are whole, up to 999.
        """
        commas = DECIMAL_COMMAS in self.notes
        decimal = any(points.decimal for points in self._points.values())
        for name, points in self._points.items():
            mixed = points.hundreds and not (points.longer or decimal) and bool(TIMES.search(name))
            if points.grouped and not points.decimal and (commas or mixed):
                but = f", but {DECIMAL_COMMAS}" if commas else ""
                raise InputError(
                    f"{self.path} {points.grouped}{but}: thousands or a decimal point? write "
                    "numbers without points between thousands, and all decimals alike"
                )

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
        # Python also takes 1_000, and digits of other scripts.
        if not math.isfinite(value) or "_" in cell or not cell.isascii():
            raise InputError(f"{name} is {cell!r}, expected a number")
        return value


def _is_blank(row: Sequence[str]) -> bool:
    return not any(cell and not cell.isspace() for cell in row)


def first_lines(path: Path) -> list[str]:
    """The lines in the first 64 kB of a text, of which the last may not be whole."""
    check_file(path)
    with path.open("rb") as file:
        content = file.read(2**16)
    text = content.decode(_unicode(content), "replace").removeprefix("\ufeff")
    return list(io.StringIO(text, newline=""))


def _unicode(content: bytes) -> str:
    """UTF-16 or UTF-32 if bytes look like it, else UTF-8."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # begins as UTF-16 does
        return "utf-32"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content[:2]:  # UTF-16 without a byte order mark: a Latin letter has one byte 0
        return "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    return "utf-8"


def _encoding(path: Path, content: bytes) -> str:
    """A table's encoding: UTF-16 or UTF-32 if it looks like it, else UTF-8, else cp1252."""
    if content.startswith(b"PK\3\4"):
        raise InputError(f"{path}: an Excel workbook, expected text: save its sheet as CSV UTF-8")
    # No text has control characters; words may begin as a picture does (BM).
    if (kind := kind_of(content)) and CONTROL & set(content[:16]):
        raise InputError(f"{path}: {kind}, expected text: unpack it, or save it as CSV UTF-8")
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
            found = ", ".join(map(repr, written))
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
