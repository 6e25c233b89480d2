"""Checks of the arrays that users pass as frames and maps; each refusal names a remedy."""

from __future__ import annotations

import operator

import cv2
import numpy as np


def check_frame(frame: object) -> None:
    """Raise ValueError for anything but a frame: an array `[H, W, 3]` uint8, of any strides."""
    if not isinstance(frame, np.ndarray):
        raise ValueError(f"expected a frame [H, W, 3] uint8, received {_other(frame)}")
    grey = frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1)
    if frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8 and frame.size:
        return
    remedies = []
    if not frame.size:
        remedies = ["it is empty, check the crop or the file that it comes from"]
    elif grey:
        remedies = ["repeat the grey channel, cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB)"]
    elif frame.ndim == 4:
        remedies = ["pass the frames of a batch one by one, or the batch to run"]
    elif frame.ndim == 3 and frame.shape[2] == 4:
        remedies = ["drop alpha, frame[..., :3]"]
    elif frame.ndim == 3 and frame.shape[0] == 3 != frame.shape[2]:
        remedies = ["put the channels last, frame.transpose(1, 2, 0)"]
    if frame.size and frame.dtype != np.uint8:
        remedies.append(_to_bytes(frame))
    raise ValueError(
        f"expected a frame [H, W, 3] uint8, received {list(frame.shape)} {frame.dtype}"
        + (f": {'; '.join(remedies)}" if remedies else "")
    )


def check_map(attention: object, *, floats: bool = False) -> None:
    """Raise ValueError for anything but a map: an array `[h, w]` uint8.

    Args:
        floats: accept any dtype of numbers that are finite and 0 or more.
    """
    expected = "a map [h, w]" + (", 0 or more" if floats else " uint8")
    if not isinstance(attention, np.ndarray):
        raise ValueError(f"expected {expected}, received {_other(attention)}")
    received = f"expected {expected}, received {list(attention.shape)} {attention.dtype}"
    if attention.ndim != 2 or not attention.size:
        raise ValueError(received)
    if attention.dtype == np.uint8:
        return
    if not floats:
        remedy = _to_bytes(attention) if attention.dtype.kind in "buif" else "convert it"
        raise ValueError(f"{received}: {remedy}")
    if attention.dtype.kind not in "buif" or not (np.isfinite(attention) & (attention >= 0)).all():
        raise ValueError(f"{received} with other values")


def check_size(width: object, height: object) -> None:
    """Raise ValueError unless width and height are whole numbers of at least 1."""
    try:
        fits = operator.index(width) > 0 and operator.index(height) > 0
    except TypeError:
        fits = False
    if not fits:
        raise ValueError(
            f"expected width and height in whole pixels, received {width!r:.80} and {height!r:.80}"
        )


def _other(value: object) -> str:
    """What a value is that is not an array, and how to make an array of it."""
    kind = type(value)
    if value is None:
        return "None: nothing was read, check the path or whether the stream has ended"
    if kind.__module__.partition(".")[0] == "PIL":
        return "a PIL Image: pass np.asarray(image.convert('RGB'))"
    if isinstance(value, (list, tuple)):
        return f"a {kind.__name__}: pass np.asarray(frame, np.uint8)"
    if isinstance(value, cv2.UMat):
        return "a UMat: pass frame.get()"
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if hasattr(value, "numpy"):
        return f"a {name}: pass frame.numpy()"
    return f"a {name}: pass a NumPy array"


def _to_bytes(array: np.ndarray) -> str:
    """How to turn an array of another dtype into uint8."""
    if array.dtype == np.bool_:
        return "cast it, 255 * array.astype(np.uint8)"
    if array.dtype == np.uint16 and array.max() > 255:
        return "cast it, (array >> 8).astype(np.uint8)"
    if array.dtype.kind == "f" and array.max() <= 1:
        return "multiply by 255 and cast, np.rint(255 * array).astype(np.uint8)"
    return "cast it, array.clip(0, 255).astype(np.uint8)"
