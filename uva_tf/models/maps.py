"""From bytes to inputs and from logits to maps: the formulas common to training and export."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from uva_tf.core.centre_prior import log_centre_prior


def normalise(frames: tf.Tensor) -> tf.Tensor:
    """Camera bytes 0..255 to a model's input, float32 in -1..1, of the same shape."""
    return tf.cast(frames, tf.float32) / 127.5 - 1.0


def attention(logits: tf.Tensor, centre_share: float = 0.0) -> tf.Tensor:
    """Logits to the finished map, `2 sigmoid(z - max z)`: values in 0..1, the peak at 1.

    With a fixed peak, 8 bits are enough however confident the model is. A sigmoid, unlike an
    exponential, runs inside XNNPACK in float and in int8.

    Args:
        logits: `[B, H, W, 1]`, as is the map.
        centre_share: of the map that the centre prior has, see `mixed_with_centre`.
    """
    peak = tf.reduce_max(logits, axis=[1, 2, 3], keepdims=True)  # (B, 1, 1, 1)
    maps = 2.0 * tf.sigmoid(logits - peak)
    return mixed_with_centre(maps, centre_share) if centre_share else maps


def mixed_with_centre(maps: tf.Tensor, share: float) -> tf.Tensor:
    """Finished maps with a share of the centre prior: `1 - (1 - m) (1 - c)`, the peak still at 1.

    `c` is the prior, scaled to `share` to `1 - share` of the map's mean and 1 at most. Where the
    map is near 0 this is their sum: the density of a mixture, in which people look at what the
    map shows or, with probability `share`, wherever they look in any picture. Near the peak less
    is added, so that maps need no scaling afterwards, which integer files can't do.

    Args:
        maps: `[B, H, W, 1]` in 0..1.
        share: 0 to below 1.
    """
    height, width = maps.shape[1:3]
    prior = np.exp(log_centre_prior(height, width))[:, None]  # (H, 1, W)
    prior = (share / (1 - share) * prior / prior.mean()).astype("float32")
    # With columns as channels, since NPUs store a single channel as 16.
    rows = tf.reshape(maps, [-1, height, 1, width])
    means = tf.reduce_mean(rows, axis=[1, 2], keepdims=True)  # (B, 1, 1, W)
    mean = tf.reduce_mean(tf.reshape(means, [-1, 1, width, 1]), axis=[1, 2], keepdims=True)
    mixed = 1.0 - tf.nn.relu(1.0 - prior * mean) * (1.0 - rows)
    return tf.reshape(mixed, [-1, height, width, 1])


def log_density(logits: tf.Tensor) -> tf.Tensor:
    """Logarithm of the finished map, scaled to sum to 1: `[B, H, W, 1]` to `[B, H * W]`."""
    flat = tf.reshape(logits, [tf.shape(logits)[0], -1])  # (B, H * W)
    peak = tf.reduce_max(flat, axis=1, keepdims=True)  # (B, 1)
    return tf.nn.log_softmax(tf.math.log_sigmoid(flat - peak), axis=1)
