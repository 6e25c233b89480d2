"""Dark frames made as bright as those that models are trained on.

In the dark, a student sees little but noise: it never learned from such frames. A frame that is
multiplied until its mean is an ordinary one has most of what it needs.
"""

from __future__ import annotations

import cv2
import numpy as np

MOST_GAIN = 8  # beyond, 8-bit frames hold little but noise


def brightened(small: np.ndarray, level: int) -> np.ndarray:
    """A frame whose mean is below `level`, multiplied to it; any other frame as it is.

    Whole numbers alone are computed with, so that every language gets the same bytes.

    Args:
        small: `[S, S, 3]` uint8, made small.
        level: 0 to `manifest.MOST_LEVEL`; 0 changes nothing. The gain is at most `MOST_GAIN`.

    Returns:
        `[S, S, 3]` uint8.
    """
    wanted, total = level * small.size, int(sum(cv2.sumElems(small)))
    if total >= wanted:
        return small
    total = max(total, wanted // MOST_GAIN)
    values = (2 * wanted * np.arange(256) + total) // (2 * total)  # rounded, halves up
    return cv2.LUT(small, np.minimum(values, 255).astype(np.uint8))
