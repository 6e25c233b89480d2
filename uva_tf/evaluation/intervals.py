"""Means over clips and their intervals, as every table says them.

A clip without a score (nobody looked at it, one observer has no ceiling, published maps have no
fixations) is left out, of both sides of a ratio, and the number of such clips is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
NONE = float("nan"), float("nan")


@dataclass(frozen=True)
class Estimate:
    """A mean over clips, or a ratio of two.

    Attributes:
        value: NaN where no clip has a score.
        interval: its 95 % bootstrap interval over clips and seeds: percentiles of resamples.
    """

    value: float
    interval: tuple[float, float]


def scored(*values: np.ndarray) -> np.ndarray:
    """Which clips have a score in every seed of all some `[seeds, clips]`, `[clips]` bool."""
    return ~np.any([np.isnan(part).any(axis=0) for part in values], axis=0)


def mean(values: np.ndarray) -> float:
    """Mean of `[seeds, clips]` over the clips that have a score; NaN without any."""
    kept = scored(values)
    return float(values[:, kept].mean(dtype=np.float64)) if kept.any() else float("nan")


def ratio(values: np.ndarray, baseline: np.ndarray) -> float:
    """The one's mean divided by the other's, `[seeds, clips]`, over the clips that both have."""
    kept = scored(values, baseline)
    return mean(values[:, kept]) / mean(baseline[:, kept]) if kept.any() else float("nan")


def share(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """How much of the way from `low` to `high` goes `values`; 1 is all of it.

    NaN where `high` is not above `low`: there is no way to go.

    Args:
        values, low, high: `[seeds, clips]`; the clips count that all three have.
    """
    kept = scored(values, low, high)
    here, start, end = (mean(part[:, kept]) for part in (values, low, high))
    return (here - start) / (end - start) if end > start else float("nan")


def estimate(values: np.ndarray, baseline: np.ndarray | None = None) -> Estimate:
    """The mean of `[seeds, clips]` with its interval, or with a baseline the ratio to its mean.

    For a ratio the same clips and, where there are as many, the same seeds are drawn for both.
    """
    if baseline is None:
        values = values[:, scored(values)]
        return Estimate(mean(values), _interval(resampled_means(values)))
    kept = scored(values, baseline)
    values, baseline = values[:, kept], baseline[:, kept]
    drawn = resampled_means(values) / resampled_means(baseline)
    return Estimate(ratio(values, baseline), _interval(drawn))


def resampled_means(values: np.ndarray) -> np.ndarray:
    """Means of seeded bootstrap resamples of both seeds and clips, `[RESAMPLES]`.

    Two rows with as many seeds and clips are resampled alike.

    Args:
        values: `[seeds, clips]` without NaN; no clips give no means, `[0]`.
    """
    seeds, clips = values.shape
    if not clips:
        return np.zeros(0)
    of_clips, of_seeds = np.random.default_rng(0).spawn(2)
    clip = of_clips.integers(clips, size=(RESAMPLES, 1, clips))
    seed = of_seeds.integers(seeds, size=(RESAMPLES, seeds, 1))
    return values[seed, clip].mean(axis=(1, 2), dtype=np.float64)


def left_out(rows: Mapping[str, np.ndarray], metrics: Sequence[str]) -> list[str]:
    """A line for every set of metrics that some clips, but not all, have no score of.

    Args:
        rows: by name `[seeds, clips, metrics]`.
    """
    found: dict[tuple[int, ...], list[str]] = {}
    clips = next(iter(rows.values())).shape[1]
    for number, metric in enumerate(metrics):
        counts = tuple(int((~scored(values[..., number])).sum()) for values in rows.values())
        found.setdefault(counts, []).append(metric)
    lines = []
    for counts, names in found.items():
        # A row without any score says so itself.
        partly = {row: n for row, n in zip(rows, counts, strict=True) if 0 < n < clips}
        if partly:
            of_most = min(counts)
            told = [f"{of_most} of {clips}"] if of_most else []
            told += [f"of {row} {n}" for row, n in partly.items() if n != of_most]
            lines.append(f"clips without {', '.join(names)}, left out: {'; '.join(told)}")
    return lines


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    if not len(drawn):
        return NONE
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
