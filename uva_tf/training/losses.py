"""The losses: from maps and a batch to named terms, whose sum is minimised.

A loss compares finished maps with targets by one or more distances: `kl`, `cc`, `mse`, or
several joined by `+`. A distance gives one number per example. A term is the mean of these
numbers over those examples of the batch, on all devices, that have such a target; beside it,
under a name that ends with `FRAMES`, is how many have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from uva_tf.config import SoftTargets
from uva_tf.models.maps import attention, log_density, normalise

# `frame`, `other` [B, R, R, 3] uint8; `density` [B, R, R, 1] float32, sums to 1; where there are
# teachers also `teacher_spatial`, `teacher_temporal` like `density`. A target that is 0 everywhere
# is none. `blur` [B, 2], where some densities are wider than others: see `widened`.
# See `training.examples`. The stage hint has `hint` [B, g, g, K] in their place.
Batch = Mapping[str, tf.Tensor]
Terms = dict[str, tf.Tensor]
FRAMES = "_frames"  # ends the names of counts, which are no part of the loss


def divergence(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Kullback-Leibler divergence of predicted maps from targets, `[B]`.

    `sum_x t(x) (ln t(x) - ln p(x))`, with `p` the finished map scaled to sum to 1.

    Args:
        target: `[B, H, W, 1]`, each map with the sum 1, or 0 everywhere (divergence 0).
        logits: `[B, H, W, 1]`.
    """
    flat = _flat(target)  # (B, H * W)
    cross = tf.reduce_sum(flat * log_density(logits), axis=1)  # (B,)
    negentropy = tf.reduce_sum(tf.math.xlogy(flat, flat), axis=1)  # (B,)
    return negentropy - cross


def decorrelation(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1 - Pearson's correlation of finished maps and targets, `[B]`, in 0..2.

    Args:
        target: `[B, H, W, 1]`; a constant one has correlation 0.
        logits: `[B, H, W, 1]`.
    """
    t, p = (_unit(_flat(maps)) for maps in (target, attention(logits)))  # (B, H * W)
    return 1.0 - tf.reduce_sum(t * p, axis=1)


def squared_error(target: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of finished maps and targets, both with their peak at 1, `[B]`.

    Args:
        target: `[B, H, W, 1]`, any scale from 0 up.
        logits: `[B, H, W, 1]`.
    """
    peak = tf.reduce_max(target, axis=[1, 2, 3], keepdims=True)
    return tf.reduce_mean((tf.math.divide_no_nan(target, peak) - attention(logits)) ** 2, [1, 2, 3])


# By the names that a configuration may use, `uva_tf.config.DISTANCES`.
DISTANCES = {"kl": divergence, "cc": decorrelation, "mse": squared_error}


def ground_truth(logits: tf.Tensor, batch: Batch, distances: str) -> Terms:
    """A map against ground truth: terms such as `hard_kl`.

    Args:
        logits: `[B, H, W, 1]`.
        distances: joined by `+`, such as `kl+cc`.
    """
    return _terms("hard", distances, batch["density"], widened(logits, batch), 1.0)


def coupled(
    logits: Mapping[str, tf.Tensor], batch: Batch, distances: str, soft_targets: SoftTargets
) -> Terms:
    """Each path's map against its own teacher's and ground truth: terms like `spatial_soft_kl`.

    A frame without a map of that teacher learns from ground truth alone, and one without gaze
    from the teacher alone. In validation there is ground truth alone.

    Args:
        logits: by kind of path, `[B, H, W, 1]` each.
    """
    terms = {}
    for kind, drawn in logits.items():
        teachers = [batch[key] for key in (f"teacher_{kind}",) if key in batch]
        soft = _mean(teachers, soft_targets.temperature)
        weight = soft_targets.weight
        terms |= _mixed(f"{kind}_", distances, batch, soft, drawn, weight)
    return terms


def joint(logits: tf.Tensor, batch: Batch, distances: str, soft_targets: SoftTargets) -> Terms:
    """The student's map against ground truth and the mean of the teachers' maps.

    Args:
        logits: `[B, H, W, 1]`.
    """
    teachers = [value for key, value in batch.items() if key.startswith("teacher_")]
    soft = _mean(teachers, soft_targets.temperature)
    return _mixed("", distances, batch, soft, logits, soft_targets.joint_weight)


def hint(features: tf.Tensor, batch: Batch, weight: float = 1.0) -> Terms:
    """Mean squared error of predicted hints over the frames that have one: `hint_mse`.

    Source: Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015.

    Args:
        features: `[B, g, g, K]`.
    """
    target = tf.cast(batch["hint"], features.dtype)
    share, count = _share(tf.reduce_any(target != 0, axis=[1, 2, 3]), weight, features.dtype)
    error = tf.reduce_mean((features - target) ** 2, axis=[1, 2, 3])  # (B,)
    return {"hint_mse": tf.reduce_sum(share * error), f"hint{FRAMES}": count}


def widened(logits: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Logits of maps as wide as their ground truth is drawn, `[B, H, W, 1]`.

    A density map that was published with Gaussians of standard deviation `s` is compared with the
    predicted map under a Gaussian of `sqrt(s^2 - sigma^2)`, so that it does not teach to draw
    wider than `sigma`, the width of all densities that are drawn of fixations.

    Args:
        logits: `[B, H, W, 1]`.
        batch: `blur` in it is that deviation along x and y, `[B, 2]` as fractions of the map's
            sides; 0 leaves the logits as they are.
    """
    if "blur" not in batch:
        return logits
    blur = tf.cast(batch["blur"], logits.dtype)
    across, down = _gaussians(blur[:, 0], logits.shape[2]), _gaussians(blur[:, 1], logits.shape[1])
    maps = attention(logits)[..., 0]  # (B, H, W)
    wide = tf.matmul(tf.matmul(down, maps), across, transpose_b=True)
    wide /= tf.reduce_max(wide, axis=[1, 2], keepdims=True)
    # The inverse of `attention`, whose maximum is 1.
    wide = tf.math.log(wide + 1e-7) - tf.math.log(2.0 - wide)
    return tf.where(blur[:, :1, None, None] > 0, wide[..., None], logits)


def without_counts(terms: Terms) -> Terms:
    """The terms whose sum is minimised."""
    return {name: value for name, value in terms.items() if not name.endswith(FRAMES)}


def frames(batch: Batch) -> Batch:
    """A batch's two frames as a model takes them, `[B, R, R, 3]` float32 in -1..1."""
    return {key: normalise(batch[key]) for key in ("frame", "other")}


def _mean(teachers: Sequence[tf.Tensor], temperature: float) -> tf.Tensor | None:
    """Mean of the teachers' maps, `[B, H, W, 1]`, summing to 1 or 0; None without teachers."""
    if not teachers:
        return None
    if temperature != 1:
        teachers = [_sum_to_1(maps ** (1 / temperature)) for maps in teachers]
    return _sum_to_1(tf.add_n(list(teachers)))


def _mixed(
    prefix: str,
    distances: str,
    batch: Batch,
    soft: tf.Tensor | None,
    logits: tf.Tensor,
    soft_weight: float,
) -> Terms:
    """Terms of ground truth and of a teacher, whose weights sum to 1."""
    hard, drawn = batch["density"], widened(logits, batch)
    if soft is None or soft_weight == 0:
        return _terms(f"{prefix}hard", distances, hard, drawn, 1.0)
    return _terms(f"{prefix}hard", distances, hard, drawn, 1.0 - soft_weight) | _terms(
        f"{prefix}soft", distances, soft, logits, soft_weight
    )


def _terms(name: str, distances: str, target: tf.Tensor, logits: tf.Tensor, weight: float) -> Terms:
    """Each distance, over the examples that have a target, and their number."""
    target = tf.cast(target, logits.dtype)
    share, count = _share(tf.reduce_max(target, axis=[1, 2, 3]) > 0, weight, logits.dtype)
    terms = {
        f"{name}_{distance}": tf.reduce_sum(share * DISTANCES[distance](target, logits))
        for distance in distances.split("+")
    }
    return terms | {f"{name}{FRAMES}": count}


def _share(has: tf.Tensor, weight: float, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """Each example's share `[B]` in a term, `weight` in all, and the number of those that have one.

    Args:
        has: `[B]` bool, whether an example has the target.
    """
    has = tf.cast(has, dtype)
    count = _on_all_devices(tf.reduce_sum(has))
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    # The mean over the devices of what each of them gives is the mean over the examples.
    return has * weight * devices / tf.maximum(count, 1.0), count


def _on_all_devices(number: tf.Tensor) -> tf.Tensor:
    """The sum of a number over the devices among which a batch is divided."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return number
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, number)


def _gaussians(deviation: tf.Tensor, size: int) -> tf.Tensor:
    """Gaussian kernels of some deviations `[B]`, fractions of a side, as matrices `[B, N, N]`."""
    place = tf.range(size, dtype=deviation.dtype) / size
    steps = (place[:, None] - place)[None]  # (1, N, N)
    return tf.exp(-0.5 * (steps / tf.maximum(deviation, 1e-6)[:, None, None]) ** 2)


def _flat(maps: tf.Tensor) -> tf.Tensor:
    return tf.reshape(maps, [tf.shape(maps)[0], -1])  # (B, H * W)


def _unit(flat: tf.Tensor) -> tf.Tensor:
    """Rows `[B, N]` less their mean, scaled to length 1; a constant row becomes 0."""
    centred = flat - tf.reduce_mean(flat, axis=1, keepdims=True)
    # The maximum avoids a norm of 0, where the gradient is infinite.
    square = tf.reduce_sum(centred**2, axis=1, keepdims=True)
    return centred * tf.math.rsqrt(tf.maximum(square, 1e-20))


def _sum_to_1(maps: tf.Tensor) -> tf.Tensor:  # (B, H, W, 1)
    return tf.math.divide_no_nan(maps, tf.reduce_sum(maps, axis=[1, 2, 3], keepdims=True))
