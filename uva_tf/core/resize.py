"""The two ways to change a picture's size: frames are shrunk, maps are resized."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from numpy.typing import DTypeLike

# Frames are first sampled bilinearly at this size: area averaging a whole 720p frame costs
# several times what the model does. This size does not depend on the final one, and from here
# on sides are halved, so that every frame goes through the same pictures of 256, 128, 64 and 32
# pixels, whether it starts as a video's frame or as a stored one.
SAMPLED = 256
# Sizes at which frames can be stored without changing what models of 64 and 32 pixels see.
EXACT_SIZES = (64, 128)


def shrink(frame: np.ndarray, size: int) -> np.ndarray:
    """Resize a frame to `[size, size, 3]` uint8, aspect not kept.

    Training data and streams both pass through here, so that a model sees the same pixels
    in both: a frame of any shape that is stored at 64 or 128 pixels (`EXACT_SIZES`) and then
    shrunk to 64 or 32 equals, to the last bit, the frame shrunk in one go. Stored at 32, that
    holds for 32 only; stored at any other size, it differs by some levels.

    Args:
        frame: `[H, W, 3]` uint8, channels in any order; or one channel, `[H, W]`.
        size: side of the result in pixels.
    """
    height, width = frame.shape[:2]
    # A square frame whose side is `size`, or SAMPLED over a whole number, is not sampled: it may
    # be a stored frame. Any other frame is.
    if height != width or (height != size and SAMPLED % height):
        sampled = max(SAMPLED, size)
        frame = cv2.resize(frame, (sampled, sampled), interpolation=cv2.INTER_LINEAR)
    while len(frame) >= 4 * size:
        frame = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)


def resize(
    picture: np.ndarray, height: int, width: int, dtype: DTypeLike = np.float64
) -> np.ndarray:
    """Antialiased bicubic resize with reflected borders, as of MATLAB's `imresize`.

    Args:
        picture: `[h, w]`, any dtype.
        dtype: of the computation, float32 or float64.

    Returns:
        `[height, width]` of that dtype; a constant picture stays exactly constant.
    """
    if np.ptp(picture) == 0:
        return np.full((height, width), picture.flat[0], dtype)
    rows = _bicubic(picture.shape[0], height, dtype)  # (height, h)
    columns = _bicubic(picture.shape[1], width, dtype)  # (width, w)
    return rows @ picture.astype(dtype) @ columns.T


@functools.lru_cache(maxsize=32)
def _bicubic(size_in: int, size_out: int, dtype: DTypeLike) -> np.ndarray:
    """Weights `[size_out, size_in]` of Keys' cubic (a = -0.5), widened when shrinking."""
    scale = size_out / size_in
    stretch = min(scale, 1.0)
    centre = (np.arange(size_out) + 0.5) / scale - 0.5
    reach = int(np.ceil(2 / stretch)) + 1
    taps = np.floor(centre).astype(int)[:, None] + np.arange(-reach, reach + 1)  # (out, taps)
    x = np.abs(stretch * (centre[:, None] - taps))
    weights = np.where(
        x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    ) * (x < 2)
    weights /= weights.sum(axis=1, keepdims=True)
    folded = np.mod(taps, 2 * size_in)
    source = np.minimum(folded, 2 * size_in - 1 - folded)  # reflected at the borders
    matrix = np.zeros((size_out, size_in))
    np.add.at(matrix, (np.arange(size_out)[:, None], source), weights)
    return matrix.astype(dtype)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV on one thread within the block, whose own threads fill the cores already."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
