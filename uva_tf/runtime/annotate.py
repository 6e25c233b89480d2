"""A stream's attention, predicted while frames are still being read, and handed to sinks."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

from uva_tf.core.interruption import Stop
from uva_tf.core.video import Frame
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sinks import Sink, Stopped
from uva_tf.runtime.streams import Stream

T = TypeVar("T")

# Frames that may wait between two stages; of a camera one, since they grow old.
DEPTH, LIVE_DEPTH = 4, 1
END = object()


def annotate(
    source: Stream,
    predictor: Predictor,
    sinks: Iterable[Sink],
    progress: Callable[[Iterator[T]], Iterator[T]] = iter,
    stop: Stop | None = None,
) -> tuple[int, BaseException | None]:
    """Hand every frame and its map to all sinks.

    Reading, prediction with the sinks' making, and their taking happen at the same time, each
    on a frame of its own.

    Args:
        predictor: made with `channels="bgr"`.
        progress: wraps the finished frames, such as a progress bar.
        stop: of `interruption.hold`; asked after each frame that all sinks have had.

    Returns:
        How many frames all sinks have had, and what ended the stream before its end, if
        anything did after the first of them: KeyboardInterrupt, or an OSError such as a full
        disk or a camera unplugged. What the sinks wrote until then is whole.
    """
    stop = stop or Stop()
    depth = LIVE_DEPTH if source.live else DEPTH
    sinks, count = list(sinks), 0
    made = _made(ahead(source.timed(), depth), predictor, sinks)
    if sinks:  # else there is nothing to take meanwhile
        made = ahead(made, depth)
    with closing(made):
        try:
            for items in progress(made):
                for sink, item in zip(sinks, items, strict=True):
                    sink.take(item)
                count += 1
                if stop.asked():
                    raise KeyboardInterrupt
        except Stopped:
            pass
        except (KeyboardInterrupt, OSError) as cause:
            if not count:
                raise
            return count, cause
    return count, None


def ahead(items: Generator[T, None, None], depth: int) -> Generator[T, None, None]:
    """The same items in the same order, up to `depth` of them made before they are asked for.

    They are made in a thread of their own. Decoding, LiteRT and encoding let other threads run,
    so that stages chained by this take the time of the slowest and not of all together. What
    `items` raises is raised here. Once this is closed nothing makes items any more.
    """
    thread = ThreadPoolExecutor(1)
    with closing(items):
        try:
            made = deque(thread.submit(next, items, END) for _ in range(depth))
            while (item := made.popleft().result()) is not END:
                made.append(thread.submit(next, items, END))
                yield item
        finally:
            thread.shutdown(cancel_futures=True)


def _made(
    frames: Generator[Frame, None, None], predictor: Predictor, sinks: Sequence[Sink]
) -> Generator[list[Any], None, None]:
    """What each sink makes of every frame."""
    with closing(frames):
        seen, shown = itertools.tee(frames)  # a map may come one frame late
        maps = predictor.run(frame.pixels for frame in seen)
        for frame, attention in zip(shown, maps, strict=True):
            yield [sink.make(frame, attention) for sink in sinks]
