"""Exports of Pupil Player (Pupil Core): gaze on a surface, or on the scene camera's own video.

An export is a folder with `gaze_positions.csv` and `fixations.csv`, of the scene, and with
`surfaces/gaze_positions_on_surface_NAME.csv` and `surfaces/fixations_on_surface_NAME.csv`. Places
are fractions with the origin lower left. Times are seconds of a clock of Pupil Capture.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError, some
from uva_tf.core.files import read_input
from uva_tf.gaze.exports.files import files_in
from uva_tf.gaze.exports.pupil import (
    GAZE_OFF_SURFACE,
    MOST_INFO,
    NO_TIME,
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
from uva_tf.gaze.tables import SHORT_ROWS, Rows, TextTable
from uva_tf.gaze.trials import RecordedFixations, Trial

LEAST_CONFIDENCE = 0.6  # below it, gaze is lost: the default of Pupil Player
SHORTEST_MS = 10.0  # fixations with a shorter median are in seconds, as older versions wrote them
# Names of columns in older versions, and what they are called now.
OLDER = {
    "timestamp": "gaze_timestamp",
    "index": "world_index",
    "world_frame_idx": "world_index",
    "on_srf": "on_surf",
    "id": "fixation_id",
}
NO_ONSET = "recorded fixations, since their time in the clip is not known"
TABLE = re.compile(r"(.*?)(gaze_positions|fixations)(?:_on_surface_(.+))?\.csv", re.IGNORECASE)


@dataclass
class _Export:
    """The tables of one export: `gaze_positions` and `fixations`, of the scene and by surface."""

    folder: Path
    prefix: str
    scene: dict[str, Path] = field(default_factory=dict)
    surfaces: dict[str, dict[str, Path]] = field(default_factory=lambda: defaultdict(dict))


def pupil_core(folder: Path, clips: Collection[str], options: GazeOptions) -> list[Trial]:
    """Trials in the exports of Pupil Player.

    Gaze on a surface counts if the user states a screen or a surface is named like a clip. A
    surface named like a clip is the clip; any other is the screen. Else gaze on the scene counts
    where a folder is named like a clip, which is the scene camera's video, or where `world` is the
    only clip. Clips begin at the labels in `annotations.csv`, else when the surface was first
    seen. With `trials.csv`, all that is there counts.

    Raises InputError if it is open whether gaze is on a clip, and for damaged tables.
    """
    exports = _exports(folder)
    listed = (folder.parent / "trials.csv").is_file()
    stated = bool(options.screen or options.placed)
    trials, names, others = [], [], []
    taken: dict[tuple[Path, str], Path] = {}
    for export in exports:
        named = {surface: _clip_of(surface, clips) for surface in export.surfaces}
        path = export.scene.get("gaze_positions", export.scene.get("fixations"))
        clip = clip_folder(path, folder, clips) if path else ""
        clip = clip or ("world" if path and "world" in clips and len(clips) == 1 else "")
        found = []
        on_surface = export.surfaces and (stated or any(named.values()) or not clip)
        if on_surface:
            shown = [surface for surface in named if named[surface] or not any(named.values())]
            if len(shown) > 1 and not any(named.values()) and not listed:
                raise InputError(
                    f"{export.folder}: {len(shown)} surfaces ({some(sorted(shown))}), none of them "
                    "named like a clip: keep the files of the one that showed the clips"
                )
            for surface in shown:
                found += _on_surface(export, surface, named[surface], folder, clips, options)
        if path and (listed or not on_surface):
            if not clip and not listed:
                raise InputError(f"{path}: {NOT_OF_CLIP}")
            found += _on_scene(export, clip, folder, clips, options)
        if export.folder.parent.name == "exports" and not listed:
            for trial in found:
                one = taken.setdefault((export.folder.parent, trial.clip), export.folder)
                if one != export.folder:
                    raise InputError(
                        f"{export.folder}: gaze on {trial.clip or 'a clip'!r} as in {one.name}, "
                        "another export of the recording: keep one of them, or list their trials "
                        "in trials.csv"
                    )
        name, other = _names(export, folder)
        trials += found
        names += [name] * len(found)
        others += [other] * len(found)
    return named_apart(trials, others, names)


def _exports(folder: Path) -> list[_Export]:
    """The exports in a folder and those below it."""
    exports: dict[tuple[Path, str], _Export] = {}
    for path in files_in(folder, (".csv",)):
        found = TABLE.fullmatch(path.name)
        if not found:
            continue
        prefix, kind, surface = found[1], found[2].lower(), found[3]
        home = path.parent.parent if path.parent.name == "surfaces" else path.parent
        export = exports.setdefault((home, prefix), _Export(home, prefix))
        if surface:
            # Versions before 1.0 add a number to the surface's name.
            export.surfaces[re.sub(r"_\d{9,}(\.\d+)?$", "", surface)][kind] = path
        else:
            export.scene[kind] = path
    return list(exports.values())


def _clip_of(surface: str, clips: Collection[str]) -> str:
    """The clip after which a surface is named, or ""."""
    return surface if surface in clips else matched({surface}, clips).get(surface, "")


def _names(export: _Export, folder: Path) -> tuple[str, str]:
    """Names of an export's recording: as it states it, or "", and by its folder."""
    within = list(export.folder.relative_to(folder).parts)
    if len(within) > 1 and within[-2] == "exports":
        del within[-2:]
    other = "/".join([*within, *filter(None, [export.prefix.strip("_- .")])])
    name = read_info(beside(export.folder / "a", folder, "info.player.json")).get("recording_name")
    if not isinstance(name, str) and (path := beside(export.folder / "a", folder, "info.csv")):
        found = re.search(r"^Recording Name,(.{1,200})$", _text(path), re.MULTILINE)
        name = found[1].strip() if found else ""
    return (name if isinstance(name, str) and not export.prefix else ""), other


def _text(path: Path) -> str:
    return read_input(path, MOST_INFO).decode("utf-8", "replace")


def _read(
    path: Path, columns: tuple[str, ...], more: tuple[str, ...], text: tuple[str, ...] = ()
) -> tuple[Rows, list[str]]:
    """The columns of a table that it must have, and more that it has; as text those in `text`."""
    table = TextTable(path, columns, rename=lambda name: OLDER.get(name, name), short="skipped")
    there = (*columns, *(name for name in more if name in table.names))
    rows = table.read([n for n in there if n in text], [n for n in there if n not in text])
    if rows.bad:
        raise InputError(next(iter(rows.bad.values())))
    return rows, table.notes


def _on_surface(
    export: _Export,
    surface: str,
    named: str,
    folder: Path,
    clips: Collection[str],
    options: GazeOptions,
) -> list[Trial]:
    """The trials on one surface; `named` is the clip after which it is named, or ""."""
    tables = export.surfaces[surface]
    samples = fixations = None
    left_out, notes, first = Counter(), [], np.inf
    if path := tables.get("gaze_positions"):
        rows, notes = _read(
            path,
            ("gaze_timestamp", "x_norm", "y_norm", "on_surf"),
            ("world_timestamp", "confidence"),
            ("on_surf",),
        )
        on = _true(rows.text["on_surf"]) & _tracked(rows)
        time = 1000 * rows.numbers["gaze_timestamp"]
        known = ~np.isnan(time)
        x, y, lost_at = _gaze(rows, ("x_norm", "y_norm"), on)
        samples, left_out = ordered(time[known], x[known], y[known])
        notes += lost_at
        left_out.update({NO_TIME: int((~known).sum()), SHORT_ROWS: rows.skipped})
        seen = rows.numbers.get("world_timestamp", rows.numbers["gaze_timestamp"])
        first = 1000 * np.nanmin(seen, initial=np.inf)
        notes.append(GAZE_OFF_SURFACE)
    if path := tables.get("fixations"):
        fixations, more, started = _fixations(path, left_out)
        notes += more
        first = min(first, started)
    file = tables.get("gaze_positions", path)
    marks = [
        mark for mark in _marks(export, clips, options) if not named or mark.clip in ("", named)
    ]
    clip = named or ("" if any(m.clip for m in marks) else clip_folder(file, folder, clips))
    if not marks:
        marks = [Mark("", _first_seen(export, surface, first), lead=np.inf)]
        notes.append(
            "no annotation says when a clip began: times count from when its surface was first seen"
        )
    whole = Trial(
        clip,
        "",
        file,
        samples=samples,
        fixations=fixations,
        units="fractions",
        origin="lower-left",
        on_clip=named != "",
        left_out=left_out,
        notes=tuple(notes),
    )
    return cut(whole, marks)


def _on_scene(
    export: _Export, clip: str, folder: Path, clips: Collection[str], options: GazeOptions
) -> list[Trial]:
    """The trials on the scene camera's video, which is the clip."""
    samples = fixations = rows = None
    left_out, notes = Counter(), []
    if path := export.scene.get("gaze_positions"):
        rows, notes = _read(
            path, ("gaze_timestamp", "norm_pos_x", "norm_pos_y", "world_index"), ("confidence",)
        )
        known = ~np.isnan(rows.numbers["gaze_timestamp"] + rows.numbers["world_index"])
        time = 1000 * rows.numbers["gaze_timestamp"][known]
        x, y, lost_at = _gaze(rows, ("norm_pos_x", "norm_pos_y"), _tracked(rows))
        x, y = x[known], y[known]
        notes += lost_at
        frame = rows.numbers["world_index"][known].astype(np.int64) + 1
        samples, left_out = ordered(time, x, y)
        left_out.update({NO_TIME: int((~known).sum()), SHORT_ROWS: rows.skipped})
    if path := export.scene.get("fixations"):
        fixations, more, _ = _fixations(path, left_out)
        notes += more
    if export.surfaces:
        notes.append(
            "gaze on surfaces was not read: state --screen or --placed if a screen showed the clips"
        )
    file = export.scene.get("gaze_positions", path)
    marks = _marks(export, clips, options) if options.onset else []
    if not marks:
        start, note = _first_frame(export, file, folder)
        notes += note
        marks = [Mark("", start, lead=np.inf)] if start is not None else []
    if not marks:
        if rows is None:
            raise InputError(f"{file}: no world_timestamps.csv beside it: export the world video")
        samples = ordered(time, x, y, frame)[0]
        left_out[NO_ONSET] += 0 if fixations is None else len(fixations.x)
        fixations = None
    whole = Trial(
        clip,
        "",
        file,
        samples=samples,
        fixations=fixations,
        units="fractions",
        origin="lower-left",
        on_clip=True,
        left_out=left_out,
        notes=tuple(notes),
    )
    return cut(whole, marks) if marks else [whole]


def _true(cells: np.ndarray) -> np.ndarray:
    """Which cells say yes, `[n]` bool."""
    yes = {cell: cell.lower() in ("true", "1", "1.0") for cell in set(cells)}
    return np.fromiter(map(yes.__getitem__, cells), bool, len(cells))


def _gaze(
    rows: Rows, names: tuple[str, str], tracked: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Places of all rows, NaN where they are not `tracked`, `[n]` bool, or lost; and notes."""
    return without_lost(*(np.where(tracked, rows.numbers[name], np.nan) for name in names))


def _tracked(rows: Rows) -> np.ndarray:
    """Which samples have gaze that can be trusted, `[n]` bool."""
    confidence = rows.numbers.get("confidence")
    return np.ones(len(rows.line), bool) if confidence is None else confidence >= LEAST_CONFIDENCE


def _fixations(path: Path, left_out: Counter) -> tuple[RecordedFixations, list[str], float]:
    """The fixations in a table, each once, their times in ms; notes; when the first row was seen.

    On a surface a fixation has a row for each scene frame, and lies at their mean where they are
    on it; NaN if none is.
    """
    rows, notes = _read(
        path,
        ("start_timestamp", "duration", "norm_pos_x", "norm_pos_y"),
        ("fixation_id", "on_surf", "world_timestamp"),
        ("on_surf",),
    )
    left_out[SHORT_ROWS] += rows.skipped
    numbers = rows.numbers
    start, duration = numbers["start_timestamp"], numbers["duration"]
    known = np.flatnonzero(~np.isnan(start + duration))
    ids = numbers.get("fixation_id", start)
    _, first, fixation = np.unique(
        np.stack([start, ids])[:, known], axis=1, return_index=True, return_inverse=True
    )
    fixation = fixation.reshape(-1)
    *places, lost_at = without_lost(numbers["norm_pos_x"], numbers["norm_pos_y"])
    notes += lost_at
    on = ~np.isnan(places[0])[known]
    if "on_surf" in rows.text:
        on &= _true(rows.text["on_surf"])[known]
    count = np.bincount(fixation[on], minlength=len(first))
    with np.errstate(invalid="ignore"):
        x, y = (
            np.bincount(fixation[on], values[known][on], minlength=len(first)) / count
            for values in places
        )
    duration = duration[known][first]
    if len(duration) and np.median(duration) < SHORTEST_MS:
        duration = 1000 * duration
        notes.append(f"durations in {path.name} are in seconds")
    seen = 1000 * np.nanmin(numbers.get("world_timestamp", start), initial=np.inf)
    return RecordedFixations(1000 * start[known][first], duration, x, y), notes, seen


def _marks(export: _Export, clips: Collection[str], options: GazeOptions) -> list[Mark]:
    """When clips began, as the export's annotations say it."""
    path = export.folder / f"{export.prefix}annotations.csv"
    if not path.is_file():
        if options.onset:
            raise InputError(f"{path}: no such file: --onset needs the export's annotations")
        return []
    table = TextTable(path, ("label", "timestamp"))
    lasts = ["duration"] if "duration" in table.names else []
    rows = table.read(["label"], ["timestamp", *lasts])
    if rows.bad:
        raise InputError(next(iter(rows.bad.values())))
    time = rows.numbers["timestamp"]
    if np.isnan(time).any():
        line = rows.line[np.isnan(time).argmax()]
        raise InputError(f"{path} line {line}: timestamp is empty, expected seconds")
    duration = np.nan_to_num(rows.numbers["duration"]) if lasts else np.zeros(len(time))
    ends = np.where(duration > 0, 1000 * (time + duration), np.inf)
    return marks_of(list(rows.text["label"]), 1000 * time, clips, options, path, ends)


def _first_seen(export: _Export, surface: str, otherwise: float) -> float:
    """When a surface was first seen, in ms, as `surface_events.csv` says it, or `otherwise`."""
    homes = (export.folder / "surfaces", export.folder)
    paths = [home / f"{export.prefix}surface_events.csv" for home in homes]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return otherwise
    older = {"timestamp": "world_timestamp"}
    columns = ("world_timestamp", "surface_name", "event_type")
    table = TextTable(path, columns, rename=lambda name: older.get(name, name))
    rows = table.read(["surface_name", "event_type"], ["world_timestamp"])
    entered = (rows.text["surface_name"] == surface) & (rows.text["event_type"] == "enter")
    return 1000 * np.nanmin(rows.numbers["world_timestamp"][entered], initial=otherwise / 1000)


def _first_frame(export: _Export, file: Path, folder: Path) -> tuple[float | None, list[str]]:
    """When the video's first frame was shown, in ms, and notes; None if that is not known.

    `world_timestamps.csv` is written with an exported video. Without it, the video is that of
    the recording, whole.
    """
    info = export.folder / f"{export.prefix}export_info.csv"
    text = _text(info) if info.is_file() else ""
    begins = re.search(r"Frame Index Range:?,\s*(\d{1,9})\s*-", text)
    path = export.folder / f"{export.prefix}world_timestamps.csv"
    if path.is_file():
        table = TextTable(
            path,
            ("timestamps",),
            rename=lambda name: "timestamps" if "timestamps" in name else name,
        )
        times = table.read((), ("timestamps",)).numbers["timestamps"]
        if not np.isfinite(times).any():
            raise InputError(f"{path}: no times of frames in it")
        part = begins is not None and int(begins[1]) > 0
        note = [
            "the export is of a part of its recording: the clip must be the world.mp4 that was "
            "exported with it"
        ]
        return 1000 * float(np.nanmin(times)), note * part
    whole = re.search(r"Absolute Time Range,\s*([\d.]{1,20})", text)
    if whole and begins and int(begins[1]) == 0:
        return 1000 * float(whole[1]), []
    begun = read_info(beside(file, folder, "info.player.json")).get("start_time_synced_s")
    if isinstance(begun, float) and np.isfinite(begun):
        note = "no world_timestamps.csv: the first frame counts as shown when the recording began"
        return 1000 * begun, [note]
    note = (
        "no world_timestamps.csv: gaze is numbered by world_index, and the clip must be the whole "
        "world.mp4 of the recording"
    )
    return None, [note]
