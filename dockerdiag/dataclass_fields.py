"""The fields of dataclasses, asked once a class: whole snapshots and reports are gone through several times a run."""

from dataclasses import fields, is_dataclass

_KNOWN: dict[type, tuple[str, ...]] = {}


def field_names(value: object) -> tuple[str, ...]:
    """Names of the fields of a dataclass's instance, in their order; none where it is of no dataclass."""
    kind = type(value)
    names = _KNOWN.get(kind)
    if names is None:
        names = tuple(one.name for one in fields(kind)) if is_dataclass(kind) else ()
        _KNOWN[kind] = names
    return names
