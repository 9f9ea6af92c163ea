"""What a check says of the parts that it needs and reads is what it reads of real hosts."""

import sys
from collections.abc import Iterable
from dataclasses import fields, replace
from functools import cache
from typing import Any, get_args, get_type_hints

import pytest

from dockerdiag.asked import Asked
from dockerdiag.case import Case, Located
from dockerdiag.diagnosis import diagnose
from dockerdiag.registry import Check, checks
from dockerdiag.report import Finding
from dockerdiag.snapshot import Engine, Firewall, Host, NetworkNamespace, Unread
from dockerdiag.unread import part_named
from tests.recorded import recorded

WHOLE = (Host, NetworkNamespace, Firewall, Engine)
"""Parts that are read by their own parts."""


class Watch:
    """Which parts that may be unread the checks' own code has asked for; what the core asks for them does not count."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._kinds: dict[str, type] = {}

    def over(self, part: Any, path: str = "") -> Any:
        """A part that is like this one, and watched."""
        inner = {
            field.name: self.over(value, f"{path}{field.name}.") if isinstance(value, WHOLE) else value
            for field in fields(part)
            for value in (getattr(part, field.name),)
        }
        if path not in self._kinds:
            self._kinds[path] = self._watched(type(part), path)
        return self._kinds[path](**inner)

    def _watched(self, kind: type, path: str) -> type:
        watch = self

        def ask(self: Any, name: str) -> Any:
            asking = sys._getframe(1).f_globals.get("__name__", "")
            if name in may_be_unread(kind) and asking.startswith("dockerdiag_checks."):
                watch.seen.add(f"{path}{name}")
            return kind.__getattribute__(self, name)

        return type(kind.__name__, (kind,), {"__slots__": (), "__getattribute__": ask})


@cache
def may_be_unread(kind: type) -> frozenset[str]:
    return frozenset(name for name, hint in get_type_hints(kind).items() if Unread in get_args(hint))


def is_declared(part: str, check: Check) -> bool:
    return any(
        part == one or part.startswith(f"{one}.") or one.startswith(f"{part}.")
        for one in (*check.needs, *check.reads)
    )


def spied(check: Check, watch: Watch, undeclared: dict[str, set[str]]) -> Check:
    """The check, with a note of what it reads and does not declare."""

    def judge(case: Case) -> Iterable[Finding | Located]:
        watch.seen.clear()
        found = list(check.judge(case))
        for part in watch.seen:
            if not is_declared(part, check):
                undeclared.setdefault(check.name, set()).add(part)
        return found

    return replace(check, judge=judge)


def test_every_part_that_a_check_reads_is_declared() -> None:
    watch = Watch()
    undeclared: dict[str, set[str]] = {}
    spies = [spied(check, watch, undeclared) for check in checks()[0]]
    for one in {one.scenario.name: one for one in recorded()}.values():
        arguments = one.scenario.arguments
        asked = [arguments[at + 1] for at, word in enumerate(arguments) if word == "-c"]
        report = diagnose(watch.over(one.snapshot), Asked.parse(containers=asked), spies)
        assert [result.reason for result in report.results if "an error" in (result.reason or "")] == []
    assert undeclared == {}


@pytest.mark.parametrize("check", checks()[0], ids=lambda one: one.name)
def test_declared_parts_exist(check: Check) -> None:
    snapshot = next(one for one in recorded() if one.scenario.name == "plain").snapshot
    for part in (*check.needs, *check.reads):
        part_named(snapshot, part)
