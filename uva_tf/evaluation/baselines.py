"""What a model is compared with: the centre prior, simple baselines, and other observers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from uva_tf.core.centre_prior import PRIOR_SIGMA
from uva_tf.core.resize import shrink
from uva_tf.data.dataset import Dataset
from uva_tf.data.fixations import density_map
from uva_tf.data.pipeline import View, ordered_batches
from uva_tf.data.records import Record
from uva_tf.evaluation.map_sources import MapSource

PRIOR_SIZE = 64
SMALL = 64  # side of the baselines' maps
SMOOTHING = 2.5  # of the baselines' maps, in their pixels
SMALLEST = 8  # side of frames that are read but not used


def centre_prior(dataset: Dataset) -> tuple[np.ndarray, str]:
    """Where people look whatever is shown: the mean density map of the train split.

    Returns:
        A `[64, 64]` uint8 map, 255 at its maximum, and a description of what it was made from.
    """
    if not dataset.has("train"):
        prior = density_map(np.array([[0.5, 0.5]]), PRIOR_SIZE, PRIOR_SIZE, PRIOR_SIGMA)
        source = f"Gaussian of {PRIOR_SIGMA} image widths (no train split)"
    else:
        prior = _mean_density(dataset)
        source = "mean density of the train split"
    return np.rint(255 * prior / prior.max()).astype(np.uint8), source


def uniform(records: Iterable[Record]) -> Iterator[np.ndarray]:
    """Constant maps, `[64, 64]` uint8."""
    return (np.zeros((SMALL, SMALL), np.uint8) for _ in records)


def spectral_residual(records: Iterable[Record]) -> Iterator[np.ndarray]:
    """Maps of what is unexpected in a frame's spectrum, at 64 px: see `residual`."""
    return (residual(_grey(record)) for record in records)


def residual(grey: np.ndarray) -> np.ndarray:
    """What is unexpected in a picture's spectrum (Hou and Zhang, CVPR 2007).

    The log amplitude minus its 3x3 mean, transformed back with the picture's phase, squared and
    smoothed.

    Args:
        grey: `[64, 64]`, any dtype.

    Returns:
        A `[64, 64]` uint8 map.
    """
    spectrum = np.fft.fft2(grey)
    log_amplitude = np.log(np.abs(spectrum) + 1)  # + 1: drawn pictures have zeros
    excess = log_amplitude - cv2.blur(log_amplitude, (3, 3))
    saliency = np.abs(np.fft.ifft2(np.exp(excess + 1j * np.angle(spectrum)))) ** 2
    return _to_bytes(cv2.GaussianBlur(saliency, (0, 0), SMOOTHING))


def motion_energy(records: Iterable[Record]) -> Iterator[np.ndarray]:
    """Maps of where a frame differs from the one before it, at 64 px; 0 for a clip's first."""
    last = None
    for record in records:
        grey = _grey(record)
        energy = np.zeros_like(grey) if last is None else np.abs(grey - last)
        yield _to_bytes(cv2.GaussianBlur(energy, (0, 0), SMOOTHING))
        last = grey


BASELINES: dict[str, MapSource] = {
    "uniform": uniform,
    "spectral residual": spectral_residual,
    "motion energy": motion_energy,
}


def observer_halves(
    observers: Sequence[int], repeats: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split observers into two halves at random, `repeats` times, always the same for a seed."""
    rng = np.random.default_rng(seed)
    everyone = np.unique(np.asarray(observers))
    half = len(everyone) // 2
    shuffles = [rng.permutation(everyone) for _ in range(repeats)]
    return [(shuffled[:half], shuffled[half:]) for shuffled in shuffles]


def _grey(record: Record) -> np.ndarray:
    """A frame as `[64, 64]` float64."""
    return cv2.cvtColor(shrink(record.frame, SMALL), cv2.COLOR_RGB2GRAY).astype(np.float64)


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Scale to 0..255; constant values become 0."""
    spread = np.ptp(values)
    return np.rint(255 * (values - values.min()) / spread if spread else 0 * values).astype(
        np.uint8
    )


def _mean_density(dataset: Dataset) -> np.ndarray:
    """Mean density map over all training frames with fixations, `[64, 64]` float32."""
    view = View(SMALLEST, PRIOR_SIZE, "previous")
    batches = ordered_batches(dataset, dataset.split("train"), view, batch=64)
    total = sum(batch["density"].numpy().sum(axis=0)[..., 0] for batch in batches)
    return total / max(total.sum(), np.finfo(np.float32).tiny)
