"""The parts of a snapshot by name, and those that could not be read."""

from collections.abc import Iterator, Mapping

from dockerdiag.dataclass_fields import field_names
from dockerdiag.snapshot import (
    NOT_PROBED,
    PREDATED,
    Address,
    Endpoint,
    Link,
    Listener,
    LogLine,
    Neighbour,
    NextHop,
    Route,
    RouteAnswer,
    RoutingRule,
    Snapshot,
    Unread,
)

READ_AS_ONE = frozenset(
    {Address, Endpoint, Link, Listener, LogLine, Neighbour, NextHop, Route, RouteAnswer, RoutingRule}
)
"""Of which there are many, and in which nothing can be unread."""


def part_named(snapshot: Snapshot, path: str) -> object:
    """The part at an attribute path (`network.sysctls`); the first Unread on the way stands for what is below it.

    Raises:
        AttributeError: there is no such part.
    """
    part: object = snapshot
    for name in path.split("."):
        if isinstance(part, Unread):
            return part
        part = getattr(part, name)
    return part


def unread_parts(snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    """Each part that could not be read, as path and reason; containers and their namespaces by name.

    What nobody read when the snapshot was taken is none: the checks that want it say so.
    """
    names: dict[str, str] = {}
    if not isinstance(snapshot.engine, Unread) and not isinstance(snapshot.engine.containers, Unread):
        for container in snapshot.engine.containers:
            if container.namespace is not None:
                names.setdefault(container.namespace, container.name)
    return tuple(_unread(snapshot, "", names))


def _unread(part: object, path: str, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(part, Unread):
        if part not in (PREDATED, NOT_PROBED):
            yield path, part.reason
    elif isinstance(part, Mapping):
        for key, value in part.items():
            if not isinstance(value, str):  # as all sysctls are, of which a host may have a hundred thousand
                yield from _unread(value, f"{path}[{names.get(key, key)}]", names)
    elif isinstance(part, tuple):
        for index, value in enumerate(part):
            if type(value) not in READ_AS_ONE and field_names(value):
                yield from _unread(value, f"{path}[{getattr(value, 'name', index)}]", names)
    else:
        for name in field_names(part):
            value = getattr(part, name)
            if value is not None and not isinstance(value, str | int | float):  # most are, and hold no part
                yield from _unread(value, f"{path}.{name}".lstrip("."), names)
