"""Where a video is cut: between two frames that differ almost everywhere."""

from __future__ import annotations

import cv2
import numpy as np

COMPARED = 64  # side of the frames among which cuts are found in recordings
CUT = 32.0  # mean change from frame to frame, in levels of 255, that only a cut brings about


def is_cut(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether a video is cut between two adjacent frames, `[S, S, 3]` uint8 each, made small."""
    return cv2.norm(one, other, cv2.NORM_L1) / one.size > CUT
