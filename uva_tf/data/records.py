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

import cv2
import numpy as np
import tensorflow as tf

from uva_tf.config import DataConfig
from uva_tf.data.dataset import Dataset, Shard
from uva_tf.data.gaze import Fixations
from uva_tf.data.recordings import Sample
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.frames import shrink

# Changes with what `frame_record` writes, so that a killed preparation is not mixed with another.
FORMAT = 3

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


def frame_record(video: str, sample: Sample, config: DataConfig, *, lossless: bool) -> bytes:
    """Serialize a sample, its frame and maps made small; the frame as PNG if lossless."""
    height, width = sample.frame.shape[:2]
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
        points = example["points"].values.numpy().reshape(-1, 2)
        picture = _decode(example["frame"], cv2.IMREAD_COLOR)
        if (
            picture is None
            or picture.shape != (dataset.size, dataset.size, 3)
            or not 0.05 <= example["aspect"] <= 20
            or not ((points >= 0) & (points <= 1)).all()
        ):
            raise InputError(f"{path}: a record in it makes no sense")
        yield Record(
            video=example["video"].numpy().decode(),
            index=int(example["index"]),
            frame=cv2.cvtColor(picture, cv2.COLOR_BGR2RGB),
            aspect=float(example["aspect"]),
            fixations=Fixations(points, example["observers"].values.numpy().astype(np.int32)),
            density=_decode(example["density"], cv2.IMREAD_GRAYSCALE),
        )


def read_gaze(dataset: Dataset, shard: Shard) -> Iterator[Gaze]:
    """The fixations of a shard's records in order; no picture is decoded."""
    keys = {key: FEATURES[key] for key in ("video", "points", "observers")}
    for serialized in tf.data.TFRecordDataset(str(dataset.folder / shard.file)):
        example = tf.io.parse_single_example(serialized, keys)
        points = example["points"].values.numpy().reshape(-1, 2)
        observers = example["observers"].values.numpy().astype(np.int32)
        yield Gaze(example["video"].numpy().decode(), Fixations(points, observers))


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
