"""From a camera's frame to the model's: the one way frames are made small."""

from __future__ import annotations

import cv2
import numpy as np


def shrink(frame: np.ndarray, size: int) -> np.ndarray:
    """Resize a frame to `[size, size, 3]` uint8 by area averaging, aspect not kept.

    Training data and streams both pass through here, so that a model sees the
    same pixels in both. A frame more than four times larger is first sampled
    bilinearly at four times the size: area averaging a whole 720p frame costs
    several times what the model does.

    Args:
        frame: `[H, W, 3]` uint8, channels in any order.
        size: side of the result in pixels.
    """
    if min(frame.shape[:2]) > 4 * size:
        frame = cv2.resize(frame, (4 * size, 4 * size), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
