"""The weights that come with the package, as Keras students."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np

from uva_tf.config import StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.core.names import current
from uva_tf.models.student import Student, build_student
from uva_tf.weights import BEST, FOLDER


def load(name: str = BEST) -> keras.Model:
    """A trained student, to train further or to build on, without the files' centre prior.

    Args:
        name: its variant, `uva-64-l`, `uva-64` or `uva-32`.

    Returns:
        Model from `{"frame", "other"}` to logits `[B, R, R, 1]`. Both inputs are `[B, R, R, 3]`
        float32 in -1..1 (bytes / 127.5 - 1). In a video, `other` is an earlier frame: the file's
        manifest says by its `gap` how many frames earlier. `uva_tf.models.maps.attention` turns
        logits into finished maps.

    Raises InputError if the package has no weights of that name.
    """
    variant = current(name)
    if variant not in shipped():
        raise InputError(f"no weights {name!r}: expected one of {', '.join(shipped())}")
    student = build_student(StudentConfig(variant))
    load_shipped(student, variant)
    return student.pair


def load_shipped(student: Student, variant: str) -> None:
    """Give a student the shipped weights of a variant; raises InputError if none fit it."""
    path = FOLDER / f"{variant}.npy"
    if not path.is_file():
        names = ", ".join(shipped()) or "none"
        raise InputError(f"the package has no weights of {variant}: expected one of {names}")
    values = np.load(path, allow_pickle=False)
    shapes = [weight.shape for weight in student.pair.weights]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    if values.shape != (ends[-1],):
        raise InputError(
            f"{path} holds {values.size} weights, the student has {ends[-1]}: expected the "
            f"student {variant} as shipped, with both paths and channel attention"
        )
    parts = np.split(values, ends[:-1])
    student.pair.set_weights(
        [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    )


def shipped() -> list[str]:
    """The variants whose weights come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.npy"))


def save_weights(student: Student, path: Path) -> None:
    """Write a student's weights as one float16 vector (.npy), in the order of its `pair` model."""
    weights = [np.ravel(weight) for weight in student.pair.get_weights()]
    np.save(path, np.concatenate(weights).astype(np.float16))
