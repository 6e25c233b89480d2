"""Attention drawn over a frame: as a heat map, as contours, or beside it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from uva_tf.core.resize import resize
from uva_tf.runtime.arrays import check_frame, check_map, check_size

# Of the heat map where attention is highest.
OPACITY = 0.7
LEVELS = (64, 128, 192)  # of contours
CONTOUR = (0, 230, 255)  # BGR

# Draws a frame `[H, W, 3]` BGR and its attention map `[h, w]` as one BGR picture, all uint8.
Style = Callable[[np.ndarray, np.ndarray], np.ndarray]

_COLOURS = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)[:, 0]
_WEIGHTS = np.arange(256)[:, None] * (OPACITY / 255)
_HEAT = np.rint(_WEIGHTS * _COLOURS).astype(np.uint8)  # (256, 3)
_CLEAR = np.rint(255 * (1 - _WEIGHTS)).astype(np.uint8)  # (256, 1)


def heat(frame: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """A heat map over the frame, transparent where attention is 0.

    Args:
        frame: `[H, W, 3]` uint8 BGR.
        attention: `[h, w]` uint8, 255 at the place that is looked at most.

    Returns:
        `[H, W, 3]` uint8 BGR.

    Raises ValueError for another shape or dtype.
    """
    _check(frame, attention)
    size = frame.shape[1::-1]
    # Enlarging the colours and weights is six times as fast as computing them for every pixel.
    colours = cv2.resize(_HEAT[attention], size)  # (H, W, 3)
    clear = cv2.resize(_CLEAR[attention], size)  # (H, W)
    return cv2.add(cv2.multiply(frame, cv2.merge([clear] * 3), scale=1 / 255), colours)


def contours(frame: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Lines where attention is a quarter, a half and three quarters of the peak's.

    Arguments, result and errors as for `heat`.
    """
    _check(frame, attention)
    drawn = np.ascontiguousarray(frame).copy()
    levels = cv2.resize(attention, frame.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    thickness = max(1, min(frame.shape[:2]) // 360)
    for level in LEVELS:
        above = cv2.threshold(levels, level - 1, 255, cv2.THRESH_BINARY)[1]
        lines, _ = cv2.findContours(above, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(drawn, lines, -1, CONTOUR, thickness, cv2.LINE_AA)
    return drawn


def beside(frame: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """The frame and, to its right, its map in colours.

    Arguments and errors as for `heat`; the result is `[H, 2 W, 3]`.
    """
    _check(frame, attention)
    colours = cv2.resize(_COLOURS[attention], frame.shape[1::-1])
    return np.hstack([frame, colours])


STYLES: dict[str, Style] = {"heat": heat, "contours": contours, "beside": beside}


def enlarge(attention: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize an attention map `[h, w]` uint8 to `[height, width]` uint8, as evaluation does.

    Raises ValueError for anything but a map, or for sides that are not whole pixels.
    """
    check_map(attention)
    check_size(width, height)
    levels = resize(attention, height, width, np.float32)
    # In place, since new arrays of this size cost more than the resizing.
    np.rint(levels, out=levels)
    np.clip(levels, 0, 255, out=levels)
    return levels.astype(np.uint8)


def _check(frame: np.ndarray, attention: np.ndarray) -> None:
    check_frame(frame)
    check_map(attention)
