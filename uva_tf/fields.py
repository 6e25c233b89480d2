"""Fields of dataclasses from JSON, and from the text of `FIELD=VALUE`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from uva_tf.runtime.errors import InputError


def read_field(change: str, text: str, old: Any) -> Any:
    """A field's new value, read from text, of the type of the old one.

    Raises InputError for another type; `change` names the field in its message.
    """
    if isinstance(old, tuple):
        items = [item for item in text.split(",") if item]
        return tuple(read_field(change, item, old[0] if old else item) for item in items)
    value: Any = text
    if not isinstance(old, str):
        with contextlib.suppress(ValueError):
            value = json.loads(text)
    if type(old) is float and type(value) is int:
        value = float(value)
    if type(value) is not type(old):
        raise InputError(f"{change!r}: expected a value like {json.dumps(old)}")
    return value


def choose(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise InputError for a value that is none of the choices."""
    if value not in choices:
        raise InputError(f"{name} {value!r}: expected one of {', '.join(choices)}")


def build_dataclass(kind: Any, value: Any) -> Any:
    """A dataclass, and those within it, of what `asdict` and JSON made of one.

    Raises ValueError, or TypeError, for fields that there are not.
    """
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {value!r}")
        unknown = set(value) - {f.name for f in fields(kind)}
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
        hints = get_type_hints(kind)
        return kind(**{name: build_dataclass(hints[name], item) for name, item in value.items()})
    return tuple(value) if isinstance(value, list) else value
