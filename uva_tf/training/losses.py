"""The losses, each a function that returns named terms; their sum is minimised."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from uva_tf.models.maps import log_density, normalise

Terms = dict[str, tf.Tensor]
Losses = Callable[[dict[str, tf.Tensor], bool], Terms]


def divergence(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Kullback-Leibler divergence of a predicted map from a target, mean over the batch.

    `sum_x t(x) (ln t(x) - ln p(x))`, with `p` the finished map scaled to sum to 1.

    Args:
        target: `[B, H, W, 1]`, each map sums to 1.
        logits: `[B, H, W, 1]`.
    """
    flat = tf.reshape(target, [tf.shape(target)[0], -1])  # (B, H * W)
    cross = tf.reduce_sum(flat * log_density(logits), axis=1)  # (B,)
    negentropy = tf.reduce_sum(tf.math.xlogy(flat, flat), axis=1)  # (B,)
    return tf.reduce_mean(negentropy - cross)


def ground_truth(model: keras.Model) -> Losses:
    """A single map against ground truth: a teacher, or the student in step 2."""

    def losses(batch: dict[str, tf.Tensor], training: bool) -> Terms:
        return {"hard": divergence(batch["density"], model(_inputs(batch), training=training))}

    return losses


def distill(paths: keras.Model, soft_weight: float) -> Losses:
    """Step 1: each path against its own teacher's map and ground truth.

    Batches without teachers' maps, as in validation, give the ground truth's terms only.
    """

    def losses(batch: dict[str, tf.Tensor], training: bool) -> Terms:
        logits = paths(_inputs(batch), training=training)
        terms = {}
        for kind in ("spatial", "temporal"):
            hard = divergence(batch["density"], logits[kind])
            terms[f"{kind}_hard"] = (1 - soft_weight) * hard
            if f"teacher_{kind}" in batch:
                soft = divergence(batch[f"teacher_{kind}"], logits[kind])
                terms[f"{kind}_soft"] = soft_weight * soft
        return terms

    return losses


def _inputs(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {key: normalise(batch[key]) for key in ("frame", "other")}
