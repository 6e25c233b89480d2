"""Attention drawn over a frame: as a heat map, as contours, or beside it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from uva_tf.core.frames import Frame, new_frame, to_yuv
from uva_tf.core.resize import resize
from uva_tf.runtime.arrays import check_frame, check_map, check_size

# Of the heat map where attention is highest.
OPACITY = 0.7
LEVELS = (64, 128, 192)  # of contours
CONTOUR = (0, 230, 255)  # BGR

_COLOURS = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)[:, 0]
_OPACITY = np.arange(256) * (OPACITY / 255)
_CLEAR = np.rint(255 * (1 - _OPACITY)).astype(np.uint8)  # (256,)

# A colour channel of a frame, `[h, w]` uint8, and one of equal size or wider to draw it in.
Channel = np.ndarray
# Draws an attention map `[h, w]` uint8 over one channel, in place. `palette`, `[257]` uint8, holds
# the channel's level of each colour of the heat map, and of the contours.
Draw = Callable[[Channel, Channel, np.ndarray, np.ndarray], None]
# Draws a map over a Frame or over `[H, W, 3]` uint8 BGR, and returns the same kind of picture.
Style = Callable[[Frame | np.ndarray, np.ndarray], Frame | np.ndarray]


def heat(frame: Frame | np.ndarray, attention: np.ndarray) -> Frame | np.ndarray:
    """A heat map over the frame, transparent where attention is 0.

    Args:
        frame: a Frame; or `[H, W, 3]` uint8 BGR.
        attention: `[h, w]` uint8, 255 at the place that is looked at most.

    Returns:
        A new picture of the same kind and size.

    Raises ValueError for another shape or dtype.
    """
    return _drawn(frame, attention, _heat)


def contours(frame: Frame | np.ndarray, attention: np.ndarray) -> Frame | np.ndarray:
    """Lines where attention is a quarter, a half and three quarters of the peak's.

    Arguments, result and errors as for `heat`.
    """
    return _drawn(frame, attention, _contours)


def beside(frame: Frame | np.ndarray, attention: np.ndarray) -> Frame | np.ndarray:
    """The frame and, to its right, its map in colours.

    Arguments and errors as for `heat`; the result is twice as wide.
    """
    return _drawn(frame, attention, _beside, wider=2)


STYLES: dict[str, Style] = {"heat": heat, "contours": contours, "beside": beside}


def _heat(channel: Channel, target: Channel, attention: np.ndarray, palette: np.ndarray) -> None:
    size = channel.shape[::-1]
    # Enlarging colours and weights costs less than computing them for every pixel.
    colours = np.rint(_OPACITY * palette[:256]).astype(np.uint8)
    clear = cv2.resize(_CLEAR[attention], size)
    cv2.multiply(channel, clear, dst=target, scale=1 / 255)
    cv2.add(target, cv2.resize(colours[attention], size), dst=target)


def _contours(
    channel: Channel, target: Channel, attention: np.ndarray, palette: np.ndarray
) -> None:
    target[...] = channel
    levels = cv2.resize(attention, channel.shape[::-1], interpolation=cv2.INTER_CUBIC)
    thickness = max(1, min(channel.shape) // 360)
    for level in LEVELS:
        above = cv2.threshold(levels, level - 1, 255, cv2.THRESH_BINARY)[1]
        lines, _ = cv2.findContours(above, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(target, lines, -1, int(palette[256]), thickness, cv2.LINE_AA)


def _beside(channel: Channel, target: Channel, attention: np.ndarray, palette: np.ndarray) -> None:
    width = channel.shape[1]
    target[:, :width] = channel
    rest = target.shape[1] - width, channel.shape[0]
    target[:, width:] = cv2.resize(palette[:256][attention], rest)


def _drawn(
    frame: Frame | np.ndarray, attention: np.ndarray, draw: Draw, wider: int = 1
) -> Frame | np.ndarray:
    """A style applied to each channel: to Y, U and V of a Frame, or to B, G and R of an array."""
    check_map(attention)
    if isinstance(frame, Frame):
        planes = frame.planes()
        channels, palettes = planes[:3], _palettes(planes.colours.space, planes.colours.full)
        drawn, targets = new_frame(wider * frame.width, frame.height, planes, frame)
    else:
        check_frame(frame)
        height, width = frame.shape[:2]
        channels, palettes = cv2.split(frame), _palettes(None)
        targets = np.empty((3, height, wider * width), np.uint8)
    for channel, target, palette in zip(channels, targets, palettes, strict=True):
        draw(channel, target, attention, palette)
    return drawn if isinstance(frame, Frame) else cv2.merge(targets)


@functools.lru_cache
def _palettes(space: int | None, full: bool = False) -> Sequence[np.ndarray]:
    """For each channel, its level of every colour of the heat map, and of the contours.

    Args:
        space: FFmpeg's number of the colour space; None for B, G and R.
    """
    rgb = np.vstack([_COLOURS, np.uint8([CONTOUR])])[:, ::-1]  # (257, 3)
    if space is None:
        return np.ascontiguousarray(rgb[:, ::-1].T)
    matrix = to_yuv(space, full)  # (3, 4)
    return np.rint(matrix[:, :3] @ rgb.T + matrix[:, 3:]).astype(np.uint8)


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
