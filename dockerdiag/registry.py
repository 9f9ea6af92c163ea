"""Finds checks and formats by entry points.

A package adds its own by the groups `dockerdiag.checks` (an object of type `Check`) and `dockerdiag.formats`
(an object of type `Format`). One that cannot be loaded is reported as that package's fault; the rest goes on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from dockerdiag.case import Case, Located
from dockerdiag.formatting import Format
from dockerdiag.report import Finding

CHECKS = "dockerdiag.checks"
FORMATS = "dockerdiag.formats"

Judge = Callable[[Case], Iterable[Finding | Located]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """One question about a snapshot.

    Attributes:
        name: What `--only`, `--skip` and the report call it.
        title: The question, in a sentence.
        group: Under which heading it is listed.
        place: Where on the packet's way it looks, to settle which of two findings comes first; counted upward.
        needs: Parts of the snapshot without which it cannot answer, as attribute paths (`network.sysctls`).
        judge: The pure function that answers.
        page: Its documentation, the docstring of its module.
    """

    name: str
    title: str
    group: str
    place: int
    needs: tuple[str, ...]
    judge: Judge
    page: str


def check(
    name: str, *, title: str, group: str, place: int, needs: Sequence[str] = (), page: str | None
) -> Callable[[Judge], Check]:
    """Makes the decorated function a `Check`; `page` is its module's `__doc__`."""

    def decorate(judge: Judge) -> Check:
        return Check(name, title, group, place, tuple(needs), judge, page or "")

    return decorate


@dataclass(frozen=True, slots=True)
class Broken:
    """An entry point that could not be loaded."""

    name: str
    distribution: str
    reason: str


def checks() -> tuple[tuple[Check, ...], tuple[Broken, ...]]:
    """Every check, by place and name, and what could not be loaded."""
    found, broken = _load(CHECKS, Check)
    return tuple(sorted(found, key=lambda one: (one.place, one.name))), broken


def formats() -> tuple[dict[str, Format], tuple[Broken, ...]]:
    """Every format by name, and what could not be loaded."""
    found, broken = _load(FORMATS, Format)
    return {one.name: one for one in found}, broken


def _load(group: str, kind: type[T]) -> tuple[list[T], tuple[Broken, ...]]:
    found: list[T] = []
    broken: list[Broken] = []
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        try:
            loaded: Any = entry.load()
        except Exception as error:  # noqa: BLE001 - a stranger's package may fail in any way
            broken.append(Broken(entry.name, _distribution(entry), f"{type(error).__name__}: {error}"))
            continue
        if isinstance(loaded, kind):
            found.append(loaded)
        else:
            reason = f"{entry.value} is a {type(loaded).__name__}, not a {kind.__name__}"
            broken.append(Broken(entry.name, _distribution(entry), reason))
    return found, tuple(broken)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown"
