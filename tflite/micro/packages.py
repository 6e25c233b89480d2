"""The packages that these scripts need beside uva_tf's own."""

from __future__ import annotations

import importlib.util

from uva_tf.core.errors import InputError

MODULES = {"tflite_micro": "tflite-micro", "ethosu": "ethos-u-vela"}


def need(*modules: str) -> None:
    """Raise InputError unless the modules are installed."""
    missing = [MODULES[name] for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        names = " ".join(missing)
        raise InputError(f"{names}: not installed, try python -m pip install {names}")
