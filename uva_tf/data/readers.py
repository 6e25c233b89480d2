"""From the files of one recording to its samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.core.files import listed
from uva_tf.core.pictures import IMAGE_SUFFIXES
from uva_tf.core.video import VideoReader
from uva_tf.data.folders import check_joined, numbered_files
from uva_tf.data.gaze import Fixations
from uva_tf.data.pictures import (
    FIXATION_SUFFIXES,
    read_fixation_map,
    read_map,
    read_picture,
    read_salicon_gaze,
)
from uva_tf.data.plausible import SAMPLES, are_samples, check_pixels, check_times, covered
from uva_tf.data.recordings import NOWHERE, OUTSIDE, GazeFrame, Recording, to_unit
from uva_tf.data.tables import FixationTable

NOBODY = Fixations(np.zeros((0, 2), np.float32), np.zeros(0, np.int32))


def clip(name: str, path: Path, table: FixationTable, source: Path) -> Recording:
    """A video whose fixations are rows of a table, in milliseconds and pixels."""
    left_out, notes = table.left_out.copy(), list(table.notes)
    onset, duration = table.columns["onset_ms"], table.columns["duration_ms"]
    if are_samples(duration):
        notes.append(SAMPLES)

    def read() -> Iterator[GazeFrame]:
        with VideoReader(path, threads=1) as video:
            points, inside = _to_unit(table, video.width, video.height, path)
            left_out[OUTSIDE] = int((~inside).sum())
            end = onset + duration
            seen = np.zeros_like(inside)
            for index, frame in _whole(video, path):
                starts, ends = (index - 1) * 1000 / video.rate, index * 1000 / video.rate
                # A fixation of no length belongs to the frame that it falls into.
                active = inside & (onset < ends) & ((end > starts) | (onset >= starts))
                seen |= active
                yield GazeFrame(index, frame, Fixations(points[active], table.observers[active]))
            check_times(onset, duration, ends, path)
            if note := covered(onset, duration, ends):
                notes.append(note)
            left_out[NOWHERE] = int((inside & ~seen).sum())

    return Recording(name, False, read, (path, source), left_out=left_out, notes=notes)


def photograph(name: str, path: Path, table: FixationTable, source: Path) -> Recording:
    """A photograph whose fixations are rows of a table, in pixels."""
    left_out, notes = table.left_out.copy(), list(table.notes)

    def read() -> Iterator[GazeFrame]:
        picture = read_picture(path)
        height, width = picture.shape[:2]
        points, inside = _to_unit(table, width, height, path)
        left_out[OUTSIDE] = int((~inside).sum())
        yield GazeFrame(1, picture, Fixations(points[inside], table.observers[inside]))

    return Recording(name, True, read, (path, source), left_out=left_out, notes=notes)


def mapped_video(name: str, video: Path, folder: Path, split: str) -> Recording:
    """A video whose fixations are maps numbered as its frames."""
    maps = numbered_files(_fixation_folder(folder), "", FIXATION_SUFFIXES)
    _check_same(maps, folder / "maps", "")

    def read() -> Iterator[GazeFrame]:
        count = 0
        with VideoReader(video, threads=1) as frames:
            for index, frame in _whole(frames, video):
                if index not in maps:
                    raise InputError(f"{folder}: no fixation map of frame {index} of {video.name}")
                yield GazeFrame(index, frame, _fixations_on(frame, maps[index]))
                count = index
        if surplus := sorted(set(maps) - set(range(1, count + 1))):
            raise InputError(f"{maps[surplus[0]]}: {video.name} has {count} frames only")

    return Recording(name, False, read, (video, next(iter(maps.values())).parent), split=split)


def density_clip(name: str, frames: Path, ground: Path, split: str, notes: list[str]) -> Recording:
    """A clip of pictures with density maps."""
    pictures = numbered_files(frames, name, IMAGE_SUFFIXES)
    maps = numbered_files(ground, name, IMAGE_SUFFIXES)
    check_joined(pictures, maps, frames, ground)
    first = min(pictures)

    def read() -> Iterator[GazeFrame]:
        for number, path in pictures.items():
            frame, density = read_picture(path), read_map(maps[number])
            _check_shape(frame, density.shape, maps[number])
            looked_at = density if density.any() else None
            yield GazeFrame(number - first + 1, frame, NOBODY, looked_at)

    notes = [*notes, *_gaps(pictures)]
    return Recording(name, False, read, (frames, ground), split=split, notes=notes)


def coloured(folder: Path) -> bool | None:
    """Whether a folder's pictures are in colour, by its first, middle and last; None if unknown."""
    files = listed(folder, IMAGE_SUFFIXES)
    try:
        pictures = [read_picture(files[n]) for n in (0, len(files) // 2, -1)]
    except (IndexError, InputError):
        return None
    return any((picture != picture[..., :1]).any() for picture in pictures)


def mapped_frames(name: str, folder: Path, prefix: str, split: str) -> Recording:
    """A clip of pictures in `images` with fixation maps of the same numbers."""
    pictures = numbered_files(folder / "images", prefix, IMAGE_SUFFIXES)
    fixations = _fixation_folder(folder)
    maps = numbered_files(fixations, prefix, FIXATION_SUFFIXES)
    check_joined(pictures, maps, folder / "images", fixations)
    _check_same(pictures, folder / "maps", prefix)
    first = min(pictures)

    def read() -> Iterator[GazeFrame]:
        for number, path in pictures.items():
            frame = read_picture(path)
            yield GazeFrame(number - first + 1, frame, _fixations_on(frame, maps[number]))

    sources = (folder / "images", fixations)
    return Recording(name, False, read, sources, split=split, notes=_gaps(pictures))


def salicon_picture(name: str, path: Path, mat: Path, split: str) -> Recording:
    """A photograph with the gaze of its observers in a MATLAB file."""
    left_out: Counter = Counter()

    def read() -> Iterator[GazeFrame]:
        fixations, shape, left_out[OUTSIDE] = read_salicon_gaze(mat)
        picture = read_picture(path)
        _check_shape(picture, shape, mat)
        yield GazeFrame(1, picture, fixations)

    return Recording(name, True, read, (path, mat), split=split, left_out=left_out)


def _to_unit(
    table: FixationTable, width: int, height: int, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """A table's places as shares of the frame, and which of them lie inside it."""
    x, y = table.columns["x"], table.columns["y"]
    check_pixels(x, y, width, height, path)
    return to_unit(x, y, width, height, path)


def _whole(video: VideoReader, path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """A video's frames, RGB and numbered from 1; InputError if it stops before its end."""
    index = 0
    for index, frame in enumerate(video, start=1):
        yield index, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    # Containers that estimate their length are off by a frame or two.
    if index < video.length - max(2, video.length // 100):
        raise InputError(
            f"{path}: stops after {index} of the {video.length} frames that it announces, "
            "expected a whole video"
        )


def _fixations_on(frame: np.ndarray, path: Path) -> Fixations:
    """Read a fixation map and check that it has the frame's shape."""
    fixations, shape = read_fixation_map(path)
    _check_shape(frame, shape, path)
    return fixations


def _check_shape(frame: np.ndarray, shape: tuple[int, ...], path: Path) -> None:
    """Raise InputError if a map is not the frame made larger or smaller, but for rounding."""
    height, width = frame.shape[:2]
    if abs(shape[1] / shape[0] * height / width - 1) > 0.02 + 1 / min(shape):
        raise InputError(
            f"{path}: {shape[1]}x{shape[0]} pixels for a frame of {width}x{height}, "
            "expected the same shape"
        )


def _gaps(frames: dict[int, Path]) -> list[str]:
    """A note if the numbers of a clip's frames are not consecutive."""
    consecutive = len(frames) == max(frames) - min(frames) + 1
    return [] if consecutive else ["numbers of frames are missing between others"]


def _fixation_folder(folder: Path) -> Path:
    """`fixation`, or `fixation/maps` where that holds the files."""
    fixation = folder / "fixation"
    direct = fixation.is_dir() and listed(fixation, FIXATION_SUFFIXES)
    return fixation if direct or not (fixation / "maps").is_dir() else fixation / "maps"


def _check_same(expected: dict[int, Path], folder: Path, prefix: str) -> None:
    """Published density maps are not read, for fixations say more; but they must be all there."""
    if folder.is_dir():
        published = numbered_files(folder, prefix, IMAGE_SUFFIXES)
        check_joined(expected, published, next(iter(expected.values())).parent, folder)
