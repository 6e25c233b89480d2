"""Saliency metrics as in DHF1K's published evaluation; numpy only.

A prediction is `[H, W]` float64 on the scale 0..255, a fixation map `[H, W]` bool, of which n
pixels are fixated, and a density `[H, W]` on any scale from 0 up.

Where the published evaluation has a defect, the sound way is the default and
`reference=True` does as it does: a constant prediction, which scores as one that knows
nothing (0 in NSS and CC, 0.5 in AUC), is then NaN and drops out of the mean, and random
numbers come from an unseeded generator.
"""

from __future__ import annotations

import functools

import numpy as np

EPS = np.finfo(float).eps  # 2.22e-16, as in the reference
SPLITS = 100  # of the negatives in sAUC
STEPS = 10  # thresholds of sAUC: 0, 1 / STEPS, ..., 1
CELLS = 2**14  # that the predictions of a frame fall into before they are compared


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
    """Similarity: `sum min(p, g)` of maps scaled to 0..1, then to sum 1.

    A constant map is taken as uniform.
    """
    p, g = _min_max(prediction), _min_max(density)
    return float(np.minimum(p, g, out=p).sum())


def kl(prediction: np.ndarray, density: np.ndarray) -> float:
    """Kullback-Leibler divergence `sum g ln(eps + g / (p + eps))` of maps that sum to 1.

    0 for a perfect prediction, and larger the worse. What a bicubic resize put below 0
    counts as 0; a map that is 0 everywhere is taken as uniform.
    """
    p, g = _distribution(prediction), _distribution(density)
    seen = g > 0  # elsewhere the terms are 0
    p, g = p[seen], g[seen]
    return float((g * np.log(EPS + g / (p + EPS))).sum())


def information_gain(prediction: np.ndarray, fixated: np.ndarray, baseline: np.ndarray) -> float:
    """Mean over fixations of `log2(eps + p) - log2(eps + b)`, in bits, of maps that sum to 1.

    How much better than a baseline, such as the centre prior, a prediction tells where
    people look. Raises ValueError without fixations.
    """
    _need_fixations(fixated)
    p, b = (_shares_at(fixated, values) for values in (prediction, baseline))
    return float((np.log2(EPS + p) - np.log2(EPS + b)).mean())


def auc_judd(
    prediction: np.ndarray, fixated: np.ndarray, *, seed: int = 0, reference: bool = False
) -> float:
    """Area under the ROC curve whose thresholds are the predictions at the fixations.

    With n fixated of N pixels and thresholds t_1 >= ... >= t_n: true positives i / n, false
    positives (#{P >= t_i} - i) / (N - n), from (0, 0) to (1, 1), by trapezoids. Ties are
    broken by adding uniform noise of 1e-7. Raises ValueError without fixations or without
    any pixel free of them.
    """
    _need_fixations(fixated)
    count, pixels = np.count_nonzero(fixated), fixated.size
    if count == pixels:
        raise ValueError("AUC-Judd needs a pixel without fixation")
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
    """Shuffled AUC: fixations against where people looked in other frames.

    With the prediction scaled to 0..1 and m the smaller number of fixated pixels here and
    elsewhere: m negatives drawn without replacement, 100 times; true and false positives
    at thresholds 0, 0.1, ... up to the maximum, from (0, 0) to (1, 1), by trapezoids;
    the mean over the draws. A prediction that knows no more than where people look
    whatever is shown scores 0.5.

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
    ]  # the highest threshold that each pixel reaches, by number
    here, there = (np.bincount(numbers, minlength=STEPS + 1) for numbers in reached)  # (11,)
    drawn = _draw(there, min(here.sum(), there.sum()), None if reference else seed)  # (100, 11)
    # Thresholds that no pixel reaches repeat (0, 0). With the same thresholds in every draw
    # the area is linear in the false positives: the mean area is the area at their mean.
    true, false = (_rates_at_or_above(counts) for counts in (here, drawn.sum(axis=0)))
    return float(np.trapezoid(true, false))


def _noise(shape: tuple[int, int], seed: int | None) -> np.ndarray:
    """Uniform in 0..1e-7; new at every call if the seed is None."""
    if seed is None:
        return np.random.default_rng().random(shape) * 1e-7
    return _seeded_noise(shape, seed)


@functools.lru_cache(maxsize=4)
def _seeded_noise(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) * 1e-7


def _count_above(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many values are >= each of the thresholds, `[n]`, sorted descending.

    Values fall into equal cells, and only those in a cell with a threshold are compared
    with the thresholds. The thresholds lie within the range of the values.
    """
    values, low, high = values.ravel(), values.min(), values.max()
    if low == high:
        return np.full(thresholds.shape, values.size)
    scale = (CELLS - 1) / (high - low)
    # By way of int32, as few machines convert floats straight to int64 quickly.
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
    """`[SPLITS, kinds]`: of each kind, how many a draw of `size` without replacement holds."""
    rng = np.random.default_rng(seed)
    return rng.multivariate_hypergeometric(counts, size, size=SPLITS, method="marginals")


def _rates_at_or_above(counts: np.ndarray) -> np.ndarray:
    """ROC coordinates, `[n + 2]`, of counts by threshold in ascending order, `[n]`."""
    return np.concatenate([[0], counts[::-1].cumsum() / counts.sum(), [1]])


def _min_max(values: np.ndarray) -> np.ndarray:
    """Scaled to 0..1, then to sum 1; uniform if constant."""
    return _distribution(np.subtract(values, values.min(), dtype=np.float64))


def _distribution(values: np.ndarray) -> np.ndarray:
    """Without what is negative, scaled to sum 1; uniform if nothing is left."""
    values = np.maximum(values, 0.0, dtype=np.float64)  # a copy: what follows is in place
    total = values.sum()
    if not total > 0:
        return np.full(values.shape, 1 / values.size)
    values /= total
    return values


def _shares_at(fixated: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`_distribution(values)[fixated]`, without making all of it."""
    total = np.maximum(values, 0.0, dtype=np.float64).sum()
    if not total > 0:
        return np.full(int(fixated.sum()), 1 / values.size)
    return np.maximum(values[fixated], 0.0) / total


def _need_fixations(fixated: np.ndarray) -> None:
    if not fixated.any():
        raise ValueError("no fixation to score against")
