"""Predict a stream's attention while it is being read, and hand frames and maps to sinks."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

from uva_tf.core.frames import Frame
from uva_tf.core.interruption import Stop
from uva_tf.core.resize import one_opencv_thread
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sinks import Sink, Stopped
from uva_tf.runtime.streams import Stream

T = TypeVar("T")

# Frames that may wait between two threads: as read, and with what is made of them; only one of a
# camera, since waiting frames grow old.
READ_DEPTH, DEPTH, LIVE_DEPTH = 8, 4, 1


def annotate(
    source: Stream,
    predictor: Predictor,
    sinks: Iterable[Sink],
    progress: Callable[[Iterator[T]], Iterator[T]] = iter,
    stop: Stop | None = None,
) -> tuple[int, BaseException | None]:
    """Hand every frame and its map to all sinks.

    Three threads work at the same time, each on another frame: one reads, one predicts and
    calls the sinks' `make`, one calls their `take`.

    Args:
        predictor: of either order of channels.
        progress: wraps the iterator over finished frames, for example in a progress bar.
        stop: what `interruption.hold` yields; it is asked after each finished frame.

    Returns:
        The number of frames that all sinks have taken, and the error that ended the stream early,
        or None: KeyboardInterrupt, or an OSError such as a full disk or an unplugged camera. What
        the sinks wrote until then is complete. An error before the first frame was taken is raised.
    """
    stop = stop or Stop()
    sinks, count = list(sinks), 0
    read = ahead(source.timed(), LIVE_DEPTH if source.live else READ_DEPTH)
    made = _made(read, predictor, sinks)
    if sinks:  # without sinks there is nothing to do at the same time
        made = ahead(made, LIVE_DEPTH if source.live else DEPTH)
    with closing(made), one_opencv_thread():
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
    """The same items in the same order, about `depth` of them made before they are asked for.

    They are made in another thread. Decoding, LiteRT and encoding let other threads run, so that
    a chain of these takes as long as its slowest part, not as all parts together. What `items`
    raises is raised here. Once this is closed, no more items are made.
    """
    thread, several = ThreadPoolExecutor(1), max(1, depth // 2)  # fewer turns between threads
    with closing(items):
        try:
            made = deque(thread.submit(_take, items, several) for _ in range(depth // several))
            while True:
                group, end = made.popleft().result()
                if end is None:
                    made.append(thread.submit(_take, items, several))
                yield from group
                if end is not None:
                    raise end
        except StopIteration:
            return
        finally:
            thread.shutdown(cancel_futures=True)


def _take(items: Generator[T, None, None], most: int) -> tuple[list[T], BaseException | None]:
    """The next items, and what ended them early: StopIteration or an error."""
    taken = []
    try:
        while len(taken) < most:
            taken.append(next(items))
    except BaseException as end:
        return taken, end
    return taken, None


def _made(
    frames: Generator[Frame, None, None], predictor: Predictor, sinks: Sequence[Sink]
) -> Generator[list[Any], None, None]:
    """What each sink makes of every frame."""
    with closing(frames):
        seen, shown = itertools.tee(frames)  # maps may come some frames late
        for frame, attention in zip(shown, predictor.run(seen), strict=True):
            yield [sink.make(frame, attention) for sink in sinks]
