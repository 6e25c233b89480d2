"""Hints: the features of another network, which a student's middle layer learns to predict.

Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015.
"""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np

from uva_tf.core.errors import InputError, first_line
from uva_tf.core.files import listed, read_input
from uva_tf.data.folders import subfolders

GRID = 16  # places along each side of a hint
SCALE = 32  # levels for one deviation of a hint's first component
MIDDLE = 127.5  # the level of a component's mean
MOST_BYTES = 2**20
# NumPy parses a header as Python's syntax, which Python before 3.11.8 can't do in two threads at
# once (python/cpython#106905).
_PARSING = threading.Lock()


def read_hint(path: Path) -> np.ndarray:
    """Read a frame's hint, `NAME/000001.npy`, as uint8 `[GRID, GRID, components]`.

    The value of a level is `(level - MIDDLE) / SCALE`.

    Raises InputError for anything else.
    """
    content = read_input(path, MOST_BYTES, "hint")
    try:
        with _PARSING:
            hint = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # whatever a broken file makes NumPy raise
        cause = first_line(error)
        raise InputError(f"{path}: NumPy can't read it as a hint ({cause})") from None
    expected = f"expected uint8 ({GRID}, {GRID}, components), as uva-tf hints writes it"
    if not isinstance(hint, np.ndarray):
        raise InputError(f"{path}: several arrays, {expected}")
    if hint.dtype != np.uint8 or hint.ndim != 3 or hint.shape[:2] != (GRID, GRID) or not hint.size:
        raise InputError(f"{path}: {hint.dtype} {hint.shape}, {expected}")
    return hint


def hint_components(root: Path) -> int:
    """The components of the hints `root/NAME/000001.npy`, by the first of them.

    Raises InputError if there are none.
    """
    first = next((path for folder in subfolders(root) for path in listed(folder, (".npy",))), None)
    if first is None:
        raise InputError(f"{root}: no hints in it, expected NAME/000001.npy")
    return read_hint(first).shape[2]
