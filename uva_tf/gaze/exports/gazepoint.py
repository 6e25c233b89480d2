"""Exports of Gazepoint Analysis: `NAME_all_gaze.csv` (samples) and `NAME_fixations.csv`.

Names and meanings of the columns: the Gazepoint Open Gaze API. `BPOG` is the best point of gaze of
a sample, `FPOG` the fixation so far: when it began, how long it has lasted, its number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.stimuli import Event, Piece, mean_of_eyes, numbered, pieces, rising
from uva_tf.gaze.lost import without_lost
from uva_tf.gaze.options import TIME_UNITS, GazeOptions
from uva_tf.gaze.tables import SHORT_ROWS, Rows, TextTable
from uva_tf.gaze.trials import RecordedFixations, Samples, Trial

KIND = re.compile(r"(.+?)[ _-](all_gaze|fixations)", re.IGNORECASE)
SUMMARIES = ("data_summary", "aoi_summary")
TEXT = ("MEDIA_ID", "MEDIA_NAME", "USER")
POINTS = ("BPOG", "LPOG", "RPOG", "FPOG")
NUMBERS = (
    "TIME",
    "FPOGS",
    "FPOGD",
    "FPOGID",
    *(f"{point}{axis}" for point in POINTS for axis in "XYV"),
)
NO_MEDIA = "exports name no media: times count from their first row"
FIRST_ROW = "TIME does not start again with each medium: its first row is where it begins"
FIRST_FIXATION = "TIME does not start again with each medium: its first fixation is where it begins"
NOT_VALID = "fixations that are not valid"


def gazepoint(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """Trials of all users: each medium that was shown to one of them, each time.

    Places are fractions of the screen. The file of fixations counts before the fixations in the
    file of samples; the trial has both samples and fixations.
    """
    files: dict[Path, dict[str, Path]] = {}
    for path in files_in(folder, (".csv", ".tsv", ".txt")):
        if not path.name.lower().startswith(SUMMARIES):
            name, kind = _named(path)
            files.setdefault(path.parent / name, {})[kind] = path
    stems = Counter(user.name for user in files)
    found: list[Trial] = []
    for user, paths in files.items():
        name = user.name if stems[user.name] == 1 else str(user.relative_to(folder))
        found += numbered(_of_user(name, paths, options))
    return found


def _named(path: Path) -> tuple[str, str]:
    """The user's name in a file's, and whether the file has `all_gaze` or `fixations`."""
    found = KIND.fullmatch(path.stem)
    return (found[1], found[2].lower()) if found else (path.stem, "all_gaze")


@dataclass(frozen=True)
class _Table:
    """One file.

    Attributes:
        time: `[n]` of its rows in ms.
        scale: milliseconds in a unit of its times.
        cut: the media in it.
    """

    path: Path
    rows: Rows
    time: np.ndarray
    scale: float
    cut: list[Piece]
    notes: list[str]

    def has(self, name: str) -> bool:
        """Whether there is a column of numbers of this name."""
        return name in self.rows.numbers

    def keyed(self) -> dict[tuple[str, int], Piece]:
        """The media by name and by how often they had been shown before."""
        counts: Counter = Counter()
        found = {}
        for piece in self.cut:
            found[piece.name, counts[piece.name]] = piece
            counts[piece.name] += 1
        return found


def _of_user(name: str, paths: dict[str, Path], options: GazeOptions) -> list[Trial]:
    tables = {kind: _read(path, options) for kind, path in sorted(paths.items())}
    samples, fixations = tables.get("all_gaze"), tables.get("fixations")
    if samples and fixations and options.onset:  # messages are among the samples
        fixations = replace(fixations, cut=_same_times(samples.cut, fixations))
    source = fixations or samples
    of_samples = samples.keyed() if samples else {}
    of_fixations = source.keyed() if source.has("FPOGS") else {}
    notes = [note for table in tables.values() for note in table.notes]
    if samples:  # they say when a medium began
        gaze, lost_at = _gaze(samples)
        notes = [note for note in (*notes, *lost_at) if note != FIRST_FIXATION]
    found = []
    for key in {**of_samples, **of_fixations}:
        piece = of_samples.get(key) or of_fixations[key]
        left_out: Counter = Counter()
        own = recorded = None
        if key in of_fixations:
            own = _fixations(source, of_fixations[key], piece.onset, left_out)
        if key in of_samples:
            part = slice(piece.first, piece.last)
            recorded = Samples(rising(samples.time[part] - piece.onset), *gaze[:, part])
        trial = Trial(
            piece.name,
            name,
            (samples or fixations).path,
            samples=recorded,
            fixations=own,
            units="fractions",
            left_out=left_out,
            notes=tuple(dict.fromkeys(notes)),
        )
        found.append(trial)
    if found and (short := sum(table.rows.skipped for table in tables.values())):
        found[0].left_out[SHORT_ROWS] = short
    return found


def _read(path: Path, options: GazeOptions) -> _Table:
    columns = ("TIME", "FPOGX", "FPOGY")
    table = TextTable(path, columns, preamble=True, rename=_plain, short="skipped")
    text = [name for name in TEXT if name in table.names]
    rows = table.read(text, [name for name in NUMBERS if name in table.names])
    if rows.bad:
        raise InputError(next(iter(rows.bad.values())))
    if not len(rows.line):
        raise InputError(f"{path}: no rows under the names of its columns")
    scale = TIME_UNITS[options.times or "s"]
    time = rows.numbers["TIME"] * scale
    if np.isnan(time).any():
        line = rows.line[np.isnan(time).argmax()]
        raise InputError(f"{path} line {line}: TIME is empty, expected seconds")
    cut, notes = _media(path, rows, time, scale, options.onset)
    return _Table(path, rows, time, scale, cut, [*table.notes, *notes])


def _same_times(cut: list[Piece], table: _Table) -> list[Piece]:
    """The same media among the rows of a file of fixations, by when those begin."""
    edges = np.searchsorted(table.rows.numbers["FPOGS"] * table.scale, [one.onset for one in cut])
    ends = [*edges[1:], len(table.time)]
    return [
        replace(one, first=int(first), last=int(last))
        for one, first, last in zip(cut, edges, ends, strict=True)
    ]


def _plain(name: str) -> str:
    """`TIME(2022/09/19 13:34:49.156)` as `TIME`; other names as they are, in upper case."""
    return "TIME" if re.match(r"time\s?\(", name, re.IGNORECASE) else name.upper()


def _media(
    path: Path, rows: Rows, time: np.ndarray, scale: float, onset: str
) -> tuple[list[Piece], list[str]]:
    """What was shown, from the columns that name media, or from messages in `USER`."""
    empty = np.full(len(time), "", object)
    shown = rows.text.get("MEDIA_NAME", empty)
    shown = shown if (shown != "").any() else rows.text.get("MEDIA_ID", empty)
    falls = np.diff(time) < 0
    messages = rows.text.get("USER", empty)
    if onset and (messages != "").any():
        if falls.any():
            raise InputError(
                f"{path}: TIME starts again with each medium, where it begins: leave --onset out"
            )
        at = np.flatnonzero(messages != "")
        events = [Event(float(time[row]), messages[row]) for row in at]
        return pieces(time, shown, events, onset, path)
    of_fixations = _is_of_fixations(path) and "FPOGS" in rows.numbers
    begun = rows.numbers["FPOGS"] * scale if of_fixations else time  # TIME is a fixation's end
    begun = np.where(np.isnan(begun), time, begun)
    if not (shown != "").any():
        return [Piece("", float(begun[0]), 0, len(time))], [NO_MEDIA]
    number = rows.text.get("MEDIA_ID", shown)
    new = (shown[1:] != shown[:-1]) | (number[1:] != number[:-1]) | falls
    edges = [0, *(np.flatnonzero(new) + 1), len(time)]
    # Analysis starts TIME again with each medium; elsewhere it runs on.
    runs_on = len(edges) > 2 and not falls.any()
    cut = [
        Piece(shown[first], float(begun[first]) if runs_on else 0.0, int(first), int(last))
        for first, last in pairwise(edges)
        if shown[first]
    ]
    return cut, [FIRST_FIXATION if of_fixations else FIRST_ROW] if runs_on else []


def _is_of_fixations(path: Path) -> bool:
    return path.stem.lower().endswith("fixations")


def _gaze(table: _Table) -> tuple[np.ndarray, list[str]]:
    """Places of samples, `[2, n]`, NaN where they are not valid; notes on what was taken so."""
    notes = []

    def point(name: str) -> np.ndarray:
        if not table.has(f"{name}X"):
            return np.full((2, len(table.time)), np.nan)
        places = np.stack([table.rows.numbers[f"{name}{axis}"] for axis in "XY"])
        valid = table.rows.numbers[f"{name}V"] != 0 if table.has(f"{name}V") else True
        *places, lost_at = without_lost(*np.where(valid, places, np.nan))
        notes.extend(lost_at)
        return np.stack(places)

    if table.has("BPOGX"):
        return point("BPOG"), notes
    if table.has("LPOGX") or table.has("RPOGX"):
        return mean_of_eyes(point("LPOG"), point("RPOG")), notes
    return point("FPOG"), notes


def _fixations(table: _Table, piece: Piece, onset: float, left_out: Counter) -> RecordedFixations:
    """The fixations of a medium: of the rows with one number, the last has the final values."""
    part = slice(piece.first, piece.last)
    columns = {name: values[part] for name, values in table.rows.numbers.items()}
    every = np.arange(len(columns["FPOGS"]))
    numbers = columns.get("FPOGID", every)
    valid = columns["FPOGV"] == 1 if "FPOGV" in columns else np.ones(len(every), bool)
    last = {numbers[row]: row for row in every[valid]}
    if _is_of_fixations(table.path) and (~valid).any():
        left_out[NOT_VALID] = int((~valid).sum())
    rows = np.array(sorted(last.values()), np.int64)
    start, length, x, y = (columns[f"FPOG{of}"][rows] for of in "SDXY")
    return RecordedFixations(start * table.scale - onset, length * table.scale, x, y)
