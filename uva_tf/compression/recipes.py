"""Named ways to compress a student for LiteRT, each a function that sets up a converter."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

# Yields one dict of named float inputs for each calibration frame.
Calibration = Callable[[], Iterator[dict[str, np.ndarray]]]
Recipe = Callable[[tf.lite.TFLiteConverter], None]


def fp32(converter: tf.lite.TFLiteConverter) -> None:
    """Float weights and activations, as trained."""


def fp16(converter: tf.lite.TFLiteConverter) -> None:
    """Weights in half precision: half the size; computed in float32 on a CPU."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def dynamic(converter: tf.lite.TFLiteConverter) -> None:
    """8-bit weights of large convolutions; activations are rounded anew for each product."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def integer(converter: tf.lite.TFLiteConverter) -> None:
    """8-bit weights (per channel) and activations, of ranges that the model itself states."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8


def int8(converter: tf.lite.TFLiteConverter, calibration: Calibration) -> None:
    """Post-training quantisation: as `integer`, with ranges from frames of the form `step`."""
    integer(converter)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (("step", inputs) for inputs in calibration())


PRUNED = "int8-pruned"
FLOAT: dict[str, Recipe] = {"fp32": fp32, "fp16": fp16, "dynamic": dynamic}
# Fine-tuned by pipelines/qat.py before they are converted.
TRAINED: dict[str, Recipe] = {"int8-qat": integer, PRUNED: integer}
INTEGER = frozenset({"int8", *TRAINED})
RECIPES = (*FLOAT, "int8", *TRAINED)
