"""From a camera's frame to the model's: the one way frames are made small."""

from __future__ import annotations

import cv2
import numpy as np

# Frames are first sampled bilinearly at this size: area averaging a whole 720p frame costs
# several times what the model does. It does not depend on the size asked for, and from there
# on sides are halved: a frame stored at 64 or 128 pixels and shrunk again holds the very
# pixels that a stream's frame shrunk at once to 64 or 32 does.
SAMPLED = 256


def shrink(frame: np.ndarray, size: int) -> np.ndarray:
    """Resize a frame to `[size, size, 3]` uint8, aspect not kept.

    Training data and streams both pass through here, so that a model sees the same
    pixels in both.

    Args:
        frame: `[H, W, 3]` uint8, channels in any order.
        size: side of the result in pixels.
    """
    sampled = max(SAMPLED, size)
    height, width = frame.shape[:2]
    if max(height, width) > sampled or height != width:
        frame = cv2.resize(frame, (sampled, sampled), interpolation=cv2.INTER_LINEAR)
    while len(frame) >= 4 * size:
        frame = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
