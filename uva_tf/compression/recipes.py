"""Recipes: named ways to compress a student, each a function that sets up the converter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

# Yields the float inputs by name, once for each calibration frame.
Calibration = Callable[[], "Iterator[dict[str, np.ndarray]]"]
Recipe = Callable[["tf.lite.TFLiteConverter"], None]


def fp32(converter: tf.lite.TFLiteConverter) -> None:
    """Float weights and activations, as trained."""


def fp16(converter: tf.lite.TFLiteConverter) -> None:
    """float16 weights: half the size; XNNPACK computes in float16 on ARM processors that can."""
    import tensorflow as tf  # not before a command has read which recipe it is

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    # Written into the file. XNNPACK computes in float32 where sums must be float32, the default.
    converter.target_spec._experimental_supported_accumulation_type = tf.float16


def dynamic(converter: tf.lite.TFLiteConverter) -> None:
    """8-bit weights in large convolutions, whose float inputs are rounded to 8 bits at run time."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def integer(converter: tf.lite.TFLiteConverter) -> None:
    """8-bit weights (per channel) and activations, with ranges that the model holds already."""
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8


def int8(converter: tf.lite.TFLiteConverter, calibration: Calibration) -> None:
    """Post-training quantisation: as `integer`, with ranges from calibration inputs of a `step`."""
    import tensorflow as tf

    integer(converter)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (("step", inputs) for inputs in calibration())


PRUNED = "int8-pruned"
FLOAT: dict[str, Recipe] = {"fp32": fp32, "fp16": fp16, "dynamic": dynamic}
# Fine-tuned by `uva-tf qat` before they are converted.
TRAINED: dict[str, Recipe] = {"int8-qat": integer, PRUNED: integer}
INTEGER = frozenset({"int8", *TRAINED})
RECIPES = (*FLOAT, "int8", *TRAINED)
