"""What two readings in a row show: parts that are read at different moments of a change may contradict each other."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol, TypeVar

from dockerdiag.diagnosis import Doubted, is_fault
from dockerdiag.report import Disposition, Finding, Report, Verdict, Walk
from dockerdiag.snapshot import Engine, Snapshot, Unread
from dockerdiag.time_limit import TimeLimit

_READINGS = 3
_RESERVE = 2.0
"""So many times what a reading took must be left for another: it may use a share of that, and take longer."""


class Read(Protocol):
    """What was read, with whatever its judge needs beside."""

    @property
    def snapshot(self) -> Snapshot:
        """The host as it was read."""


T = TypeVar("T", bound=Read)


def settled(
    read: Callable[[], T], judge: Callable[[T, Doubted | None], Report], limit: TimeLimit
) -> tuple[T, Report]:
    """Reads a host, and again where something is wrong or not known, until two readings in a row show it.

    A fault that only the last one shows is unknown. Where there is no time for a second one, the first is believed.

    Args:
        read: Reads the host.
        judge: Judges what was read; a fault that it is told to doubt is unknown.
        limit: What all of it may take.
    """
    shown: frozenset[str] | None = None
    for further in reversed(range(_READINGS)):
        begun = time.monotonic()
        found = read()
        report = judge(found, None)
        claims, identities = _claims(report), _identities(found.snapshot)
        doubted = partial(_is_new, identities, shown or frozenset())
        if not any(map(doubted, claims)):
            return found, report
        remaining = limit.remaining
        late = remaining is not None and remaining < _RESERVE * (time.monotonic() - begun)
        if not further or late:
            break
        shown = frozenset(name for one in claims for name in _names(one, identities))
    return found, report if shown is None else judge(found, doubted)


def _claims(report: Report) -> tuple[Finding | Walk, ...]:
    """What another reading may not show: faults, and packets that may not arrive. Nothing where all is well."""
    if report.verdict is Verdict.OK:
        return ()
    faults = (finding for result in report.results for finding in result.findings if is_fault(finding))
    return (*faults, *(walk for walk in report.walks if walk.disposition is not Disposition.DELIVERED))


def _is_new(identities: Mapping[str, str], shown: frozenset[str], claim: Finding | Walk) -> bool:
    return shown.isdisjoint(_names(claim, identities))


def _names(claim: Finding | Walk, identities: Mapping[str, str]) -> Iterator[str]:
    """A claim as another reading may make it too; a walk once for each container that it stands for."""
    if isinstance(claim, Finding):
        yield f"{claim.status} {claim.code} {_identity(claim.subject, identities)}"
        return
    for sender in claim.containers or (claim.network,):
        kind = "container" if claim.containers else "network"
        yield f"{claim.disposition} {claim.to} {_identity(f'{kind}:{sender}', identities)}"


def _identity(subject: str, identities: Mapping[str, str]) -> str:
    return f"{subject} {identities.get(subject, '')}"


def _identities(snapshot: Snapshot) -> dict[str, str]:
    """What tells a container or network from its successor of the same name, by its subject."""
    engine = snapshot.engine
    if not isinstance(engine, Engine):
        return {}
    containers = () if isinstance(engine.containers, Unread) else engine.containers
    networks = () if isinstance(engine.networks, Unread) else engine.networks
    return {
        **{f"container:{one.name}": f"{one.id} {one.pid}" for one in containers},
        **{f"network:{one.name}": one.id for one in networks},
    }
