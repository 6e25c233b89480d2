"""Work that overlaps: items made in a thread of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
END = object()


def ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """The same items in the same order, up to `depth` of them made before they are asked for.

    Decoding, LiteRT and encoding let other threads run, so that stages chained by this
    take the time of the slowest and not of all together. What `items` raises is raised here.
    """
    making = iter(items)
    with ThreadPoolExecutor(1) as thread:
        made = deque(thread.submit(next, making, END) for _ in range(depth))
        while (item := made.popleft().result()) is not END:
            made.append(thread.submit(next, making, END))
            yield item
