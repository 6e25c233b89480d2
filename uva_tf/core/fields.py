"""Fields of dataclasses, read from JSON or from the text `FIELD=VALUE`, and checked."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from uva_tf.core.errors import InputError


def read_field(change: str, text: str, old: Any) -> Any:
    """Read a field's new value from text, as the type of its old value.

    Args:
        change: the whole `FIELD=VALUE`, for the message.

    Raises InputError for a value of another type.
    """
    if isinstance(old, tuple):
        # As in config.json, or without its brackets and quotes.
        items = [item.strip(' "') for item in text.strip("[] ").split(",") if item.strip()]
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
    """Raise InputError unless a value is one of the choices."""
    if value not in choices:
        raise InputError(f"{name} {value!r}: expected one of {', '.join(choices)}")


def expect(fits: bool, name: str, value: Any, expected: str) -> None:
    """Raise InputError, which says what was expected, unless a field's value fits."""
    if not fits:
        raise InputError(f"{name} {value!r:.80}: expected {expected}")


def check_types(instance: Any) -> None:
    """Raise InputError unless every field of a dataclass has the type of its annotation.

    A float must be finite; a whole number will do for it. True and False are not numbers.
    """
    for name, hint in _hints(type(instance)).items():
        value = getattr(instance, name)
        expect(_fits(value, hint), name, value, _described(hint))


def build_dataclass(kind: Any, value: Any) -> Any:
    """Build a dataclass, and those nested in it, from what `asdict` and JSON made of one.

    Raises InputError, ValueError or TypeError for fields that are unknown, missing or do not fit.
    """
    if not is_dataclass(kind):
        if get_origin(kind) is tuple and isinstance(value, list | tuple):
            return tuple(build_dataclass(get_args(kind)[0], item) for item in value)
        return (
            float(value) if kind is float and type(value) is int and _fits(value, float) else value
        )
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {value!r:.80}")
    unknown = set(value) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
    needed = {f.name for f in fields(kind) if f.default is f.default_factory is MISSING}
    if missing := sorted(needed - set(value)):
        raise ValueError(f"no field {missing[0]!r}")
    built = {}
    for name, item in value.items():
        try:
            built[name] = build_dataclass(_hints(kind)[name], item)
        except ValueError as error:
            joint = "." if isinstance(error, InputError) else ": "
            raise InputError(f"{name}{joint}{error}") from None
    return kind(**built)


_hints = functools.cache(get_type_hints)


def _fits(value: Any, hint: Any) -> bool:
    if hint is float:  # not NaN, not infinity, and no whole number too large for a float
        return type(value) is not bool and isinstance(value, int | float) and abs(value) < 1e300
    if get_origin(hint) is tuple:
        return type(value) is tuple and all(_fits(item, get_args(hint)[0]) for item in value)
    return type(value) is (str if get_origin(hint) is Literal else hint)


def _described(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"{_described(get_args(hint)[0])} each"
    names = {float: "a finite number", int: "a whole number", str: "text", bool: "true or false"}
    return names.get(hint, "text" if get_origin(hint) is Literal else "an object")
