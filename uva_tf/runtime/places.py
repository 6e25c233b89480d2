"""Where the attention of a map is, as points for tracking and cropping."""

from __future__ import annotations

import cv2
import numpy as np

from uva_tf.runtime.arrays import check_map, check_size


def peak(attention: np.ndarray, width: int, height: int) -> tuple[float, float]:
    """The place that is looked at most; among equals, the one with most attention around it.

    Args:
        attention: `[h, w]`, 0 or more.
        width, height: of the frame in pixels.

    Returns:
        x and y in pixels of the frame, origin upper left: the centre of a pixel of the map.

    Raises ValueError for anything but a map, or for sides that are not whole pixels.
    """
    check_map(attention, floats=True)
    check_size(width, height)
    levels = attention.astype(np.float32)
    around = cv2.blur(levels, (3, 3))
    row, column = np.unravel_index(
        np.argmax(np.where(levels == levels.max(), around, -1)), levels.shape
    )
    rows, columns = levels.shape
    return (column + 0.5) * width / columns, (row + 0.5) * height / rows


def centroid(attention: np.ndarray, width: int, height: int) -> tuple[float, float]:
    """The mean place of all attention, not rounded; the frame's middle if the map is all 0.

    Arguments and errors as for `peak`; x and y in pixels of the frame, origin upper left.
    """
    check_map(attention, floats=True)
    check_size(width, height)
    weights = attention.astype(np.float64)
    total = weights.sum()
    if total == 0:
        return width / 2, height / 2
    rows, columns = weights.shape
    x = (np.arange(columns) + 0.5) @ weights.sum(axis=0) / total
    y = (np.arange(rows) + 0.5) @ weights.sum(axis=1) / total
    return float(x * width / columns), float(y * height / rows)
