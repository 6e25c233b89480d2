"""Students for tests alone."""

import keras
import numpy as np

from uva_tf.models.student import build_student
from uva_tf.models.variants import VARIANTS, Variant


def add_tiny():
    """Let configurations name a student of every kind of layer, few of each: `tiny`."""
    VARIANTS["tiny"] = Variant(
        resolution=32,
        trunk="conv16 | res16 | conv16",
        path="conv16",
        head="conv16",
        decoder="deconv8 deconv1",
    )


def untrained(config, seed=0):
    """A student whose batch statistics are those of noise, so that its maps have contrast."""
    keras.utils.set_random_seed(seed)
    built = build_student(config)
    side = built.trunk.input_shape[1]
    rng = np.random.default_rng(seed)
    for _ in range(20):
        frames = rng.uniform(-1, 1, (8, side, side, 3)).astype(np.float32)
        built.pair({"frame": frames, "other": frames[::-1].copy()}, training=True)
    return built
