"""From places on a screen to places on the clip that it showed, and to fractions of a frame."""

from __future__ import annotations

import numpy as np

from uva_tf.core.errors import InputError

# A tracker's errors put a few fixations outside the frame. If more than this fraction of a
# recording's lies there, its coordinates are not pixels of this frame.
MOST_OUTSIDE = 0.1


def to_unit(
    x: np.ndarray, y: np.ndarray, width: int, height: int, name: object
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as fractions of the frame, and which of the fixations lie inside it.

    Args:
        x, y: `[n]` pixels, origin upper left.
        name: of the recording, for the message.

    Returns:
        `[n, 2]` float32 points, x and y from 0 to 1 inside the frame, and `[n]` bool.

    Raises InputError if more than `MOST_OUTSIDE` of them lie outside.
    """
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    outside = int((~inside).sum())
    if outside > MOST_OUTSIDE * len(x):
        raise InputError(
            f"{name}: {outside} of {len(x)} fixations lie outside the {width}x{height} frame, x "
            f"is {x.min():g} to {x.max():g} and y {y.min():g} to {y.max():g}, expected pixels of "
            f"this file{_lost(x[~inside], y[~inside])}"
        )
    return np.stack([x / width, y / height], axis=1).astype(np.float32), inside


def _lost(x: np.ndarray, y: np.ndarray) -> str:
    """A hint if most of the places outside the frame are the same place."""
    places, counts = np.unique(np.stack([x, y]), axis=1, return_counts=True)
    (column, row), most = places[:, counts.argmax()], int(counts.max())
    if most < 2 or 2 * most < len(x):
        return ""
    return (
        f"; {most} of them lie at exactly {column:g},{row:g}, as if tracking was lost: leave such "
        "rows out"
    )
