"""The code in the documents runs."""

import re
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from conftest import noise, write_table

from uva_tf.config import AugmentConfig, DataConfig
from uva_tf.data import layouts
from uva_tf.data.pipeline import View, Worker, training_batches
from uva_tf.data.prepare import prepare
from uva_tf.data.records import read_records

DATA = (Path(__file__).parent.parent / "docs" / "data.md").read_text()
OWN_LAYOUT, SEVERAL_MACHINES = re.findall(r"```python\n(.*?)```", DATA, re.DOTALL)


def test_a_layout_of_ones_own_is_prepared(tmp_path, monkeypatch):
    names = dict(vars(layouts))
    exec(OWN_LAYOUT, names)
    monkeypatch.setitem(layouts.LAYOUTS, "mine", names["mine"])
    (tmp_path / "faces").mkdir()
    for name, x in (("a", 10), ("b", 30)):
        cv2.imwrite(str(tmp_path / "faces" / f"{name}.png"), noise(40, 40, seed=x))
        write_table(tmp_path / "faces" / f"{name}.csv", "image,observer,x,y", [(name, 1, x, 20)])
    dataset = prepare("mine", tmp_path, tmp_path / "shards", DataConfig(size=32))
    points = {
        r.video: r.fixations.points.tolist() for r in read_records(dataset, dataset.shards[0])
    }
    assert points == {"a": [[0.25, 0.5]], "b": [[0.75, 0.5]]}


def test_the_shards_feed_a_strategy(shards):
    loop, strategy = SEVERAL_MACHINES, tf.distribute.MirroredStrategy(["CPU:0"])
    loop = loop.replace("tf.distribute.MultiWorkerMirroredStrategy()", "strategy")
    loop = loop.replace("256", "4").replace("    ...", "    seen.append(batch)\n    break")
    names = {
        "tf": tf,
        "strategy": strategy,
        "seen": [],
        "datasets": [shards],
        "view": View(32, 32, "previous"),
        "augment": AugmentConfig(),
        "training_batches": training_batches,
        "Worker": Worker,
    }
    exec(loop, names)
    (batch,) = names["seen"]
    assert batch["frame"].shape == (4, 32, 32, 3)
    np.testing.assert_allclose(tf.reduce_sum(batch["density"], [1, 2, 3]), 1, atol=1e-5)  # float32
