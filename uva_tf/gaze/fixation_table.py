"""The fixations of a recording as rows: read from `fixations.csv`, or found in samples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.names import same_number
from uva_tf.gaze.tables import TextTable

OUTSIDE = "fixations outside the frame"
NOWHERE = "fixations before the first frame or after the last"
REPEATED = "rows that repeat another"
INVALID = "rows that the table marks as not valid"
MISSING = "rows without gaze (a cell is empty, NaN or NA)"
AT_EXACTLY = "rows at exactly "  # what a tracker writes where it lost the eye
LOST = f"{AT_EXACTLY}0,0, where tracking was lost"
# Of samples, and of fixations that are found in them.
UNTRACKED = "samples without gaze"
FAR_OFF = "samples far outside the screen or clip, where tracking was lost"
SAMPLES_BESIDE = "samples beside the clip"
BESIDE_BLINKS = "samples just before or after a blink, whose lid moves the gaze"
SHORT = "stretches of slow gaze that are too short for a fixation"
BESIDE = "fixations beside the clip"

# One fixation may lie at exactly 0,0; if several do, the tracker had lost the eye.
LEAST_LOST = 2


@dataclass(frozen=True)
class FixationTable:
    """The fixations of one recording.

    Attributes:
        observers: `[n]` int32, who made each, numbered alike in all recordings of a dataset.
        columns: `[n]` float64 by name: `x`, `y`; of clips also `onset_ms` and `duration_ms`, or
            `frame` in their place; and `event` if several rows are parts of one fixation or
            pursuit, which then count once in a frame.
        left_out: how many rows were left out, by reason.
        notes: what was guessed to read the file.
        names: of the observers, by number.
        tracked: the fraction of samples with gaze by observer, where there were samples.
        taken: how many samples there were, with gaze and without, by observer.
        samples: `[m]` columns `time` (or `frame`), `x`, `y`, `observer`: the samples with gaze
            themselves, by time, placed as the fixations are; empty if there were none.
        together: `[2, m]` x and y of all recordings of the file, which may be few in each.
    """

    observers: np.ndarray
    columns: dict[str, np.ndarray]
    left_out: Counter = field(default_factory=Counter)
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    tracked: dict[int, float] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=dict)
    samples: dict[str, np.ndarray] = field(default_factory=dict)
    together: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))


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
    table = TextTable(path, (key, "observer", *numbers))
    rows = table.read((key, "observer"), numbers, repeats=True)
    named, observed = rows.text[key], rows.text["observer"]
    heads = (named == key) & (observed == "observer")  # where tables were joined to one
    if heads.all():
        raise InputError(f"{path}: no fixations in it")
    notes = tuple(table.notes)
    if heads.any():
        times = "once" if heads.sum() == 1 else f"{heads.sum()} times"
        notes += (f"{path.name} repeats its header line {times}: left out",)
    if (named == "").any():
        line = rows.line[(named == "").argmax()]
        raise InputError(f"{path} line {line}: {key} is empty, expected a name")
    notes += _alike(observed)
    values = np.stack([rows.numbers[name] for name in numbers], axis=1)  # (n, k)
    repeated = rows.repeated
    if len(table.names) == 2 + len(numbers):  # else other columns may differ
        repeated = repeated | _repeated(named, observed, values)
    wrong = np.zeros(len(named), bool)
    wrong[list(rows.bad)] = True
    missing = np.isnan(values).any(axis=1) & ~wrong
    counted = ~repeated & ~missing
    bad = rows.bad | _wrong_rows(rows, counted, numbers, path)
    wrong[list(bad)] = True
    used = counted & ~wrong
    places = values[:, [numbers.index("x"), numbers.index("y")]]
    lost = used & ~places.any(axis=1)
    if lost.sum() < LEAST_LOST:
        lost[:] = False
    together = places[used & ~lost].T
    names = list(dict.fromkeys(observed[used]))
    numbering = {name: number for number, name in enumerate(names)}
    people = np.array([numbering.get(name, -1) for name in observed], np.int32)
    tables, problems = {}, {}
    for name, mine in _groups(named).items():
        mine = mine[~heads[mine]]
        if not len(mine):
            continue
        left_out = Counter(
            {
                REPEATED: int(repeated[mine].sum()),
                MISSING: int((missing & ~repeated)[mine].sum()),
                LOST: int(lost[mine].sum()),
            }
        )
        kept = mine[used[mine] & ~lost[mine]]
        wrong_here = [row for row in mine if wrong[row] and not repeated[row]]
        if wrong_here:
            problems[name] = bad[wrong_here[0]]
        elif not len(kept):
            counts = ", ".join(f"{n} {why}" for why, n in left_out.items() if n)
            problems[name] = f"{path}: no row of {name!r} has gaze ({counts})"
        columns = {column: values[kept, n] for n, column in enumerate(numbers)}
        tables[name] = FixationTable(
            people[kept], columns, left_out, notes, tuple(names), together=together
        )
    return tables, problems


def _repeated(named: np.ndarray, observed: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which rows repeat an earlier one, `[n]` bool, even if numbers are written in another way.

    Args:
        values: `[n, k]`; NaN equals nothing.
    """
    rows = zip(named, observed, *values.T.tolist(), strict=True)
    first: dict[tuple, int] = {}
    return np.array([first.setdefault(row, n) != n for n, row in enumerate(rows)], bool)


def _alike(observed: np.ndarray) -> tuple[str, ...]:
    """A note if names of observers are the same number; else none."""
    by_number: dict[str, list[str]] = {}
    for name in dict.fromkeys(observed):
        if number := same_number(name):
            by_number.setdefault(number, []).append(name)
    for names in by_number.values():
        if len(names) > 1:
            return (f"observers {' and '.join(map(repr, names))} count as {len(names)} people",)
    return ()


def _wrong_rows(rows, counted: np.ndarray, numbers: tuple[str, ...], path: Path) -> dict[int, str]:
    """By row, what is wrong with one that has gaze: no observer, a negative duration."""
    wrong = {}
    for row in np.flatnonzero(counted & (rows.text["observer"] == "")):
        wrong[int(row)] = f"{path} line {rows.line[row]}: observer is empty, expected a name"
    if "duration_ms" in numbers:
        duration = rows.numbers["duration_ms"]
        for row in np.flatnonzero(counted & (duration < 0)):
            wrong[int(row)] = (
                f"{path} line {rows.line[row]}: duration_ms is '{duration[row]:g}', expected 0 or "
                "more"
            )
    return wrong


def _groups(names: np.ndarray) -> dict[str, np.ndarray]:
    """By name, the indices of its rows, in order; names in the order of their first row."""
    codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
    code = np.fromiter(map(codes.__getitem__, names), np.int64, len(names))
    order = np.argsort(code, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
    return dict(zip(codes, parts, strict=True))
