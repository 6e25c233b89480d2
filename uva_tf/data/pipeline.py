"""Shards to batches: one dict of fixed keys for every stage.

frame, other                        [B, H, W, 3] uint8 RGB
density                             [B, h, w, 1] float32, sums to 1
fixations                           ragged [B, n, 2] float32, x and y from 0 to 1
teacher_spatial, teacher_temporal   [B, h, w, 1] float32, sum to 1; in distillation only
video, index                        [B] string, [B] int64
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from uva_tf.config import AugmentConfig
from uva_tf.data.augment import (
    WHOLE,
    Crop,
    crop_picture,
    crop_points,
    draw_crop,
    keep_inside,
    mirror,
    recolour,
)
from uva_tf.data.records import FEATURES, Dataset, Shard

# Neighbouring frames of a clip are nearly the same: a shuffle must reach across clips.
SHUFFLE = 2048
# Each shard read at a time takes up to four open files.
OPEN_SHARDS = 64

Batch = dict[str, tf.Tensor]


@dataclass(frozen=True)
class View:
    """What a model is to see of a dataset.

    Attributes:
        size: side of the frames in pixels.
        map_size: side of the density and teacher maps.
        pairing: `next` or `previous`, which neighbour is `other`.
    """

    size: int
    map_size: int
    pairing: str


def training_batches(
    datasets: Sequence[Dataset],
    view: View,
    *,
    batch: int,
    seed: int,
    augment: AugmentConfig,
    start: int = 0,
    teachers: Sequence[Path] | None = None,
) -> tf.data.Dataset:
    """Endless shuffled, augmented batches of the train splits, each dataset drawn equally often.

    Every element is a function of `seed`, TensorFlow's global seed and its number, so that
    `start` (the number of batches to pass over) resumes an interrupted run where it was.
    Frames without fixations are left out, except as `other`.

    Args:
        teachers: for each dataset the folder of its teachers' maps (see `MapWriter`).
    """
    folders = teachers or [None] * len(datasets)
    streams = [
        _shuffled(dataset, view.pairing, seed + number, folder)
        for number, (dataset, folder) in enumerate(zip(datasets, folders, strict=True))
    ]
    elements = streams[0]
    if len(streams) > 1:
        elements = tf.data.Dataset.sample_from_datasets(streams, seed=seed)
    sigmas = [dataset.sigma for dataset in datasets]
    if len(set(sigmas)) > 1:
        raise ValueError(f"the datasets' density maps differ in width: sigma {sigmas}")

    def prepare(number, element):
        draws = tf.random.split(tf.stack([tf.cast(seed, tf.int64), number]), 3)
        example = _decode(element, view, sigmas[0], (augment.smallest_crop, draws[0]))
        return mirror(recolour(example, augment.colour, draws[1]), draws[2])

    elements = elements.enumerate().skip(start * batch)
    return (
        elements.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        .ragged_batch(batch, drop_remainder=True)
        .prefetch(2)
    )


def ordered_batches(
    dataset: Dataset, shards: Sequence[Shard], view: View, *, batch: int, every: int = 1
) -> tf.data.Dataset:
    """The frames of some shards once, in order.

    Args:
        every: take frames 1, 1 + every, 1 + 2 every, ... of each recording, leaving
            out those without fixations; 1 takes all frames there are.
    """
    elements = tf.data.Dataset.from_tensor_slices([str(dataset.folder / s.file) for s in shards])
    elements = elements.flat_map(lambda file: _paired(file, view.pairing))
    if every > 1:
        elements = elements.filter(lambda e: _is_nth(e, every)).filter(_has_fixations)
    return (
        elements.map(
            lambda element: _decode(element, view, dataset.sigma),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .ragged_batch(batch)
        .prefetch(2)
    )


def _shuffled(dataset: Dataset, pairing: str, seed: int, teachers: Path | None) -> tf.data.Dataset:
    files = [shard.file for shard in dataset.split("train")]

    def read(file):
        elements = _paired(tf.strings.join([str(dataset.folder), "/", file]), pairing)
        if teachers is None:
            return elements
        # Should a map be missing, the empty one in its place does not fit its frame.
        maps = [
            tf.data.TFRecordDataset(
                tf.strings.join([str(teachers), f"/{kind}/", file])
            ).concatenate(tf.data.Dataset.from_tensors(b""))
            for kind in ("spatial", "temporal")
        ]
        return tf.data.Dataset.zip(elements, *maps).map(
            lambda element, spatial, temporal: (
                element | {"teacher_spatial": spatial, "teacher_temporal": temporal}
            )
        )

    return (
        tf.data.Dataset.from_tensor_slices(files)
        .shuffle(len(files), seed=seed)
        .interleave(read, cycle_length=min(len(files), OPEN_SHARDS), block_length=1)
        .filter(_has_fixations)
        .shuffle(SHUFFLE, seed=seed)
        .repeat()
    )


def _paired(file: tf.Tensor, pairing: str) -> tf.data.Dataset:
    """A shard's serialized records, each with its neighbour (empty at the shard's end)."""
    records = tf.data.TFRecordDataset(file)
    nothing = tf.data.Dataset.from_tensors(b"")
    if pairing == "next":
        others = records.skip(1).concatenate(nothing)
    else:
        others = nothing.concatenate(records)
    return tf.data.Dataset.zip(records, others).map(lambda r, o: {"record": r, "neighbour": o})


def _has_fixations(element: dict[str, tf.Tensor]) -> tf.Tensor:
    points = tf.io.parse_single_example(element["record"], {"points": FEATURES["points"]})
    return tf.size(points["points"].values) > 0


def _is_nth(element: dict[str, tf.Tensor], every: int) -> tf.Tensor:
    index = tf.io.parse_single_example(element["record"], {"index": FEATURES["index"]})["index"]
    return index % every == 1


def _decode(
    element: dict[str, tf.Tensor],
    view: View,
    sigma: float,
    crop_draw: tuple[float, tf.Tensor] | None = None,
) -> Batch:
    """Parse one element; with `crop_draw` (smallest side, seed) a random crop of it."""
    record = tf.io.parse_single_example(element["record"], FEATURES)
    neighbour = tf.io.parse_single_example(element["neighbour"], FEATURES)
    # A neighbour of another recording, or across a gap, is none: the frame pairs with itself.
    step = 1 if view.pairing == "next" else -1
    adjacent = (neighbour["video"] == record["video"]) & (
        neighbour["index"] == record["index"] + step
    )
    points = tf.reshape(record["points"].values, [-1, 2])
    crop = tf.constant(WHOLE)
    if crop_draw is not None:
        crop = draw_crop(points, *crop_draw)
        points = keep_inside(crop_points(points, crop))
    example = {
        "frame": _frame(record["frame"], crop, view.size),
        "other": _frame(tf.where(adjacent, neighbour["frame"], record["frame"]), crop, view.size),
        "density": density(points, view.map_size, sigma, record["aspect"]),
        "fixations": points,
        "video": record["video"],
        "index": record["index"],
    }
    for kind in ("teacher_spatial", "teacher_temporal"):
        if kind in element:
            example[kind] = _teacher_map(element[kind], record, crop, view.map_size)
    return example


def _frame(jpeg: tf.Tensor, crop: Crop, size: int) -> tf.Tensor:
    frame = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")  # (S, S, 3)
    return tf.cast(tf.round(crop_picture(frame, crop, size)), tf.uint8)


def density(points: tf.Tensor, size: int, sigma: float, aspect: tf.Tensor | float) -> tf.Tensor:
    """`uva_tf.data.gaze.density_map` on a square grid, in TensorFlow.

    Args:
        points: `[n, 2]` x and y from 0 to 1.

    Returns:
        `[size, size, 1]` float32 that sums to 1; all zero without fixations.
    """
    centres = (tf.range(size, dtype=tf.float32) + 0.5) / size
    across = tf.exp(-0.5 * ((centres - points[:, :1]) / sigma) ** 2)  # (n, W)
    down = tf.exp(-0.5 * ((centres - points[:, 1:]) * aspect / sigma) ** 2)  # (n, H)
    total = tf.matmul(down, across, transpose_a=True)  # (H, W)
    return tf.math.divide_no_nan(total, tf.reduce_sum(total))[..., None]


def _teacher_map(
    serialized: tf.Tensor, record: dict[str, tf.Tensor], crop: Crop, size: int
) -> tf.Tensor:
    stored = tf.io.parse_single_example(
        serialized, {key: FEATURES[key] for key in ("video", "index", "frame")}
    )
    same = (stored["video"] == record["video"]) & (stored["index"] == record["index"])
    message = "teachers' maps and frames are out of step: make the maps again"
    with tf.control_dependencies([tf.debugging.Assert(same, [message])]):
        picture = tf.io.decode_png(stored["frame"], channels=1)  # (h, w, 1)
    # A crop may hold nothing of the teacher's map: then it says nothing, evenly.
    picture = crop_picture(picture, crop, size) + 1e-3
    return picture / tf.reduce_sum(picture)
