"""Finds checks and formats by entry points.

A package adds its own by the groups `dockerdiag.checks` (an object of type `Check`) and `dockerdiag.formats`
(an object of type `Format`). Its code runs in child processes alone (`apart`): one that cannot be loaded, raises,
hangs or ends its process is reported as that package's fault; the rest goes on.
"""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, TypeVar

from dockerdiag.apart import ApartError, run_apart
from dockerdiag.case import Case, Located
from dockerdiag.dataclass import dataclass
from dockerdiag.formatting import Format, RenderOptions
from dockerdiag.report import Finding, Report
from dockerdiag.time_limit import UNLIMITED, TimeLimit

CHECKS = "dockerdiag.checks"
FORMATS = "dockerdiag.formats"
LOAD_SECONDS = 10.0
"""How long another package may take to be imported."""
LOAD_SHARE = 0.3
"""How much of a run's time other packages' checks together may take to be imported, and as much of the rest formats."""
FORMAT_SECONDS = 10.0
"""How long another package's format may take for one report."""
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
        reads: Parts that tell it more where they were read; it answers without them too.
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
    reads: tuple[str, ...] = ()


def check(
    name: str,
    *,
    title: str,
    group: str,
    place: int,
    needs: Sequence[str] = (),
    page: str | None,
    anywhere: bool = False,
    reads: Sequence[str] = (),
) -> Callable[[Judge], Check]:
    """Makes the decorated function a `Check`; `page` is its module's `__doc__`."""

    def decorate(judge: Judge) -> Check:
        told = _docstring(judge.__module__) if page is None else page
        return Check(
            name, title, group, place, tuple(needs), judge, told, anywhere=anywhere, reads=tuple(reads)
        )

    return decorate


def _docstring(module: str) -> str:
    """A module's docstring from its source, for `python -OO` keeps none."""
    import ast  # noqa: PLC0415 - most runs do not come here
    import inspect  # noqa: PLC0415

    try:
        return ast.get_docstring(ast.parse(inspect.getsource(sys.modules[module])), clean=False) or ""
    except (OSError, TypeError, SyntaxError):
        return ""


@dataclass(frozen=True, slots=True)
class Broken:
    """An entry point that could not be loaded."""

    name: str
    distribution: str
    reason: str


T = TypeVar("T", Check, Format)


def checks(
    *, plugins: bool = True, limit: TimeLimit = UNLIMITED
) -> tuple[tuple[Check, ...], tuple[Broken, ...]]:
    """Every check, by place and name, and what could not be loaded; without `plugins` this package's own alone.

    They are loaded once, when they are first asked for; other packages' in a part of the time that is left then.
    """
    found, broken = _load(CHECKS, Check, plugins, limit)
    return tuple(sorted(found, key=lambda one: (one.place, one.name))), broken


def formats(
    *, plugins: bool = True, limit: TimeLimit = UNLIMITED
) -> tuple[dict[str, Format], tuple[Broken, ...]]:
    """Every format by name, and what could not be loaded, as `checks`."""
    found, broken = _load(FORMATS, Format, plugins, limit)
    return {one.name: one for one in found}, broken


_loaded: dict[tuple[str, bool], Any] = {}


def _load(
    group: str, kind: "type[T]", plugins: bool, limit: TimeLimit
) -> tuple[tuple[T, ...], tuple[Broken, ...]]:
    if (group, plugins) not in _loaded:
        _loaded[group, plugins] = _loaded_now(group, kind, plugins, limit)
    return _loaded[group, plugins]  # type: ignore[no-any-return]  # a group has objects of one kind


def _loaded_now(
    group: str, kind: "type[T]", plugins: bool, limit: TimeLimit
) -> tuple[tuple[T, ...], tuple[Broken, ...]]:
    share = TimeLimit(None if limit.remaining is None else LOAD_SHARE * limit.remaining)
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
            loaded = _own(entry, kind) if distribution == OWN else _others(entry, kind, distribution, share)
        except (ApartError, ImportError, AttributeError, ValueError, TypeError, KeyError) as error:
            told = str(error) if isinstance(error, ApartError) else f"{type(error).__name__}: {error}"
            broken.append(Broken(entry.name, distribution, told))
            continue
        if loaded.name in found:
            broken.append(Broken(entry.name, distribution, f"the name {loaded.name} is taken"))
        else:
            found[loaded.name] = loaded
    return tuple(found.values()), tuple(broken)


def _own(entry: EntryPoint, kind: type[T]) -> T:
    loaded: Any = entry.load()
    if not isinstance(loaded, kind):
        raise TypeError(f"{entry.value} is a {type(loaded).__name__}, not a {kind.__name__}")
    return loaded


def _others(entry: EntryPoint, kind: type[T], distribution: str, limit: TimeLimit) -> T:
    """What stands for another package's check or format: asked for anything, it lets a child process load that."""
    seconds = LOAD_SECONDS if limit.remaining is None else min(LOAD_SECONDS, limit.remaining)
    told = run_apart(lambda: _described(_own(entry, kind)), seconds)
    values: dict[str, Any] = json.loads(told.content)
    if kind is Check:
        values["needs"] = tuple(values["needs"])
        made: Any = Check(
            **values, judge=lambda case: _own(entry, Check).judge(case), distribution=distribution
        )
        return made  # type: ignore[no-any-return]  # it is a T
    reads = values.pop("reads")
    values["suffixes"] = tuple(values["suffixes"])
    form: Any = Format(
        **values,
        render=lambda report, options: _rendered_apart(entry, report, options),
        read=(lambda text: _read_apart(entry, text)) if reads else None,
        distribution=distribution,
    )
    return form  # type: ignore[no-any-return]  # as above


def _described(loaded: Check | Format) -> bytes:
    texts = ("name", "title", "group", "page") if isinstance(loaded, Check) else ("name", "media_type")
    lists = ("needs",) if isinstance(loaded, Check) else ("suffixes",)
    values: dict[str, Any] = {}
    for name in texts:
        values[name] = getattr(loaded, name)
        if not isinstance(values[name], str):
            raise TypeError(f"its {name} is no text")
    for name in lists:
        values[name] = list(getattr(loaded, name))
        if not all(isinstance(one, str) for one in values[name]):
            raise TypeError(f"its {name} are no texts")
    if isinstance(loaded, Check):
        if not isinstance(loaded.place, int):
            raise TypeError("its place is no number")
        values |= {"place": loaded.place, "anywhere": loaded.anywhere is True}
    else:
        values["reads"] = loaded.read is not None
    return json.dumps(values).encode()


def _rendered_apart(entry: EntryPoint, report: Report, options: RenderOptions) -> str:
    def render() -> bytes:
        text = _own(entry, Format).render(report, options)
        if not isinstance(text, str):
            raise TypeError(f"it renders a {type(text).__name__}, not a text")
        return text.encode(errors="replace")

    return run_apart(render, FORMAT_SECONDS).content.decode()


def _read_apart(entry: EntryPoint, text: str) -> Report:
    from dockerdiag import report_json  # noqa: PLC0415 - pydantic, where another package reads reports

    def read() -> bytes:
        reader = _own(entry, Format).read
        return report_json.dumps(reader(text)).encode() if reader is not None else b""

    try:
        return report_json.loads(bytes(run_apart(read, FORMAT_SECONDS).content))
    except ApartError as error:
        raise ValueError(str(error)) from None


def _distribution(entry: EntryPoint) -> str:
    return _name(entry.dist) if entry.dist is not None else "unknown"


@cache
def _name(distribution: Distribution) -> str:
    # Each time it is asked, importlib reads and parses all that the package says of itself.
    return distribution.name
