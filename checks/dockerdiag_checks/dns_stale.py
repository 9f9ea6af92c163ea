"""Do the containers still ask the nameservers that the host asks today?

## What it asks

Whether a container whose nameservers come from the host has at least one in common with the host's resolv.conf, or
with what the host's resolver keeps beside it.

## Why it breaks containers

The engine copies the host's nameservers when a container starts. When the host moves to another network, or a VPN
comes or goes, the host's file changes and the container's does not: it goes on asking servers that may be out of
reach by now.

## What is normal and not reported

- Nameservers by `--dns` or by `dns` of the daemon: somebody chose them.
- A file that somebody changed in the container: the engine leaves it alone, and so does this check.
- A host that has no nameserver left: that is told of the host.
- Containers of engines before 25, which do not write down where a file comes from: a difference is a note.

## Remedy

The container started again: it gets the servers that the host has now.

## References

- moby/moby#46199, moby/moby#39978
"""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.packet.packet import IPAddress
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Status
from dockerdiag_checks.name_remedies import started_again
from dockerdiag_checks.name_resolution import (
    Resolution,
    daemon_servers,
    host_servers,
    isolated,
    kept_elsewhere,
    resolutions,
    subject_of,
)
from dockerdiag_checks.wording import listed, sentence

NEEDS = ("engine", "engine.containers", "resolv_conf", "name_service")
READS = ("service",)


@check(
    "dns-stale",
    title="Do the containers still ask the nameservers that the host asks today?",
    group="DNS",
    place=55,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for all containers that ask the same servers of before."""
    if not host_servers(case):
        return
    current = {*host_servers(case), *(one for kept in kept_elsewhere(case).values() for one in kept)}
    found: dict[tuple[tuple[IPAddress, ...], bool], list[Resolution]] = {}
    for one in resolutions(case):
        taken = _taken_from_host(case, one)
        usable = current if one.file.embedded else {address for address in current if not address.is_loopback}
        if taken and usable and usable.isdisjoint(taken) and not isolated(case, one):
            found.setdefault((taken, one.file.generated), []).append(one)
    for (taken, generated), members in found.items():
        yield _stale(case, taken, members, sure=generated)


def _taken_from_host(case: Case, one: Resolution) -> tuple[IPAddress, ...]:
    """The servers that the engine took from the host when the container started; none where it did not."""
    if one.container.network_mode in ("host", "none") or one.used_fallback:
        return ()
    if one.file.generated:
        if one.file.overridden or not one.servers:
            return ()
    elif one.file.embedded or one.container.dns or daemon_servers(case) != ():
        return ()
    return tuple(server.server.address for server in one.servers or ())


def _stale(case: Case, taken: tuple[IPAddress, ...], members: list[Resolution], *, sure: bool) -> Finding:
    names = tuple(one.container.name for one in members)
    before, now = ", ".join(map(str, taken)), ", ".join(map(str, host_servers(case))) or "none"
    return Finding(
        code="dns-stale",
        status=Status.WARN if sure else Status.NOTE,
        subject=subject_of(case, [one.container for one in members]),
        summary=(
            f"{sentence(listed(names, 'container'))} still {'asks' if len(names) == 1 else 'ask'} {before} for names, "
            f"the host asks {now} by now"
        ),
        count=len(members),
        evidence=(
            Evidence("/etc/resolv.conf of the container", before),
            Evidence("/etc/resolv.conf of the host", now),
        ),
        remedies=(started_again(case, names, "it gets the nameservers that the host has now"),),
    )
