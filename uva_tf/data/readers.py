"""Readers: from the files of one recording to its gaze frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import listed
from uva_tf.core.frames import Frame
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VideoReader
from uva_tf.data.fixations import Fixations
from uva_tf.data.folders import check_joined, numbered_files
from uva_tf.data.hints import read_hint
from uva_tf.data.picture_files import (
    FIXATION_SUFFIXES,
    read_fixation_map,
    read_map,
    read_picture,
    read_salicon_gaze,
)
from uva_tf.data.recordings import GazeFrame, Recording, unreadable
from uva_tf.gaze.detection import fixations_of
from uva_tf.gaze.fixation_table import NOWHERE, OUTSIDE, FixationTable
from uva_tf.gaze.options import NOTHING_STATED, TIME_UNITS, GazeOptions
from uva_tf.gaze.placing import on_clip, to_unit
from uva_tf.gaze.plausible import check_frames, check_pixels, check_times, check_units, covered
from uva_tf.gaze.trials import Trial

NO_FIXATIONS = Fixations(np.zeros((0, 2), np.float32), np.zeros(0, np.int32))


def clip(
    name: str,
    path: Path,
    table: FixationTable,
    table_path: Path,
    options: GazeOptions = NOTHING_STATED,
) -> Recording:
    """A video whose fixations are rows of a table: milliseconds and pixels, unless stated."""

    def placed(size: tuple[int, int], checked: bool) -> FixationTable:
        return _placed(table, size, table_path, options, path, checked)

    notes, left_out = list(table.notes), table.left_out.copy()
    return _seen(name, path, (path, table_path), placed, options, notes, left_out, table.names)


def watched(
    name: str,
    path: Path,
    trials: Sequence[Trial],
    options: GazeOptions,
    numbering: Mapping[str, int],
    files: Sequence[Path],
    *,
    timed: bool = True,
) -> Recording:
    """A video and the trials in which observers watched it, read from a tracker's exports.

    Args:
        numbering: the number of each observer.
        files: all that the trials were read from, since any may say when a clip began.
        timed: whether they say when the clip began, so that gaze may run on after it.
    """

    def found(size: tuple[int, int], checked: bool) -> FixationTable:
        return fixations_of(trials, size, options, numbering, checked=checked)

    people, paths = tuple(numbering), (path, *files)
    return _seen(
        name, path, paths, found, options, [], Counter(), people, exported=True, timed=timed
    )


def _seen(
    name: str,
    path: Path,
    paths: tuple[Path, ...],
    table_of: Callable[[tuple[int, int], bool], FixationTable],
    options: GazeOptions,
    notes: list[str],
    left_out: Counter,
    observers: tuple[str, ...],
    *,
    exported: bool = False,
    timed: bool = False,
) -> Recording:
    """A video with fixations; `table_of` gives them in its pixels, once its size is known.

    Args:
        exported, timed: as for `watched`; False for a table of fixations.
        table_of: takes the size, and whether to check that the places can be pixels.
    """
    tracked: dict[int, float] = {}
    taken: dict[int, int] = {}
    durations: dict[int, np.ndarray] = {}

    def read(checked: bool = True) -> Iterator[GazeFrame]:
        with VideoReader(path, threads=1) as video:
            if options.placed in ("fit", "centre") and video.pixel_aspect != 1:
                raise InputError(
                    f"{path}: its pixels are not square ({video.pixel_aspect}): state where it was "
                    "on the screen as --placed X,Y,W,H"
                )
            table = _ordered(table_of((video.width, video.height), checked))
            notes.extend(note for note in table.notes if note not in notes)
            for reason, count in table.left_out.items():  # it may be read twice
                left_out[reason] = count
            tracked.update(table.tracked)
            taken.update(table.taken)
            x, y = table.columns["x"], table.columns["y"]
            size, right = (video.width, video.height), options.places_right
            points, inside = to_unit(x, y, *size, path, right, checked=checked)
            left_out[OUTSIDE] = int((~inside).sum())
            inside |= not checked
            seen = np.zeros_like(inside)
            for index, frame, starts, ends in _shown(_numbered(video, path, notes), video.rate):
                active = _during(table.columns, index, starts, ends)
                active = active[inside[active]]
                seen[active] = True
                yield GazeFrame(
                    index,
                    frame,
                    _counted_once(points, table, active),
                    samples=_samples(table, index, starts, ends, video),
                    pixel_aspect=float(video.pixel_aspect),
                )
            durations.update(_durations(table, seen))
            if checked and "onset_ms" in table.columns:
                onset, duration = table.columns["onset_ms"], table.columns["duration_ms"]
                fits = options.times_right or timed
                check_times(onset, duration, ends, path, right=fits, exported=exported)
                if note := covered(onset, duration, ends):
                    notes.append(note)
            if checked and "frame" in table.columns:
                check_frames(table.columns["frame"], index, video.rate, path)
            left_out[NOWHERE] = int((inside & ~seen).sum())
            if checked and exported and not seen.any():
                counts = ", ".join(f"{n} {reason}" for reason, n in left_out.items() if n)
                raise InputError(
                    f"{path}: no gaze on it ({counts or 'its trials are empty'}): see whether the "
                    "screen, --placed and the onset are right"
                )

    return Recording(
        name,
        False,
        read,
        paths,
        left_out=left_out,
        notes=notes,
        observers=observers,
        tracked=tracked,
        taken=taken,
        durations=durations,
        as_found=partial(read, checked=False),
    )


def _ordered(table: FixationTable) -> FixationTable:
    """The table with its rows in the order of their onsets, or frames.

    Then the rows of a frame are near to each other, of which there may be millions. `latest` is
    when the last of a row and those before it ends.
    """
    columns = dict(table.columns)
    order = np.argsort(columns["frame" if "frame" in columns else "onset_ms"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    if "frame" not in columns:
        columns["latest"] = np.maximum.accumulate(columns["onset_ms"] + columns["duration_ms"])
    return replace(table, columns=columns, observers=table.observers[order])


def _during(columns: dict[str, np.ndarray], index: int, starts: float, ends: float) -> np.ndarray:
    """Indices of the rows of a frame: by its number, or by when it is shown.

    Args:
        columns: as `_ordered` leaves them.
    """
    if "frame" in columns:
        return np.arange(*np.searchsorted(columns["frame"], [index, index + 1]))
    onset = columns["onset_ms"]
    first = min(np.searchsorted(columns["latest"], starts, "right"), np.searchsorted(onset, starts))
    rows = slice(first, np.searchsorted(onset, ends))
    onset, end = onset[rows], onset[rows] + columns["duration_ms"][rows]
    # A fixation of duration 0 belongs to the frame at its onset.
    return first + np.flatnonzero((end > starts) | (onset >= starts))


def _counted_once(points: np.ndarray, table: FixationTable, active: np.ndarray) -> Fixations:
    """The rows with the indices `active` as fixations; those of one event become their mean."""
    points, observers = points[active], table.observers[active]
    if "event" not in table.columns or not len(points):
        return Fixations(points, observers)
    _, first, event, count = np.unique(
        table.columns["event"][active], return_index=True, return_inverse=True, return_counts=True
    )
    means = np.stack([np.bincount(event, values) / count for values in points.T], axis=1)
    return Fixations(means.astype(np.float32), observers[first])


def _durations(table: FixationTable, seen: np.ndarray) -> dict[int, np.ndarray]:
    """By observer, how long each of the rows `seen` lasted, in ms; rows of one event are one."""
    if "onset_ms" not in table.columns or not seen.any():
        return {}
    observers, onset = table.observers[seen], table.columns["onset_ms"][seen]
    end = onset + table.columns["duration_ms"][seen]
    if "event" in table.columns:
        order = np.lexsort([onset, table.columns["event"][seen]])
        begins = np.diff(table.columns["event"][seen][order], prepend=np.nan) != 0
        first = np.flatnonzero(begins)
        end = np.maximum.reduceat(end[order], first)
        onset, observers = onset[order][first], observers[order][first]
    return {int(one): (end - onset)[observers == one] for one in np.unique(observers)}


def _samples(
    table: FixationTable, index: int, starts: float, ends: float, video: VideoReader
) -> Fixations | None:
    """The samples during a frame, as points; they are in the order of time."""
    if not table.samples:
        return None
    if "frame" in table.samples:
        rows = np.searchsorted(table.samples["frame"], [index, index + 1])
    else:
        rows = np.searchsorted(table.samples["time"], [starts, ends])
    now = slice(*rows)
    points = np.stack([table.samples[axis][now] for axis in ("x", "y")], axis=1)
    size = np.array([video.width, video.height])
    return Fixations((points / size).astype(np.float32), table.samples["observer"][now])


def _placed(
    table: FixationTable,
    size: tuple[int, int],
    file: Path,
    options: GazeOptions,
    path: Path,
    checked: bool,
) -> FixationTable:
    """A table's rows in milliseconds and pixels of the clip; checks those that are not stated."""
    columns = dict(table.columns)
    if checked and not options.units:
        check_pixels(columns["x"], columns["y"], *(options.screen or size), path, table.together)
    if checked:
        check_units(columns["x"], columns["y"], options.units, path)
    trial = Trial(clip="", observer="", file=file, on_clip=True)
    columns["x"], columns["y"] = on_clip(trial, columns["x"], columns["y"], size, options)
    for name in ("onset_ms", "duration_ms"):
        if name in columns:
            columns[name] = columns[name] * TIME_UNITS[options.times or "ms"]
    return replace(table, columns=columns)


def photograph(
    name: str,
    path: Path,
    table: FixationTable,
    table_path: Path,
    options: GazeOptions = NOTHING_STATED,
) -> Recording:
    """A photograph whose fixations are rows of a table: pixels, unless stated."""
    left_out, notes = table.left_out.copy(), list(table.notes)

    def read(checked: bool = True) -> Iterator[GazeFrame]:
        picture = read_picture(path)
        size = picture.width, picture.height
        places = _placed(table, size, table_path, options, path, checked).columns
        x, y, right = places["x"], places["y"], options.places_right
        points, inside = to_unit(x, y, *size, path, right, checked=checked)
        left_out[OUTSIDE] = int((~inside).sum())
        inside |= not checked
        yield GazeFrame(1, picture, Fixations(points[inside], table.observers[inside]))

    return Recording(
        name,
        True,
        read,
        (path, table_path),
        left_out=left_out,
        notes=notes,
        observers=table.names,
        as_found=partial(read, checked=False),
    )


def mapped_photograph(name: str, path: Path, map_path: Path) -> Recording:
    """A photograph and a grey map of where people looked in it, of any size, in its aspect."""

    def read() -> Iterator[GazeFrame]:
        picture, density = read_picture(path), read_map(map_path)
        _check_aspect(picture, density.shape, map_path)
        if not density.any():
            raise InputError(f"{map_path}: an empty map, expected attention somewhere")
        yield GazeFrame(1, picture, NO_FIXATIONS, density)

    return Recording(name, True, read, (path, map_path))


def footage(name: str, path: Path) -> Recording:
    """A video without gaze."""
    notes: list[str] = []

    def read() -> Iterator[GazeFrame]:
        with VideoReader(path, threads=1) as video:
            for index, frame in _numbered(video, path, notes):
                yield GazeFrame(index, frame, NO_FIXATIONS, pixel_aspect=float(video.pixel_aspect))

    return Recording(name, False, read, (path,), notes=notes)


def mapped_video(name: str, video: Path, folder: Path, split: str) -> Recording:
    """A video with a fixation map for every frame, numbered as the frames are."""
    maps = numbered_files(_fixation_folder(folder), "", FIXATION_SUFFIXES)
    _check_densities(maps, folder / "maps", "")
    notes: list[str] = []

    def read() -> Iterator[GazeFrame]:
        count = 0
        with VideoReader(video, threads=1) as frames:
            for index, frame in _numbered(frames, video, notes):
                if index not in maps:
                    raise InputError(f"{folder}: no fixation map for frame {index} of {video.name}")
                fixations, aspect = _fixations_on(frame, maps[index]), float(frames.pixel_aspect)
                yield GazeFrame(index, frame, fixations, pixel_aspect=aspect)
                count = index
        if surplus := sorted(set(maps) - set(range(1, count + 1))):
            raise InputError(f"{maps[surplus[0]]}: {video.name} has only {count} frames")

    paths = (video, next(iter(maps.values())).parent)
    return Recording(name, False, read, paths, split=split, notes=notes)


def density_clip(name: str, frames: Path, ground: Path, split: str, notes: list[str]) -> Recording:
    """A folder of pictures, the frames of a clip, and a folder of their density maps."""
    pictures = numbered_files(frames, name, IMAGE_SUFFIXES)
    maps = numbered_files(ground, name, IMAGE_SUFFIXES)
    check_joined(pictures, maps, frames, ground)
    first = min(pictures)

    def read() -> Iterator[GazeFrame]:
        for number, path in pictures.items():
            frame, density = read_picture(path), read_map(maps[number])
            _check_aspect(frame, density.shape, maps[number])
            looked_at = density if density.any() else None
            yield GazeFrame(number - first + 1, frame, NO_FIXATIONS, looked_at)

    notes = [*notes, *_gaps(pictures)]
    return Recording(name, False, read, (frames, ground), split=split, notes=notes)


def coloured(folder: Path) -> bool | None:
    """Whether the first, middle or last picture of a folder is in colour.

    None if they can't be read.
    """
    files = listed(folder, IMAGE_SUFFIXES)
    try:
        pictures = [read_picture(files[n]) for n in (0, len(files) // 2, -1)]
    except (IndexError, InputError):
        return None
    return any((p.pixels != p.pixels[..., :1]).any() for p in pictures)


def mapped_frames(name: str, folder: Path, prefix: str, split: str) -> Recording:
    """A clip as pictures in `images`, with fixation maps of the same numbers."""
    pictures = numbered_files(folder / "images", prefix, IMAGE_SUFFIXES)
    fixations = _fixation_folder(folder)
    maps = numbered_files(fixations, prefix, FIXATION_SUFFIXES)
    check_joined(pictures, maps, folder / "images", fixations)
    _check_densities(pictures, folder / "maps", prefix)
    first = min(pictures)

    def read() -> Iterator[GazeFrame]:
        for number, path in pictures.items():
            frame = read_picture(path)
            yield GazeFrame(number - first + 1, frame, _fixations_on(frame, maps[number]))

    paths = (folder / "images", fixations)
    return Recording(name, False, read, paths, split=split, notes=_gaps(pictures))


def salicon_picture(name: str, path: Path, mat: Path, split: str) -> Recording:
    """A photograph whose observers' fixations are in a MATLAB file, as SALICON publishes them."""
    left_out: Counter = Counter()

    def read() -> Iterator[GazeFrame]:
        fixations, shape, left_out[OUTSIDE] = read_salicon_gaze(mat)
        picture = read_picture(path)
        _check_aspect(picture, shape, mat)
        yield GazeFrame(1, picture, fixations)

    return Recording(name, True, read, (path, mat), split=split, left_out=left_out)


def with_maps(recording: Recording, kind: str, root: Path) -> Recording:
    """The recording, each gaze frame with the map of a teacher from elsewhere.

    The maps are `root/NAME/000001.png` and so on, 8-bit grey, of any size, one for every
    frame; any other model may have made them. Reading raises InputError, which names the
    file, for a map that is missing, surplus or empty.

    Args:
        kind: of the teacher, `spatial` or `temporal`.
    """
    folder = root / recording.name
    try:
        maps = numbered_files(folder, "", IMAGE_SUFFIXES)
    except InputError as error:
        return unreadable(recording.name, f"{error}, expected a map of every frame")

    def read() -> Iterator[GazeFrame]:
        surplus = dict(maps)
        for gaze_frame in recording.read():
            path = surplus.pop(gaze_frame.index, None)
            if path is None:
                missing = folder / f"{gaze_frame.index:06d}.png"
                raise InputError(f"{missing}: no such file, expected a map of every frame")
            picture = read_map(path)
            if not picture.any():
                raise InputError(f"{path}: an empty map, expected attention somewhere")
            yield replace(gaze_frame, teachers=gaze_frame.teachers | {kind: picture})
        if surplus:
            raise InputError(f"{next(iter(surplus.values()))}: {recording.name} has no such frame")

    return replace(recording, read=read, paths=(*recording.paths, folder))


def with_hints(recording: Recording, root: Path, components: int) -> Recording:
    """The recording, its gaze frames with the hints of another network.

    The hints are `root/NAME/000001.npy` and so on, see `data.hints`; not every frame needs one.
    Reading raises InputError, which names the file, for a hint that is surplus or not of
    `components`.
    """
    folder = root / recording.name
    try:
        hints = numbered_files(folder, "", (".npy",))
    except InputError as error:
        return unreadable(recording.name, f"{error}, expected hints of some frames")

    def read() -> Iterator[GazeFrame]:
        surplus = dict(hints)
        for gaze_frame in recording.read():
            path = surplus.pop(gaze_frame.index, None)
            hint = None if path is None else read_hint(path)
            if hint is not None and hint.shape[2] != components:
                raise InputError(f"{path}: {hint.shape[2]} components, expected {components}")
            yield replace(gaze_frame, hint=hint)
        if surplus:
            raise InputError(f"{next(iter(surplus.values()))}: {recording.name} has no such frame")

    return replace(recording, read=read, paths=(*recording.paths, folder))


def _numbered(video: VideoReader, path: Path, notes: list[str]) -> Iterator[tuple[int, Frame]]:
    """A video's frames, numbered from 1; at the end, what the reader noted.

    Raises InputError if the video stops before its end.
    """
    yield from enumerate(video.timed(), start=1)
    if video.missing:
        raise InputError(
            f"{path}: stops {video.missing} frames before the {video.length} that it announces, "
            "expected a complete video"
        )
    if video.incomplete and not video.length:  # Matroska and WebM say only when they end
        cut = next(note for note in video.notes if note.startswith("cut short: "))
        raise InputError(f"{path}: {cut}, expected a complete video")
    notes += video.notes
    if abs(video.pixel_aspect - 1) > 0.01:
        notes.append(
            f"its pixels are not square ({video.pixel_aspect}): maps are of the shape as displayed"
        )


def _shown(
    frames: Iterable[tuple[int, Frame]], rate: float
) -> Iterator[tuple[int, Frame, float, float]]:
    """Numbered frames, each with when it is shown: from and to, in ms from the first frame.

    The last one is shown for as long as a frame is at the mean rate.
    """
    frames = iter(frames)
    last = next(frames, None)
    if last is None:
        return
    first = last[1].seconds
    for frame in frames:
        yield *last, _since(first, last[1].seconds), _since(first, frame[1].seconds)
        last = frame
    yield *last, _since(first, last[1].seconds), _since(first, last[1].seconds + 1 / rate)


def _since(first: float, seconds: float) -> float:
    """Milliseconds, rounded to a microsecond: a frame that is shown at 100 ms begins there."""
    return round(1000 * (seconds - first), 3)


def _fixations_on(frame: Frame, path: Path) -> Fixations:
    """Read a frame's fixation map and check that it has the frame's aspect."""
    fixations, shape = read_fixation_map(path)
    _check_aspect(frame, shape, path)
    return fixations


def _check_aspect(frame: Frame, shape: tuple[int, ...], path: Path) -> None:
    """Raise InputError unless a map has the frame's aspect, within rounding."""
    height, width = frame.height, frame.width
    if abs(shape[1] / shape[0] * height / width - 1) > 0.02 + 1 / min(shape):
        raise InputError(
            f"{path}: {shape[1]}x{shape[0]} pixels for a frame of {width}x{height}, "
            "expected the same aspect"
        )


def _gaps(frames: dict[int, Path]) -> list[str]:
    """A note if the numbers of a clip's frames are not consecutive, else none."""
    consecutive = len(frames) == max(frames) - min(frames) + 1
    return [] if consecutive else ["frame numbers have gaps"]


def _fixation_folder(folder: Path) -> Path:
    """`fixation`, or `fixation/maps` if the files are there."""
    fixation = folder / "fixation"
    direct = fixation.is_dir() and listed(fixation, FIXATION_SUFFIXES)
    return fixation if direct or not (fixation / "maps").is_dir() else fixation / "maps"


def _check_densities(expected: dict[int, Path], folder: Path, prefix: str) -> None:
    """Raise InputError if a folder of published density maps lacks some, or has others.

    The maps themselves are not read, since fixations say more.
    """
    if folder.is_dir():
        published = numbered_files(folder, prefix, IMAGE_SUFFIXES)
        check_joined(expected, published, next(iter(expected.values())).parent, folder)
