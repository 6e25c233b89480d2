"""From a camera's frame to the model's: the one way frames are made small."""

from __future__ import annotations

import cv2
import numpy as np

# Frames are first sampled bilinearly at this size: area averaging a whole 720p frame costs
# several times what the model does. It does not depend on the size asked for, so that a
# stored frame shrunk again holds what a stream's frame shrunk at once does.
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
    if max(frame.shape[:2]) > sampled:
        frame = cv2.resize(frame, (sampled, sampled), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
