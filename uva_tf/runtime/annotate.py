"""A stream's attention, predicted while frames are still being read, and handed to sinks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, TypeVar

from uva_tf.runtime.ahead import ahead
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sinks import Sink, Stopped
from uva_tf.runtime.sources import Source
from uva_tf.runtime.video import Frame

T = TypeVar("T")

# Frames that may wait between two stages; of a camera one, since they grow old.
DEPTH, LIVE_DEPTH = 4, 1


def annotate(
    source: Source,
    predictor: Predictor,
    sinks: Iterable[Sink],
    progress: Callable[[Iterator[T]], Iterator[T]] = iter,
) -> tuple[int, BaseException | None]:
    """Hand every frame and its map to all sinks.

    Reading, prediction with the sinks' making, and their taking happen at the same time, each
    on a frame of its own.

    Args:
        predictor: made with `channels="bgr"`.
        progress: wraps the finished frames, such as a progress bar.

    Returns:
        How many frames all sinks have had, and what ended the stream before its end, if
        anything did after the first of them: KeyboardInterrupt, or an OSError such as a full
        disk or a camera unplugged. What the sinks wrote until then is whole.
    """
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
        except Stopped:
            pass
        except (KeyboardInterrupt, OSError) as cause:
            if not count:
                raise
            return count, cause
    return count, None


def _made(
    frames: Iterator[Frame], predictor: Predictor, sinks: Sequence[Sink]
) -> Iterator[list[Any]]:
    """What each sink makes of every frame."""
    seen, shown = itertools.tee(frames)  # a map may come one frame late
    maps = predictor.run(frame.pixels for frame in seen)
    for frame, attention in zip(shown, maps, strict=True):
        yield [sink.make(frame, attention) for sink in sinks]
