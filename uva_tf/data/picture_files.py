"""Untrusted files of one frame: photographs, maps, and fixations as maps or MATLAB files."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from uva_tf.core.errors import InputError, first_line
from uva_tf.core.file_kinds import kind_of
from uva_tf.core.files import read_input
from uva_tf.core.frames import Frame
from uva_tf.core.pictures import MOST_BYTES, MOST_PIXELS, decode
from uva_tf.data.fixations import Fixations
from uva_tf.gaze.placing import to_unit

# Of fixation maps; JPEG is not among them, since its artefacts would be taken for fixations.
FIXATION_SUFFIXES = (".bmp", ".mat", ".png")
MOST_MARKED = 0.5  # of a fixation map's pixels; people look at far fewer


def read_picture(path: Path) -> Frame:
    """Read a photograph, or a frame that is stored as a picture."""
    return Frame(decode(path, cv2.IMREAD_COLOR))


def read_map(path: Path) -> np.ndarray:
    """Read an 8-bit grey map, of one channel or of three equal ones, as `[H, W]` uint8.

    Raises InputError for anything else.
    """
    picture = decode(path, cv2.IMREAD_UNCHANGED)
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
    """Read a map whose nonzero pixels are fixations: a picture, or the variable `I` of a .mat.

    Returns:
        The fixations, at the pixels' centres and all by one observer, and the map's
        height and width.

    Raises InputError for anything else, such as a density map, or an inverted one.
    """
    marked = _read_mat(path, "I") if path.suffix.lower() == ".mat" else read_map(path)
    if marked.ndim != 2 or not marked.size or marked.dtype.kind not in "buif":
        raise InputError(f"{path}: I is {marked.dtype} {marked.shape}, expected a map")
    if not np.isfinite(marked).all():
        raise InputError(f"{path}: the map holds NaN or infinity, expected 0 and 1")
    if (shades := len(np.unique(marked))) > 2:
        raise InputError(
            f"{path}: {shades} shades of grey, expected a map of fixations with two, "
            "is it a density map?"
        )
    if (share := np.count_nonzero(marked) / marked.size) > MOST_MARKED:
        raise InputError(
            f"{path}: {share:.0%} of its pixels are not 0, expected a few, the fixations: is it "
            "inverted, or a density map?"
        )
    row, column = np.nonzero(marked)
    height, width = marked.shape
    points = np.stack([(column + 0.5) / width, (row + 0.5) / height], axis=1)
    return Fixations(points.astype(np.float32), np.zeros(len(points), np.int32)), (height, width)


def read_salicon_gaze(path: Path) -> tuple[Fixations, tuple[int, int], int]:
    """Read SALICON's .mat: `gaze`, with 1-based x and y for each observer, and `resolution`.

    Returns:
        The fixations, at the pixels' centres; the picture's height and width; and the number of
        fixations outside it, which are left out.

    Raises InputError for anything else.
    """
    resolution = _read_mat(path, "resolution").ravel()
    finite = resolution.dtype.kind in "uif" and np.isfinite(resolution).all()
    if not finite or resolution.size != 2 or (resolution < 1).any():
        raise InputError(f"{path}: resolution is {resolution}, expected height and width")
    height, width = (int(side) for side in resolution)
    gaze = _read_mat(path, "gaze")
    if gaze.dtype.names is None:
        parts = [gaze]
    elif "fixations" in gaze.dtype.names:
        parts = list(gaze["fixations"].ravel())
    else:
        raise InputError(f"{path}: gaze holds {gaze.dtype.names}, expected fixations")
    by_observer = [_xy(part, path) for part in parts]
    counts = [len(pixels) for pixels in by_observer]
    observers = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    pixels = np.concatenate([np.zeros((0, 2)), *by_observer])
    if not np.isfinite(pixels).all():
        raise InputError(f"{path}: gaze holds NaN or infinity, expected pixels")
    points, inside = to_unit(pixels[:, 0] - 0.5, pixels[:, 1] - 0.5, width, height, path)
    fixations = Fixations(points[inside], observers[inside])
    return fixations, (height, width), int((~inside).sum())


def _xy(part: np.ndarray, path: Path) -> np.ndarray:
    """One observer's fixations as float64 `[n, 2]`; raises InputError for another array."""
    if part.size == 0:
        return np.zeros((0, 2))
    if part.dtype.kind not in "uif" or part.ndim != 2 or part.shape[1] != 2:
        raise InputError(f"{path}: gaze is {part.dtype} {part.shape}, expected rows of x and y")
    return part.astype(float)


def _read_mat(path: Path, name: str) -> np.ndarray:
    """Read one variable of a MATLAB file; its size is checked first, and nothing else is read."""
    from scipy.io import loadmat, whosmat  # of the extra [train]; help goes without

    content = read_input(path, MOST_BYTES, "map")
    if not content:
        raise InputError(f"{path}: the file is empty, expected a MATLAB file")
    try:
        shapes = {variable: shape for variable, shape, _ in whosmat(io.BytesIO(content))}
        if name not in shapes:
            raise InputError(f"{path}: no variable {name}, it has {', '.join(shapes) or 'none'}")
        if np.prod(shapes[name], dtype=float) > MOST_PIXELS:
            raise InputError(f"{path}: {name} is {shapes[name]}, larger than any picture")
        value = loadmat(io.BytesIO(content), variable_names=[name])[name]
        if not isinstance(value, np.ndarray):
            raise InputError(f"{path}: {name} is sparse, save it with full()")
        return value
    except InputError:
        raise
    except NotImplementedError:
        raise InputError(f"{path}: a MATLAB 7.3 file, save it with -v7") from None
    except Exception as error:  # whatever a broken file makes SciPy raise
        kind = kind_of(content)
        cause = f"it is {kind}" if kind and "MATLAB" not in kind else first_line(error)
        raise InputError(f"{path}: SciPy can't read it as a MATLAB file ({cause})") from None
