"""Named ways to compress a model for LiteRT, each a function that sets up a converter."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

# Yields one dict of named float inputs for each calibration frame.
Calibration = Callable[[], Iterator[dict[str, np.ndarray]]]
Recipe = Callable[[tf.lite.TFLiteConverter, str, Calibration | None], None]


def fp32(converter: tf.lite.TFLiteConverter, form: str, calibration: Calibration | None) -> None:
    """Float weights and activations, as trained."""


def int8(converter: tf.lite.TFLiteConverter, form: str, calibration: Calibration | None) -> None:
    """Post-training quantisation: 8-bit weights (per channel) and activations, bytes in and out."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ((form, inputs) for inputs in calibration())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8


RECIPES: dict[str, Recipe] = {"fp32": fp32, "int8": int8}
INTEGER = frozenset({"int8"})
