"""Antialiased bicubic resizing: the one way maps change their size."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import DTypeLike


def resize(
    picture: np.ndarray, height: int, width: int, dtype: DTypeLike = np.float64
) -> np.ndarray:
    """Antialiased bicubic resize with reflected borders, as of MATLAB's `imresize`.

    Args:
        picture: `[h, w]`, any dtype.
        dtype: of the computation, float32 or float64.

    Returns:
        `[height, width]` of that dtype; a constant picture stays exactly constant.
    """
    if np.ptp(picture) == 0:
        return np.full((height, width), picture.flat[0], dtype)
    rows = _bicubic(picture.shape[0], height, dtype)  # (height, h)
    columns = _bicubic(picture.shape[1], width, dtype)  # (width, w)
    return rows @ picture.astype(dtype) @ columns.T


@functools.lru_cache(maxsize=32)
def _bicubic(size_in: int, size_out: int, dtype: DTypeLike) -> np.ndarray:
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
    return matrix.astype(dtype)
