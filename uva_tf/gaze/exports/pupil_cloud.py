"""Exports of Pupil Cloud and Neon Player (Pupil Invisible, Neon).

Timeseries data are gaze in pixels of the scene camera. The enrichments Marker Mapper and Reference
Image Mapper are gaze on a surface, in fractions of it, and in pixels of a picture of it. All have
the origin upper left, and times in nanoseconds since 1970, which float64 can't hold.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.pictures import decode
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.pupil import (
    GAZE_OFF_SURFACE,
    NOT_OF_CLIP,
    Mark,
    beside,
    clip_folder,
    cut,
    marks_of,
    named_apart,
    ordered,
    read_info,
)
from uva_tf.gaze.lost import without_lost
from uva_tf.gaze.names import matched
from uva_tf.gaze.options import GazeOptions
from uva_tf.gaze.tables import NO_VALUE, SHORT_ROWS, Rows, TextTable
from uva_tf.gaze.trials import RecordedFixations, Samples, Screen, Trial

TIME, START, END = "timestamp [ns]", "start timestamp [ns]", "end timestamp [ns]"
RECORDING, SECTION, FIXATION, BLINK = "recording id", "section id", "fixation id", "blink id"
DURATION = "duration [ms]"
LEAD = 20.0  # ms by which the first rows of an enrichment may come before its section
TABLE = re.compile(r"(.*?)(gaze|fixations)(?:(?:_positions)?_on_surface_(.+))?\.csv", re.IGNORECASE)


@dataclass(frozen=True)
class _Kind:
    """What gaze is on, and the columns that say so."""

    gaze: tuple[str, str]
    on: str
    fixation: tuple[str, str]
    fixation_on: str


SCENE = _Kind(("gaze x [px]", "gaze y [px]"), "", ("fixation x [px]", "fixation y [px]"), "")
SURFACE = _Kind(
    ("gaze position on surface x [normalized]", "gaze position on surface y [normalized]"),
    "gaze detected on surface",
    ("fixation x [normalized]", "fixation y [normalized]"),
    "fixation detected on surface",
)
PICTURE = _Kind(
    ("gaze position in reference image x [px]", "gaze position in reference image y [px]"),
    "gaze detected in reference image",
    ("fixation x [px]", "fixation y [px]"),
    "fixation detected in reference image",
)


@dataclass(frozen=True)
class _Files:
    """The tables of gaze and of fixations that belong together; one of them at least."""

    kind: _Kind
    surface: str
    gaze: Path | None
    fixations: Path | None

    @property
    def file(self) -> Path:
        return self.gaze or self.fixations


@dataclass(frozen=True)
class _Gaze:
    """The samples of one recording: times `[n]` int64 in ns, places and, if any, fixations' ids."""

    time: np.ndarray
    x: np.ndarray
    y: np.ndarray
    fixation: np.ndarray | None


@dataclass(frozen=True)
class _Fixations:
    """The fixations of one recording: onsets `[n]` int64 in ns, durations in ms, places if any."""

    onset: np.ndarray
    duration: np.ndarray
    x: np.ndarray | None
    y: np.ndarray | None
    id: np.ndarray | None


@dataclass(frozen=True)
class _Event:
    """Something that happened in a recording: its times in ns, 0 if it has no end."""

    name: str
    begin: int
    end: int
    file: Path


@dataclass(frozen=True)
class _Section:
    """A part of a recording, between two events."""

    recording: str
    name: str
    wearer: str
    event: _Event


def pupil_cloud(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """Trials in the exports of Pupil Cloud and Neon Player.

    Gaze on a surface counts if the user states a screen, or if no gaze in the scene belongs to a
    clip. A surface named like a clip, as its enrichment's folder or by itself, is the clip; any
    other is the screen. Gaze in the scene belongs to a clip where a folder is named like it, or
    the clip after a section, as Pupil Cloud names the scene's video. Clips begin at the events in
    `events.csv`, else at the sections of the enrichment. With `trials.csv`, all that is there
    counts.

    Raises InputError if it is open whether gaze is on a clip, and for damaged tables.
    """
    found = _files(folder)
    events = _events(folder)
    listed = (folder.parent / "trials.csv").is_file()
    mapped = [files for files in found if files.kind is not SCENE]
    scenes = {files: _clip_of(files, folder, clips) for files in found if files.kind is SCENE}
    of_clip = {files: clip for files, clip in scenes.items() if clip}
    trials: list[tuple[Trial, str, str, str]] = []
    if mapped and (options.screen or options.placed or listed or not of_clip):
        for files in mapped:
            trials += _on_surface(files, events, folder, clips, options)
        of_clip = {}
    for files, clip in (scenes if listed or not mapped else of_clip).items():
        if not clip and not listed:
            raise InputError(f"{files.file}: {NOT_OF_CLIP}")
        trials += _on_scene(files, clip, events, folder, clips, options)
    if not trials:
        return []
    seen: dict[tuple[str, str], Path] = {}
    for trial, recording, _, _ in trials:
        other = seen.setdefault((recording, trial.clip), trial.file)
        if other != trial.file and not listed:
            raise InputError(
                f"{trial.file}: gaze of the same recording as in {other}, on the same clip: keep "
                "the files of the surface that showed it, or list the trials in trials.csv"
            )
    found, recordings, wearers, names = zip(*trials, strict=True)
    return named_apart(found, [Path(one).name for one in recordings], wearers, names)


def _files(folder: Path) -> list[_Files]:
    """The tables of gaze in a folder and those below it, told apart by their columns."""
    pairs: dict[tuple[Path, str, str], dict[str, Path]] = defaultdict(dict)
    for path in files_in(folder, (".csv",)):
        if (named := TABLE.fullmatch(path.name)) and "aoi" not in named[1].lower():
            pairs[path.parent, named[1], named[3] or ""][named[2].lower()] = path
    found = []
    for (_, _, surface), pair in pairs.items():
        gaze, fixations = pair.get("gaze"), pair.get("fixations")
        in_gaze = set(TextTable(gaze, ()).names) if gaze else set()
        in_fixations = set(TextTable(fixations, ()).names) if fixations else set()
        for kind in (SURFACE, PICTURE, SCENE):
            has_gaze = {TIME, *kind.gaze} <= in_gaze
            # In older versions, fixations have no places but those of their gaze.
            placed = {*kind.fixation, kind.fixation_on} - {""} <= in_fixations
            has_fixations = START in in_fixations and (
                placed or (has_gaze and FIXATION in in_gaze & in_fixations)
            )
            if has_gaze or has_fixations:
                paths = gaze if has_gaze else None, fixations if has_fixations else None
                found.append(_Files(kind, surface, *paths))
                break
    return found


def _clip_of(files: _Files, folder: Path, clips: Collection[str]) -> str:
    """The clip that is the video of a scene, or "": by the names of folders or of sections."""
    if clip := clip_folder(files.file, folder, clips):
        return clip
    videos = {clip[:8]: clip for clip in clips if re.match(r"[0-9a-f]{8}_", clip)}
    table = TextTable(files.file, (), short="skipped")
    if not videos or SECTION not in table.names:
        return ""
    sections = {name[:8] for name in table.read([SECTION]).text[SECTION]}
    return videos[next(iter(sections))] if len(sections) == 1 and sections <= set(videos) else ""


def _nanoseconds(cells: np.ndarray, path: Path, lines: np.ndarray, column: str) -> np.ndarray:
    """Times as `[n]` int64; raises InputError if a spreadsheet rounded them, or for other cells."""
    try:
        values = cells.astype("U20").astype(np.int64)
        if not len(values) or values.min() >= 0:
            return values
    except (ValueError, OverflowError):
        pass
    row = next(n for n, cell in enumerate(cells) if not re.fullmatch(r"\d{1,18}|[1-8]\d{18}", cell))
    cell = cells[row]
    if re.fullmatch(r"\d([.,]\d{1,15})?[eE]\+?\d{2}", cell):
        raise InputError(
            f"{path} line {lines[row]}: {column} is {cell!r}: a spreadsheet rounded the times when "
            "it saved the table: export it again, and don't save it from a spreadsheet"
        )
    raise InputError(f"{path} line {lines[row]}: {column} is {cell!r:.60}, expected nanoseconds")


def _events(folder: Path) -> dict[str, list[_Event]]:
    """By recording, its events; a recording without an id is called after its folder."""
    events: dict[str, dict[_Event, None]] = defaultdict(dict)
    for path in files_in(folder, (".csv",)):
        if path.name.lower() not in ("events.csv", "annotations.csv"):
            continue
        table = TextTable(path, (TIME,))
        name = next((one for one in ("name", "label") if one in table.names), "name")
        by_id = [RECORDING] if RECORDING in table.names else []
        lasts = [DURATION] if DURATION in table.names else []
        rows = TextTable(path, (TIME, name)).read([TIME, name, *by_id], lasts)
        begins = _nanoseconds(rows.text[TIME], path, rows.line, TIME).tolist()
        for row, begin in enumerate(begins):
            lasted = rows.numbers[DURATION][row] if lasts else 0
            end = begin + int(1e6 * lasted) if lasted > 0 else 0
            key = rows.text[RECORDING][row] if by_id else str(path.parent)
            events[key][_Event(rows.text[name][row], begin, end, path)] = None
    return {key: list(found) for key, found in events.items()}


def _sections(path: Path | None) -> list[_Section]:
    """The sections of an enrichment; [] without the file."""
    if path is None:
        return []
    times = ("section start time [ns]", "section end time [ns]")
    names = ("recording name", "wearer name", "start event name")
    table = TextTable(path, (RECORDING, *times))
    there = [name for name in names if name in table.names]
    text = table.read([RECORDING, *times, *there])
    begins, ends = (_nanoseconds(text.text[one], path, text.line, one).tolist() for one in times)
    blank = [""] * len(begins)
    name, wearer, event = (text.text.get(one, blank) for one in names)
    return [
        _Section(text.text[RECORDING][n], name[n], wearer[n], _Event(event[n], begin, end, path))
        for n, (begin, end) in enumerate(zip(begins, ends, strict=True))
    ]


def _read(
    path: Path,
    needed: Iterable[str],
    text: Iterable[str],
    numbers: Iterable[str],
    short: str = "refused",
) -> Rows:
    """Columns of a table as text and as numbers, if it has them; it must have those needed."""
    table = TextTable(path, [name for name in needed if name], short=short)
    rows = table.read(*([one for one in names if one in table.names] for names in (text, numbers)))
    if rows.bad:
        raise InputError(next(iter(rows.bad.values())))
    return rows


def _by_recording(rows: Rows, path: Path) -> dict[str, np.ndarray]:
    """By recording, its rows; they are of the folder's recording if the table names none."""
    if RECORDING not in rows.text:
        return {str(path.parent): np.arange(len(rows.line))}
    names = rows.text[RECORDING]
    if (names == "").any():
        line = rows.line[(names == "").argmax()]
        raise InputError(f"{path} line {line}: {RECORDING} is empty, expected an id")
    return {name: np.flatnonzero(names == name) for name in dict.fromkeys(names)}


def _gaze(path: Path, kind: _Kind, left_out: Counter) -> dict[str, _Gaze]:
    """By recording, its samples; NaN where they are lost: off the surface, in a blink, not worn."""
    needed = (TIME, *kind.gaze, kind.on)
    text = (TIME, RECORDING, BLINK, "worn", kind.on)
    rows = _read(path, needed, text, (*kind.gaze, FIXATION), "skipped")
    left_out[SHORT_ROWS] += rows.skipped
    time = _nanoseconds(rows.text[TIME], path, rows.line, TIME)
    lost = np.zeros(len(time), bool)
    if kind.on:
        lost |= ~_cells(rows.text[kind.on], _yes)
    if kind is SURFACE:
        lost |= _beyond(*(rows.numbers[name] for name in kind.gaze))
    if "worn" in rows.text:
        lost |= _cells(rows.text["worn"], lambda cell: cell.lower() in ("0", "0.0", "false"))
    if BLINK in rows.text:
        lost |= _cells(rows.text[BLINK], lambda cell: cell.lower() not in NO_VALUE)
    elif (path.parent / "blinks.csv").is_file():
        lost |= _blinking(path.parent / "blinks.csv", rows, time)
    x, y, _ = without_lost(*(np.where(lost, np.nan, rows.numbers[name]) for name in kind.gaze))
    ids = rows.numbers.get(FIXATION)
    return {
        name: _Gaze(time[mine], x[mine], y[mine], None if ids is None else ids[mine])
        for name, mine in _by_recording(rows, path).items()
    }


def _blinking(path: Path, gaze: Rows, time: np.ndarray) -> np.ndarray:
    """Which of the samples, `[n]` at times in ns, lie within a blink."""
    rows = _read(path, (START, END), (START, END, RECORDING), ())
    begins, ends = (_nanoseconds(rows.text[one], path, rows.line, one) for one in (START, END))
    blinks = _by_recording(rows, path)
    shut = np.zeros(len(time), bool)
    for name, mine in _by_recording(gaze, path).items():
        if (own := blinks.get(name)) is not None and len(own):
            own = own[np.argsort(begins[own])]
            last = np.searchsorted(begins[own], time[mine], "right") - 1
            shut[mine] = (last >= 0) & (time[mine] <= ends[own][last])
    return shut


def _fixations(path: Path, kind: _Kind, left_out: Counter) -> dict[str, _Fixations]:
    """By recording, its fixations, each once; their places are NaN off the surface."""
    text = (START, END, RECORDING, kind.fixation_on)
    rows = _read(path, (START,), text, (DURATION, FIXATION, *kind.fixation), "skipped")
    left_out[SHORT_ROWS] += rows.skipped
    onset = _nanoseconds(rows.text[START], path, rows.line, START)
    if DURATION in rows.numbers:
        duration = rows.numbers[DURATION]
    elif END in rows.text:
        duration = (_nanoseconds(rows.text[END], path, rows.line, END) - onset) / 1e6
    else:
        raise InputError(f"{path}: no column {DURATION!r} and no {END!r}, expected one of them")
    places = [rows.numbers.get(name) for name in kind.fixation]
    if kind.fixation_on in rows.text:
        on = _cells(rows.text[kind.fixation_on], _yes)
        if kind is SURFACE and all(one is not None for one in places):
            on &= ~_beyond(*places)
        places = [None if one is None else np.where(on, one, np.nan) for one in places]
    found = {}
    for name, mine in _by_recording(rows, path).items():
        mine = mine[np.unique(onset[mine], return_index=True)[1]]
        columns = (duration, *places, rows.numbers.get(FIXATION))
        found[name] = _Fixations(
            onset[mine], *(None if one is None else one[mine] for one in columns)
        )
    return found


def _beyond(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which places, `[n]` fractions, lie beyond a surface.

    Pupil Cloud says that a fixation is on a surface if some of its gaze is, and places it at the
    mean of all of it.
    """
    return (x < 0) | (x > 1) | (y < 0) | (y > 1)


def _cells(cells: np.ndarray, which: Callable[[str], bool]) -> np.ndarray:
    """Which cells are as a function says, `[n]` bool; it is called once for equal cells."""
    answers = {cell: which(cell) for cell in set(cells)}
    return np.fromiter(map(answers.__getitem__, cells), bool, len(cells))


def _yes(cell: str) -> bool:
    """Whether a cell says that gaze was on a surface: itself, or by a share of a half or more."""
    if re.fullmatch(r"[01](\.\d{1,20})?", cell):
        return float(cell) >= 0.5
    return cell.lower() == "true"


def _whole(
    files: _Files,
) -> list[tuple[str, int, Samples | None, RecordedFixations | None, Counter]]:
    """Each recording in a pair of tables: its id, and its gaze in ms from a time in ns."""
    short: Counter = Counter()
    gaze = _gaze(files.gaze, files.kind, short) if files.gaze else {}
    fixations = _fixations(files.fixations, files.kind, short) if files.fixations else {}
    fixated = any(len(one.onset) for one in fixations.values())
    if files.gaze and fixated and not any(len(one.time) for one in gaze.values()):
        raise InputError(
            f"{files.gaze}: no rows under the names of its columns: export it again, or delete it "
            "to use fixations alone"
        )
    found = []
    for name in dict.fromkeys((*gaze, *fixations)):
        own, fixed = gaze.get(name), fixations.get(name)
        base = int((fixed.onset if own is None else own.time).min(initial=2**62))
        samples = recorded = None
        left_out = Counter()
        if own is not None:
            samples, left_out = ordered((own.time - base) / 1e6, own.x, own.y)
        left_out += short
        short.clear()
        if fixed is not None:
            at = (fixed.x, fixed.y) if fixed.x is not None else _means(own, fixed)
            recorded = RecordedFixations((fixed.onset - base) / 1e6, fixed.duration, *at)
        found.append((name, base, samples, recorded, left_out))
    return found


def _means(gaze: _Gaze | None, fixations: _Fixations) -> tuple[np.ndarray, np.ndarray]:
    """Where fixations are, `[n]` each: the mean of the samples that bear their id, else NaN."""
    if gaze is None or gaze.fixation is None or fixations.id is None:
        return np.full(len(fixations.onset), np.nan), np.full(len(fixations.onset), np.nan)
    valid = ~np.isnan(gaze.x + gaze.y + gaze.fixation)
    ids, of = np.unique(gaze.fixation[valid], return_inverse=True)
    count = np.bincount(of, minlength=len(ids))
    row = np.searchsorted(ids, fixations.id).clip(max=max(len(ids) - 1, 0))
    known = ids[row] == fixations.id if len(ids) else np.zeros(len(fixations.id), bool)
    x, y = (np.full(len(fixations.id), np.nan) for _ in range(2))
    for places, values in ((x, gaze.x), (y, gaze.y)):
        places[known] = (np.bincount(of, values[valid]) / count)[row[known]]
    return x, y


def _marks(
    events: Iterable[_Event], base: int, clips: Collection[str], options: GazeOptions, where: Path
) -> list[Mark]:
    """When clips began, in ms from `base`, as events say it."""
    events = list(events)
    begins = np.array([(event.begin - base) / 1e6 for event in events])
    ends = np.array([(event.end - base) / 1e6 if event.end else np.inf for event in events])
    where = events[0].file if events else where
    return marks_of([event.name for event in events], begins, clips, options, where, ends)


def _on_surface(
    files: _Files,
    events: dict[str, list[_Event]],
    folder: Path,
    clips: Collection[str],
    options: GazeOptions,
) -> list[tuple[Trial, str, str, str]]:
    """Trials on a surface or a picture, each with its recording's id, wearer and name."""
    sections = _sections(beside(files.file, folder, "sections.csv"))
    surface = files.surface or files.file.parent.name
    named = surface if surface in clips else matched({surface}, clips).get(surface, "")
    trials = []
    number = 1
    for recording, base, samples, fixations, left_out in _whole(files):
        mine = [section for section in sections if section.recording == recording]
        notes = [GAZE_OFF_SURFACE]
        known = events.get(recording) or [section.event for section in mine]
        marks = _marks(known, base, clips, options, files.file)
        if named:
            marks = [mark for mark in marks if mark.clip in ("", named)]
        if not marks and mine:
            parts = [section.event for section in mine]
            marks = [Mark("", (p.begin - base) / 1e6, (p.end - base) / 1e6, LEAD) for p in parts]
            notes.append("no event names a clip: each section of the enrichment is a trial")
        elif not marks:
            marks = [Mark("", 0.0)]
            notes.append("no event names a clip: times count from the first sample on a surface")
        clip = "" if any(mark.clip for mark in marks) else clip_folder(files.file, folder, clips)
        whole = Trial(
            named or clip,
            "",
            files.file,
            number,
            samples,
            fixations,
            units="pixels" if files.kind is PICTURE else "fractions",
            on_clip=named != "" and files.kind is SURFACE,
            screen=_picture_size(files.file.parent) if files.kind is PICTURE else None,
            left_out=left_out,
            notes=tuple(notes),
        )
        found = cut(whole, marks)
        number += len(found)
        name, wearer = (mine[0].name, mine[0].wearer) if mine else (_within(files, folder), "")
        trials += [(trial, recording, wearer, name) for trial in found]
    return trials


def _within(files: _Files, folder: Path) -> str:
    """The name of the folder that holds the tables, below `folder`; "" for that itself."""
    return "/".join(files.file.parent.relative_to(folder).parts)


def _picture_size(folder: Path) -> Screen | None:
    """The size of the reference image in an enrichment's folder, as that of a screen."""
    for path in sorted(folder.glob("reference_image.*")):
        height, width = decode(path, cv2.IMREAD_GRAYSCALE).shape[:2]
        return Screen(width, height)
    return None


def _on_scene(
    files: _Files,
    clip: str,
    events: dict[str, list[_Event]],
    folder: Path,
    clips: Collection[str],
    options: GazeOptions,
) -> list[tuple[Trial, str, str, str]]:
    """Trials on the video of a scene, each with its recording's id, wearer and name."""
    info = read_info(beside(files.file, folder, "info.json"))
    wearer = info.get("wearer_name")
    trials = []
    number = 1
    for recording, base, samples, fixations, left_out in _whole(files):
        known = events.get(recording, [])
        if options.onset:
            marks, notes = _marks(known, base, clips, options, files.file), []
        else:
            begun, notes = _first_frame(files.file, recording, info, known)
            marks = [Mark("", (begun - base) / 1e6, lead=np.inf)]
        whole = Trial(
            clip,
            "",
            files.file,
            number,
            samples,
            fixations,
            on_clip=True,
            left_out=left_out,
            notes=tuple(notes),
        )
        found = cut(whole, marks)
        number += len(found)
        wearer = wearer if isinstance(wearer, str) else ""
        trials += [(trial, recording, wearer, _within(files, folder)) for trial in found]
    return trials


def _first_frame(
    file: Path, recording: str, info: dict[str, object], events: list[_Event]
) -> tuple[int, list[str]]:
    """When the video's first frame was shown, in ns, and notes.

    Raises InputError if no file says so.
    """
    path = file.parent / "world_timestamps.csv"
    if path.is_file():
        rows = _read(path, (TIME,), (TIME, RECORDING), ())
        mine = _by_recording(rows, path).get(recording, np.arange(len(rows.line)))
        if len(mine):
            return int(_nanoseconds(rows.text[TIME], path, rows.line, TIME)[mine].min()), []
    begun = [event.begin for event in events if event.name == "recording.begin"]
    started = info.get("start_time")
    if not begun and isinstance(started, int) and 0 < started < 2**63:
        begun = [started]
    if not begun:
        raise InputError(
            f"{path}: no times of frames in it, expected when the first frame was shown: export "
            "the timeseries data whole"
        )
    note = "no world_timestamps.csv: the first frame counts as shown when the recording began"
    return begun[0], [note]
