"""The teachers' maps, drawn once before distillation, in shards parallel to the frames' shards.

`made_from.json` beside them names the teacher and the data that they were made from, so that
maps of another teacher or of other frames are never used by mistake.
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
MOST_BYTES = 2**20  # of that file


def write_maps(
    model: keras.Model, weights: Path, kind: str, dataset: Dataset, out: Path, pairing: str
) -> None:
    """Write a teacher's 8-bit map of every training frame, in the order of the shards.

    After an interruption it keeps the finished shards and writes the others.

    Args:
        model: the teacher.
        weights: the file that the teacher was saved in.
        kind: `spatial` or `temporal`.
        out: the folder to write.
        pairing: `previous` or `next`.

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
                    maps = np.rint(255 * predict(inputs).numpy()).astype(np.uint8)  # (B, h, w, 1)
                    for video, index, picture in zip(
                        batch["video"].numpy(), batch["index"].numpy(), maps, strict=True
                    ):
                        writer.write(map_record(video, int(index), kind, picture))
            partial.replace(finished)
            if stop.asked():
                raise KeyboardInterrupt


def check_maps(folder: Path, weights: Path, dataset: Dataset, pairing: str) -> None:
    """Raise InputError unless this teacher made the maps, of the dataset as it is now."""
    remedy = "remove that folder and add teach to --stages to make them anew"
    if not (folder / STAMP).exists():
        raise InputError(f"{folder}: its {STAMP} is missing: {remedy}")
    content = read_input(folder / STAMP, MOST_BYTES)
    try:
        found = json.loads(content)
        found = {key: found[key] for key in ("resolution", "shards", "teacher", "pairing")}
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder}: its {STAMP} does not say what the maps were made from: {remedy}"
        ) from None
    for key, now in _stamp(weights, dataset, pairing).items():
        if found[key] != now:
            raise InputError(f"{folder}: made from another {key} ({found[key]}): {remedy}")


def _stamp(weights: Path, dataset: Dataset, pairing: str) -> dict[str, str | int]:
    """What the maps depend on."""
    return {
        "resolution": dataset.size,
        "shards": dataset.sha256,
        "teacher": file_sha256(weights),
        "pairing": pairing,
    }
