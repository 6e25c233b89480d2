"""Draw a stream's attention: overlay video, map pictures, live window."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from uva_tf.runtime.errors import InputError
from uva_tf.runtime.predictor import Predictor
from uva_tf.runtime.video import enlarge, overlay

# Takes a frame `[H, W, 3]` BGR and its attention `[R, R]`, both uint8.
Sink = Callable[[np.ndarray, np.ndarray], None]


class Stopped(Exception):
    """Raised by a sink to end the stream."""


def annotate(frames: Iterable[np.ndarray], predictor: Predictor, sinks: Iterable[Sink]) -> int:
    """Hand every frame and its map to all sinks.

    Args:
        frames: `[H, W, 3]` uint8 BGR.
        predictor: made with `channels="bgr"`.

    Returns:
        How many frames there were.
    """
    seen, shown = itertools.tee(frames)  # a map may come one frame late
    count = 0
    try:
        for frame, attention in zip(shown, predictor.run(seen), strict=True):
            for sink in sinks:
                sink(frame, attention)
            count += 1
    except Stopped:
        pass
    return count


def write_overlay(write: Callable[[np.ndarray], None]) -> Sink:
    """Pass each frame with its heat map to a video writer."""
    return lambda frame, attention: write(overlay(frame, attention))


def write_maps(folder: Path) -> Sink:
    """Write `000001.png` and so on: 8-bit grey, of the frame's size."""
    numbers = itertools.count(1)

    def sink(frame: np.ndarray, attention: np.ndarray) -> None:
        height, width = frame.shape[:2]
        path = folder / f"{next(numbers):06d}.png"
        if not cv2.imwrite(str(path), enlarge(attention, width, height)):
            raise OSError(f"{path} can't be written")

    return sink


def show(title: str) -> Sink:
    """Show the overlay in a window until q is pressed; raises InputError without a display."""
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        raise InputError("no display to show the camera on: give --overlay or --maps")

    def sink(frame: np.ndarray, attention: np.ndarray) -> None:
        cv2.imshow(title, overlay(frame, attention))
        if cv2.waitKey(1) & 0xFF == ord("q"):
            cv2.destroyWindow(title)
            raise Stopped

    return sink
