"""The basis of hints: principal components of a network's features, in 8 bits a value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from uva_tf.core.errors import InputError
from uva_tf.data.hints import MIDDLE, SCALE

# Of the largest deviation or variance, below which there is nothing but rounding.
NOTHING = 1e-6


@dataclass(frozen=True)
class Basis:
    """What turns features into hints.

    Attributes:
        mean, deviation: of each channel, `[channels]` float64.
        components: unit vectors among the standardised channels, `[channels, k]` float64.
        variance: of each component, `[k]` float64, the largest first.
        share: of the variance of all standardised channels, from 0 to 1.
    """

    mean: np.ndarray
    deviation: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    share: float

    def levels(self, features: np.ndarray) -> np.ndarray:
        """Features `[..., channels]` as a hint `[..., k]` uint8.

        A component is divided by its deviation and multiplied by the fourth root of
        `variance_k / variance_0`: between equal weights for all components and their own.
        """
        standard = (features - self.mean) / self.deviation
        weights = (self.variance / self.variance[0]) ** 0.25 / np.sqrt(self.variance)
        values = standard @ (self.components * weights)
        return np.rint(MIDDLE + SCALE * values).clip(0, 255).astype(np.uint8)


def fit(features: Iterable[np.ndarray], count: int) -> Basis:
    """The first `count` components of features, `[..., channels]` each.

    A component's sign makes its largest entry positive, so that the same features always give the
    same basis. A channel that does not vary counts for nothing.

    Raises InputError if there are fewer components that vary, or no features.
    """
    number, shift = 0, None
    for one in features:
        rows = one.reshape(-1, one.shape[-1]).astype(np.float64)
        if shift is None:  # sums of differences from it keep their digits
            shift = rows.mean(axis=0)
            total, products = np.zeros(len(shift)), np.zeros((len(shift), len(shift)))
        rows -= shift
        number, total, products = number + len(rows), total + rows.sum(0), products + rows.T @ rows
    if not number:
        raise InputError("none of the frames that the videos announce is there")
    mean = total / number
    covariance = products / number - np.outer(mean, mean)
    deviation = np.sqrt(np.diag(covariance).clip(0))
    deviation = np.where(deviation > NOTHING * deviation.max(), deviation, np.inf)
    variance, components = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    variance, components = variance[::-1], components[:, ::-1]  # the largest first
    varying = int((variance > NOTHING * variance[0]).sum())
    if count > varying:
        raise InputError(f"--components {count}: the features have {varying} that vary")
    largest = np.abs(components).argmax(axis=0)
    components = components * np.sign(components[largest, np.arange(len(largest))])
    deviation = np.where(np.isfinite(deviation), deviation, 1)
    kept = components[:, :count], variance[:count]
    return Basis(mean + shift, deviation, *kept, float(kept[1].sum() / variance.sum()))
