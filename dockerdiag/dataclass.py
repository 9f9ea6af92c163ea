"""The standard library's `dataclass`, where it has slots: the same, defined in a fifth of the time.

The library compiles six functions for each class. For the few hundred classes here that was a quarter of a run on a
small host, and most of them make no object in it. So the initializer alone is compiled, when the first object is made.
"""

import dataclasses
from collections.abc import Callable, Iterable
from operator import attrgetter
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

__all__ = ("dataclass", "replace")

if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:

    def replace(one, /, **changes):
        """Copies as `dataclasses.replace`, in a tenth of the time: a walk makes a hundred of such copies."""
        kind = type(one)
        try:
            copied, stores = _COPYING[kind]
        except KeyError:
            copied, stores = _COPYING[kind] = _copying(kind)
        if not stores.keys() >= changes.keys():
            # A class that is more than its fields, or a name that is none of them.
            return dataclasses.replace(one, **changes)
        made = copied(one)
        for name, value in changes.items():
            stores[name](made, value)
        return made

    def dataclass(kind=None, /, *, frozen=False, slots=False, eq=True, kw_only=False):
        """Decorates as `dataclasses.dataclass`, with those of its parameters that are in use here."""
        if not slots:
            return dataclasses.dataclass(kind, frozen=frozen, eq=eq, kw_only=kw_only)
        decorate = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)

        def decorated(one):
            return _completed(decorate(one), frozen=frozen, eq=eq)

        return decorated(kind) if kind else decorated


_COPYING: dict[type, tuple[Callable[[Any], Any], dict[str, Callable[[Any, Any], None]]]] = {}


def _copying(kind: Any) -> tuple[Callable[[Any], Any], dict[str, Callable[[Any, Any], None]]]:
    """What copies an object of a class, and what stores a field of it: through its slot, past what refuses it."""
    fields = dataclasses.fields(kind)
    slots = {one.name: getattr(kind, one.name, None) for one in fields if one.init}
    stores = {name: slot.__set__ for name, slot in slots.items() if isinstance(slot, MemberDescriptorType)}
    if hasattr(kind, "__post_init__") or len(stores) < len(fields):
        return dataclasses.replace, {}
    names: dict[str, Any] = {"_new": object.__new__, "_kind": kind}
    names |= {f"_store{at}": store for at, store in enumerate(stores.values())}
    lines = (
        f"def _define({', '.join(names)}):",
        " def copy(one):",
        "  made = _new(_kind)",
        *(f"  _store{at}(made, one.{name})" for at, name in enumerate(stores)),
        "  return made",
        " return copy",
    )
    return _compiled(lines, names), stores


def _compiled(lines: Iterable[str], names: dict[str, Any]) -> Callable[..., Any]:
    """The function within `_define`, which is called with `names`."""
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)  # noqa: S102 - as the standard library does; the names are those of the class's fields
    made: Callable[..., Any] = scope["_define"](**names)
    return made


def _completed(kind: type, *, frozen: bool, eq: bool) -> type:
    fields = dataclasses.fields(kind)
    own = vars(kind)
    methods: dict[str, Callable[..., Any]] = {
        "__init__": _initializer_in_waiting(kind),
        "__repr__": _repr(fields),
    }
    if frozen:
        methods |= {
            "__setattr__": _refuse("assign to"),
            "__delattr__": _refuse("delete"),
            "__getstate__": lambda self: [getattr(self, one.name) for one in fields],
            "__setstate__": _restore(fields),
        }
    if eq:
        methods["__eq__"] = _equality([one.name for one in fields if one.compare])
    if eq and frozen:
        hashed = [one.name for one in fields if (one.compare if one.hash is None else one.hash)]
        methods["__hash__"] = _hash(hashed)
    elif eq and "__hash__" not in own:
        kind.__hash__ = None  # type: ignore[assignment]  # as Python does for what compares and changes
    for name, method in methods.items():
        # None is what a class without __hash__ has where it compares.
        if own.get(name) is None:
            method.__name__, method.__qualname__ = name, f"{kind.__qualname__}.{name}"
            setattr(kind, name, method)
    return kind


def _initializer_in_waiting(kind: type) -> Callable[..., None]:
    def initialize_first(self: Any, *values: Any, **named: Any) -> None:
        initialize = _initializer(kind)
        kind.__init__ = initialize  # type: ignore[misc]  # that is the purpose
        initialize(self, *values, **named)

    return initialize_first


def _initializer(kind: Any) -> Callable[..., None]:
    """Compiles an initializer that stores each field through its slot: the object refuses to be assigned to."""
    names: dict[str, Any] = {"_factory": object()}
    parameters: dict[bool, list[str]] = {False: [], True: []}
    body = []
    for at, one in enumerate(dataclasses.fields(kind)):
        names[f"_store{at}"] = getattr(kind, one.name).__set__
        value = one.name
        if one.default_factory is not dataclasses.MISSING:
            names[f"_make{at}"] = one.default_factory
            value = f"_make{at}() if {one.name} is _factory else {one.name}" if one.init else f"_make{at}()"
            default = "=_factory"
        elif one.default is not dataclasses.MISSING:
            names[f"_default{at}"] = one.default
            value = one.name if one.init else f"_default{at}"
            default = f"=_default{at}"
        else:
            default = ""
        if one.init:
            parameters[bool(one.kw_only)].append(one.name + default)
        if one.init or default:
            body.append(f"  _store{at}(self, {value})")
    if hasattr(kind, "__post_init__"):
        body.append("  self.__post_init__()")
    head = ["self", *parameters[False], *(("*", *parameters[True]) if parameters[True] else ())]
    lines = (
        f"def _define({', '.join(names)}):",
        f" def __init__({', '.join(head)}):",
        *(body or ["  pass"]),
        " return __init__",
    )
    initialize = _compiled(lines, names)
    initialize.__qualname__ = f"{kind.__qualname__}.__init__"
    return initialize


def _repr(fields: tuple["dataclasses.Field[Any]", ...]) -> Callable[[Any], str]:
    shown = [one.name for one in fields if one.repr]

    @recursive_repr()
    def represent(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    return represent


def _equality(names: list[str]) -> Callable[[Any, object], Any]:
    compared = _values(names)

    def equals(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compared(self) == compared(other)

    return equals


def _hash(names: list[str]) -> Callable[[Any], int]:
    hashed = _values(names)

    def hash_of(self: Any) -> int:
        return hash(hashed(self))

    return hash_of


def _values(names: list[str]) -> Callable[[Any], Any]:
    """Gives the fields of that name: a tuple, or the value itself of a single one."""
    return attrgetter(*names) if names else lambda _: ()


def _refuse(what: str) -> Callable[..., None]:
    def refuse(self: Any, name: str, *_: object) -> None:  # noqa: ARG001 - a method
        raise dataclasses.FrozenInstanceError(f"cannot {what} field {name!r}")

    return refuse


def _restore(fields: tuple["dataclasses.Field[Any]", ...]) -> Callable[[Any, list[Any]], None]:
    def restore(self: Any, state: list[Any]) -> None:
        for one, value in zip(fields, state, strict=True):
            object.__setattr__(self, one.name, value)

    return restore
