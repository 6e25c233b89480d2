"""Rows of recordings in the order of time, however a spreadsheet pasted or sorted them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uva_tf.core.errors import InputError

# Samples at the same time are copies if this fraction of them are alike. Of recordings without
# names it takes some, since their times may start at the same number.
MOST_ALIKE, LEAST_COPIES = 0.9, 10
# A clock of 1 ms gives a fast tracker's samples the same time now and then; more than this fraction
# only if its steps are no longer than the clock's.
MOST_SAME_TIME, CLOCK = 0.25, 1.5
# If more than this fraction of a part's samples are at the time of another part's, it is another
# recording.
MOST_NEAR = 0.25
# Rows in any order fall back at every second row.
LEAST_ROWS = 2.5
LATE = 10  # samples by which a row may be late without being out of order

SORTED = "rows were not in the order of time: they are now"
AGAIN = "times start again within a recording: taken as another one"


def in_order(
    time: np.ndarray,
    sampled: np.ndarray,
    recording: np.ndarray,
    named: Sequence[bool],
    columns: Sequence[np.ndarray],
    where: tuple[object, np.ndarray],
) -> tuple[list[np.ndarray], int, list[str]]:
    """The rows of each recording in the order of time, without copies.

    Times that fall begin another recording if its samples lie between those before. Else the rows
    were sorted by something else.

    Args:
        time: `[n]` in any unit; rows where it is NaN are left out.
        sampled: `[n]` bool, which rows are samples.
        recording: `[n]` int64, the number of each row's recording, from 0.
        named: by that number, whether the table names the recording.
        columns: `[n]` each, by which copies are known.
        where: the file and the line of each row, for the message.

    Returns:
        Indices of rows, how many copies were left out, and notes.

    Raises InputError if the rows of recordings without names are out of order.
    """
    known = np.flatnonzero(~np.isnan(time))
    known = known[np.argsort(recording[known], kind="stable")]
    found, copies, notes = [], 0, []
    for rows in np.split(known, np.flatnonzero(np.diff(recording[known])) + 1):
        if not len(rows):
            continue
        is_named = named[recording[rows[0]]]
        if _may_have_copies(time[rows[sampled[rows]]]):
            copied = _copies(rows, time, sampled, columns, 1 if is_named else LEAST_COPIES)
            rows, copies = rows[~copied], copies + int(copied.sum())
        own = time[rows[sampled[rows]]]
        if not (np.diff(own) < 0).any():
            found.append(rows)
            continue
        kind = _kind(own)
        if kind == "again" or (kind == "parts" and not is_named):
            found += _split(rows, time, sampled)
            notes.append(AGAIN)
        elif is_named or kind == "late":
            found.append(rows[np.argsort(time[rows], kind="stable")])
            notes.append(SORTED)
        else:
            at = rows[sampled[rows]]
            fall = int((np.diff(own) < 0).argmax()) + 1
            raise InputError(
                f"{where[0]} line {where[1][at[fall]]}: time goes back from {own[fall - 1]:.15g} "
                f"to {own[fall]:.15g}, expected rows in the order of time: sort them by it, or "
                "export the names of participants and recordings too"
            )
    return found, copies, list(dict.fromkeys(notes))


def _kind(time: np.ndarray) -> str:
    """Why times `[n]` fall.

    Returns:
        `late` rows, another recording's that begins `again`, `parts` of one that follow each
        other in another order, or `mixed`.
    """
    steps = np.diff(time)
    falls = np.flatnonzero(steps < 0) + 1
    step = np.median(steps[steps > 0]) if (steps > 0).any() else 0.0
    if len(time) < LEAST_ROWS * (len(falls) + 1):
        return "mixed"
    if -steps.min() <= LATE * step:
        return "late"
    near, near_before = (
        int(((s >= 0) & (s < step / 2)).sum()) for s in (np.diff(np.sort(time)), steps)
    )
    edges = np.array([0, *falls, len(time)])
    if near - near_before > MOST_NEAR * (len(time) - np.diff(edges).max()):
        return "again"
    first, last = time[edges[:-1]], time[edges[1:] - 1]
    order = np.argsort(first)
    return "parts" if (first[order][1:] > last[order][:-1]).all() else "mixed"


def _split(rows: np.ndarray, time: np.ndarray, sampled: np.ndarray) -> list[np.ndarray]:
    """Rows parted where the samples' times fall; other rows belong to the nearer part."""
    at = np.flatnonzero(sampled[rows])
    falls = np.flatnonzero(np.diff(time[rows[at]]) < 0)
    edges = []
    for before, after in zip(at[falls], at[falls + 1], strict=True):
        between = time[rows[before + 1 : after + 1]]
        middle = (time[rows[before]] + time[rows[after]]) / 2
        edges.append(before + 1 + int((between < middle).argmax()))
    return np.split(rows, edges)


def _may_have_copies(time: np.ndarray) -> bool:
    """Whether times of samples fall, or are equal more often than a clock makes them."""
    steps = np.diff(time)
    if (steps < 0).any():
        return True
    rising = steps[steps > 0]
    often = (steps == 0).sum() > MOST_SAME_TIME * len(time)
    return bool(often and len(rising) and np.median(rising) > CLOCK)


def _copies(
    rows: np.ndarray,
    time: np.ndarray,
    sampled: np.ndarray,
    columns: Sequence[np.ndarray],
    least: int,
) -> np.ndarray:
    """Which of a recording's rows are copies of an earlier one, `[n]` bool.

    None are if other samples are at the same time as one that differs.

    Args:
        least: how many samples must be copies.
    """
    code = np.zeros(len(rows), np.uint64)
    for column in columns:
        cells = column[rows]
        if cells.dtype == object:
            bits = np.fromiter(map(hash, cells), np.int64, len(cells)).view(np.uint64)
        else:
            bits = np.where(np.isnan(cells), np.nan, cells).view(np.uint64)
        code = (code ^ (code >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15) ^ bits
    order = np.lexsort((code, ~sampled[rows], time[rows]))
    of_samples = sampled[rows][order][1:]
    same_time = np.diff(time[rows][order]) == 0
    alike = same_time & (np.diff(code[order]) == 0)
    copied = np.zeros(len(rows), bool)
    count = (alike & of_samples).sum()
    if count >= max(least, MOST_ALIKE * (same_time & of_samples).sum()):
        copied[order[1:][alike]] = True
    return copied
