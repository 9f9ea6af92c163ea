"""The fields of dataclasses, asked once a class: whole snapshots and reports are gone through several times a run."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from operator import attrgetter
from typing import Any

_KNOWN: dict[type, tuple[str, ...]] = {}
_GETTERS: dict[type, Callable[[object], tuple[Any, ...]]] = {}


def field_names(value: object) -> tuple[str, ...]:
    """Names of the fields of a dataclass's instance, in their order; none where it is of no dataclass."""
    kind = type(value)
    names = _KNOWN.get(kind)
    if names is None:
        names = tuple(one.name for one in fields(kind)) if is_dataclass(kind) else ()
        _KNOWN[kind] = names
    return names


def field_values(value: object) -> tuple[Any, ...]:
    """The fields of a dataclass's instance, in their order; none where it is of no dataclass."""
    kind = type(value)
    get = _GETTERS.get(kind)
    if get is None:
        get = _GETTERS[kind] = _getter(field_names(value))
    return get(value)


def _getter(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    if not names:
        return lambda _: ()
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda one: (get(one),)
