"""Means over clips, ratios, shares and their intervals, for every table.

A clip without a score is left out, and from both sides of a ratio; `left_out` counts such clips.
A clip has none if nobody looked at it, has no human ceiling if it has one observer, and has no
NSS, IG or AUC if its dataset publishes density maps but no fixations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
NONE = float("nan"), float("nan")


@dataclass(frozen=True)
class Estimate:
    """A mean over clips, or a ratio of two means, with its interval.

    Attributes:
        value: NaN if no clip has a score.
        interval: 95 % bootstrap interval over clips and seeds: percentiles of resamples.
    """

    value: float
    interval: tuple[float, float]


def scored(*values: np.ndarray) -> np.ndarray:
    """Which clips have a score in every seed of every array: `[seeds, clips]` to `[clips]` bool."""
    return ~np.any([np.isnan(part).any(axis=0) for part in values], axis=0)


def mean(values: np.ndarray) -> float:
    """Mean of `[seeds, clips]` over the clips with a score; NaN if there are none."""
    kept = scored(values)
    return float(values[:, kept].mean(dtype=np.float64)) if kept.any() else float("nan")


def ratio(values: np.ndarray, baseline: np.ndarray) -> float:
    """The mean of `values` divided by that of `baseline`, over the clips that both have.

    Args:
        values, baseline: `[seeds, clips]`.
    """
    kept = scored(values, baseline)
    return mean(values[:, kept]) / mean(baseline[:, kept]) if kept.any() else float("nan")


def share(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """How far the mean of `values` is on the way from that of `low` (0) to that of `high` (1).

    NaN if `high` is not above `low`.

    Args:
        values, low, high: `[seeds, clips]`; only clips that all three have count.
    """
    kept = scored(values, low, high)
    here, start, end = (mean(part[:, kept]) for part in (values, low, high))
    return (here - start) / (end - start) if end > start else float("nan")


def estimate(values: np.ndarray, baseline: np.ndarray | None = None) -> Estimate:
    """The mean of `[seeds, clips]`, or its ratio to a baseline's mean, with its interval.

    For a ratio the same clips are drawn for both, and the same seeds if both have the same number.
    """
    if baseline is None:
        values = values[:, scored(values)]
        return Estimate(mean(values), _interval(resampled_means(values)))
    kept = scored(values, baseline)
    values, baseline = values[:, kept], baseline[:, kept]
    drawn = resampled_means(values) / resampled_means(baseline)
    return Estimate(ratio(values, baseline), _interval(drawn))


def resampled_means(values: np.ndarray) -> np.ndarray:
    """Means of seeded bootstrap resamples over both seeds and clips, `[RESAMPLES]`.

    Two rows with the same numbers of seeds and clips get the same draws.

    Args:
        values: `[seeds, clips]` without NaN; without clips the result is empty, `[0]`.
    """
    seeds, clips = values.shape
    if not clips:
        return np.zeros(0)
    of_clips, of_seeds = np.random.default_rng(0).spawn(2)
    clip = of_clips.integers(clips, size=(RESAMPLES, 1, clips))
    seed = of_seeds.integers(seeds, size=(RESAMPLES, seeds, 1))
    return values[seed, clip].mean(axis=(1, 2), dtype=np.float64)


def left_out(rows: Mapping[str, np.ndarray], metrics: Sequence[str]) -> list[str]:
    """Lines that say how many clips of each row were left out, for which metrics.

    A row without a score in any clip is not mentioned: its table cells show it.

    Args:
        rows: by name, `[seeds, clips, metrics]`.
    """
    found: dict[tuple[int, ...], list[str]] = {}
    clips = next(iter(rows.values())).shape[1]
    for number, metric in enumerate(metrics):
        counts = tuple(int((~scored(values[..., number])).sum()) for values in rows.values())
        found.setdefault(counts, []).append(metric)
    lines = []
    for counts, names in found.items():
        partly = {row: n for row, n in zip(rows, counts, strict=True) if 0 < n < clips}
        if partly:
            of_most = min(counts)
            parts = [f"{of_most} of {clips}"] if of_most else []
            parts += [f"of {row} {n}" for row, n in partly.items() if n != of_most]
            lines.append(f"clips without {', '.join(names)}, left out: {'; '.join(parts)}")
    return lines


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    if not len(drawn):
        return NONE
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
