"""Fixations, and the maps that are made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fixations:
    """The places that observers looked at in one frame.

    Attributes:
        points: `[n, 2]` float32, x and y from 0 to 1, origin upper left.
        observers: `[n]` int32, who made each fixation.
    """

    points: np.ndarray
    observers: np.ndarray

    def of(self, observers: np.ndarray) -> Fixations:
        """Only the fixations of these observers."""
        chosen = np.isin(self.observers, observers)
        return Fixations(self.points[chosen], self.observers[chosen])


def fixation_map(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mark the fixated pixels.

    Args:
        points: `[n, 2]` x and y from 0 to 1; 1 itself falls into the last pixel.

    Returns:
        `[height, width]` bool.
    """
    grid = np.zeros((height, width), bool)
    column = np.minimum((points[:, 0] * width).astype(int), width - 1)
    row = np.minimum((points[:, 1] * height).astype(int), height - 1)
    grid[row, column] = True
    return grid


def density_map(
    points: np.ndarray, height: int, width: int, sigma: float, aspect: float | None = None
) -> np.ndarray:
    """One Gaussian for each fixation, added up and scaled to sum to 1.

    `sum_i exp(-((x - x_i)^2 + (y - y_i)^2) / (2 sigma^2))`, all in image widths, at the centres
    of the pixels, so that grids of any size sample the same surface.

    Args:
        points: `[n, 2]` x and y from 0 to 1.
        sigma: standard deviation in image widths; `config.DHF1K_SIGMA` is the usual one.
        aspect: height / width of the picture, if not that of the grid.

    Returns:
        `[height, width]` float32; all zero without fixations.
    """
    aspect = height / width if aspect is None else aspect
    x = (np.arange(width, dtype=np.float32) + 0.5) / width
    y = (np.arange(height, dtype=np.float32) + 0.5) / height
    across = np.exp(-0.5 * ((x - points[:, :1]) / sigma) ** 2)  # (n, W)
    down = np.exp(-0.5 * ((y - points[:, 1:]) * aspect / sigma) ** 2)  # (n, H)
    density = down.T @ across  # (H, W)
    return (density / max(density.sum(), np.finfo(np.float32).tiny)).astype(np.float32)
