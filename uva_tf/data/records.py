"""One frame and its gaze as a TFRecord, and back.

Frames are stored once: the neighbour that a frame is paired with is found by its place in
the shard. Those for training are JPEGs; all others are PNGs, so that a model is evaluated
on the very pixels that a stream gives it. Fixations are stored as points, from which a
density map of any size is drawn; a map is stored only where a dataset publishes no
fixations, as large as the frame. Teachers' maps are half as large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from uva_tf.config import DataConfig
from uva_tf.core.errors import InputError
from uva_tf.core.resize import shrink
from uva_tf.data.dataset import Dataset, Shard
from uva_tf.data.gaze import Fixations
from uva_tf.data.recordings import GazeFrame

# Changes with what `frame_record` writes, so that a killed preparation is not mixed with another.
FORMAT = 3

# The longer side of a picture over the shorter: frames and maps are square, and beyond this
# nothing of the shorter side is left.
MOST_ASPECT = 20

# What a record holds; points and observers have one entry per fixation, pictures are
# encoded. A teacher's map may come in a record of its own, without a frame.
FEATURES = {
    "video": tf.io.FixedLenFeature([], tf.string, ""),
    "index": tf.io.FixedLenFeature([], tf.int64, 0),
    "frame": tf.io.FixedLenFeature([], tf.string, ""),
    "aspect": tf.io.FixedLenFeature([], tf.float32, 1.0),
    "points": tf.io.VarLenFeature(tf.float32),
    "observers": tf.io.VarLenFeature(tf.int64),
    "density": tf.io.FixedLenFeature([], tf.string, ""),
    "teacher_spatial": tf.io.FixedLenFeature([], tf.string, ""),
    "teacher_temporal": tf.io.FixedLenFeature([], tf.string, ""),
}


@dataclass(frozen=True)
class Record:
    """One stored frame, decoded.

    Attributes:
        index: number of the frame in its recording, from 1.
        frame: `[size, size, 3]` uint8 RGB.
        aspect: height / width of the original picture.
        density: `[h, w]` uint8, where the dataset publishes maps in place of fixations.
    """

    video: str
    index: int
    frame: np.ndarray
    aspect: float
    fixations: Fixations
    density: np.ndarray | None = None

    @property
    def looked_at(self) -> bool:
        """Whether anybody looked at it."""
        return self.density is not None or len(self.fixations.points) > 0


@dataclass(frozen=True)
class Gaze:
    """What a record holds beside its frame."""

    video: str
    fixations: Fixations


def check(aspect: float, fixations: Fixations, density: np.ndarray | None = None) -> None:
    """What holds of every record, where it is written and where it is read.

    Raises InputError, in words that go on after a name, for a picture that is too long, a
    fixation outside the frame, or a density map that is empty.
    """
    points = fixations.points
    if not 1 / MOST_ASPECT <= np.float32(aspect) <= MOST_ASPECT:
        raise InputError(
            f"height {aspect:.4g} times the width, expected sides of {MOST_ASPECT} to 1 at most"
        )
    if points.shape != (len(fixations.observers), 2):
        raise InputError(f"{len(fixations.observers)} observers of {points.shape} fixations")
    outside = ~((points >= 0) & (points <= 1)).all(axis=1)
    if outside.any():
        x, y = points[outside][0]
        raise InputError(f"a fixation at {x:.4g}, {y:.4g} of the frame, expected 0 to 1")
    if density is not None and not density.any():
        raise InputError("an empty density map, expected none where nobody looks")


def frame_record(video: str, sample: GazeFrame, config: DataConfig, *, lossless: bool) -> bytes:
    """Serialize a sample, its frame and maps made small; the frame as PNG if lossless.

    Raises InputError, which names the frame, for what `check` refuses.
    """
    height, width = sample.frame.shape[:2]
    try:
        check(height / width, sample.fixations, sample.density)
    except InputError as error:
        raise InputError(f"{video}, frame {sample.index} of {width}x{height}: {error}") from None
    small = cv2.cvtColor(shrink(sample.frame, config.size), cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, config.quality]
    frame = cv2.imencode(".png", small) if lossless else cv2.imencode(".jpg", small, quality)
    maps = {f"teacher_{kind}": _png(m, config.size // 2) for kind, m in sample.teachers.items()}
    if sample.density is not None:
        maps["density"] = _png(sample.density, config.size)
    return _serialize(
        video=[video.encode()],
        index=[sample.index],
        frame=[frame[1].tobytes()],
        aspect=[height / width],
        points=sample.fixations.points.ravel().tolist(),
        observers=sample.fixations.observers.tolist(),
        **{key: [png] for key, png in maps.items()},
    )


def map_record(video: bytes, index: int, kind: str, picture: np.ndarray) -> bytes:
    """Serialize a teacher's map of one frame, `[h, h]` uint8."""
    png = _png(picture, len(picture))
    return _serialize(video=[video], index=[index], **{f"teacher_{kind}": [png]})


def read_records(
    dataset: Dataset, shard: Shard, *, start: int = 0, count: int = -1
) -> Iterator[Record]:
    """Decode a shard's records in order, `count` of them (-1: all) from number `start` on.

    Raises InputError for a record that makes no sense.
    """
    path = dataset.folder / shard.file
    records = tf.data.TFRecordDataset(str(path)).skip(start).take(count)
    for serialized in records.as_numpy_iterator():
        example = tf.io.parse_single_example(serialized, FEATURES)
        picture = _decode(example["frame"], cv2.IMREAD_COLOR)
        if picture is None or picture.shape != (dataset.size, dataset.size, 3):
            raise InputError(f"{path}: a record in it has no frame of {dataset.size} px")
        aspect, fixations = float(example["aspect"]), _fixations(example)
        density = _decode(example["density"], cv2.IMREAD_GRAYSCALE)
        _check_read(path, aspect, fixations, density)
        yield Record(
            video=example["video"].numpy().decode(),
            index=int(example["index"]),
            frame=cv2.cvtColor(picture, cv2.COLOR_BGR2RGB),
            aspect=aspect,
            fixations=fixations,
            density=density,
        )


def read_gaze(dataset: Dataset, shard: Shard) -> Iterator[Gaze]:
    """The fixations of a shard's records in order; no picture is decoded.

    Raises InputError for a record that makes no sense.
    """
    path = dataset.folder / shard.file
    keys = {key: FEATURES[key] for key in ("video", "aspect", "points", "observers")}
    for serialized in tf.data.TFRecordDataset(str(path)):
        example = tf.io.parse_single_example(serialized, keys)
        fixations = _fixations(example)
        _check_read(path, float(example["aspect"]), fixations)
        yield Gaze(example["video"].numpy().decode(), fixations)


def _check_read(path: Path, aspect: float, fixations: Fixations, *density) -> None:
    try:
        check(aspect, fixations, *density)
    except InputError as error:
        raise InputError(f"{path}: a record in it makes no sense: {error}") from None


def _fixations(example: dict[str, tf.Tensor]) -> Fixations:
    points = example["points"].values.numpy().reshape(-1, 2)
    return Fixations(points, example["observers"].values.numpy().astype(np.int32))


def _png(picture: np.ndarray, size: int) -> bytes:
    """Encode a map as a square of `size` pixels whose maximum is 255."""
    smaller = max(picture.shape[:2]) < size
    how = cv2.INTER_LINEAR if smaller else cv2.INTER_AREA
    resized = cv2.resize(picture.astype(np.float32), (size, size), interpolation=how)
    # A dim map says as much as a bright one, and would lose it in rounding.
    levels = np.rint(resized * (255 / max(resized.max(), 1e-9))).astype(np.uint8)
    return cv2.imencode(".png", levels)[1].tobytes()


def _decode(encoded: tf.Tensor, flags: int) -> np.ndarray | None:
    content = np.frombuffer(encoded.numpy(), np.uint8)
    return cv2.imdecode(content, flags) if len(content) else None


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
