"""Has each container a nameserver that a query can reach?

## What it asks

Whom each running container asks for names (its /etc/resolv.conf, and behind the engine's resolver at 127.0.0.11 those
that it asks in turn, from the container's or from the host's network namespace), and whether the way there and back
is open and ends at a socket that listens, as far as it lies on this host.

## Why it breaks containers

- An engine from 28 on has nobody to ask for containers on networks of your own where the host's /etc/resolv.conf was
  missing, empty or a dangling link when they started.
- `--dns` or `dns` in daemon.json with a loopback address means the container's own loopback, where nothing listens.
- A resolver of the host that listens on 127.0.0.1 alone does not answer on the bridge's address.
- Where the host names loopback servers only, containers on the default bridge get 8.8.8.8 and 8.8.4.4, which know no
  names of the site, and which many sites do not let through.

## What is normal and not reported

- 127.0.0.11 in a container, and 127.0.0.53 behind it: the engine asks that from the host.
- 127.0.0.53 on the host while systemd-resolved keeps its servers in /run/systemd/resolve/resolv.conf.
- A nameserver elsewhere: whether it answers cannot be told without sending, so nothing is said against it.
- A second nameserver that is out of reach while another is not (a note).
- A container without network or on internal ones only.
- A container that listens on its own loopback, or shares the namespace of one that does.

## Remedy

The address, socket or option set right where it stands; then the container started again, by which the engine writes
its resolv.conf anew. What stops a query on its way is told by the checks of packets, which come first.

## References

- [Docker: DNS services](https://docs.docker.com/engine/network/#dns-services)
- moby/moby#49665, moby/moby#48290, moby/libnetwork#1654, docker/for-linux#979
- resolv.conf(5), systemd-resolved.service(8)
"""

from collections.abc import Callable, Iterator, Sequence

from dockerdiag.case import Case
from dockerdiag.configuration.settings import Known
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot.resolv_conf import FALLBACK
from dockerdiag_checks.commands import sh
from dockerdiag_checks.name_remedies import (
    listening_on,
    own_files,
    started_again,
    without_daemon_dns,
)
from dockerdiag_checks.name_resolution import (
    AskedServer,
    Resolution,
    host_servers,
    isolated,
    resolutions,
    subject_of,
)
from dockerdiag_checks.setting_files import without_keys
from dockerdiag_checks.wording import listed, retry, sentence

NEEDS = ("engine", "engine.containers")
READS = ("name_service", "resolv_conf", "service")
_MOST_SERVERS = 3
"""MAXNS: glibc asks no more (resolv.conf(5)); musl the same."""
_MANY_DOTS = 2
"""From here on most names of the internet are tried with every search domain first."""

Affected = Sequence[Resolution]


@check(
    "dns-servers",
    title="Has each container a nameserver that a query can reach?",
    group="DNS",
    place=50,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each way in which containers lack an answer."""
    groups: dict[tuple[str, ...], list[Resolution]] = {}
    tell: dict[str, Callable[[Case, Affected], Finding]] = {
        "none": _none,
        "own-loopback": _own_loopback,
        "silent": _silent,
        "unreachable": _unreachable,
        "fallback": _fallback,
        "spare": _spare,
        "odd": _odd,
    }
    for one in resolutions(case):
        if not isolated(case, one):
            for key in _troubles(one):
                groups.setdefault(key, []).append(one)
    for key, members in groups.items():
        yield tell[key[0]](case, members)


def _troubles(one: Resolution) -> Iterator[tuple[str, ...]]:
    """What is to be told of a container, each with what tells it from the same of another."""
    servers = one.servers
    if one.embedded_stopped or servers is None:
        return
    stopped = tuple(str(server.server.address) for server in servers if server.stopped)
    if not servers:
        yield ("none",)
    elif one.served is False:
        if one.container.network_mode != "host" and all(map(_nobody_listens, servers)):
            yield ("own-loopback" if all(map(_loopback, servers)) else "silent", *stopped)
        elif one.otherwise_fine:
            yield ("unreachable", *stopped)
    else:
        if one.used_fallback:
            yield ("fallback",)
        if any(server.stopped and _nobody_listens(server) for server in servers):
            yield ("spare", *stopped)
    if _oddities(one):
        yield ("odd", *(piece.text for piece in _oddities(one)))


def _nobody_listens(server: AskedServer) -> bool:
    return server.halt is not None and server.halt.kind == "listener" and not server.server.from_host


def _loopback(server: AskedServer) -> bool:
    return server.server.address.is_loopback


def _finding(
    case: Case,
    members: Affected,
    code: str,
    status: Status,
    summary: str,
    evidence: Sequence[Evidence],
    remedies: Sequence[Remedy] = (),
) -> Finding:
    return Finding(
        code=code,
        status=status,
        subject=subject_of(case, [one.container for one in members]),
        summary=summary,
        count=len(members),
        evidence=tuple(evidence),
        remedies=tuple(remedies),
    )


def _names(members: Affected) -> tuple[str, ...]:
    return tuple(one.container.name for one in members)


def _who(members: Affected) -> str:
    return listed(_names(members), "container")


def _ask(members: Affected) -> str:
    return f"{sentence(_who(members))} {'asks' if len(members) == 1 else 'ask'}"


def _servers(members: Affected) -> list[Evidence]:
    return [server.evidence for server in members[0].servers or () if server.stopped]


def _none(case: Case, members: Affected) -> Finding:
    text = "NO EXTERNAL NAMESERVERS DEFINED" if members[0].file.without_external else "no nameserver line"
    host = ", ".join(map(str, host_servers(case))) or "none"
    return _finding(
        case,
        members,
        "dns-none",
        Status.FAIL,
        f"{_ask(members)} nobody for names: the host named no server when it started",
        (
            Evidence("/etc/resolv.conf of the container", text),
            Evidence("nameservers of the host's /etc/resolv.conf now", host),
        ),
        (started_again(case, _names(members), "it gets the nameservers that the host has now"),),
    )


def _own_loopback(case: Case, members: Affected) -> Finding:
    return _finding(
        case,
        members,
        "dns-loopback",
        Status.FAIL,
        f"{_ask(members)} its own loopback for names, where nobody listens",
        (*_servers(members), *_written(case, members)),
        _without_loopback(case, members),
    )


def _written(case: Case, members: Affected) -> Iterator[Evidence]:
    for one in members:
        if one.container.dns:
            yield Evidence(f"docker inspect {one.container.name}", f"Dns: {', '.join(one.container.dns)}")
            return
    origin = _daemon_origin(case)
    if origin is not None:
        yield origin


def _daemon_origin(case: Case) -> Evidence | None:
    state = case.settings.running("dns")
    if not isinstance(state, Known) or state.is_default:
        return None
    return Evidence(state.origin.source, state.origin.text.strip())


def _without_loopback(case: Case, members: Affected) -> tuple[Remedy, ...]:
    if not any(one.container.dns for one in members):
        file = case.settings.daemon_json
        state = case.settings.running("dns")
        if file is not None and isinstance(state, Known) and state.origin.path == file.path:
            lines = (*without_keys(file.path, ("dns",)), "systemctl restart docker")
            return (without_daemon_dns(file.path, lines, case),)
    written = own_files(case, _names(members))
    if written is not None and not any(one.file.embedded for one in members):
        return (written,)
    return (
        Remedy(
            summary=f"Make {_who(members)} anew with a --dns that is not on its own loopback, or without any",
            verify=retry(case),
            risk=f"Interrupts {_who(members)}.",
        ),
    )


def _silent(case: Case, members: Affected) -> Finding:
    first = (members[0].servers or ())[0]
    return _finding(
        case,
        members,
        "dns-not-listening",
        Status.FAIL,
        f"{_ask(members)} {first.server.address} for names, where nobody listens",
        _servers(members),
        (listening_on(case, first.server.address),),
    )


def _unreachable(case: Case, members: Affected) -> Finding:
    addresses = [str(server.server.address) for server in members[0].servers or ()]
    told = Remedy(summary="Mend what stops the query, which is told by itself", verify=retry(case))
    return _finding(
        case,
        members,
        "dns-unreachable",
        Status.FAIL,
        f"Names do not resolve in {_who(members)}: the way to {listed(addresses, 'nameserver')} is stopped, "
        "while other packets arrive",
        _servers(members),
        (_of_other_version(case, members) if _without_ipv6(members) else told,),
    )


def _without_ipv6(members: Affected) -> bool:
    """Whether the servers have IPv6 addresses alone, and the containers none: no other packet needs that way."""
    halts = [server.halt for one in members for server in one.servers or ()]
    return all(
        halt is not None
        and halt.kind == "no-route"
        and halt.namespace is not None
        and halt.packet.family == 6
        for halt in halts
    )


def _of_other_version(case: Case, members: Affected) -> Remedy:
    written = (
        own_files(case, _names(members)) if any(one.version == 4 for one in host_servers(case)) else None
    )
    if written is not None and not any(one.file.embedded for one in members):
        return written
    return Remedy(
        summary=f"Give {_who(members)} a nameserver with an IPv4 address (--dns, or dns in daemon.json), or a "
        "network that was created with --ipv6",
        verify=retry(case),
        risk=f"Interrupts {_who(members)}.",
    )


def _fallback(case: Case, members: Affected) -> Finding:
    one = members[0]
    usable = [str(address) for address in host_servers(case) if not address.is_loopback]
    host = ", ".join(map(str, host_servers(case))) or "none"
    remedies = (
        (started_again(case, _names(members), f"it gets {', '.join(usable)}, which the host asks"),)
        if usable
        else (_named_by_daemon(case, members),)
    )
    return _finding(
        case,
        members,
        "dns-fallback",
        Status.WARN,
        (
            f"{_ask(members)} the public servers 8.8.8.8 and 8.8.4.4, which nobody chose: names of "
            "the site are unknown there, and many sites do not let such queries out"
        ),
        (
            Evidence(
                "/etc/resolv.conf of the container",
                "Used default nameservers" if one.file.used_defaults else ", ".join(FALLBACK[:2]),
            ),
            Evidence("nameservers of the host's /etc/resolv.conf", host),
        ),
        remedies,
    )


def _named_by_daemon(case: Case, members: Affected) -> Remedy:
    return Remedy(
        summary=(
            "Name the site's nameservers as `dns` in /etc/docker/daemon.json, or choose 8.8.8.8 there if it is "
            f"meant; restart the engine, and start {_who(members)} again"
        ),
        lasting=("systemctl restart docker", *(sh("docker", "restart", name) for name in _names(members))),
        verify=retry(case),
        risk=f"Interrupts {_who(members)}.",
    )


def _spare(case: Case, members: Affected) -> Finding:
    return _finding(
        case,
        members,
        "dns-spare-silent",
        Status.NOTE,
        f"One of several nameservers of {_who(members)} is silent: lookups that try it first take longer",
        _servers(members),
    )


def _odd(case: Case, members: Affected) -> Finding:
    return _finding(
        case,
        members,
        "dns-options",
        Status.NOTE,
        f"The resolv.conf of {_who(members)} makes lookups slow, or does not do what it says",
        _oddities(members[0]),
    )


def _oddities(one: Resolution) -> tuple[Evidence, ...]:
    file, found = one.file, []
    place = "/etc/resolv.conf of the container"
    if file.malformed:
        found.append(Evidence(place, f"no address: nameserver {', '.join(file.malformed)}"))
    if len(file.servers) > _MOST_SERVERS:
        unused = ", ".join(str(server.address) for server in file.servers[_MOST_SERVERS:])
        found.append(Evidence(place, f"never asked, behind the first {_MOST_SERVERS}: {unused}"))
    dots = [word.partition(":")[2] for word in file.options if word.startswith("ndots:")]
    if dots and dots[-1].isdecimal() and int(dots[-1]) >= _MANY_DOTS and file.search:
        found.append(Evidence(place, f"options ndots:{dots[-1]} with search {' '.join(file.search)}"))
    return tuple(found)
