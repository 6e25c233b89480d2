"""Which rows of a plain table belong together: those of one observer who saw one clip once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports.columns import PlainTable
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.plausible_samples import counted
from uva_tf.gaze.fixation_table import REPEATED
from uva_tf.gaze.names import named_by
from uva_tf.gaze.tables import Rows

NO_CLIP = "rows that name no clip"
SAME_TIME = "rows at the time of the row before"
# A clock of 1 ms gives two of a fast tracker's samples the same time now and then. If more than
# this fraction of the rows share one, the table mixes eyes or people.
MOST_SAME_TIME = 0.25
BY_FILE = "clips are named by the exports' files"
# Rows in any order fall back at every second row.
LEAST_ROWS = 3
AGAIN = "times start again within a table: taken as another viewing"
ANOTHER = "a table names no observer: another one begins where times or frames start again"


@dataclass(frozen=True)
class Viewing:
    """What one observer saw of one clip, once.

    Attributes:
        rows: `[n]` their indices, in order.
        left_out: how many rows were left out, by reason.
        where: file and lines, for messages.
    """

    clip: str
    observer: str
    rows: np.ndarray
    left_out: Counter
    where: str


def tables_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with one of the suffixes; raises InputError for a workbook, whose sheet may be one."""
    if workbooks := files_in(folder, (".xlsx", ".xls", ".ods")):
        raise InputError(f"{workbooks[0]}: a workbook, expected text: save its sheet as CSV UTF-8")
    return files_in(folder, suffixes)


def viewings_of(
    table: PlainTable,
    rows: Rows,
    place: tuple[Path, Collection[str]],
    order: np.ndarray,
    lost: np.ndarray,
    unused: Mapping[str, np.ndarray],
    *,
    distinct: bool,
) -> tuple[list[Viewing], list[str]]:
    """The viewings of a table, in the order of their first rows, and notes on what was guessed.

    Args:
        place: the folder of tables and the names of the clips: where no column does, a table's
            name and folder say which clip and observer it is of.
        order: `[n]` times or frame numbers. Where they start again, another viewing begins.
        lost: `[n]` bool, rows without gaze.
        unused: by reason, rows to leave out, `[n]` bool.
        distinct: whether two rows of a viewing can't have the same time.

    Raises InputError for rows in disorder, without an observer or of several at a time.
    """
    folder, clips = place
    named = "video" in rows.text
    clip, observer = ("", "") if named else named_by(table.path, folder, clips)
    clip_of = _column(rows, "video", clip)
    last = {name: re.split(r"[/\\]", name)[-1] for name in set(clip_of)}  # of a path
    clip_of = np.array([last[name] for name in clip_of], object)
    observer_of = _column(rows, "observer", observer)
    if named and (clip_of != "").any():
        unused = {**unused, NO_CLIP: clip_of == ""}
    used = ~np.logical_or.reduce([*unused.values(), np.zeros(len(order), bool)])
    _check_observers(observer_of[used], rows.line[used], table.path)
    notes = [BY_FILE] if clip else []

    found: list[tuple[np.ndarray, int, Counter]] = []
    for group in _groups(clip_of, observer_of, used):
        kept = group[~_copies(rows.repeated[group], lost[group])] if distinct else group
        left_out = Counter({REPEATED: len(group) - len(kept)})
        for number, run in enumerate(_runs(kept, order, rows.line, table.path), start=1):
            once = _once(run, order, _where(table, rows, run)) if distinct else run
            left_out[SAME_TIME] += len(run) - len(once)
            found.append((once, number, +left_out))
            left_out = Counter()
    found.sort(key=lambda viewing: viewing[0][0])
    if found:
        found[0][2].update(counted(unused, np.arange(len(order))))

    again = any(number > 1 for _, number, _ in found)
    nameless = again and not any(observer_of) and any(clip_of)
    notes += [ANOTHER if nameless else AGAIN] if again else []
    name = str(table.path.relative_to(folder).with_suffix(""))
    return [
        Viewing(
            clip_of[mine[0]],
            f"{name} {number}" if nameless else observer_of[mine[0]],
            mine,
            left_out,
            _where(table, rows, mine),
        )
        for mine, number, left_out in found
    ], notes


def _column(rows: Rows, role: str, otherwise: str) -> np.ndarray:
    """A column of text, `[n]` object; the same text in each row if there is no such column."""
    return rows.text.get(role, np.full(len(rows.line), otherwise, object))


def _check_observers(observers: np.ndarray, line: np.ndarray, path: Path) -> None:
    nameless = observers == ""
    if nameless.any() and not nameless.all():
        raise InputError(
            f"{path} line {line[nameless.argmax()]}: observer is empty, expected a name"
        )


def _groups(clip: np.ndarray, observer: np.ndarray, used: np.ndarray) -> Iterator[np.ndarray]:
    """The used rows of each observer and clip, in order."""
    mine = np.flatnonzero(used)
    numbers: dict[tuple[str, str], int] = {}
    code = np.fromiter(
        (
            numbers.setdefault(pair, len(numbers))
            for pair in zip(clip[mine], observer[mine], strict=True)
        ),
        np.int64,
        len(mine),
    )
    by_code = np.argsort(code, kind="stable")
    if len(mine):
        yield from np.split(mine[by_code], np.flatnonzero(np.diff(code[by_code])) + 1)


def _copies(repeated: np.ndarray, lost: np.ndarray) -> np.ndarray:
    """Which rows were pasted twice, `[n]` bool.

    Lost samples may be alike in two viewings; they are copies if others are.
    """
    return repeated if (repeated & ~lost).any() else np.zeros_like(repeated)


def _runs(rows: np.ndarray, order: np.ndarray, line: np.ndarray, path: Path) -> list[np.ndarray]:
    """Rows split where `order` starts again; raises InputError if it only falls back."""
    parts = np.split(rows, np.flatnonzero(np.diff(order[rows]) < 0) + 1)
    for before, after in pairwise(parts):
        first, last, again = order[before[0]], order[before[-1]], order[after[0]]
        if len(rows) < LEAST_ROWS * len(parts) or last - again < (last - first) / 2:
            raise InputError(
                f"{path} line {line[after[0]]}: falls back from {last:.15g} to {again:.15g}, "
                "expected rows in the order of time: sort them"
            )
    return parts


def _once(rows: np.ndarray, order: np.ndarray, where: str) -> np.ndarray:
    """Rows without those that have the time of the row before."""
    same = np.concatenate([[False], np.diff(order[rows]) == 0])
    if same.sum() > max(MOST_SAME_TIME * len(rows), 1):
        raise InputError(
            f"{where}: {same.sum()} of {len(rows)} rows have the time of the row before, expected "
            "one row a sample: name the column that tells observers or clips apart, such as "
            "--columns observer=NAME, or both eyes as x=LEFT+RIGHT"
        )
    return rows[~same]


def _where(table: PlainTable, rows: Rows, mine: np.ndarray) -> str:
    return f"{table.path} lines {rows.line[mine[0]]} to {rows.line[mine[-1]]}"
