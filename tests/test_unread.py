"""What of a snapshot could not be read, by name."""

import typing
from dataclasses import fields, is_dataclass

import pytest

from dockerdiag.dataclass import replace
from dockerdiag.snapshot import NOT_PROBED, PREDATED, NetworkNamespace, Unread
from dockerdiag.snapshot.store import load
from dockerdiag.unread import READ_AS_ONE, unread_parts
from tests.packet.hosts import snapshot
from tests.recorded import FOLDER


def may_be_unread(kind: object) -> bool:
    if kind is Unread:
        return True
    parts = list(typing.get_args(kind))
    if isinstance(kind, type) and is_dataclass(kind):
        parts += [typing.get_type_hints(kind)[one.name] for one in fields(kind)]
    return any(may_be_unread(one) for one in parts)


@pytest.mark.parametrize("kind", sorted(READ_AS_ONE, key=lambda one: one.__name__))
def test_what_is_read_as_one_holds_nothing_that_is_unread(kind: type) -> None:
    assert not may_be_unread(kind)


def test_a_namespace_may_be_unread_in_part() -> None:
    assert may_be_unread(NetworkNamespace)


def everything_unread(part: object) -> list[str]:
    if isinstance(part, Unread):
        return [part.reason]
    if isinstance(part, dict | tuple):
        inner = list(part.values()) if isinstance(part, dict) else list(part)
    else:
        inner = [getattr(part, one.name) for one in fields(part)] if is_dataclass(part) else []
    return [reason for one in inner for reason in everything_unread(one)]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json.gz"))[::10], ids=lambda path: path.name)
def test_none_is_left_out(path: typing.Any) -> None:
    recorded = load(path)
    nobody_read = {NOT_PROBED.reason, PREDATED.reason}
    known = [reason for reason in everything_unread(recorded) if reason not in nobody_read]
    assert sorted(reason for _, reason in unread_parts(recorded)) == sorted(known)


def test_by_the_names_of_parts_and_containers() -> None:
    made = snapshot(2)
    inside = made.namespaces["net:[11]"]
    assert isinstance(inside, NetworkNamespace)
    broken = replace(
        made,
        network=replace(made.network, neighbours=Unread("one")),
        namespaces={
            **made.namespaces,
            "net:[10]": Unread("two"),
            "net:[11]": replace(inside, rules=Unread("three")),
        },
    )
    told = dict(unread_parts(broken))
    assert told["network.neighbours"] == "one"
    assert told["namespaces[web0]"] == "two"
    assert told["namespaces[web1].rules"] == "three"
