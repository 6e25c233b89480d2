"""Files of one frame: photographs, maps, and fixations as maps or MATLAB files.

Untrusted: sizes are looked at before a file is unpacked.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from scipy.io import loadmat, whosmat

from uva_tf.data.gaze import Fixations
from uva_tf.data.recordings import to_unit
from uva_tf.runtime.errors import InputError
from uva_tf.runtime.video import MOST_PIXELS

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")

# A map with more shades than two and more than this share of its pixels set is no map of
# fixations but a density map in its place.
MOST_FIXATED = 0.1


def read_picture(path: Path) -> np.ndarray:
    """Read a photograph or a frame as `[H, W, 3]` uint8 RGB."""
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_map(path: Path) -> np.ndarray:
    """Read an 8-bit grey map as `[H, W]` uint8, of three equal channels too.

    Raises InputError for anything else.
    """
    picture = _decode(path, cv2.IMREAD_UNCHANGED)
    if picture.dtype != np.uint8:
        raise InputError(f"{path}: a map of {8 * picture.itemsize} bits, expected 8-bit grey")
    if picture.ndim == 3 and picture.shape[2] == 4:
        raise InputError(f"{path}: a map with transparency (RGBA), expected 8-bit grey")
    if picture.ndim == 3:
        if (picture != picture[..., :1]).any():
            raise InputError(f"{path}: a map in colour, expected 8-bit grey")
        picture = picture[..., 0]
    return picture


def read_fixation_map(path: Path) -> tuple[Fixations, tuple[int, int]]:
    """Read a map whose pixels other than 0 are fixated: a picture, or a .mat with `I`.

    Returns:
        The fixations, at the pixels' centres and all of one observer, and the map's
        height and width.
    """
    marked = _read_mat(path, "I") if path.suffix.lower() == ".mat" else read_map(path)
    if marked.ndim != 2 or marked.dtype.kind not in "buif":
        raise InputError(f"{path}: I is {marked.dtype} {marked.shape}, expected a map")
    if not np.isfinite(marked).all():
        raise InputError(f"{path}: the map holds NaN or infinity, expected 0 and 1")
    row, column = np.nonzero(marked)
    crowded = len(row) > MOST_FIXATED * marked.size
    if crowded and len(np.unique(marked)) > 2:
        raise InputError(
            f"{path}: {len(row)} of {marked.size} pixels in shades of grey, "
            "expected a map of fixations, is it a density map?"
        )
    height, width = marked.shape
    points = np.stack([(column + 0.5) / width, (row + 0.5) / height], axis=1)
    return Fixations(points.astype(np.float32), _observers([points])), (height, width)


def read_salicon_gaze(path: Path) -> tuple[Fixations, int]:
    """Read SALICON's .mat: `gaze`, per observer 1-based x and y, and `resolution`.

    Returns:
        The fixations, at the pixels' centres, and how many were outside the picture.
    """
    resolution = _read_mat(path, "resolution").ravel()
    if resolution.size != 2 or not (resolution > 0).all():
        raise InputError(f"{path}: resolution is {resolution}, expected height and width")
    height, width = (int(side) for side in resolution)
    gaze = _read_mat(path, "gaze")
    if gaze.dtype.names is None:
        parts = [gaze]
    elif "fixations" in gaze.dtype.names:
        parts = list(gaze["fixations"].ravel())
    else:
        raise InputError(f"{path}: gaze holds {gaze.dtype.names}, expected fixations")
    try:
        points = [np.asarray(part, float).reshape(-1, 2) for part in parts]
    except ValueError:
        raise InputError(f"{path}: gaze is no list of x and y") from None
    observers = _observers(points)
    points = np.concatenate(points)
    if not np.isfinite(points).all():
        raise InputError(f"{path}: gaze holds NaN or infinity, expected pixels")
    shares, inside = to_unit(points[:, 0] - 0.5, points[:, 1] - 0.5, width, height, path)
    return Fixations(shares[inside], observers[inside]), int((~inside).sum())


def _observers(points: list[np.ndarray]) -> np.ndarray:
    """Numbers 0, 1, ... of the observers whose points come one group after another."""
    return np.repeat(np.arange(len(points), dtype=np.int32), [len(part) for part in points])


def _decode(path: Path, flags: int) -> np.ndarray:
    try:
        picture = cv2.imread(str(path), flags)
    except cv2.error:  # more pixels than allowed
        picture = None
    if picture is None:
        raise InputError(f"{path}: not a picture that OpenCV can read")
    return picture


def _read_mat(path: Path, name: str) -> np.ndarray:
    """One variable of a MATLAB file; nothing else of it is unpacked."""
    try:
        shapes = {variable: shape for variable, shape, _ in whosmat(str(path))}
        if name not in shapes:
            raise InputError(f"{path}: no variable {name}, it has {', '.join(shapes) or 'none'}")
        if np.prod(shapes[name], dtype=float) > MOST_PIXELS:
            raise InputError(f"{path}: {name} is {shapes[name]}, larger than any picture")
        return loadmat(str(path), variable_names=[name])[name]
    except InputError:
        raise
    except NotImplementedError:
        raise InputError(f"{path}: a MATLAB 7.3 file, save it with -v7") from None
    except Exception as error:  # whatever a broken file makes SciPy raise
        raise InputError(f"{path}: not a MATLAB file that SciPy can read ({error})") from None
