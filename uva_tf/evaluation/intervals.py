"""Means over clips, their ratios, and bootstrap intervals: the only place that resamples.

Scores are arrays `[seeds, clips]`. A clip has no score (NaN) where nobody looked, where a single
observer leaves no human ceiling, or where a dataset publishes maps and no fixations. Such a clip
is left out, from both sides of a ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
NAN = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A mean over clips, or a ratio of two means.

    Attributes:
        value: NaN if no clip has a score.
        interval: 95 % bootstrap interval over clips and seeds, as percentiles of resamples; NaN
            unless two clips have a score: of one, all resamples are alike.
    """

    value: float
    interval: tuple[float, float]


UNKNOWN = Estimate(NAN, (NAN, NAN))


def scored(*values: np.ndarray) -> np.ndarray:
    """Which clips have a score in every seed of every array: `[clips]` bool.

    Args:
        values: arrays `[seeds, clips]` of the same clips.
    """
    return ~np.any([np.isnan(part).any(axis=0) for part in values], axis=0)


def mean(values: np.ndarray) -> float:
    """Mean of `[seeds, clips]` over the clips that have a score; NaN if none has."""
    kept = scored(values)
    return float(values[:, kept].mean(dtype=np.float64)) if kept.any() else NAN


def ratio(values: np.ndarray, baseline: np.ndarray) -> float:
    """Mean of `values` divided by that of `baseline`, over the clips scored in both.

    Args:
        values, baseline: `[seeds, clips]`.
    """
    kept = scored(values, baseline)
    return mean(values[:, kept]) / mean(baseline[:, kept]) if kept.any() else NAN


def share(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """How far `values` gets from `low` (0) to `high` (1); NaN unless `high` is above `low`.

    Args:
        values, low, high: `[seeds, clips]`; only clips scored in all three count.
    """
    kept = scored(values, low, high)
    here, start, end = (mean(part[:, kept]) for part in (values, low, high))
    return (here - start) / (end - start) if end > start else NAN


def estimate(values: np.ndarray, baseline: np.ndarray | None = None) -> Estimate:
    """The mean of `values`, or its ratio to the mean of `baseline`, with its interval.

    A ratio draws the same clips for both, and the same seeds if both have equally many.

    Args:
        values, baseline: `[seeds, clips]`.
    """
    if baseline is None:
        values = values[:, scored(values)]
        return Estimate(mean(values), _interval(values))
    kept = scored(values, baseline)
    values, baseline = values[:, kept], baseline[:, kept]
    return Estimate(ratio(values, baseline), _interval(values, baseline))


def resampled_means(values: np.ndarray) -> np.ndarray:
    """Means of bootstrap resamples over both seeds and clips, `[RESAMPLES]`.

    The draw depends on the shape alone, so arrays of equal shape are resampled alike.

    Args:
        values: `[seeds, clips]` without NaN, of at least one clip.
    """
    seeds, clips = values.shape
    of_clips, of_seeds = np.random.default_rng(0).spawn(2)
    clip = of_clips.integers(clips, size=(RESAMPLES, 1, clips))
    seed = of_seeds.integers(seeds, size=(RESAMPLES, seeds, 1))
    return values[seed, clip].mean(axis=(1, 2), dtype=np.float64)


def _interval(values: np.ndarray, baseline: np.ndarray | None = None) -> tuple[float, float]:
    if values.shape[1] < 2:
        return UNKNOWN.interval
    drawn = resampled_means(values)
    if baseline is not None:
        drawn = drawn / resampled_means(baseline)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
