"""The teachers' maps, made once before distillation: shards that run beside the frames'."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from uva_tf.data.dataset import Dataset
from uva_tf.data.pipeline import View, ordered_batches
from uva_tf.data.records import map_record
from uva_tf.models.maps import attention, normalise
from uva_tf.runtime.outputs import new_folder

BATCH = 32


def write_maps(model: keras.Model, kind: str, dataset: Dataset, out: Path, pairing: str) -> None:
    """Write a teacher's map of every training frame, 8-bit, in the shards' order.

    Raises InputError if `out` exists.
    """
    predict = tf.function(
        lambda inputs: attention(model(inputs, training=False)), reduce_retracing=True
    )
    view = View(dataset.size, dataset.size // 2, pairing)
    shards = dataset.split("train")
    label = f"{kind} maps of {dataset.folder.name}"
    with new_folder(out) as folder:
        for shard in tqdm(shards, label, unit="shard", disable=None):
            with tf.io.TFRecordWriter(str(folder / shard.file)) as writer:
                for batch in ordered_batches(dataset, [shard], view, batch=BATCH):
                    inputs = {key: normalise(batch[key]) for key in ("frame", "other")}
                    maps = np.rint(255 * predict(inputs).numpy()).astype(np.uint8)
                    for video, index, picture in zip(
                        batch["video"].numpy(), batch["index"].numpy(), maps, strict=True
                    ):
                        writer.write(map_record(video, int(index), kind, picture))
