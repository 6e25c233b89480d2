"""Attention that persists: each map of a stream joined with those before it.

People's gaze stays for some frames where it is, and what a small model sees flickers. A weighted
mean over the last maps is closer to where people look, and calmer to look at.
"""

from __future__ import annotations

import numpy as np

from uva_tf.core.cuts import is_cut
from uva_tf.runtime.manifest import MOST_PERSISTENCE

WINDOW = 16  # maps, so that a stream that is begun anew soon draws what an uncut one does


class Persistence:
    """Joins each map of a stream with the `WINDOW - 1` before it, back to the last cut.

    The map `k` frames ago has the weight `persistence ** k`, in steps of 1/256.

    Args:
        persistence: 0 to `MOST_PERSISTENCE`; 0 leaves maps as they are.

    Raises ValueError for another value.
    """

    def __init__(self, persistence: float):
        number = isinstance(persistence, (int, float)) and not isinstance(persistence, bool)
        if not (number and 0 <= persistence <= MOST_PERSISTENCE):
            raise ValueError(f"persistence {persistence!r}: expected 0 to {MOST_PERSISTENCE}")
        # Whole numbers times bytes are exact in float32, in whatever order they are added.
        self._weights = np.rint(256 * persistence ** np.arange(WINDOW)).astype(np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget all maps: the next one begins a new stream."""
        self._count, self._maps, self._last = 0, None, None

    def add(self, attention: np.ndarray, small: np.ndarray) -> np.ndarray:
        """The next map, joined with those before it.

        Args:
            attention: `[R, R]` uint8, 255 at its peak, or float32, 1 at its peak.
            small: the frame that it is of, `[S, S, 3]` uint8; always of one size.

        Returns:
            A map of the same shape, dtype and peak.
        """
        if not self._weights[1]:
            return attention
        if self._last is not None and is_cut(self._last, small):
            self._count = 0
        self._last = small.copy()
        if self._maps is None:
            self._maps = np.zeros((WINDOW, attention.size), np.float32)
        newest = self._count % WINDOW
        self._maps[newest] = attention.ravel()
        self._count += 1
        known = min(self._count, WINDOW)
        ages = (newest - np.arange(WINDOW)) % WINDOW  # of the map in each row, in frames
        joined = np.where(ages < known, self._weights[ages], 0) @ self._maps  # (R * R,)
        joined /= joined.max() or 1  # a map may be black
        if attention.dtype == np.uint8:
            joined = np.rint(255 * joined)
        return joined.reshape(attention.shape).astype(attention.dtype)
