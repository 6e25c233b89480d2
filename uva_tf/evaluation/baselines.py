"""What a model is compared with: the centre prior below it, people above it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uva_tf.data.dataset import Dataset
from uva_tf.data.gaze import density_map
from uva_tf.data.pipeline import View, ordered_batches

PRIOR_SIZE = 64
SMALLEST = 8  # side of the frames that come along and are not looked at
# Without recordings to learn it from, the prior is a Gaussian of this width, a rough
# average of published centre biases.
PRIOR_SIGMA = 0.2


def centre_prior(dataset: Dataset) -> tuple[np.ndarray, str]:
    """Where people look whatever is shown: the mean density of the train split.

    Returns:
        `[64, 64]` uint8 map, 255 at its maximum, and in words what it was made from.
    """
    if not dataset.has("train"):
        prior = density_map(np.array([[0.5, 0.5]]), PRIOR_SIZE, PRIOR_SIZE, PRIOR_SIGMA)
        source = f"Gaussian of {PRIOR_SIGMA} image widths (no train split)"
    else:
        prior = _mean_density(dataset)
        source = "mean density of the train split"
    return np.rint(255 * prior / prior.max()).astype(np.uint8), source


def observer_halves(
    observers: Sequence[int], repeats: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split observers in two at random, several times, the same way for the same seed."""
    rng = np.random.default_rng(seed)
    everyone = np.unique(np.asarray(observers))
    half = len(everyone) // 2
    shuffles = [rng.permutation(everyone) for _ in range(repeats)]
    return [(shuffled[:half], shuffled[half:]) for shuffled in shuffles]


def _mean_density(dataset: Dataset) -> np.ndarray:
    """Mean over all training frames that somebody looked at, `[64, 64]` float32."""
    view = View(SMALLEST, PRIOR_SIZE, "previous")
    batches = ordered_batches(dataset, dataset.split("train"), view, batch=64)
    total = sum(batch["density"].numpy().sum(axis=0)[..., 0] for batch in batches)
    return total / max(total.sum(), np.finfo(np.float32).tiny)
