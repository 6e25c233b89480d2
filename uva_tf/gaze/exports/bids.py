"""Eye tracking in BIDS: `*_physio.tsv.gz` with its sidecars, as in BIDS 1.11, or `*_eyetrack.*`.

The second form is that of the proposal that became part of BIDS (BEP 20). Sources: "Physiological
recordings" in the Brain Imaging Data Structure's specification, and its examples.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from uva_tf.core.errors import InputError, first_line, some
from uva_tf.core.files import check_file, read_input
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.stimuli import Event, Piece, mean_of_eyes, numbered, pieces, rising
from uva_tf.gaze.lost import without_lost
from uva_tf.gaze.names import composed, without_suffix
from uva_tf.gaze.options import TIME_UNITS, GazeOptions
from uva_tf.gaze.tables import NO_VALUE, TextTable
from uva_tf.gaze.trials import RecordedFixations, Samples, Screen, Trial

MOST_SIDECAR = 2**22  # bytes
MOST_UNPACKED = 2**30
MOST_EVENTS = 2**27  # bytes
CHUNK = 2**20
SAMPLES = ("_physio.tsv.gz", "_physio.tsv", "_eyetrack.tsv.gz", "_eyetrack.tsv")
# Folders of a dataset that repeat its data, processed or as they came.
OTHERS = {"derivatives", "sourcedata", "code", "stimuli"}
ACROSS = re.compile(
    r"(?:(?:eye[1-3]|left|right|cyclopean)_)?"
    r"(?:x_coordinate|gaze_x|x|gaze_point_on_display_area_x)"
)
STAMPS = ("timestamp", "eye_timestamp", "device_time_stamp", "time")
PLACES = {
    "pixels": ("pixel", "pixels", "px"),
    "fractions": ("normalized", "normalised", "fraction", "fractions", "proportion", "ratio"),
    "percent": ("%", "percent"),
}
NOT_ON_SCREEN = ("deg", "degree", "degrees", "visualangle", "rad", "radian", "mm", "cm", "m")
TIMES = {
    "s": ("s", "sec", "second", "seconds"),
    "ms": ("ms", "msec", "millisecond", "milliseconds"),
    "us": ("us", "microsecond", "microseconds"),
    "ns": ("ns", "nanosecond", "nanoseconds"),
}
ORIGINS = {"topleft": "upper-left", "bottomleft": "lower-left", "center": "centre"}
WHOLE_RUN = "no event names a clip: times count from the start of the run"
NO_SAMPLES = "runs without samples are left out: {}"
ONE_EYE = "fixations are those of the first eye"
MEANS = "places of fixations are the means of their samples"
DEVICE = "onsets of events are on the tracker's clock"
NOWHERE = "fixations without gaze"


def bids(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """Trials of a BIDS dataset: each clip that its events name, or a whole run.

    Raises InputError for places that are not on a screen, or if no run has samples.
    """
    runs: dict[str, list[_Eye]] = {}
    empty = []
    for path in files_in(folder, SAMPLES):
        if OTHERS & set(path.relative_to(folder).parts):
            continue
        sidecar = _sidecar(path, folder)
        signal = _entities(path).get("recording", "")
        if not sidecar and re.match("eye|gaze|$", signal, re.IGNORECASE):
            _check_sidecar(path, folder)
        if not _is_gaze(path, sidecar):
            continue
        content = _unpacked(path, MOST_UNPACKED)
        if not content.strip():
            empty.append(path)
            continue
        origin, _ = _screen(_sidecar(path, folder, "events"), sidecar)
        centred = (options.origin or origin) == "centre"
        eye = _eye(path, sidecar, content, options, centred)
        runs.setdefault(_run(path), []).append(eye)
    if not runs and empty:
        raise InputError(f"{empty[0]}: no samples in it: it unpacks to nothing")
    notes = [NO_SAMPLES.format(some([path.name for path in empty]))] if empty else []
    found: list[Trial] = []
    for eyes in runs.values():
        found += numbered(_trials(eyes, folder, clips, options, notes))
    return found


@dataclass(frozen=True)
class _Eye:
    """One file of samples.

    Attributes:
        stamps: `[n]` in ms, on the tracker's clock.
        start: of the first sample, in ms from the start of the run.
        x, y: `[n]`, NaN where there is no gaze.
        unit: milliseconds in a unit of the file's timestamps.
        notes: what was taken for lost tracking.
    """

    path: Path
    sidecar: dict
    stamps: np.ndarray
    start: float
    x: np.ndarray
    y: np.ndarray
    units: str
    unit: float
    notes: list[str]


def _entities(path: Path) -> dict[str, str]:
    """`sub-01_task-a_physio.tsv.gz` as sub: 01, task: a."""
    parts = path.name.split(".")[0].split("_")[:-1]
    return dict(part.split("-", 1) for part in parts if "-" in part)


def _run(path: Path) -> str:
    """What the files of both eyes have in common."""
    return re.sub(r"_recording-[^_]*", "", str(path))


def _applicable(path: Path, folder: Path, suffix: str, endings: Sequence[str]) -> list[Path]:
    """Files with a suffix that apply to another one, from the dataset's top down to it.

    They lie in its folder or one above, and have no entity that it has not.
    """
    own = _entities(path).items()
    found: list[tuple[int, int, Path]] = []
    where = path.parent
    depth = 0
    while True:
        for one in where.glob(f"*{suffix}.*"):
            named = one.name.split(".")[0]
            ending = one.name[len(named) :]
            if named.split("_")[-1] == suffix and ending in endings and one.is_file():
                entities = _entities(one)
                if entities.items() <= own:
                    found.append((-depth, len(entities), one))
        if where in (folder, where.parent):
            return [one for *_, one in sorted(found, key=lambda one: one[:2])]
        where, depth = where.parent, depth + 1


def _sidecar(path: Path, folder: Path, suffix: str = "") -> dict:
    """The metadata of a file: those of nearer sidecars count before those of ones above."""
    suffix = suffix or path.name.split(".")[0].split("_")[-1]
    merged: dict = {}
    for one in _applicable(path, folder, suffix, (".json",)):
        try:
            values = json.loads(read_input(one, MOST_SIDECAR, "sidecar").decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{one}: not JSON ({str(error)[:80]})") from None
        if not isinstance(values, dict):
            raise InputError(f"{one}: expected an object in JSON, found a list or a value")
        merged |= values
    return merged


def _check_sidecar(path: Path, folder: Path) -> None:
    """Raise InputError if samples have no sidecar, which `*_eyetrack.tsv` can do without."""
    name, suffix = path.name.split(".")[0], path.name.split(".")[0].split("_")[-1]
    if suffix == "physio" and not _applicable(path, folder, suffix, (".json",)):
        raise InputError(
            f"{path}: no sidecar {name}.json for it, expected one beside it or in a folder above, "
            "with the names of its Columns"
        )


def _is_gaze(path: Path, sidecar: dict) -> bool:
    """Whether samples are gaze, not heart beats or breath."""
    if "_eyetrack." in path.name or sidecar.get("PhysioType") == "eyetrack":
        return True
    return any(ACROSS.fullmatch(str(name)) for name in _columns(sidecar))


def _columns(sidecar: dict) -> list[str]:
    columns = sidecar.get("Columns", [])
    return [str(name) for name in columns] if isinstance(columns, list) else []


def _unpacked(path: Path, most: int) -> bytes:
    """A file's bytes, unpacked if it ends in .gz; how many they are is checked first."""
    if path.suffix != ".gz":
        return read_input(path, most)
    check_file(path)
    try:
        with gzip.open(path) as file:
            size = 0
            while chunk := file.read(CHUNK):
                size += len(chunk)
                if size > most:
                    raise InputError(f"{path}: unpacks to more than {most} bytes")
        with gzip.open(path) as file:
            return file.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: damaged, not a whole gzip file ({error})") from None


def _eye(path: Path, sidecar: dict, content: bytes, options: GazeOptions, centred: bool) -> _Eye:
    names = _columns(sidecar)
    text = _decoded(content, path)
    head = text[: text.find("\n") + 1 or len(text)].strip("\r\n").split("\t")
    headed = any(map(ACROSS.fullmatch, head)) and not any(cell[:1].isdigit() for cell in head)
    names = head if headed else names
    if not names:
        raise InputError(f"{path}: no Columns in its sidecar .json, expected the columns' names")
    if len(head) != len(names):
        raise InputError(
            f"{path}: {len(head)} columns, its sidecar names {len(names)} ({some(names)})"
        )
    down = {name: re.sub(r"x(?=_coordinate$|$)", "y", name) for name in names}
    pairs = [(x, down[x]) for x in names if ACROSS.fullmatch(x) and down[x] in names]
    if not pairs:
        raise InputError(
            f"{path}: no column of gaze, expected x_coordinate and y_coordinate, found "
            f"{some(names)}"
        )
    stamp = next((name for name in STAMPS if name in names), "")
    used = [stamp] if stamp else []
    used += [name for pair in pairs for name in pair]
    numbers = _numbers(text, [names.index(name) for name in used], headed, path)
    values = dict(zip(used, numbers, strict=True))
    places, notes = [], []
    for pair in pairs[:2]:
        *place, lost_at = without_lost(*(values[one] for one in pair), centred=centred)
        places.append(np.stack(place))
        notes += lost_at
    x, y = places[0] if len(places) == 1 else mean_of_eyes(*places)
    units = _units(path, sidecar, pairs[0][0], options)
    start = _number(sidecar.get("StartTime")) or 0.0
    if stamp:
        unit = _time_unit(path, sidecar, stamp, values[stamp], options)
        stamps = values[stamp] * unit
    else:
        rate = _number(sidecar.get("SamplingFrequency"))
        if not rate:
            raise InputError(f"{path}: neither a column timestamp nor a SamplingFrequency")
        unit, stamps = 1e3, 1e3 * (start + np.arange(len(x)) / rate)
    known = ~np.isnan(stamps)
    if not known.any():
        raise InputError(f"{path}: no samples with a timestamp in it")
    order = np.argsort(stamps[known], kind="stable")
    x, y, stamps = x[known][order], y[known][order], rising(stamps[known][order])
    return _Eye(path, sidecar, stamps, 1e3 * start, x, y, units, unit, notes)


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8, which BIDS asks for: convert it") from None


def _numbers(text: str, columns: list[int], headed: bool, path: Path) -> np.ndarray:
    """Some columns as `[k, n]` float64; `n/a` is NaN."""
    try:
        return np.loadtxt(
            io.StringIO(text.replace("n/a", "nan")),
            delimiter="\t",
            usecols=columns,
            unpack=True,
            comments=None,
            skiprows=int(headed),
            ndmin=2,
        )
    except (ValueError, IndexError) as error:
        why = first_line(error)[:120]
        raise InputError(f"{path}: not a table of numbers ({why})") from None


def _number(value: object) -> float | None:
    """A number in a sidecar, None if it is something else."""
    sane = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if sane and np.isfinite(value) else None


def _stated_unit(sidecar: dict, column: str) -> str:
    """The unit of a column, in lower case and without blanks; "" if none is stated."""
    about = sidecar.get(column)
    unit = about.get("Units", "") if isinstance(about, dict) else ""
    return re.sub(r"[\s_]", "", re.sub("[µμ]", "u", str(unit))).lower()


def _units(path: Path, sidecar: dict, column: str, options: GazeOptions) -> str:
    """The units of places, one of `PLACE_UNITS`."""
    if sidecar.get("SampleCoordinateSystem") == "eye-in-head":
        raise InputError(f"{path}: angles of the eye in the head, expected gaze on a screen")
    stated = _stated_unit(sidecar, column)
    for name in ("SampleCoordinateUnits", "SampleCoordinateUnit"):
        stated = stated or str(sidecar.get(name) or "").lower()
    if not stated and "display_area" in column:
        return "fractions"
    for units, names in PLACES.items():
        if stated in names:
            return units
    if stated in NOT_ON_SCREEN:
        raise InputError(
            f"{path}: {column} is in {stated}, expected pixels or fractions of the screen: convert "
            "it"
        )
    if options.units:
        return options.units
    raise InputError(
        f"{path}: its sidecar gives {stated or 'no'!r} as Units of {column}: state --units pixels "
        "or --units fractions"
    )


def _time_unit(
    path: Path, sidecar: dict, column: str, stamps: np.ndarray, options: GazeOptions
) -> float:
    """Milliseconds in a unit of the timestamps: stated, or what fits the rate."""
    if options.times:
        return TIME_UNITS[options.times]
    stated = _stated_unit(sidecar, column)
    units = [unit for unit, names in TIMES.items() if stated in names]
    rate, steps = _number(sidecar.get("SamplingFrequency")), np.diff(stamps)
    step = np.median(steps[steps > 0]) if (steps > 0).any() else np.nan
    fits = []
    if rate:
        fits = [u for u in TIME_UNITS if 0.2 < step * TIME_UNITS[u] * rate / 1e3 < 5]
    if units and fits and units != fits:
        raise InputError(
            f"{path}: {column} steps by {step:g}, which is not {rate:g} samples/s in {units[0]} as "
            f"its sidecar says: state --units {fits[0]}"
        )
    found = units or fits
    if not found:
        raise InputError(
            f"{path}: its sidecar gives no Units of {column} that are times: state --units s, ms, "
            "us or ns"
        )
    return TIME_UNITS[found[0]]


@dataclass(frozen=True)
class _Row:
    """An event of a run: on the tracker's clock, in ms, with the cells that are no numbers."""

    onset: float
    duration: float
    cells: dict[str, str]


def _trials(
    eyes: list[_Eye],
    folder: Path,
    clips: Collection[str],
    options: GazeOptions,
    notes: Sequence[str],
) -> list[Trial]:
    """The trials of one run."""
    whole = [eye for eye in eyes if eye.sidecar.get("RecordedEye") == "cyclopean"]
    eyes = whole or eyes
    first, notes = eyes[0], [*notes, *(note for eye in eyes for note in eye.notes)]
    if {eye.units for eye in eyes} != {first.units}:
        raise InputError(f"{first.path}: in {first.units}, the other eye in {eyes[1].units}")
    time, x, y = first.stamps, first.x, first.y
    for eye in eyes[1:]:
        time, x, y = _together((time, x, y), (eye.stamps, eye.x, eye.y))
    begins = float(time[0]) - first.start  # of the run, on the tracker's clock
    own = [_tracker_events(eye, folder) for eye in eyes]
    about = _sidecar(first.path, folder, "events")
    rows = [row for found in own for row in found]
    rows += _task_events(first.path, folder, about, time, begins, notes)
    rows.sort(key=lambda row: row.onset)
    ends: dict[float, float] = {}
    if options.onset:
        events = [Event(row.onset, " ".join(row.cells.values())) for row in rows]
        cut, _ = pieces(time, np.full(len(time), "", object), events, options.onset, first.path)
    else:
        cut, ends = _clips_shown(rows, clips, time)
    if not cut:
        cut = [Piece("", begins, 0, len(time))]
        notes.append(WHOLE_RUN)
    fixated = [found for found in ([r for r in one if _is_fixation(r)] for one in own) if found]
    if len(fixated) > 1:
        notes.append(ONE_EYE)
    origin, screen = _screen(about, first.sidecar)
    found = []
    for n, piece in enumerate(cut):
        part = slice(piece.first, piece.last)
        left_out: Counter = Counter()
        fixations = None
        if fixated:
            until = cut[n + 1].onset if n + 1 < len(cut) else np.inf
            until = min(until, ends.get(piece.onset, np.inf))
            fixations = _fixations(fixated[0], time, x, y, piece.onset, until, left_out)
        found.append(
            Trial(
                piece.name,
                f"sub-{_entities(first.path).get('sub', '')}",
                first.path,
                samples=Samples(time[part] - piece.onset, x[part], y[part]),
                fixations=fixations,
                units=first.units,
                origin=origin,
                on_clip=first.sidecar.get("SampleCoordinateSystem") == "gaze-in-world",
                screen=screen,
                left_out=left_out,
                notes=tuple(dict.fromkeys([*notes, MEANS] if fixated else notes)),
            )
        )
    return found


def _together(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> tuple:
    """The mean of two eyes' `(time, x, y)`, at all times of either."""
    times = [np.round(eye[0], 3) for eye in (one, other)]
    time = np.union1d(*times)
    places = []
    for eye, own in zip((one, other), times, strict=True):
        of = np.full((2, len(time)), np.nan)
        of[:, np.searchsorted(time, own)] = eye[1:]
        places.append(of)
    return (time, *mean_of_eyes(*places))


def _cells(names: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    cells = {name: cell.strip() for name, cell in zip(names, row, strict=True)}
    return {name: cell for name, cell in cells.items() if cell.lower() not in NO_VALUE}


def _tracker_events(eye: _Eye, folder: Path) -> list[_Row]:
    """Fixations, blinks and messages as the tracker logged them."""
    files = _applicable(eye.path, folder, "physioevents", (".tsv.gz", ".tsv"))
    if not files:
        return []
    path = files[-1]
    about = _sidecar(path, folder)
    text = _decoded(_unpacked(path, MOST_EVENTS), path)
    names = _columns(about)
    lines = list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
    lines = [line for line in lines if line]
    if lines and lines[0][0] == "onset":
        names = lines.pop(0)
    if not lines:
        return []
    if "onset" not in names:
        raise InputError(f"{path}: no column onset among the Columns of its sidecar")
    by_index = about.get("OnsetSource") == "n/a"
    unit = _unit_of(about, "onset") or eye.unit
    step = np.median(np.diff(eye.stamps)) if len(eye.stamps) > 1 else 0.0
    found = []
    for number, line in enumerate(lines, start=1):
        if len(line) != len(names):
            raise InputError(f"{path} line {number}: {len(line)} cells, expected {len(names)}")
        cells = _cells(names, line)
        try:
            onset, duration = float(cells.pop("onset")), float(cells.pop("duration", "0"))
        except (KeyError, ValueError):
            raise InputError(f"{path} line {number}: onset or duration is no number") from None
        onset = eye.stamps[0] + onset * step if by_index else onset * unit
        found.append(_Row(onset, duration, cells))
    scale = _unit_of(about, "duration") or _duration_unit(found, unit)
    return [_Row(row.onset, row.duration * scale, row.cells) for row in found]


def _unit_of(about: dict, column: str) -> float | None:
    stated = _stated_unit(about, column)
    return next((TIME_UNITS[unit] for unit, names in TIMES.items() if stated in names), None)


def _duration_unit(rows: list[_Row], unit: float) -> float:
    """The unit of durations if none is stated: seconds, as BIDS has it, or that of the onsets.

    The fixations of an eye follow each other: a unit in which they overlap is wrong.
    """
    fixations = [row for row in rows if _is_fixation(row)]
    if len(fixations) < 2:
        return 1e3
    gap = np.median(np.diff([row.onset for row in fixations]))
    lasts = np.median([row.duration for row in fixations])
    return 1e3 if lasts * 1e3 <= 1.5 * gap else unit


def _is_fixation(row: _Row) -> bool:
    return row.cells.get("trial_type", "").lower() == "fixation"


def _task_events(
    path: Path, folder: Path, about: dict, time: np.ndarray, begins: float, notes: list[str]
) -> list[_Row]:
    """The rows of `events.tsv`, whose onsets are seconds from the run's start or by the clock."""
    files = _applicable(path, folder, "events", (".tsv",))
    if not files:
        return []
    table = TextTable(files[-1], ("onset",))
    names = [n for n in dict.fromkeys(table.names) if n and n not in ("onset", "duration")]
    numbers = [name for name in ("onset", "duration") if name in table.names]
    read = table.read(names, numbers)
    if read.bad:
        raise InputError(next(iter(read.bad.values())))
    onset = read.numbers["onset"] * 1e3
    lasts = np.nan_to_num(read.numbers.get("duration", np.zeros(len(onset)))) * 1e3
    inside = [
        int(((values >= time[0] - 1) & (values <= time[-1] + 1)).sum())
        for values in (onset + begins, onset)
    ]
    stated = about.get("OnsetSource") == "timestamp"
    if inside[1] > inside[0] or (stated and inside[1]):
        if not stated:
            notes.append(DEVICE)
        begins = 0.0
    columns = [read.text[name] for name in names]
    return [
        _Row(float(onset[n] + begins), float(lasts[n]), _cells(names, [c[n] for c in columns]))
        for n in np.flatnonzero(~np.isnan(onset))
    ]


def _clips_shown(
    rows: Sequence[_Row], clips: Collection[str], time: np.ndarray
) -> tuple[list[Piece], dict[float, float]]:
    """The clips that events name, and when each ends, by its onset.

    A clip lasts as long as its event says, or until the next one that names a clip.
    """
    known = {composed(clip): clip for clip in clips}
    named = [(row, name) for row in rows if (name := _named(row, known))]
    if not named:
        named = [(row, _base(row.cells["stim_file"])) for row in rows if "stim_file" in row.cells]
    found, ends = [], {}
    for n, (row, name) in enumerate(named):
        following = named[n + 1][0].onset if n + 1 < len(named) else np.inf
        end = min(row.onset + row.duration if row.duration > 0 else np.inf, following)
        first, last = np.searchsorted(time, [row.onset, end])
        if last > first:
            found.append(Piece(name, row.onset, int(first), int(last)))
            ends[row.onset] = end
    if named and not found:
        span = f"{time[0] / 1e3:.3f} to {time[-1] / 1e3:.3f} s"
        raise InputError(
            f"events name clips from {named[0][0].onset / 1e3:.3f} s on, but the samples are from "
            f"{span}, expected one clock"
        )
    return found, ends


def _base(name: str) -> str:
    """A file's name without folders and extension."""
    return composed(without_suffix(PurePosixPath(name.replace("\\", "/")).name))


def _named(row: _Row, known: dict[str, str]) -> str:
    """The clip that an event's cells name, "" if none."""
    if clip := known.get(_base(row.cells.get("stim_file", ""))):
        return clip
    for cell in row.cells.values():
        for word in (cell, *cell[:1000].split()):
            # Numbers are values of something, unless they have a video's extension.
            if not word.isdecimal() and (clip := known.get(_base(word))):
                return clip
    return ""


def _fixations(
    rows: Sequence[_Row],
    time: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    onset: float,
    until: float,
    left_out: Counter,
) -> RecordedFixations:
    """The fixations between two times, at the means of their samples."""
    found = []
    for row in rows:
        end = row.onset + row.duration
        if row.onset >= until or end <= onset:
            continue
        first, last = np.searchsorted(time, [row.onset, end])
        part = slice(first, max(last, first + 1))
        places = np.stack([x[part], y[part]])
        places = places[:, ~np.isnan(places).any(axis=0)]
        if places.shape[1]:
            found.append((row.onset - onset, row.duration, *places.mean(axis=1)))
        else:
            left_out[NOWHERE] += 1
    columns = np.array(found, float).reshape(-1, 4).T
    return RecordedFixations(*columns, np.ones(len(found), bool))


def _screen(about: dict, sidecar: dict) -> tuple[str, Screen | None]:
    """Where places are 0, and the screen, from `StimulusPresentation` or BEP 20's fields."""
    shown = about.get("StimulusPresentation")
    shown = {**sidecar, **(shown if isinstance(shown, dict) else {})}
    origin = shown.get("ScreenOrigin") or shown.get("EnvironmentCoordinates") or ""
    origin = "".join(map(str, origin)) if isinstance(origin, list) else str(origin)
    origin = ORIGINS.get(re.sub(r"[\s_-]", "", origin).lower(), "upper-left")
    size, width, distance = (
        shown.get(name) for name in ("ScreenResolution", "ScreenSize", "ScreenDistance")
    )
    pair = [_number(side) for side in size] if isinstance(size, list) else []
    if len(pair) != 2 or not all(side and 0 < side < 1e5 for side in pair):
        return origin, None
    width = _number(width[0]) if isinstance(width, list) and width else None
    return origin, Screen(int(pair[0]), int(pair[1]), _cm(width), _cm(_number(distance)))


def _cm(length: float | None) -> float:
    """A length in cm; BIDS has metres, BEP 20 had cm."""
    if not length or length < 0:
        return 0.0
    return length if length > 5 else 100 * length
