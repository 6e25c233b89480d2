"""Records: a gaze frame as it is stored in a shard, written and read.

Each frame is stored once: the neighbour that it is paired with is the record before or after.
Frames for training are JPEGs; all others are PNGs, so that a model is evaluated on exactly the
pixels that a stream gives it. Fixations are stored as points, from which a density map of any
size can be drawn. A density map is stored only if the dataset publishes no fixations; it is as
large as the frame. Teachers' maps are half as large. A hint is stored as its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.data.dataset import Dataset, Shard
from uva_tf.data.fixations import Fixations
from uva_tf.data.recordings import GazeFrame

# Must change with what `frame_record` writes, so that a preparation that was killed is not
# continued in another format.
FORMAT = 5

# The longer side of a picture over the shorter. Frames and maps are stored as squares, which
# distorts a longer picture too much.
MOST_ASPECT = 20

# What a record holds. Pictures are encoded; `points` has x and y of every fixation, `observers`
# one entry for each. A teacher's map may be in a separate record, without a frame.
FEATURES = {
    "video": tf.io.FixedLenFeature([], tf.string, b""),
    "index": tf.io.FixedLenFeature([], tf.int64, 0),
    "frame": tf.io.FixedLenFeature([], tf.string, b""),
    "aspect": tf.io.FixedLenFeature([], tf.float32, 1.0),
    "points": tf.io.VarLenFeature(tf.float32),
    "observers": tf.io.VarLenFeature(tf.int64),
    "density": tf.io.FixedLenFeature([], tf.string, b""),
    "teacher_spatial": tf.io.FixedLenFeature([], tf.string, b""),
    "teacher_temporal": tf.io.FixedLenFeature([], tf.string, b""),
    "hint": tf.io.FixedLenFeature([], tf.string, b""),
}
# Where a feature of some type stands in a `tf.train.Feature`.
LISTS = {tf.string: "bytes_list", tf.int64: "int64_list", tf.float32: "float_list"}


@dataclass(frozen=True)
class Record:
    """A gaze frame as it is stored, decoded again.

    Attributes:
        video: name of the recording.
        index: number of the frame in its recording, from 1.
        frame: `[size, size, 3]` uint8 RGB.
        aspect: height / width of the original picture, as displayed.
        density: `[h, w]` uint8, if the dataset publishes density maps instead of fixations.
    """

    video: str
    index: int
    frame: np.ndarray
    aspect: float
    fixations: Fixations
    density: np.ndarray | None = None

    @property
    def looked_at(self) -> bool:
        """Whether it has fixations or a density map."""
        return self.density is not None or len(self.fixations.points) > 0


@dataclass(frozen=True)
class RecordFixations:
    """A record's fixations, without its pictures."""

    video: str
    fixations: Fixations


def check(aspect: float, fixations: Fixations, density: np.ndarray | None = None) -> None:
    """Check what must hold for every record, when it is written and when it is read.

    Raises InputError for a picture that is too long, a fixation outside the frame, or an empty
    density map; the caller puts the frame's or the file's name before the message.
    """
    points = fixations.points
    if not 1 / MOST_ASPECT <= np.float32(aspect) <= MOST_ASPECT:
        raise InputError(
            f"height {aspect:.4g} times the width, expected sides of at most {MOST_ASPECT} to 1"
        )
    if points.shape != (len(fixations.observers), 2):
        raise InputError(f"{len(fixations.observers)} observers for {points.shape} fixations")
    outside = ~((points >= 0) & (points <= 1)).all(axis=1)
    if outside.any():
        x, y = points[outside][0]
        raise InputError(f"a fixation at {x:.4g}, {y:.4g} of the frame, expected 0 to 1")
    if density is not None and not density.any():
        raise InputError("an empty density map, expected no map for a frame without gaze")


def frame_record(video: str, gaze_frame: GazeFrame, config: DataConfig, *, lossless: bool) -> bytes:
    """Serialize a gaze frame; its frame and maps are shrunk to the sizes that are stored.

    Args:
        video: name of the recording.
        lossless: store the frame as a PNG, not as a JPEG.

    Raises InputError, which names the frame, for what `check` refuses.
    """
    height, width = gaze_frame.frame.height, gaze_frame.frame.width
    try:
        check(gaze_frame.aspect, gaze_frame.fixations, gaze_frame.density)
    except InputError as error:
        raise InputError(
            f"{video}, frame {gaze_frame.index} of {width}x{height}: {error}"
        ) from None
    small = cv2.cvtColor(gaze_frame.frame.small(config.size), cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, config.quality]
    frame = cv2.imencode(".png", small) if lossless else cv2.imencode(".jpg", small, quality)
    maps = {f"teacher_{kind}": _png(m, config.size // 2) for kind, m in gaze_frame.teachers.items()}
    if gaze_frame.density is not None:
        maps["density"] = _png(gaze_frame.density, config.size)
    hint = [] if gaze_frame.hint is None else [gaze_frame.hint.tobytes()]
    return _serialize(
        video=[video.encode()],
        index=[gaze_frame.index],
        frame=[frame[1].tobytes()],
        aspect=[gaze_frame.aspect],
        points=gaze_frame.fixations.points.ravel().tolist(),
        observers=gaze_frame.fixations.observers.tolist(),
        hint=hint,
        **{key: [png] for key, png in maps.items()},
    )


def map_record(video: bytes, index: int, kind: str, picture: np.ndarray) -> bytes:
    """Serialize a teacher's map of one frame, `[h, h]` uint8."""
    png = _png(picture, len(picture))
    return _serialize(video=[video], index=[index], **{f"teacher_{kind}": [png]})


def read_records(
    dataset: Dataset, shard: Shard, *, start: int = 0, count: int = -1
) -> Iterator[Record]:
    """Decode a shard's records in order: `count` of them (-1: all), from record `start` (from 0).

    Raises InputError for a record that is not valid.
    """
    path = dataset.folder / shard.file
    records = tf.data.TFRecordDataset(str(path)).skip(start).take(count)
    for serialized in records.as_numpy_iterator():
        example = _parsed(path, serialized, FEATURES)
        picture = _decode(example["frame"], cv2.IMREAD_COLOR)
        if picture is None or picture.shape != (dataset.size, dataset.size, 3):
            raise InputError(
                f"{path}: a record has no frame of {dataset.size} px: run uva-tf prepare again"
            )
        aspect, fixations = example["aspect"], _fixations(path, example)
        density = _decode(example["density"], cv2.IMREAD_GRAYSCALE)
        if density is None and example["density"]:
            raise _invalid(path, "density is no picture")
        _check_read(path, aspect, fixations, density)
        yield Record(
            video=example["video"].decode(errors="replace"),
            index=example["index"],
            frame=cv2.cvtColor(picture, cv2.COLOR_BGR2RGB),
            aspect=aspect,
            fixations=fixations,
            density=density,
        )


def read_gaze(dataset: Dataset, shard: Shard) -> Iterator[RecordFixations]:
    """The fixations of a shard's records in order; no picture is decoded.

    Raises InputError for a record that is not valid.
    """
    path = dataset.folder / shard.file
    for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        example = _parsed(path, serialized, ("video", "aspect", "points", "observers"))
        fixations = _fixations(path, example)
        _check_read(path, example["aspect"], fixations)
        yield RecordFixations(example["video"].decode(errors="replace"), fixations)


def _parsed(path: Path, serialized: bytes, keys: Iterable[str]) -> dict[str, Any]:
    """Some of a record's `FEATURES`: those of fixed length as a value, the others as a list.

    In Python, as TensorFlow's own parser takes 30 operations for each record.

    Raises InputError if it holds something else.
    """
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except DecodeError:
        raise _invalid(path, "no tf.train.Example") from None
    values = {}
    for key in keys:
        feature, kind = FEATURES[key], LISTS[FEATURES[key].dtype]
        found = list(getattr(features[key], kind).value)
        fixed = isinstance(feature, tf.io.FixedLenFeature)
        if features[key].WhichOneof("kind") not in (None, kind) or (fixed and len(found) > 1):
            raise _invalid(path, f"{key} is something else")
        values[key] = found if not fixed else found[0] if found else feature.default_value
    return values


def _invalid(path: Path, why: object) -> InputError:
    return InputError(f"{path}: a record is not valid ({why}): run uva-tf prepare again")


def _check_read(path: Path, aspect: float, fixations: Fixations, *density) -> None:
    try:
        check(aspect, fixations, *density)
    except InputError as error:
        raise _invalid(path, error) from None


def _fixations(path: Path, example: dict[str, Any]) -> Fixations:
    points = np.array(example["points"], np.float32)
    if len(points) % 2:
        raise _invalid(path, "an odd number of coordinates")
    observers = np.array(example["observers"], np.int64).astype(np.int32)
    return Fixations(points.reshape(-1, 2), observers)


def _png(picture: np.ndarray, size: int) -> bytes:
    """Encode a map as a square PNG of `size` pixels whose maximum is 255."""
    smaller = max(picture.shape[:2]) < size
    how = cv2.INTER_LINEAR if smaller else cv2.INTER_AREA
    resized = cv2.resize(picture.astype(np.float32), (size, size), interpolation=how)
    # Scaled first, so that rounding does not cost a dim map its detail.
    levels = np.rint(resized * (255 / max(resized.max(), 1e-9))).astype(np.uint8)
    return cv2.imencode(".png", levels)[1].tobytes()


def _decode(encoded: bytes, flags: int) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None


def _serialize(**features: list) -> bytes:
    return tf.train.Example(
        features=tf.train.Features(feature={key: _feature(v) for key, v in features.items() if v})
    ).SerializeToString(deterministic=True)


def _feature(values: list) -> tf.train.Feature:
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
