"""Recordings to TFRecord shards and back.

A prepared dataset is a folder of shards and an `index.json`. A shard holds one
clip, its frames in order, or a group of photographs. Frames are stored once: the
neighbour that a frame is paired with is found by its place in the shard.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from uva_tf import __version__
from uva_tf.config import DataConfig
from uva_tf.data.gaze import Fixations
from uva_tf.data.layouts import Recording, Sample
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.frames import shrink
from uva_tf.runtime.outputs import new_folder

STILLS_PER_SHARD = 64

# Wraps an iterator of known length to show how far it is.
Progress = Callable[[Iterator, int], Iterator]

# What a record holds; points and observers have one entry per fixation.
FEATURES = {
    "video": tf.io.FixedLenFeature([], tf.string, ""),
    "index": tf.io.FixedLenFeature([], tf.int64, 0),
    "frame": tf.io.FixedLenFeature([], tf.string, ""),
    "aspect": tf.io.FixedLenFeature([], tf.float32, 1.0),
    "points": tf.io.VarLenFeature(tf.float32),
    "observers": tf.io.VarLenFeature(tf.int64),
}


@dataclass(frozen=True)
class Shard:
    """One file of a prepared dataset and what is in it.

    Attributes:
        fixations: summed over the frames, so that a long fixation counts in each.
        left_out: by recording, why and how many fixations were left out.
    """

    file: str
    split: str
    still: bool
    recordings: tuple[str, ...]
    frames: int
    fixations: int
    without_fixations: int
    left_out: dict[str, dict[str, int]]
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset: its folder, how it was made, and its shards.

    Attributes:
        size: side of the stored frames in pixels.
        sigma: width of a fixation's Gaussian in image widths.
    """

    folder: Path
    layout: str
    size: int
    sigma: float
    shards: tuple[Shard, ...]

    @property
    def sha256(self) -> str:
        """Checksum of the index, which holds those of the shards."""
        return _sha256(self.folder / "index.json")

    def split(self, name: str) -> list[Shard]:
        """The shards of a split; raises InputError if there are none."""
        shards = [shard for shard in self.shards if shard.split == name]
        if not shards:
            present = sorted({shard.split for shard in self.shards})
            raise InputError(f"{self.folder}: no split {name!r}, it has {', '.join(present)}")
        return shards

    def has(self, name: str) -> bool:
        """Whether the dataset has a split of that name."""
        return any(shard.split == name for shard in self.shards)


@dataclass(frozen=True)
class Record:
    """One stored frame, decoded.

    Attributes:
        index: number of the frame in its recording, from 1.
        frame: `[size, size, 3]` uint8 RGB.
        aspect: height / width of the original picture.
    """

    video: str
    index: int
    frame: np.ndarray
    aspect: float
    fixations: Fixations


def write_dataset(
    recordings: list[Recording],
    split: dict[str, str],
    out: Path,
    *,
    layout: str,
    config: DataConfig,
    jobs: int,
    progress: Progress = lambda shards, total: shards,
) -> Dataset:
    """Write recordings as shards with an index, in parallel, complete or not at all.

    The result does not depend on `jobs`: shards are numbered by the recordings' order.

    Args:
        split: split by name of recording.
        progress: wraps the iterator over finished shards.

    Raises InputError if `out` exists or a recording can't be read.
    """
    groups = _group(recordings, split)
    with new_folder(out) as folder, ThreadPoolExecutor(jobs) as pool:
        tasks = [
            pool.submit(_write_shard, folder / f"{number:05d}.tfrecord", group, name, config)
            for number, (name, group) in enumerate(groups)
        ]
        try:
            shards = tuple(task.result() for task in progress(iter(tasks), len(tasks)))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        index = {
            "version": __version__,
            "layout": layout,
            "size": config.size,
            "sigma": config.sigma,
            "shards": [asdict(shard) for shard in shards],
        }
        (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    return Dataset(out, layout, config.size, config.sigma, shards)


def open_dataset(folder: Path) -> Dataset:
    """Read a prepared dataset's index and check its shards against it.

    Raises InputError if the folder is no prepared dataset or a shard has changed.
    """
    path = folder / "index.json"
    if not path.is_file():
        raise InputError(f"{folder}: no index.json, expected a folder written by prepare.py")
    try:
        index = json.loads(path.read_text())
        shards = tuple(
            Shard(**{**shard, "recordings": tuple(shard["recordings"])})
            for shard in index["shards"]
        )
        config = DataConfig(index["size"], index["sigma"])
        dataset = Dataset(folder, index["layout"], config.size, config.sigma, shards)
        if any(shard.file != Path(shard.file).name for shard in shards):
            raise ValueError("a shard outside the folder")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not an index of this version ({error}), run prepare.py again"
        ) from None
    for shard in shards:
        file = folder / shard.file
        if not file.is_file() or _sha256(file) != shard.sha256:
            raise InputError(f"{file} is missing or was changed since prepare.py wrote it")
    return dataset


def read_records(
    dataset: Dataset, shard: Shard, *, start: int = 0, count: int = -1
) -> Iterator[Record]:
    """Decode a shard's records in order, `count` of them (-1: all) from number `start` on.

    Raises InputError for a record that makes no sense.
    """
    records = tf.data.TFRecordDataset(str(dataset.folder / shard.file)).skip(start).take(count)
    for serialized in records.as_numpy_iterator():
        example = tf.io.parse_single_example(serialized, FEATURES)
        points = example["points"].values.numpy().reshape(-1, 2)
        jpeg = np.frombuffer(example["frame"].numpy(), np.uint8)
        picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR) if len(jpeg) else None
        if (
            picture is None
            or picture.shape != (dataset.size, dataset.size, 3)
            or not 0.05 <= example["aspect"] <= 20
            or not ((points >= 0) & (points <= 1)).all()
        ):
            raise InputError(f"{dataset.folder / shard.file}: a record in it makes no sense")
        yield Record(
            video=example["video"].numpy().decode(),
            index=int(example["index"]),
            frame=cv2.cvtColor(picture, cv2.COLOR_BGR2RGB),
            aspect=float(example["aspect"]),
            fixations=Fixations(points, example["observers"].values.numpy().astype(np.int32)),
        )


def map_record(video: bytes, index: int, png: bytes) -> bytes:
    """Serialize a teacher's map of one frame, an 8-bit PNG."""
    feature = {"video": _bytes(video), "index": _integers([index]), "frame": _bytes(png)}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _group(recordings: list[Recording], split: dict[str, str]) -> list[tuple[str, list[Recording]]]:
    """A shard for each clip, and one for every few photographs of a split."""
    groups: list[tuple[str, list[Recording]]] = []
    for recording in recordings:
        name = split[recording.name]
        open_group = next(
            (
                group
                for other, group in reversed(groups)
                if other == name and group[0].still and len(group) < STILLS_PER_SHARD
            ),
            None,
        )
        if recording.still and open_group is not None:
            open_group.append(recording)
        else:
            groups.append((name, [recording]))
    return groups


def _write_shard(path: Path, group: list[Recording], split: str, config: DataConfig) -> Shard:
    counts: Counter = Counter()
    left_out: dict[str, dict[str, int]] = {}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for recording in group:
            for sample in recording.read():
                writer.write(_serialize(recording.name, sample, config))
                found = len(sample.fixations.points)
                counts.update(frames=1, fixations=found, without=int(not found))
            if any(recording.left_out.values()):
                left_out[recording.name] = dict(+recording.left_out)
    return Shard(
        file=path.name,
        split=split,
        still=group[0].still,
        recordings=tuple(recording.name for recording in group),
        frames=counts["frames"],
        fixations=counts["fixations"],
        without_fixations=counts["without"],
        left_out=left_out,
        sha256=_sha256(path),
    )


def _serialize(video: str, sample: Sample, config: DataConfig) -> bytes:
    height, width = sample.frame.shape[:2]
    small = cv2.cvtColor(shrink(sample.frame, config.size), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, config.quality])
    feature = {
        "video": _bytes(video.encode()),
        "index": _integers([sample.index]),
        "frame": _bytes(jpeg.tobytes()),
        "aspect": _floats([height / width]),
        "points": _floats(sample.fixations.points.ravel()),
        "observers": _integers(sample.fixations.observers),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _floats(values) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _integers(values) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
