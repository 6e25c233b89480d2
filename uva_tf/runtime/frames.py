"""From a camera's frame to the model's: the one way frames are made small."""

from __future__ import annotations

import cv2
import numpy as np

# Frames are first sampled bilinearly at this size: area averaging a whole 720p frame costs
# several times what the model does. It does not depend on the size asked for, and from there
# on sides are halved, so that all frames go through the same pictures of 256, 128, 64 and 32
# pixels, from wherever they set out.
SAMPLED = 256
# At which a stored frame is what a stream's frame becomes, for models of 64 and 32 pixels.
EXACT_SIZES = (64, 128, 256)


def shrink(frame: np.ndarray, size: int) -> np.ndarray:
    """Resize a frame to `[size, size, 3]` uint8, aspect not kept.

    Training data and streams both pass through here, so that a model sees the same pixels
    in both: a frame of any shape that is stored at 64, 128 or 256 pixels (`EXACT_SIZES`) and
    shrunk again to 64 or 32 is, to the last bit, the frame shrunk at once. Stored at 32 it
    is so for 32 only; stored at any other size it differs by some levels.

    Args:
        frame: `[H, W, 3]` uint8, channels in any order.
        size: side of the result in pixels.
    """
    height, width = frame.shape[:2]
    # A square of a side on the way down is taken as it is, for it may be a stored frame. Any
    # other square sets out from the same place as every frame.
    if height != width or (height != size and SAMPLED % height):
        sampled = max(SAMPLED, size)
        frame = cv2.resize(frame, (sampled, sampled), interpolation=cv2.INTER_LINEAR)
    while len(frame) >= 4 * size:
        frame = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
