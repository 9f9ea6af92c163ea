"""Does anything else on the way stop the packet: a link, an address, a route, the container's own namespace?

## What it asks

All that a packet meets besides the host's rules, forwarding and translation: the container's own routes and
firewall, its veth and whether that is a port of the network's bridge, the bridge and its address, the host's
routing rules and tables in both directions, the reverse path filter, the uplink and the neighbours.

## Why it breaks containers

Network managers take veths off their bridge and addresses off the bridge; VPNs and policy rules send containers'
packets into tables that have no way out; a strict reverse path filter drops answers that come in by another link. None
of this shows in a firewall.

## What is normal and not reported

- A bridge without running containers that is operationally down.
- A container that has no network, or internal ones only: isolation that somebody chose (a note; a fail where it was
  asked about by `-c`).
- A host without a way to the IPv6 internet, where only IPv6 is meant (a note).
- A part that could not be read where it decides: that is *unknown*, with the reason.

## Remedy

The link, address, route or switch set right, as the network manager's configuration must then leave it. Where the host
itself has no way out, Docker is not the cause, and the host's own network is what to mend.

## References

- [Docker: networks disappearing](https://docs.docker.com/engine/daemon/troubleshoot/#docker-networks-disappearing)
- moby/moby#26492, moby/moby#40217
- Linux, Documentation/networking/ip-sysctl.rst: `rp_filter`
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Hit, Located
from dockerdiag.packet.flow import Halt
from dockerdiag.registry import check
from dockerdiag.report import Disposition, Evidence, Finding, Remedy, Status
from dockerdiag_checks.commands import set_sysctl, sh
from dockerdiag_checks.wording import containers_of, listed, retry

NEEDS = ("engine",)


def _mine(halt: Halt) -> bool:
    if halt.sysctl is not None and halt.sysctl.endswith(("/forwarding", "/ip_forward")):
        return False
    if halt.kind in ("rule", "policy"):
        return halt.namespace is not None
    return halt.kind != "unanswered"


@check(
    "packet-path",
    title="Does anything else on the way stop the packet: a link, an address, a route, the container's own namespace?",
    group="Packets",
    place=20,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located]:  # noqa: N802 - a module's check is its constant
    """One finding for each object that stops packets."""
    for hit in case.hits(_mine):
        if hit.halt.isolation is not None:
            yield Located(_isolated(case, hit), hit.place)
        else:
            yield Located(_stopped(case, hit), hit.place)


def _isolated(case: Case, hit: Hit) -> Finding:
    asked = case.asked_about(hit.containers)
    none = hit.halt.isolation == "none"
    return Finding(
        code="container-without-network" if none else "network-internal",
        status=Status.FAIL if asked else Status.NOTE,
        subject=f"container:{hit.containers[0]}" if len(hit.containers) == 1 else case.subject(hit),
        summary=f"By design nothing leaves {containers_of(hit)}: {'no network' if none else 'internal networks only'}",
        count=hit.count,
        evidence=(Evidence("network mode" if none else "networks", ", ".join(hit.halt.networks) or "none"),),
        remedies=(
            Remedy(
                summary="Connect it to a network that leads out",
                now=()
                if none or not hit.containers
                else tuple(sh("docker", "network", "connect", "bridge", name) for name in hit.containers[:1]),
                verify=retry(case),
                undo=()
                if none or not hit.containers
                else tuple(
                    sh("docker", "network", "disconnect", "bridge", name) for name in hit.containers[:1]
                ),
                risk="Ends the isolation that somebody chose.",
            ),
        )
        if asked
        else (),
    )


def _stopped(case: Case, hit: Hit) -> Finding:
    halt = hit.halt
    status = case.severity(hit)
    host_only = _host_offline(hit)
    if status is Status.FAIL and host_only and halt.packet.family == 6:
        status = Status.NOTE
    code = (
        "path-unknown" if status is Status.UNKNOWN else "host-offline" if host_only else f"path-{halt.kind}"
    )
    return Finding(
        code=code,
        status=status,
        subject=_subject(case, hit),
        summary=f"{halt.reason.rstrip('.')} ({containers_of(hit)}, {_way(hit)})",
        count=hit.count,
        evidence=(
            Evidence(halt.place, halt.at),
            *((Evidence("rule", halt.rule.text),) if halt.rule is not None else ()),
            *((Evidence("sysctl", halt.sysctl.replace("/", ".")),) if halt.sysctl is not None else ()),
        ),
        remedies=() if status in (Status.UNKNOWN, Status.NOTE) else _remedies(case, hit),
    )


def _host_offline(hit: Hit) -> bool:
    return (
        hit.halt.kind == "no-route"
        and hit.halt.namespace is None
        and hit.halt.disposition is Disposition.NO_ROUTE
    )


def _way(hit: Hit) -> str:
    return " and ".join({"out": "on the way out", "reply": "on the way back"}[one] for one in hit.directions)


def _subject(case: Case, hit: Hit) -> str:
    halt = hit.halt
    if halt.namespace is not None and len(hit.containers) == 1:
        return f"container:{hit.containers[0]}"
    if halt.link is not None and halt.namespace is None:
        return f"link:{halt.link}"
    return case.subject(hit)


def _remedies(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    halt = hit.halt
    if halt.kind == "reverse-path" and halt.link is not None:
        change = set_sysctl(f"net/ipv4/conf/{halt.link}/rp_filter", "2", "1")
        return (
            Remedy(
                summary=f"Check the source's way back on any link, not on {halt.link} alone",
                now=(change.do,),
                verify=retry(case),
                undo=(change.undo,),
                risk="Packets whose answers would leave by another link are taken in.",
            ),
        )
    if halt.kind == "namespace" or (
        halt.namespace is not None and halt.kind in ("route", "no-route", "address")
    ):
        return (
            Remedy(
                summary="Start the container again: the engine sets its namespace up anew",
                now=tuple(sh("docker", "restart", name) for name in hit.containers),
                verify=retry(case),
                risk=f"Interrupts {listed(hit.containers, 'container')}.",
            ),
        )
    if halt.kind == "link" and halt.link is not None and halt.namespace is None:
        return (_link_up(case, halt),)
    if halt.kind == "address" and halt.namespace is None:
        return _bridge_address(case, hit)
    if _host_offline(hit):
        return (
            Remedy(
                summary="Mend the host's own network first: Docker is not the cause",
                verify=("ip route show default", *retry(case)),
                risk="None.",
            ),
        )
    return ()


def _link_up(case: Case, halt: Halt) -> Remedy:
    link = halt.link or ""
    bridge = next(
        (
            network.bridge
            for network in case.networks
            if network.bridge and f"bridge {network.bridge}" in halt.reason
        ),
        None,
    )
    attach = ("master", bridge) if bridge is not None and bridge != link else ()
    return Remedy(
        summary=f"Set {link} up{f' and make it a port of {bridge} again' if attach else ''}",
        now=(sh("ip", "link", "set", link, *attach, "up"),),
        verify=(f"ip link show {link}", *retry(case)),
        undo=(sh("ip", "link", "set", link, *(("nomaster",) if attach else ("down",))),),
        risk="Carries traffic again. Whoever took it down may do so again: have it left unmanaged there.",
    )


def _bridge_address(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    network = case.network(hit.networks[0]) if hit.networks else None
    pool = next((pool for pool in network.pools if pool.gateway and pool.subnet), None) if network else None
    if (
        network is None
        or network.bridge is None
        or pool is None
        or pool.gateway is None
        or pool.subnet is None
    ):
        return ()
    address = f"{pool.gateway.partition('/')[0]}/{pool.subnet.partition('/')[2]}"
    return (
        Remedy(
            summary=f"Give {network.bridge} its address again",
            now=(sh("ip", "address", "add", address, "dev", network.bridge),),
            lasting=("systemctl restart docker",),
            verify=(f"ip address show {network.bridge}", *retry(case)),
            undo=(sh("ip", "address", "del", address, "dev", network.bridge),),
            risk="None beyond the traffic that it carries again. A restart of the engine interrupts containers.",
        ),
    )
