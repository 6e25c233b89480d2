"""Saliency metrics as in DHF1K's published evaluation; numpy only.

A prediction is `[H, W]` float64 in 0..255, a fixation map `[H, W]` bool with n fixated pixels,
and a density map `[H, W]` on any scale from 0 up.

The published evaluation has two defects. It scores a constant prediction as NaN, which then
drops out of the mean, and its random numbers are unseeded. Here a constant prediction scores
as chance (0 in NSS and CC, 0.5 in AUC) and random numbers are seeded; `reference=True` does
as published.
"""

from __future__ import annotations

import functools

import numpy as np

EPS = np.finfo(float).eps  # 2.22e-16, as in the reference
DRAWS = 100  # of the negatives in sAUC
STEPS = 10  # thresholds of sAUC: 0, 1 / STEPS, ..., 1
CELLS = 2**14  # to sort a prediction's values into before they are compared


def nss(prediction: np.ndarray, fixated: np.ndarray, *, reference: bool = False) -> float:
    """Normalised scanpath saliency: mean over fixations of `(P - mean P) / std P`.

    The standard deviation divides by N - 1. Raises ValueError without fixations.
    """
    _need_fixations(fixated)
    deviation = prediction.std(ddof=1) if np.ptp(prediction) > 0 else 0.0
    if deviation == 0:
        return float("nan") if reference else 0.0
    return float((prediction[fixated].mean() - prediction.mean()) / deviation)


def cc(prediction: np.ndarray, density: np.ndarray, *, reference: bool = False) -> float:
    """Pearson's correlation of prediction and density, `cov(P, G) / (std P std G)`."""
    if np.ptp(prediction) == 0 or np.ptp(density) == 0:
        return float("nan") if reference else 0.0
    p, g = prediction - prediction.mean(), density - density.mean(dtype=np.float64)
    norm = np.sqrt(np.vdot(p, p) * np.vdot(g, g))
    return float(np.vdot(p, g) / norm) if norm > 0 else 0.0


def sim(prediction: np.ndarray, density: np.ndarray) -> float:
    """Similarity: `sum min(p, g)` of maps scaled to 0..1 and then to sum 1.

    A constant map counts as uniform.
    """
    p, g = _min_max(prediction), _min_max(density)
    return float(np.minimum(p, g, out=p).sum())


def kl(prediction: np.ndarray, density: np.ndarray) -> float:
    """Kullback-Leibler divergence `sum g ln(eps + g / (p + eps))` of maps that sum to 1.

    0 for a perfect prediction, larger for a worse one. Values below 0, from a bicubic resize,
    count as 0; a map that is 0 everywhere counts as uniform.
    """
    p, g = _distribution(prediction), _distribution(density)
    seen = g > 0  # elsewhere the terms are 0
    p, g = p[seen], g[seen]
    return float((g * np.log(EPS + g / (p + EPS))).sum())


def information_gain(prediction: np.ndarray, fixated: np.ndarray, baseline: np.ndarray) -> float:
    """Mean over fixations of `log2(eps + p) - log2(eps + b)`, in bits, of maps that sum to 1.

    It says how much better a prediction is than a baseline, such as the centre prior. Raises
    ValueError without fixations.
    """
    _need_fixations(fixated)
    p, b = (_distribution_at(fixated, values) for values in (prediction, baseline))  # (n,)
    return float((np.log2(EPS + p) - np.log2(EPS + b)).mean())


def auc_judd(
    prediction: np.ndarray, fixated: np.ndarray, *, seed: int = 0, reference: bool = False
) -> float:
    """Area under the ROC curve whose thresholds are the predictions at the fixations.

    With n fixated of N pixels and thresholds t_1 >= ... >= t_n: true positives i / n, false
    positives (#{P >= t_i} - i) / (N - n), from (0, 0) to (1, 1), by trapezoids. Uniform noise
    of 1e-7 breaks ties. Raises ValueError if no pixel, or every pixel, is fixated.
    """
    _need_fixations(fixated)
    count, pixels = np.count_nonzero(fixated), fixated.size
    if count == pixels:
        raise ValueError("AUC-Judd needs a pixel without fixations")
    if np.ptp(prediction) == 0:
        return float("nan") if reference else 0.5
    noisy = prediction + _noise(prediction.shape, None if reference else seed)
    thresholds = np.sort(noisy[fixated])[::-1]  # (n,)
    above = _count_above(noisy, thresholds)
    rank = np.arange(1, count + 1)
    true = np.concatenate([[0], rank / count, [1]])
    false = np.concatenate([[0], (above - rank) / (pixels - count), [1]])
    return float(np.trapezoid(true, false))


def auc_shuffled(
    prediction: np.ndarray,
    fixated: np.ndarray,
    elsewhere: np.ndarray,
    *,
    seed: int = 0,
    reference: bool = False,
) -> float:
    """Shuffled AUC: positives are fixations, negatives are fixations in other frames.

    The prediction is scaled to 0..1. With m the smaller number of fixated pixels here and
    elsewhere, m negatives are drawn without replacement, 100 times. The area is that of true and
    false positives at thresholds 0, 0.1, ... up to the maximum, from (0, 0) to (1, 1), by
    trapezoids, as the mean over the draws. The centre prior scores about 0.5.

    Args:
        elsewhere: `[H, W]` bool, the pixels fixated in other frames.

    Raises ValueError without fixations here or elsewhere.
    """
    _need_fixations(fixated)
    _need_fixations(elsewhere)
    low, high = prediction.min(), prediction.max()
    if low == high:
        return float("nan") if reference else 0.5
    thresholds = np.arange(STEPS + 1) / STEPS
    reached = [
        np.searchsorted(thresholds, (prediction[where] - low) / (high - low), side="right") - 1
        for where in (fixated, elsewhere)
    ]  # for each of the pixels, the number of the highest threshold that it reaches
    here, there = (np.bincount(numbers, minlength=STEPS + 1) for numbers in reached)  # (11,)
    drawn = _draw(there, min(here.sum(), there.sum()), None if reference else seed)  # (100, 11)
    # Thresholds that no pixel reaches repeat (0, 0). All draws have the same thresholds, so the
    # area is linear in the false positives: the mean area is the area at their mean.
    true, false = (_rates_at_or_above(counts) for counts in (here, drawn.sum(axis=0)))
    return float(np.trapezoid(true, false))


def _noise(shape: tuple[int, int], seed: int | None) -> np.ndarray:
    """Uniform noise in 0..1e-7; different at every call if the seed is None."""
    if seed is None:
        return np.random.default_rng().random(shape) * 1e-7
    return _seeded_noise(shape, seed)


@functools.lru_cache(maxsize=4)
def _seeded_noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) * 1e-7


def _count_above(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """For each threshold, how many values are >= it, `[n]`.

    Values are sorted into equal cells, and only those in a cell with a threshold are compared
    with the thresholds.

    Args:
        thresholds: `[n]`, descending, within the range of the values.
    """
    values, low, high = values.ravel(), values.min(), values.max()
    if low == high:
        return np.full(thresholds.shape, values.size)
    scale = (CELLS - 1) / (high - low)
    # Through int32, as few machines convert floats to int64 quickly.
    cell = ((values - low) * scale).astype(np.int32).astype(np.intp)  # (N,)
    home = ((thresholds - low) * scale).astype(np.intp)  # (n,)
    shared = np.zeros(CELLS, bool)
    shared[home] = True
    others = np.where(shared, 0, np.bincount(cell, minlength=CELLS))
    close = values[shared.take(cell)]
    position = np.searchsorted(thresholds[::-1], close, side="right")  # thresholds <= value
    reached = np.bincount(position, minlength=thresholds.size + 1)
    return others[::-1].cumsum()[::-1][home] + reached[::-1].cumsum()[:-1]


def _draw(counts: np.ndarray, size: int, seed: int | None) -> np.ndarray:
    """How many of each kind are in each draw of `size` without replacement, `[DRAWS, kinds]`.

    Args:
        counts: how many there are of each kind, `[kinds]`.
    """
    rng = np.random.default_rng(seed)
    return rng.multivariate_hypergeometric(counts, size, size=DRAWS, method="marginals")


def _rates_at_or_above(counts: np.ndarray) -> np.ndarray:
    """ROC coordinates, `[n + 2]`, from counts by ascending threshold, `[n]`."""
    return np.concatenate([[0], counts[::-1].cumsum() / counts.sum(), [1]])


def _min_max(values: np.ndarray) -> np.ndarray:
    """Values scaled to 0..1 and then to sum 1; uniform if they are constant."""
    return _distribution(np.subtract(values, values.min(), dtype=np.float64))


def _distribution(values: np.ndarray) -> np.ndarray:
    """Values with negative ones set to 0, scaled to sum 1; uniform if all are 0."""
    values = np.maximum(values, 0.0, dtype=np.float64)  # a copy, divided in place below
    total = values.sum()
    if not total > 0:
        return np.full(values.shape, 1 / values.size)
    values /= total
    return values


def _distribution_at(fixated: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`_distribution(values)[fixated]`, without computing all of it."""
    total = np.maximum(values, 0.0, dtype=np.float64).sum()
    if not total > 0:
        return np.full(int(fixated.sum()), 1 / values.size)
    return np.maximum(values[fixated], 0.0) / total


def _need_fixations(fixated: np.ndarray) -> None:
    if not fixated.any():
        raise ValueError("no fixations to score against")
