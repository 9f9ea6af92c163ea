"""Whether the host's own nameservers can be asked, by the engine and for its containers."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from dockerdiag.case import Case
from dockerdiag.packet.packet import IPAddress
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import NameService, TextFile, Unread
from dockerdiag.snapshot.resolv_conf import Server
from dockerdiag_checks.confinement import by_address, by_link
from dockerdiag_checks.egress_targets import Target, needs_names
from dockerdiag_checks.name_remedies import host_named, service_started, service_state
from dockerdiag_checks.name_resolution import (
    DNS_PORT,
    AskedServer,
    Resolution,
    daemon_servers,
    host_servers,
    isolated,
    resolutions,
)
from dockerdiag_checks.next_steps import reading
from dockerdiag_checks.wording import listed, retry

_LOOPBACK = IPv4Address("127.0.0.1")
_STUBS = ("127.0.0.53", "127.0.0.54")
"""Where systemd-resolved listens."""
_LOOPBACK_SERVICES = (
    "dnsmasq",
    "unbound",
    "named",
    "pdns-recursor",
    "dnscrypt-proxy",
    "stubby",
    "pihole-FTL",
)


def stopped_servers(case: Case) -> tuple[Target, ...]:
    """The host's nameservers where all are out of reach, or may be, and somebody needs them."""
    asked = [_asked(case, address) for address in host_servers(case)]
    if not asked or not _needed(case) or any(one.stopped is False for one in asked):
        return ()
    return tuple(
        Target(one.server.address, f"the nameserver {one.server.address}", one.journey, names=True)
        for one in asked
        if one.journey is not None
    )


def nobody_asked(case: Case) -> Iterator[Finding]:
    """One finding at most: the host has no nameserver, or none that listens."""
    if isinstance(case.snapshot.resolv_conf, Unread):
        if needs_names(case):
            yield Finding(
                "host-names-unknown",
                Status.UNKNOWN,
                case.host,
                f"The host's nameservers are not known: {case.snapshot.resolv_conf.reason}",
                remedies=(reading(case, "see what the host's file holds", "cat /etc/resolv.conf"),),
            )
        return
    servers = host_servers(case)
    if not servers:
        yield from _nobody(case)
        return
    asked = [_asked(case, address) for address in servers]
    if all(one.halt is not None and one.halt.kind == "listener" for one in asked):
        yield _silent(case, asked)


def _needed(case: Case) -> bool:
    return needs_names(case) or any(one.served is False for one in resolutions(case))


def _asked(case: Case, address: IPAddress) -> AskedServer:
    journey = case.from_host(address, DNS_PORT, "udp")
    link = journey.uplink if journey is not None else None
    confinement = by_address(case, address) or by_link(case, link)
    return AskedServer(Server(address, from_host=True), journey, confinement)


def _wanting(case: Case) -> tuple[Resolution, ...]:
    """The containers that have no names for want of the host's."""
    return tuple(
        one
        for one in resolutions(case)
        if not isolated(case, one) and (one.servers == () or one.used_fallback)
    )


def _nobody(case: Case) -> Iterator[Finding]:
    """Without a nameserver programs ask 127.0.0.1 (resolv.conf(5)), and so does dockerd."""
    here = AskedServer(Server(_LOOPBACK, from_host=True), case.from_host(_LOOPBACK, DNS_PORT, "udp"))
    if here.stopped is not True:
        return
    wanting = _wanting(case)
    chosen = bool(daemon_servers(case)) or not needs_names(case)
    resolved = service_state(case, "systemd-resolved") == "active"
    status = (
        Status.NOTE if chosen and not wanting else Status.WARN if resolved and not wanting else Status.FAIL
    )
    names = tuple(one.container.name for one in wanting)
    yield Finding(
        code="host-without-nameserver",
        status=status,
        subject=case.host,
        summary=f"The host has no nameserver: {_why(case)}"
        + (
            f"; nor has {listed(names, 'container')}"
            if names
            else ", so that the engine finds no registry by name"
        ),
        count=max(len(wanting), 1),
        explains=("dns-none *", "dns-fallback *", "dns-unreachable *"),
        evidence=_written(case),
        remedies=(host_named(case, names),),
    )


def _why(case: Case) -> str:
    file, service = case.snapshot.resolv_conf, case.snapshot.name_service
    link = service.link if isinstance(service, NameService) else None
    if isinstance(file, TextFile):
        return "its /etc/resolv.conf names none"
    if link is not None:
        return f"its /etc/resolv.conf leads to {link}, which is not there"
    return "it has no /etc/resolv.conf"


def _written(case: Case) -> tuple[Evidence, ...]:
    file, service = case.snapshot.resolv_conf, case.snapshot.name_service
    link = service.link if isinstance(service, NameService) else None
    found = []
    if link is not None:
        found.append(Evidence("/etc/resolv.conf", f"link to {link}"))
    if isinstance(file, TextFile):
        lines = [line for line in file.text.splitlines() if line.strip() and not line.startswith("#")]
        found.append(Evidence("/etc/resolv.conf", "; ".join(lines) or "no line but comments"))
    return tuple(found or [Evidence("/etc/resolv.conf", "not there")])


def _silent(case: Case, asked: list[AskedServer]) -> Finding:
    addresses = [str(one.server.address) for one in asked]
    return Finding(
        code="host-resolver-silent",
        status=Status.FAIL if _needed(case) else Status.NOTE,
        subject=case.host,
        summary=(
            f"Nobody listens on {listed(addresses, 'the nameserver')} of the host's /etc/resolv.conf: the engine finds "
            "no registry by name, nor anything for containers whose queries it passes on"
        ),
        explains=("dns-unreachable *",),
        evidence=tuple(one.evidence for one in asked),
        remedies=(_started(case, addresses[0]),),
    )


def _started(case: Case, address: str) -> Remedy:
    for name in ("systemd-resolved",) if address in _STUBS else _LOOPBACK_SERVICES:
        state = service_state(case, name)
        if state is not None and state != "active":
            return service_started(case, name)
    return Remedy(
        summary="Start the resolver that /etc/resolv.conf names, or name another there",
        verify=("ss -Hlnu 'sport = :53'", *retry(case)),
        risk="None by looking.",
    )
