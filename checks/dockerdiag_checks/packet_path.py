"""Does anything else on the way stop the packet: a link, an address, a route, the container's own namespace?

## What it asks

All that a packet meets besides the host's rules, forwarding and translation: the container's own routes and
firewall, its veth and whether that is a port of the network's bridge, the bridge and its address, the host's
routing rules and tables in both directions, the reverse path filter, the uplink and the neighbours. What stops it
is told by name:

- `bridge-missing`, `bridge-admin-down`, `bridge-lost-ip`, `bridge-lost-route`, `veth-not-enslaved`, `link-admin-down`,
  `bridge-port-blocked`, `bridge-port-hairpin`, `arp-off`, `arp-ignored`, `ipv6-disabled`; where a network manager says
  that it configures the link, that too.
- `uplink-is-a-port`: the host sends by a link that was made a port of a bridge or bond, which takes what comes back.
- `local-table-late`: policy rules lead what is for the host's own addresses elsewhere, so it does not answer ARP.
- `route-takes-answers`, `duplicate-bridge-route` (of a network that is gone), `route-refuses`, `subnet-overlap`.
- `container-gateway-wrong`: the container routes to an address that the engine never gave it, or out of its network
  without a gateway.
- `container-address-taken`: the host has the container's address too, and takes its packets for forged.
- `redirected-to-nobody`: a rule gives the packets another destination, and nobody is there.
- `policy-routing`, `no-default-route`, `rp-filter-drop`; whose rules they are, where mark or table tell.
- `rp-filter-at-boot`: a file of sysctl.d makes the reverse path filter strict, which stops packets that pass now.

## Why it breaks containers

Network managers take veths off their bridge and addresses off the bridge; VPNs and policy rules send containers'
packets into tables that have no way out; an engine with `bridge` set to `none` leaves the containers of its default
network without any; a strict reverse path filter drops answers that come in by another link. None
of this shows in a firewall.

## What is normal and not reported

- A bridge without running containers that is operationally down.
- A container that has no network, or internal ones only: isolation that somebody chose (a note; a fail where it was
  asked about by `-c`).
- A reverse path filter, loose or strict, now or by a file, that lets these packets pass; a VPN that answers come back
  by.
- A host without a way to the IPv6 internet, whose containers have IPv4; one without IPv4, whose containers get out by
  IPv6 (notes).
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
from dockerdiag.packet.adjacency import WRONG_GATEWAY
from dockerdiag.packet.fib import describe_rule
from dockerdiag.packet.flow import Halt
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, RuleReference, Status
from dockerdiag_checks.commands import sh
from dockerdiag_checks.default_bridge import default_bridge_gone, without_default_bridge
from dockerdiag_checks.host_ways import for_want_of_default, no_way_out, not_meant
from dockerdiag_checks.name_resolution import asks_for_names, names_lost
from dockerdiag_checks.next_steps import to_find_out
from dockerdiag_checks.path_causes import ADDRESS_TAKEN, named, values, who
from dockerdiag_checks.path_remedies import mending
from dockerdiag_checks.redirection import REDIRECTED, leading_astray, not_redirected
from dockerdiag_checks.reverse_path_at_boot import strict_at_boot
from dockerdiag_checks.rule_remedies import where
from dockerdiag_checks.wording import containers_of, retry, sentence

NEEDS = ("engine",)
READS = (
    "boot_sysctls",
    "network.addresses",
    "network.ip_counters",
    "network.links",
    "network.routes",
    "network.rules",
    "network.sysctls",
    "network_managers",
    "packages",
)


def _mine(halt: Halt) -> bool:
    if halt.sysctl is not None and halt.sysctl.endswith(("/forwarding", "/ip_forward")):
        return False
    if halt.kind in ("rule", "policy"):
        return halt.namespace is not None
    if halt.kind == "listener" and asks_for_names(halt):
        return False
    return halt.kind != "unanswered"


@check(
    "packet-path",
    title="Does anything else on the way stop the packet: a link, an address, a route, the container's own namespace?",
    group="Packets",
    place=20,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located | Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each object that stops packets, or will after the next boot."""
    for hit in case.confined():
        yield Located(_isolated(case, hit), hit.place)
    for hit in case.hits(_mine):
        if without_default_bridge(case, hit):
            yield Located(default_bridge_gone(case, hit), hit.place)
        elif hit.halt.isolation is not None:
            yield Located(_isolated(case, hit), hit.place)
        else:
            yield Located(_stopped(case, hit), hit.place)
    yield from strict_at_boot(case)


def _isolated(case: Case, hit: Hit) -> Finding:
    asked = case.asked_about(hit.containers)
    none = hit.halt.isolation == "none"
    networks = hit.halt.networks or hit.networks
    return Finding(
        code="container-without-network" if none else "network-internal",
        status=Status.FAIL if asked else Status.NOTE,
        subject=f"container:{hit.containers[0]}" if len(hit.containers) == 1 else case.subject(hit),
        summary=f"By design nothing leaves {containers_of(hit)}: {'no network' if none else 'internal networks only'}",
        count=hit.count,
        evidence=(Evidence("network mode" if none else "internal", ", ".join(networks) or "none"),),
        remedies=(_connected(case, hit, none=none),) if asked else (),
    )


def _connected(case: Case, hit: Hit, *, none: bool) -> Remedy:
    if none or not hit.containers:
        return Remedy(
            summary="Create the container anew, with a network: one that was started without cannot be given one",
            verify=retry(case),
            risk="Ends the isolation that somebody chose.",
        )
    return Remedy(
        summary="Connect it to a network that leads out",
        now=tuple(sh("docker", "network", "connect", "bridge", name) for name in hit.containers),
        verify=retry(case),
        undo=tuple(sh("docker", "network", "disconnect", "bridge", name) for name in hit.containers),
        risk="Ends the isolation that somebody chose. The connection outlives a restart of the container.",
    )


def _stopped(case: Case, hit: Hit) -> Finding:
    halt = hit.halt
    status = case.severity(hit)
    offline = for_want_of_default(case, halt)
    if status in (Status.FAIL, Status.WARN) and offline and not_meant(case, hit):
        status = Status.NOTE
    astray = leading_astray(hit) if status is Status.FAIL else None
    if status is Status.UNKNOWN:
        code = "path-unknown"
    elif astray is not None:
        code = REDIRECTED
    else:
        code = "host-offline" if offline else named(case, hit)
    return Finding(
        code=code,
        status=status,
        subject=case.host if offline else _subject(case, hit),
        summary=f"{_led(hit, astray)}{_what(case, halt, offline)} ({containers_of(hit)}, {_way(hit)})",
        count=hit.count,
        explains=(*_what_follows(hit, code), *names_lost(hit)),
        evidence=(
            *((Evidence(where(astray), astray.text),) if astray is not None else ()),
            *_evidence(case, halt),
            *who(case, halt),
        ),
        remedies=(*(not_redirected(case, astray) if astray else ()), *_remedies(case, hit, status, code)),
    )


def _led(hit: Hit, rule: RuleReference | None) -> str:
    """What became of the destination that was asked for."""
    if rule is None:
        return ""
    to = hit.halt.packet.addresses.destination
    return (
        f"{sentence(where(rule))} sends what is meant for {hit.traced[0].journey.flow.to} to {to} instead: "
    )


def _remedies(case: Case, hit: Hit, status: Status, code: str) -> tuple[Remedy, ...]:
    if status is Status.UNKNOWN:
        return to_find_out(case, hit)
    return () if status is Status.NOTE or code == REDIRECTED else mending(case, hit, code)


def _what_follows(hit: Hit, code: str) -> tuple[str, ...]:
    """Findings that this one brings about."""
    halt = hit.halt
    if code == "ipv6-disabled":
        return (f"bridge-lost-ip link:{halt.link}",)
    if code == ADDRESS_TAKEN:
        return tuple(f"subnet-overlap network:{name}" for name in hit.networks)
    if code == "local-table-late":
        return ("egress-stopped *",)
    if code not in (
        "route-takes-answers",
        "bridge-lost-route",
        "duplicate-bridge-route",
        "policy-routing",
        "subnet-overlap",
    ):
        return ()
    # A route that takes the answers elsewhere also fails the reverse path check, and is an overlap.
    entries = {traced.journey.entry for traced in hit.traced}
    return (
        *(f"rp-filter-drop link:{entry}" for entry in sorted(filter(None, entries))),
        *(f"subnet-overlap network:{name}" for name in hit.networks),
    )


_NO_NAMES = ("a", "an", "it", "its", "no", "several", "the", "this", "what", "whether")
"""What a reason begins with, where it does not begin with a name."""


def _what(case: Case, halt: Halt, offline: bool) -> str:
    if halt.rule is not None and halt.netfilter is not None and not halt.certain:
        place = f"Whether packets pass the container's own {where(halt.rule)}"
        return f"{place} cannot be told: {halt.reason}"
    if halt.rule is not None and halt.netfilter is not None:
        word = "rejected" if halt.netfilter.verdict == "reject" else "dropped"
        policy = "the policy of " if halt.kind == "policy" else ""
        what = "what asks for its neighbours is " if halt.packet.asks_neighbours else ""
        return f"The container's own firewall: {what}{word} by {policy}{where(halt.rule)}"
    reason = halt.reason.rstrip(".")
    if reason.partition(" ")[0] in _NO_NAMES:
        reason = sentence(reason)
    return f"{no_way_out(case, halt.packet.family)}: {reason}" if offline else reason


def _evidence(case: Case, halt: Halt) -> tuple[Evidence, ...]:
    found = [Evidence(halt.place, halt.at)]
    if halt.rule is not None:
        found.append(Evidence("rule", halt.rule.text))
    if halt.routing_rule is not None:
        found.append(Evidence("ip rule", describe_rule(halt.routing_rule)))
    found += values(case, halt) or (
        (Evidence("sysctl", halt.sysctl.replace("/", ".")),) if halt.sysctl is not None else ()
    )
    return tuple(found)


def _way(hit: Hit) -> str:
    return " and ".join({"out": "on the way out", "reply": "on the way back"}[one] for one in hit.directions)


def _subject(case: Case, hit: Hit) -> str:
    halt = hit.halt
    of_sender = halt.place == WRONG_GATEWAY or (halt.kind == "time-to-live" and halt.rule is None)
    if (halt.namespace is not None or of_sender) and hit.containers:
        return f"container:{hit.containers[0]}"
    if halt.link is not None and halt.namespace is None:
        return f"link:{halt.link}"
    return case.subject(hit)
