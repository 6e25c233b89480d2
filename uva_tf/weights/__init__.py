"""The trained models that come with the package."""

from __future__ import annotations

import hashlib
from pathlib import Path

from uva_tf.core.errors import InputError
from uva_tf.core.names import current

FOLDER = Path(__file__).parent
BEST = "uva-64-l"  # the variant that is used if none is named
DEFAULT = f"{BEST}-int8-step"


def shipped_model(name: str = DEFAULT) -> Path:
    """The path of a shipped `.tflite` file, such as `uva-64-int8-step`; its manifest is beside it.

    Raises InputError for a name that does not come with the package.
    """
    path = FOLDER / f"{current(name)}.tflite"
    if not path.is_file():
        names = ", ".join(shipped_names()) or "none"
        raise InputError(f"no model {name!r} comes with the package, expected one of {names}")
    return path


def shipped_names() -> list[str]:
    """The names of the shipped files, such as `uva-64-int8-step`."""
    return sorted(file.stem for file in FOLDER.glob("*.tflite"))


def located(model: Path) -> Path:
    """Where a model file lies; a shipped file may be given by its older name."""
    shipped = not model.exists() and model.resolve().parent == FOLDER.resolve()
    return model.with_name(current(model.name)) if shipped else model


def is_shipped(sha256: str) -> bool:
    """Whether a checksum belongs to a model that comes with the package."""
    return any(
        hashlib.sha256(file.read_bytes()).hexdigest() == sha256 for file in FOLDER.glob("*.tflite")
    )
