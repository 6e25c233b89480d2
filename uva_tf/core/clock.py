"""When each frame of a stream is shown: the container's times, put right where they are not."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


class Clock:
    """Gives the frames of a stream their times, in the order in which they are shown.

    A frame's time is the one that its container states, with two exceptions:

    - Some files (H.264 in AVI, above all) state the order of decoding instead. Frames that are
      shown in another order then carry each other's times. The times as such are right, so each
      frame gets the least one that no frame before it had.
    - A damaged stream can hand out a frame late. It gets a time between its neighbours.

    Times are in ticks, as in the container.

    Args:
        tick: between two frames at the mean rate, where nothing else is known.

    Attributes:
        missing: how many frames had no time of their own.
        moved: how many frames had a time that was not after the one before.
    """

    def __init__(self, tick: float):
        self._tick, self._last, self._carried, self._sorting = tick, None, None, False
        self._waiting: list[int] = []  # times of packets whose frames are still to come, a heap
        self._newest, self._in_order = None, True
        self.missing = self.moved = 0

    @property
    def exact(self) -> bool:
        """Whether every frame so far has the time that it carried."""
        return not (self.missing or self.moved or self._sorting)

    def packet(self, time: int | None) -> None:
        """Note the time of a packet that goes to the decoder."""
        if time is None:
            return
        if self._newest is not None and time < self._newest:
            self._in_order = False  # it states when frames are shown
        self._newest = time
        heapq.heappush(self._waiting, time)

    def frame(self, time: int | None, following: Sequence[int | None]) -> float:
        """The time of the next frame.

        Args:
            time: that the frame carries.
            following: the times that the next few frames carry.
        """
        after = self._last is None or (time is not None and time > self._last)
        # Repeated times say nothing of the order.
        swapped = time is not None and (
            (self._carried is not None and time < self._carried)
            or any(t is not None and t < time for t in following)
        )
        carried, self._carried = self._carried, self._carried if time is None else time
        if time is None:
            self.missing += 1
            time = 0 if self._last is None else self._last + self._tick
        elif self._in_order and self._waiting and (swapped or (self._sorting and not after)):
            self._sorting = True
            time = heapq.heappop(self._waiting)
        elif not after:
            self.moved += 1
            time = self._between(following, self._tick / 2 if time == carried else self._tick)
        while self._waiting and self._waiting[0] <= time:
            heapq.heappop(self._waiting)
        self._last = time
        return time

    def _between(self, following: Sequence[int | None], step: float) -> float:
        later = [t for t in following if t is not None and t > self._last]
        return (self._last + later[0]) / 2 if later else self._last + step
