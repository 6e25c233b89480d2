"""Saliency metrics as in DHF1K's published evaluation; numpy only.

A prediction is `[H, W]` float64 on the scale 0..255 and a fixation map `[H, W]` bool,
of which n pixels are fixated. A constant prediction scores 0 in NSS and CC and 0.5 in
AUC-Judd: the reference drops such frames, which flatters a model that has collapsed.
"""

from __future__ import annotations

import functools

import numpy as np


def nss(prediction: np.ndarray, fixated: np.ndarray) -> float:
    """Normalised scanpath saliency: mean over fixations of `(P - mean P) / std P`.

    The standard deviation divides by N - 1. Raises ValueError without fixations.
    """
    _need_fixations(fixated)
    deviation = prediction.std(ddof=1)
    if deviation == 0:
        return 0.0
    return float((prediction[fixated].mean() - prediction.mean()) / deviation)


def cc(prediction: np.ndarray, density: np.ndarray) -> float:
    """Pearson's correlation of prediction and density map."""
    p, g = prediction - prediction.mean(), density - density.mean(dtype=np.float64)
    norm = np.sqrt(np.vdot(p, p) * np.vdot(g, g))
    return float(np.vdot(p, g) / norm) if norm > 0 else 0.0


def sim(prediction: np.ndarray, density: np.ndarray) -> float:
    """Similarity: `sum min(p, g)` of maps scaled to 0..1, then to sum 1.

    A constant map is taken as uniform.
    """
    return float(np.minimum(_distribution(prediction), _distribution(density)).sum())


def auc_judd(prediction: np.ndarray, fixated: np.ndarray, *, seed: int = 0) -> float:
    """Area under the ROC curve whose thresholds are the predictions at the fixations.

    With n fixated of N pixels and thresholds t_1 >= ... >= t_n: true positives i / n, false
    positives (#{P >= t_i} - i) / (N - n), from (0, 0) to (1, 1), by trapezoids. Ties
    are broken by adding uniform noise of 1e-7 before scaling to 0..1. Raises ValueError
    without fixations or without any pixel free of them.
    """
    _need_fixations(fixated)
    count, pixels = int(fixated.sum()), fixated.size
    if count == pixels:
        raise ValueError("AUC-Judd needs a pixel without fixation")
    if np.ptp(prediction) == 0:
        return 0.5
    noisy = prediction + _noise(prediction.shape, seed)
    thresholds = np.sort(noisy[fixated])[::-1]  # (n,)
    above = pixels - np.searchsorted(np.sort(noisy, axis=None), thresholds, side="left")
    rank = np.arange(1, count + 1)
    true = np.concatenate([[0], rank / count, [1]])
    false = np.concatenate([[0], (above - rank) / (pixels - count), [1]])
    return float(np.trapezoid(true, false))


def resize(prediction: np.ndarray, height: int, width: int) -> np.ndarray:
    """Antialiased bicubic resize with reflected borders, as of MATLAB's `imresize`.

    Args:
        prediction: `[h, w]`, any dtype.

    Returns:
        `[height, width]` float64; a constant map stays exactly constant.
    """
    if np.ptp(prediction) == 0:
        return np.full((height, width), float(prediction.flat[0]))
    rows = _bicubic(prediction.shape[0], height)  # (height, h)
    columns = _bicubic(prediction.shape[1], width)  # (width, w)
    return rows @ prediction.astype(np.float64) @ columns.T


@functools.lru_cache(maxsize=32)
def _bicubic(size_in: int, size_out: int) -> np.ndarray:
    """Weights `[size_out, size_in]` of Keys' cubic (a = -0.5), widened when shrinking."""
    scale = size_out / size_in
    stretch = min(scale, 1.0)
    centre = (np.arange(size_out) + 0.5) / scale - 0.5
    reach = int(np.ceil(2 / stretch)) + 1
    taps = np.floor(centre).astype(int)[:, None] + np.arange(-reach, reach + 1)  # (out, taps)
    x = np.abs(stretch * (centre[:, None] - taps))
    weights = np.where(
        x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    ) * (x < 2)
    weights /= weights.sum(axis=1, keepdims=True)
    folded = np.mod(taps, 2 * size_in)
    source = np.minimum(folded, 2 * size_in - 1 - folded)  # reflected at the borders
    matrix = np.zeros((size_out, size_in))
    np.add.at(matrix, (np.arange(size_out)[:, None], source), weights)
    return matrix


@functools.lru_cache(maxsize=4)
def _noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) * 1e-7


def _distribution(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64) - values.min()
    total = values.sum()
    return values / total if total > 0 else np.full(values.shape, 1 / values.size)


def _need_fixations(fixated: np.ndarray) -> None:
    if not fixated.any():
        raise ValueError("no fixation to score against")
