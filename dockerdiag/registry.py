"""Finds checks and formats by entry points.

A package adds its own by the groups `dockerdiag.checks` (an object of type `Check`) and `dockerdiag.formats`
(an object of type `Format`). One that cannot be loaded is reported as that package's fault; the rest goes on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from dockerdiag.case import Case, Located
from dockerdiag.formatting import Format
from dockerdiag.report import Finding

CHECKS = "dockerdiag.checks"
FORMATS = "dockerdiag.formats"
OWN = "dockerdiag"
"""The distribution whose checks and formats are no plugins."""

Judge = Callable[[Case], Iterable[Finding | Located]]


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
        distribution: The package that brings it.
        anywhere: Whether it can answer for an engine whose links and rules are not this host's.
    """

    name: str
    title: str
    group: str
    place: int
    needs: tuple[str, ...]
    judge: Judge
    page: str
    distribution: str = OWN
    anywhere: bool = False


def check(
    name: str,
    *,
    title: str,
    group: str,
    place: int,
    needs: Sequence[str] = (),
    page: str | None,
    anywhere: bool = False,
) -> Callable[[Judge], Check]:
    """Makes the decorated function a `Check`; `page` is its module's `__doc__`."""

    def decorate(judge: Judge) -> Check:
        return Check(name, title, group, place, tuple(needs), judge, page or "", anywhere=anywhere)

    return decorate


@dataclass(frozen=True, slots=True)
class Broken:
    """An entry point that could not be loaded."""

    name: str
    distribution: str
    reason: str


T = TypeVar("T", Check, Format)


def checks(*, plugins: bool = True) -> tuple[tuple[Check, ...], tuple[Broken, ...]]:
    """Every check, by place and name, and what could not be loaded; without `plugins` this package's own alone."""
    found, broken = _load(CHECKS, Check, plugins)
    return tuple(sorted(found, key=lambda one: (one.place, one.name))), broken


def formats(*, plugins: bool = True) -> tuple[dict[str, Format], tuple[Broken, ...]]:
    """Every format by name, and what could not be loaded; without `plugins` this package's own alone."""
    found, broken = _load(FORMATS, Format, plugins)
    return {one.name: one for one in found}, broken


def _load(group: str, kind: type[T], plugins: bool) -> tuple[list[T], tuple[Broken, ...]]:
    found: dict[str, T] = {}
    broken: list[Broken] = []
    # This package's own first: no other may take their names.
    for entry in sorted(
        entry_points(group=group), key=lambda entry: (_distribution(entry) != OWN, entry.name, entry.value)
    ):
        distribution = _distribution(entry)
        if distribution != OWN and not plugins:
            continue
        try:
            loaded: Any = entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's package may fail in any way
            broken.append(Broken(entry.name, distribution, f"{type(error).__name__}: {error}"))
            continue
        if not isinstance(loaded, kind):
            reason = f"{entry.value} is a {type(loaded).__name__}, not a {kind.__name__}"
            broken.append(Broken(entry.name, distribution, reason))
        elif loaded.name in found:
            broken.append(Broken(entry.name, distribution, f"the name {loaded.name} is taken"))
        else:
            found[loaded.name] = replace(loaded, distribution=distribution)
    return list(found.values()), tuple(broken)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown"
