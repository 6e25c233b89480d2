"""The teachers' maps, made once before distillation: shards that run beside the frames'.

Beside them stands `made_from.json`, which says of what they were made, so that maps of
another teacher or of other frames are never taken for them.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from uva_tf.core.errors import InputError
from uva_tf.core.files import read_input
from uva_tf.core.interruption import hold
from uva_tf.core.outputs import resumable_folder
from uva_tf.data.dataset import Dataset, file_sha256
from uva_tf.data.pipeline import View, ordered_batches
from uva_tf.data.records import map_record
from uva_tf.models.maps import attention, normalise

BATCH = 32
STAMP = "made_from.json"
MOST_BYTES = 2**20  # of it


def write_maps(
    model: keras.Model, weights: Path, kind: str, dataset: Dataset, out: Path, pairing: str
) -> None:
    """Write a teacher's map of every training frame, 8-bit, in the shards' order.

    It goes on from the shards that an interruption left.

    Args:
        weights: the file that the teacher was saved in.

    Raises InputError if `out` exists.
    """
    predict = tf.function(
        lambda inputs: attention(model(inputs, training=False)),
        autograph=False,
        reduce_retracing=True,
    )
    view = View(dataset.size, dataset.size // 2, pairing)
    shards = dataset.split("train")
    label = f"{kind} maps of {dataset.folder.name}"
    stamp = json.dumps(_stamp(weights, dataset, pairing), indent=1) + "\n"
    with hold() as stop, resumable_folder(out) as folder:
        if not (folder / STAMP).is_file() or (folder / STAMP).read_text() != stamp:
            for other in folder.iterdir():
                other.unlink()
            (folder / STAMP).write_text(stamp)
        for shard in tqdm(shards, label, unit="shard", disable=None):
            finished, partial = folder / shard.file, folder / f"{shard.file}.partial"
            if finished.exists():
                continue
            with tf.io.TFRecordWriter(str(partial)) as writer:
                for batch in ordered_batches(dataset, [shard], view, batch=BATCH):
                    inputs = {key: normalise(batch[key]) for key in ("frame", "other")}
                    maps = np.rint(255 * predict(inputs).numpy()).astype(np.uint8)
                    for video, index, picture in zip(
                        batch["video"].numpy(), batch["index"].numpy(), maps, strict=True
                    ):
                        writer.write(map_record(video, int(index), kind, picture))
            partial.replace(finished)
            if stop.asked():
                raise KeyboardInterrupt


def check_maps(folder: Path, weights: Path, dataset: Dataset, pairing: str) -> None:
    """Raise InputError unless maps were made by this teacher of this dataset as it is now."""
    remedy = "remove that folder and run the stage teach to make them anew"
    if not (folder / STAMP).exists():
        raise InputError(f"{folder}: no teacher's maps with a {STAMP}, {remedy}")
    content = read_input(folder / STAMP, MOST_BYTES)
    try:
        found = json.loads(content)
        found = {key: found[key] for key in ("resolution", "shards", "teacher", "pairing")}
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder}: its {STAMP} says nothing of teacher's maps, {remedy}"
        ) from None
    for key, now in _stamp(weights, dataset, pairing).items():
        if found[key] != now:
            raise InputError(f"{folder}: made from another {key} ({found[key]}), {remedy}")


def _stamp(weights: Path, dataset: Dataset, pairing: str) -> dict[str, str | int]:
    """What decides the maps."""
    return {
        "resolution": dataset.size,
        "shards": dataset.sha256,
        "teacher": file_sha256(weights),
        "pairing": pairing,
    }
