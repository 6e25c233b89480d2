"""The weights that come with the package, as Keras students to go on training."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np

from uva_tf.config import StudentConfig
from uva_tf.core.errors import InputError
from uva_tf.core.names import current
from uva_tf.models.student import Student, build_student
from uva_tf.weights import FOLDER


def load(name: str = "uva-64") -> keras.Model:
    """A trained student, to go on training or to build upon.

    Args:
        name: of its variant, `uva-64` or `uva-32`.

    Returns:
        Model from `{"frame", "other"}`, `[B, R, R, 3]` float32 in -1..1 (bytes / 127.5 - 1; `other`
        is the frame before), to logits `[B, R, R, 1]`; `uva_tf.models.maps.attention` makes
        the finished map of them.

    Raises InputError for a name that the package does not bring.
    """
    variant = current(name)
    if variant not in shipped():
        raise InputError(f"no weights {name!r}: expected one of {', '.join(shipped())}")
    student = build_student(StudentConfig(variant))
    load_shipped(student, variant)
    return student.pair


def load_shipped(student: Student, variant: str) -> None:
    """Give a student the shipped weights; raises InputError if there are none that fit it."""
    path = FOLDER / f"{variant}.npy"
    if not path.is_file():
        names = ", ".join(shipped()) or "none"
        raise InputError(f"no weights of {variant} come with the package, expected one of {names}")
    values = np.load(path, allow_pickle=False)
    shapes = [weight.shape for weight in student.pair.weights]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    if values.shape != (ends[-1],):
        raise InputError(f"{path} holds {values.size} weights, the student has {ends[-1]}")
    parts = np.split(values, ends[:-1])
    student.pair.set_weights(
        [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    )


def shipped() -> list[str]:
    """The variants whose weights come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.npy"))


def save_weights(student: Student, path: Path) -> None:
    """Write a student's weights, in the order of its `pair` model, as one float16 vector, .npy."""
    weights = [np.ravel(weight) for weight in student.pair.get_weights()]
    np.save(path, np.concatenate(weights).astype(np.float16))
