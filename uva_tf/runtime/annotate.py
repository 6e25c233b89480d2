"""A stream's attention, predicted while frames are still being read, and handed to sinks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

import numpy as np

from uva_tf.runtime.ahead import ahead
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.sinks import Sink, Stopped
from uva_tf.runtime.sources import Source
from uva_tf.runtime.video import Frame

Annotated = tuple[Frame, np.ndarray]

# Frames that may wait between two stages; of a camera one, since they grow old.
DEPTH, LIVE_DEPTH = 4, 1


def annotate(
    source: Source,
    predictor: Predictor,
    sinks: Iterable[Sink],
    progress: Callable[[Iterator[Annotated]], Iterator[Annotated]] = iter,
) -> tuple[int, BaseException | None]:
    """Hand every frame and its map to all sinks.

    Reading, prediction and the sinks work at the same time, on a frame each.

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
    with closing(ahead(_predicted(ahead(source.timed(), depth), predictor), depth)) as stream:
        try:
            for frame, attention in progress(stream):
                for sink in sinks:
                    sink(frame, attention)
                count += 1
        except Stopped:
            pass
        except (KeyboardInterrupt, OSError) as cause:
            if not count:
                raise
            return count, cause
    return count, None


def _predicted(frames: Iterator[Frame], predictor: Predictor) -> Iterator[Annotated]:
    seen, shown = itertools.tee(frames)  # a map may come one frame late
    return zip(shown, predictor.run(frame.pixels for frame in seen), strict=True)
