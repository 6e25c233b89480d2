"""Examples per second of the data pipeline, beside bare JPEG decoding and a training step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from uva_tf.config import AugmentConfig, StudentConfig
from uva_tf.data.dataset import Dataset
from uva_tf.data.pipeline import View, training_batches
from uva_tf.data.records import FEATURES
from uva_tf.models.student import build_student, resolution
from uva_tf.training import losses
from uva_tf.training.loop import Task, make_steps, tensors

BATCH = 64
VARIANT = "paper-64"
# About a second of each per turn.
PIPELINE_BATCHES, DECODE_BATCHES, STEPS = 30, 60, 3
FRAMES = 1024  # stored frames that bare decoding repeats

# Works through a number of batches.
Work = Callable[[int], None]


def measure(
    datasets: Sequence[Dataset], *, rounds: int, progress=lambda items, total: items
) -> dict[str, list[float]]:
    """Time the pipeline, bare decoding and a training step in turn.

    Returns:
        For each, its examples/s in every turn.
    """
    side = resolution(StudentConfig(VARIANT))
    batches = training_batches(
        datasets,
        View(side, side, "previous"),
        batch=BATCH,
        seed=1,
        augment=AugmentConfig(),
    )
    works: dict[str, tuple[Work, int]] = {
        "pipeline": (_pull(batches), PIPELINE_BATCHES),
        "bare JPEG decode (frame and other)": (_pull(_decoded(datasets)), DECODE_BATCHES),
        "training step of the student, stage joint": (_train(next(iter(batches))), STEPS),
    }
    for work, _ in works.values():
        work(2)  # traces functions and fills buffers
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in progress(range(rounds), rounds):
        for name, (work, count) in works.items():
            work(1)  # threads of the work before may still be busy
            start = time.perf_counter()
            work(count)
            rates[name].append(count * BATCH / (time.perf_counter() - start))
    return rates


def _pull(batches: tf.data.Dataset) -> Work:
    iterator = iter(batches)

    def work(count: int) -> None:
        for _ in range(count):
            next(iterator)

    return work


def _decoded(datasets: Sequence[Dataset]) -> tf.data.Dataset:
    """Endless batches of bare decoding: two stored JPEGs for each example, nothing else."""
    files = [str(d.folder / shard.file) for d in datasets for shard in d.split("train")]
    records = tf.data.Dataset.from_tensor_slices(files).interleave(
        tf.data.TFRecordDataset, cycle_length=len(files)
    )
    jpegs = [
        tf.io.parse_single_example(record, {"frame": FEATURES["frame"]})["frame"]
        for record in records.take(FRAMES)
    ]

    def decode(pair):
        pictures = [
            tf.io.decode_jpeg(pair[n], channels=3, dct_method="INTEGER_ACCURATE") for n in (0, 1)
        ]
        return tf.size(pictures[0]) + tf.size(pictures[1])  # a number, so batching costs nothing

    return (
        tf.data.Dataset.from_tensor_slices(tf.stack(jpegs))
        .repeat()
        .batch(2)
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH)
        .prefetch(2)
    )


def _train(batch: dict) -> Work:
    """Training steps on one batch, repeated: without the pipeline."""
    student = build_student(StudentConfig(VARIANT))
    optimizer = keras.optimizers.Adam()
    optimizer.build(student.pair.trainable_variables)

    def loss(batch, training):
        logits = student.pair(losses.frames(batch), training=training)  # (B, R, R, 1)
        return losses.ground_truth(logits, batch, "kl")

    task = Task("joint", student.pair, loss, lambda start: None, None)
    step, _ = make_steps(task, optimizer)
    inputs = tensors(batch)

    def work(count: int) -> None:
        for _ in range(count):
            float(step(inputs)["hard_kl"])

    return work
