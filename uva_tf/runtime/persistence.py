"""Attention that persists: each map of a stream joined with those around it.

People's gaze stays for some frames where it is, and what a small model sees flickers. A weighted
mean over the last maps is closer to where people look, and calmer to look at. Where the frames
after are known too, as in a recorded video, it need not lag behind what moves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from uva_tf.core.cuts import is_cut
from uva_tf.runtime.manifest import MOST_AHEAD, MOST_PERSISTENCE

WINDOW = MOST_AHEAD + 1  # maps, so that a stream begun anew soon draws what an uncut one does


class Persistence:
    """Joins each map of a stream with the `WINDOW - 1` before and the `ahead` after it in its shot.

    The map `k` frames away has the weight `persistence ** k`, in steps of 1/256.

    Args:
        persistence: 0 to `MOST_PERSISTENCE`; 0 leaves maps as they are.
        ahead: 0 to `MOST_AHEAD`; maps come so many frames late. Without persistence it is 0.

    Raises ValueError for another value.
    """

    def __init__(self, persistence: float, ahead: int = 0):
        number = isinstance(persistence, (int, float)) and not isinstance(persistence, bool)
        if not (number and 0 <= persistence <= MOST_PERSISTENCE):
            raise ValueError(f"persistence {persistence!r}: expected 0 to {MOST_PERSISTENCE}")
        if isinstance(ahead, bool) or not isinstance(ahead, int) or not 0 <= ahead <= MOST_AHEAD:
            raise ValueError(f"ahead {ahead!r}: expected an int from 0 to {MOST_AHEAD}")
        # Whole numbers times bytes are exact in float32, in whatever order they are added.
        self._weights = np.rint(256 * persistence ** np.arange(WINDOW)).astype(np.float32)
        self._ahead = ahead if self._weights[1] else 0
        self.reset()

    def reset(self) -> None:
        """Forget all maps: the next one begins a new stream."""
        self._count, self._shot, self._last = 0, 0, None
        self._maps: np.ndarray | None = None

    def add(self, attention: np.ndarray, small: np.ndarray) -> np.ndarray | None:
        """Take the next map, and join the one `ahead` frames before it with those around it.

        Args:
            attention: `[R, R]` uint8, 255 at its peak, or float32, 1 at its peak.
            small: the frame that it is of, `[S, S, 3]` uint8; always of one size.

        Returns:
            A map of the same shape, dtype and peak; None for the first `ahead` calls.
        """
        if not self._weights[1]:
            return attention
        if self._last is not None and is_cut(self._last, small):
            self._shot += 1
        self._last = small.copy()
        rows = WINDOW + self._ahead
        if self._maps is None:
            self._maps = np.zeros((rows, attention.size), np.float32)
            self._shots = np.full(rows, -1)  # of the map in each row; -1 for none
            self._shape, self._dtype = attention.shape, attention.dtype
        row = self._count % rows
        self._maps[row], self._shots[row] = attention.ravel(), self._shot
        self._count += 1
        number = self._count - 1 - self._ahead
        return self._joined(number) if number >= 0 else None

    def rest(self) -> Iterator[np.ndarray]:
        """The maps of a stream that has ended that `add` did not return."""
        for number in range(max(0, self._count - self._ahead), self._count):
            yield self._joined(number)

    def _joined(self, number: int) -> np.ndarray:
        """The stream's map of a number, from 0, joined with those around it."""
        rows, newest = len(self._maps), self._count - 1
        numbers = newest - (newest - np.arange(rows)) % rows  # of the map in each row
        away = np.abs(numbers - number)  # in frames
        near = (away < WINDOW) & (self._shots == self._shots[number % rows])
        weights = np.where(near, self._weights[np.minimum(away, WINDOW - 1)], 0)
        joined = weights @ self._maps  # (R * R,)
        joined /= joined.max() or 1  # a map may be black
        if self._dtype == np.uint8:
            joined = np.rint(255 * joined)
        return joined.reshape(self._shape).astype(self._dtype)
