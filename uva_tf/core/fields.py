"""Fields of dataclasses from JSON, and from the text of `FIELD=VALUE`."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from uva_tf.core.errors import InputError


def read_field(change: str, text: str, old: Any) -> Any:
    """A field's new value, read from text, of the type of the old one.

    Raises InputError for another type; `change` names the field in its message.
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
    """Raise InputError for a value that is none of the choices."""
    if value not in choices:
        raise InputError(f"{name} {value!r}: expected one of {', '.join(choices)}")


def expect(fits: bool, name: str, value: Any, expected: str) -> None:
    """Raise InputError for a field's value that does not fit."""
    if not fits:
        raise InputError(f"{name} {value!r:.80}: expected {expected}")


def check_types(instance: Any) -> None:
    """Raise InputError for a dataclass one of whose fields is not of its type, or no finite number.

    A whole number will do for a float; True and False are no numbers.
    """
    for name, hint in _hints(type(instance)).items():
        value = getattr(instance, name)
        expect(_fits(value, hint), name, value, _called(hint))


def build_dataclass(kind: Any, value: Any) -> Any:
    """A dataclass, and those within it, of what `asdict` and JSON made of one.

    Raises InputError, ValueError or TypeError for fields that there are not, or that do not fit.
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
    if hint is float:  # neither NaN nor infinity, nor a whole number beyond it
        return type(value) is not bool and isinstance(value, int | float) and abs(value) < 1e300
    if get_origin(hint) is tuple:
        return type(value) is tuple and all(_fits(item, get_args(hint)[0]) for item in value)
    return type(value) is (str if get_origin(hint) is Literal else hint)


def _called(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"{_called(get_args(hint)[0])} each"
    names = {float: "a finite number", int: "a whole number", str: "text", bool: "true or false"}
    return names.get(hint, "text" if get_origin(hint) is Literal else "an object")
