"""The declared settings: names, kinds, defaults and help texts as the Rust crate declares them, and values checked
against them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from math import isfinite
from operator import index
from typing import Any, NamedTuple

from . import _native
from .errors import ConfigError


class Setting(NamedTuple):
    """A declared setting."""

    name: str
    kind: str
    """One of the keys of `KINDS`."""
    value_name: str
    default: str
    """As text; empty if there is none."""
    range: str
    help: str


@cache
def group(name: str) -> dict[str, Setting]:
    """The settings of a group by name, such as "encode" or "export"."""
    groups = json.loads(_native.settings())
    return {setting["name"]: Setting(**setting) for setting in groups[name]}


def names(*groups: str) -> frozenset[str]:
    """The names of all settings of some groups."""
    return frozenset(name for of in groups for name in group(of))


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """`ConfigError` for the first name that is not a known one."""
    known = sorted(known)
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, 1)
            help = f"did you mean {close[0]}?" if close else "check its spelling"
            raise ConfigError(f"setting {name}: expected one of {', '.join(known)}, got an unknown one; {help}")


def values(of: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings of a group as JSON values, without those that are `None`."""
    declared = group(of)
    check_names(given, declared)
    return {name.replace("_", "-"): _value(declared[name], value) for name, value in given.items() if value is not None}


def _value(setting: Setting, value: Any) -> Any:
    expected, convert = KINDS[setting.kind]
    try:
        return convert(value)
    except (TypeError, ValueError) as error:
        help = "omit it for the default" if setting.default else "see docs/python.md"
        raise ConfigError(f"setting {setting.name}: expected {expected}, got {value!r}; {help}") from error


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (number := index(value)) < 0:
        raise TypeError
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool | str) or not isfinite(number := float(value)):
        raise TypeError
    return number


def _text(value: Any) -> str:
    return os.fsdecode(value)


def _switch(value: Any) -> bool:
    # numpy's booleans are accepted, 0 and 1 are not.
    if value not in (True, False) or (isinstance(value, int | float) and not isinstance(value, bool)):
        raise TypeError
    return bool(value)


def _integers(value: Any) -> list[int]:
    return [_integer(number) for number in value] if isinstance(value, Iterable) else [_integer(value)]


def _texts(value: Any) -> list[str]:
    """A list, or one text with commas as on the command line."""
    return value.split(",") if isinstance(value, str) else [_text(part) for part in _items(value)]


def _repeated_texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{name}={_text(of)}" for name, of in value.items()]
    return [value] if isinstance(value, str) else [_text(part) for part in _items(value)]


def _weights(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {str(name): _number(weight) for name, weight in value.items()}


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping | bytes):
        raise TypeError
    return list(value)


KINDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "integer": ("a whole number of at least 0", _integer),
    "number": ("a finite number", _number),
    "text": ("a text or a path", _text),
    "switch": ("True or False", _switch),
    "integers": ("whole numbers of at least 0", _integers),
    "texts": ("a text, or a list of texts", _texts),
    "repeated texts": ("a text, a list of texts, or a dictionary", _repeated_texts),
    "weights": ("a dictionary of finite numbers", _weights),
}
"""The Python types of each kind of setting, and their conversion to JSON."""
