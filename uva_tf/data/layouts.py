"""Dataset folders to recordings: one function a layout, one line in the registry.

A layout reads a folder's lists and returns its recordings sorted by name; their
frames are decoded only when asked for.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from uva_tf.data import synthetic
from uva_tf.data.gaze import Fixations
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.video import VIDEO_SUFFIXES, VideoReader

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")

# A slip of the tracker puts a few fixations outside the frame; more than this share of a
# recording means that its coordinates are not pixels of this frame.
MOST_OUTSIDE = 0.1

OUTSIDE = "fixations outside the frame"
NOWHERE = "fixations in no frame, such as after the last"


@dataclass(frozen=True)
class Sample:
    """One frame and where people looked in it.

    Attributes:
        index: number of the frame in its recording, from 1.
        frame: `[H, W, 3]` uint8 RGB.
    """

    index: int
    frame: np.ndarray
    fixations: Fixations


@dataclass(frozen=True)
class Recording:
    """A clip or a photograph with its gaze.

    Attributes:
        name: unique in its dataset; file name without suffix.
        still: whether it is a photograph.
        read: starts decoding; yields the samples in order.
        left_out: why and how many fixations were left out; complete after `read`.
    """

    name: str
    still: bool
    read: Callable[[], Iterator[Sample]]
    left_out: Counter = field(default_factory=Counter)


def gaze(root: Path) -> list[Recording]:
    """Clips: `videos/NAME.*` and `fixations.csv`.

    The table's columns are `video, observer, onset_ms, duration_ms, x, y`: onset from
    the first frame, x and y in pixels of the clip. A fixation belongs to every frame
    whose interval it overlaps.
    """
    table = _read_fixations(root / "fixations.csv", "video", ("onset_ms", "duration_ms", "x", "y"))
    return [
        _clip(name, path, table[name])
        for name, path in _join(root / "videos", VIDEO_SUFFIXES, table).items()
    ]


def images(root: Path) -> list[Recording]:
    """Photographs: `images/NAME.*` and `fixations.csv` with `image, observer, x, y` in pixels."""
    table = _read_fixations(root / "fixations.csv", "image", ("x", "y"))
    return [
        _photograph(name, path, table[name])
        for name, path in _join(root / "images", IMAGE_SUFFIXES, table).items()
    ]


def synthetic_clips(root: Path) -> list[Recording]:
    """The embedded default: writes synthetic recordings to `root` if absent, then reads them."""
    if not root.exists():
        synthetic.write_dataset(root)
    return gaze(root)


LAYOUTS: dict[str, Callable[[Path], list[Recording]]] = {
    "gaze": gaze,
    "images": images,
    "synthetic": synthetic_clips,
}

SPLITS = ("train", "val", "test")


def read_split(path: Path, names: list[str]) -> dict[str, str]:
    """Read a split file, `name,split` with splits `train`, `val`, `test`.

    Raises InputError unless it gives each of `names` one split and names nothing else.
    """
    split: dict[str, str] = {}
    for line, row in _rows(path, ("name", "split")):
        if row["split"] not in SPLITS:
            raise InputError(
                f"{path} line {line}: split {row['split']!r}, expected {', '.join(SPLITS)}"
            )
        if split.setdefault(row["name"], row["split"]) != row["split"]:
            raise InputError(f"{path} line {line}: {row['name']!r} is in two splits")
    if missing := sorted(set(names) - set(split)):
        raise InputError(f"{path}: {_some(missing)} of the dataset not listed, add a row for each")
    if surplus := sorted(set(split) - set(names)):
        raise InputError(f"{path}: {_some(surplus)} listed but not in the dataset")
    return split


@dataclass(frozen=True)
class _Table:
    """The fixations of one recording, column by column."""

    observers: np.ndarray
    columns: dict[str, np.ndarray]


def _clip(name: str, path: Path, table: _Table) -> Recording:
    left_out: Counter = Counter()

    def read() -> Iterator[Sample]:
        with VideoReader(path) as video:
            points, inside = _to_unit(table, video.width, video.height, path, left_out)
            onset = table.columns["onset_ms"]
            end = onset + table.columns["duration_ms"]
            seen = np.zeros_like(inside)
            for index, frame in enumerate(video, start=1):
                starts, ends = (index - 1) * 1000 / video.rate, index * 1000 / video.rate
                # A fixation of no length belongs to the frame that it falls into.
                active = inside & (onset < ends) & ((end > starts) | (onset >= starts))
                seen |= active
                yield Sample(
                    index,
                    cv2.cvtColor(frame, cv2.COLOR_BGR2RGB),
                    Fixations(points[active], table.observers[active]),
                )
            left_out[NOWHERE] = int((inside & ~seen).sum())

    return Recording(name, False, read, left_out)


def _photograph(name: str, path: Path, table: _Table) -> Recording:
    left_out: Counter = Counter()

    def read() -> Iterator[Sample]:
        try:
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        except cv2.error:  # more pixels than OpenCV allows
            picture = None
        if picture is None:
            raise InputError(f"{path}: not a picture that OpenCV can read")
        height, width = picture.shape[:2]
        points, inside = _to_unit(table, width, height, path, left_out)
        yield Sample(
            1,
            cv2.cvtColor(picture, cv2.COLOR_BGR2RGB),
            Fixations(points[inside], table.observers[inside]),
        )

    return Recording(name, True, read, left_out)


def _to_unit(
    table: _Table, width: int, height: int, path: Path, left_out: Counter
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels to 0..1, and which fixations lie inside the frame."""
    x, y = table.columns["x"], table.columns["y"]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    outside = int((~inside).sum())
    if outside > MOST_OUTSIDE * len(x):
        raise InputError(
            f"{path}: {outside} of {len(x)} fixations lie outside the {width}x{height} frame, "
            "expected x and y in pixels of this file"
        )
    left_out[OUTSIDE] = outside
    return np.stack([x / width, y / height], axis=1).astype(np.float32), inside


def _join(folder: Path, suffixes: tuple[str, ...], table: dict[str, _Table]) -> dict[str, Path]:
    """Files by name, in sorted order; every file has fixations and every fixation a file."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, the layout needs it")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes:
            if path.stem in files:
                raise InputError(f"{path} and {files[path.stem].name}: one name for two files")
            files[path.stem] = path
    if missing := sorted(set(table) - set(files)):
        raise InputError(f"{folder}: no file for {_some(missing)} of fixations.csv")
    if surplus := sorted(set(files) - set(table)):
        raise InputError(f"{folder}: {_some(surplus)} without a row in fixations.csv")
    return files


def _read_fixations(path: Path, key: str, numbers: tuple[str, ...]) -> dict[str, _Table]:
    values: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    observers: dict[str, list[int]] = defaultdict(list)
    numbering: dict[str, int] = {}
    for line, row in _rows(path, (key, "observer", *numbers)):
        values[row[key]].append(tuple(_number(row[c], c, path, line) for c in numbers))
        observers[row[key]].append(numbering.setdefault(row["observer"], len(numbering)))
    if not values:
        raise InputError(f"{path}: no fixation in it")
    return {
        name: _Table(
            np.array(observers[name], np.int32), dict(zip(numbers, np.array(rows).T, strict=True))
        )
        for name, rows in values.items()
    }


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with their line numbers; InputError if a column is not there."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        try:
            for column in columns:
                if column not in (reader.fieldnames or ()):
                    raise InputError(
                        f"{path}: no column {column!r}, "
                        f"expected {', '.join(columns)} in the first line"
                    )
            for row in reader:
                if any(row[column] is None for column in columns):
                    raise InputError(f"{path} line {reader.line_num}: fewer fields than the first")
                yield reader.line_num, row
        except csv.Error as error:
            raise InputError(f"{path}: not a table of comma-separated values ({error})") from None


def _number(text: str, column: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{path} line {line}: {column} is {text!r}, expected a number")
    if value < 0 and column == "duration_ms":
        raise InputError(f"{path} line {line}: {column} is {text!r}, expected 0 or more")
    return value


def _some(names: list[str]) -> str:
    """A few names of a list that may be long."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
