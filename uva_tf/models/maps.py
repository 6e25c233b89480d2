"""From bytes to inputs and from logits to maps: the formulas common to training and export."""

from __future__ import annotations

import tensorflow as tf


def normalise(frames: tf.Tensor) -> tf.Tensor:
    """Camera bytes 0..255 to a model's input, float32 in -1..1, of the same shape."""
    return tf.cast(frames, tf.float32) / 127.5 - 1.0


def attention(logits: tf.Tensor) -> tf.Tensor:
    """Logits to the finished map, `2 sigmoid(z - max z)`: values in 0..1, the peak at 1.

    With a fixed peak, 8 bits are enough however confident the model is. A sigmoid, unlike an
    exponential, runs inside XNNPACK in float and in int8.

    Args:
        logits: `[B, H, W, 1]`, as is the map.
    """
    peak = tf.reduce_max(logits, axis=[1, 2, 3], keepdims=True)  # (B, 1, 1, 1)
    return 2.0 * tf.sigmoid(logits - peak)


def log_density(logits: tf.Tensor) -> tf.Tensor:
    """Logarithm of the finished map, scaled to sum to 1: `[B, H, W, 1]` to `[B, H * W]`."""
    flat = tf.reshape(logits, [tf.shape(logits)[0], -1])  # (B, H * W)
    peak = tf.reduce_max(flat, axis=1, keepdims=True)  # (B, 1)
    return tf.nn.log_softmax(tf.math.log_sigmoid(flat - peak), axis=1)
