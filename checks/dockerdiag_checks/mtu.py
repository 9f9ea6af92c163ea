"""Do large packets get through, or only small ones?

## What it asks

Where a container's way out takes smaller packets than the container's own link sends: a link or a route of the host
with a smaller MTU. If so, whether the host's word about it ("fragmentation needed", "packet too big") reaches the
container past the host's own rules, and whether a rule clamps the segment size that TCP announces. Whether the bridge
is narrower than its containers' links, where the answers come by. What an overlay network's own headers leave is
asked by the check `swarm`.

## Why it breaks containers

The engine gives its bridges an MTU of 1500 and does not look at the uplink, which has less on a VPN, in many clouds
and behind PPPoE. Connections open, small requests work; a TLS handshake or a download hangs. The sender learns the
right size by an ICMP message alone. Who drops ICMP at OUTPUT makes large packets vanish, and a port of the bridge
that is narrower than the container's link drops them without a word. The daemon's `mtu` is for the default bridge
only.

## What is normal and not reported

- An uplink with the same or a larger MTU; jumbo frames.
- A smaller one where a rule clamps the segment size of these connections.
- A bridge that is narrower than its containers, behind an uplink that is no wider.
- An MTU of 65520 within rootless Docker's own network.

A smaller uplink whose messages reach the container is a warning: what filters ICMP elsewhere is not known here.

## Remedy

Let the message pass, or clamp the segment size, for the bridge alone; both last as a drop-in of docker.service. The
thorough remedy is the network's own MTU, which is fixed when the network is made.

## References

- RFC 1191, RFC 8201, RFC 2923
- moby/moby#22297, moby/moby#12565, docker/for-linux#594
- iptables-extensions(8): TCPMSS
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Traced, is_default_bridge
from dockerdiag.packet.flow import Narrowing
from dockerdiag.packet.netfilter import Stop
from dockerdiag.packet.segments import Segments
from dockerdiag.packet.world import Station
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Link, Unread
from dockerdiag_checks.commands import AtEngineStart, Change, sh
from dockerdiag_checks.packet_sizes import OPTION
from dockerdiag_checks.rule_commands import iptables, let_too_big_pass
from dockerdiag_checks.rule_remedies import where
from dockerdiag_checks.wording import retry

NEEDS = ("engine", "engine.networks", "network.links", "network.routes")


@check(
    "mtu",
    title="Do large packets get through, or only small ones?",
    group="Networks",
    place=65,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each network and the place that is narrower than it."""
    said: set[tuple[str | None, str]] = set()
    for traced in case.traced:
        narrow = traced.journey.narrowest
        if narrow is None or not (traced.delivered and traced.containers):
            continue
        if (traced.network, narrow.link) not in said:
            said.add((traced.network, narrow.link))
            yield from _judged(case, traced, narrow)
    yield from _bridges(case)


def _bridges(case: Case) -> Iterator[Finding]:
    """Bridges that take smaller packets from the host than their containers do: large answers end there."""
    if case.walker is None:
        return
    world, told = case.walker.world, set[str]()
    for traced in case.traced:
        bridge = world.host.links.get(traced.journey.entry or "")
        if bridge is None or bridge.kind != "bridge" or bridge.name in told or not traced.delivered:
            continue
        told.add(bridge.name)
        uplink = world.host.links.get(traced.journey.uplink or "")
        if uplink is not None and uplink.mtu <= bridge.mtu:
            continue  # answers that are too large for the bridge do not get as far
        ends = [world.container_end(port) for port in world.host.links.ports(bridge)]
        widest = max(
            (end for end in ends if end is not None and end.link is not None), key=_mtu_inside, default=None
        )
        if widest is None or _mtu_inside(widest) <= bridge.mtu:
            continue
        if "out" not in Segments(case.snapshot.network, traced.journey).clamped():
            yield _below_containers(case, traced, bridge, widest)


def _mtu_inside(end: Station) -> int:
    """What its answers are as large as: its link's, where no route of its own by that link says less."""
    if end.link is None or end.terrain is None:
        return 0
    routes = end.terrain.namespace.routes
    by_link = [
        one.mtu
        for one in (() if isinstance(routes, Unread) else routes)
        if one.mtu and any(hop.gateway and hop.link == end.link.index for hop in one.next_hops)
    ]
    return min((end.link.mtu, *by_link))


def _below_containers(case: Case, traced: Traced, bridge: Link, widest: Station) -> Finding:
    name, mtu = widest.container.name, _mtu_inside(widest)
    return Finding(
        code="mtu-of-bridge",
        status=Status.WARN,
        subject=f"link:{bridge.name}",
        summary=(
            f"{bridge.name} takes {bridge.mtu}, and container {name} on it asks for packets of up to {mtu}: large "
            "answers hang wherever the message that says so is filtered"
        ),
        count=max(len(traced.containers), 1),
        evidence=(
            Evidence(f"link {bridge.name}", f"mtu {bridge.mtu}"),
            Evidence(f"link {widest.link.name if widest.link else ''} of container {name}", f"mtu {mtu}"),
        ),
        remedies=(
            Remedy(
                summary=f"Let {bridge.name} take what its containers do",
                now=(sh("ip", "link", "set", bridge.name, "mtu", str(mtu)),),
                verify=(sh("ip", "link", "show", bridge.name), *retry(case)),
                undo=(sh("ip", "link", "set", bridge.name, "mtu", str(bridge.mtu)),),
                risk="None. Who lowered it may have meant the containers, whose MTU is an option of the network.",
            ),
        ),
    )


def _judged(case: Case, traced: Traced, narrow: Narrowing) -> Iterator[Finding]:
    if narrow.silent:
        yield _swallowed(case, traced, narrow)
        return
    segments = Segments(case.snapshot.network, traced.journey)
    clamped = segments.clamped()
    stops = segments.announcement_stops()
    if stops and stops[0].verdict != "unknown" and "reply" not in clamped:
        yield _unannounced(case, traced, narrow, stops[0])
    elif not clamped:
        yield _announced(case, traced, narrow)


def _subject(traced: Traced) -> str:
    return f"network:{traced.network}" if traced.network else f"container:{traced.containers[0]}"


def _sizes(narrow: Narrowing) -> str:
    route = f"the route to {narrow.route.destination} by " if narrow.route is not None else ""
    return f"{route}{narrow.link} takes {narrow.mtu}"


def _evidence(case: Case, traced: Traced, narrow: Narrowing) -> tuple[Evidence, ...]:
    found = [
        Evidence(f"link {narrow.own_link} of container {traced.containers[0]}", f"mtu {narrow.own_mtu}"),
        Evidence(
            f"route {narrow.route.destination}" if narrow.route is not None else f"link {narrow.link}",
            f"mtu {narrow.mtu}",
        ),
    ]
    network = case.network(traced.network)
    if network is not None and OPTION in network.options:
        found.append(
            Evidence(f"docker network inspect {network.name}", f"{OPTION}={network.options[OPTION]}")
        )
    daemon = case.running_value("mtu")
    if network is not None and not is_default_bridge(network) and isinstance(daemon, int) and daemon:
        found.append(Evidence("the daemon's mtu, for the default bridge alone", str(daemon)))
    return tuple(found)


def _swallowed(case: Case, traced: Traced, narrow: Narrowing) -> Finding:
    links = case.snapshot.network.links
    before = narrow.mtu if isinstance(links, Unread) else _mtu_of(links, narrow)
    return Finding(
        code="mtu-mismatch-in-silence",
        status=Status.FAIL,
        subject=f"link:{narrow.link}",
        summary=(
            f"Packets of container {traced.containers[0]} larger than {narrow.mtu} vanish at {narrow.link}: its own "
            f"{narrow.own_link} sends up to {narrow.own_mtu}, and a port of a bridge tells nobody"
        ),
        count=len(traced.containers),
        # A bridge is as narrow as the narrowest of its ports.
        explains=(f"mtu-of-bridge link:{traced.journey.entry}", *_black_holes(traced)),
        evidence=_evidence(case, traced, narrow),
        remedies=(
            Remedy(
                summary=f"Let {narrow.link} take what its other end sends",
                now=(sh("ip", "link", "set", narrow.link, "mtu", str(narrow.own_mtu)),),
                verify=retry(case),
                undo=(sh("ip", "link", "set", narrow.link, "mtu", str(before)),),
                risk="None. The link is made anew, with the network's MTU, when the container starts again.",
            ),
        ),
    )


def _black_holes(traced: Traced) -> tuple[str, ...]:
    """What the probe finds for the same reason."""
    return tuple(f"path-mtu-black-hole container:{name}" for name in traced.containers)


def _mtu_of(links: tuple[Link, ...], narrow: Narrowing) -> int:
    return next((link.mtu for link in links if link.name == narrow.link), narrow.mtu)


def _unannounced(case: Case, traced: Traced, narrow: Narrowing, stop: Stop) -> Finding:
    return Finding(
        code="mtu-mismatch",
        status=Status.FAIL,
        subject=_subject(traced),
        summary=(
            f"Large packets of container {traced.containers[0]} are lost: its {narrow.own_link} sends up to "
            f"{narrow.own_mtu}, {_sizes(narrow)}, and a rule of this host drops the message that says so"
        ),
        count=len(traced.containers),
        explains=(f"mtu-above-uplink {_subject(traced)}", *_black_holes(traced)),
        evidence=(*_evidence(case, traced, narrow), Evidence(where(stop.rule), stop.rule.text)),
        remedies=(_announced_and_clamped(case, traced, stop),),
    )


def _announced(case: Case, traced: Traced, narrow: Narrowing) -> Finding:
    return Finding(
        code="mtu-above-uplink",
        status=Status.WARN,
        subject=_subject(traced),
        summary=(
            f"Container {traced.containers[0]} sends packets of up to {narrow.own_mtu}, {_sizes(narrow)}: "
            "large ones hang wherever the message that says so is filtered"
        ),
        count=len(traced.containers),
        evidence=_evidence(case, traced, narrow),
        remedies=(*_clamp(case, traced), _own_mtu(case, traced, narrow)),
    )


def _announced_and_clamped(case: Case, traced: Traced, stop: Stop) -> Remedy:
    bridge = traced.journey.entry or ""
    message = let_too_big_pass(stop.rule, traced.journey.flow.destination.version, bridge)
    changes = (message, *_clamps(case, traced, bridge))
    each_start = AtEngineStart(f"too-big-{bridge}", [change.again for change in changes])
    return Remedy(
        summary="Let the host's own message pass where it is stopped, and have TCP announce segments that fit",
        now=tuple(change.do for change in changes),
        lasting=each_start.lines,
        verify=retry(case),
        undo=(*(change.undo for change in changes), *each_start.undo),
        risk=(
            f"Opens that one ICMP message from this host into {bridge}, and nothing else. "
            "The lasting commands repeat it at each start of the engine."
        ),
    )


def _clamp(case: Case, traced: Traced) -> tuple[Remedy, ...]:
    bridge = traced.journey.entry
    if bridge is None:
        return ()
    changes = _clamps(case, traced, bridge)
    each_start = AtEngineStart(f"clamp-{bridge}", [change.again for change in changes])
    return (
        Remedy(
            summary=f"Have TCP over {bridge} announce segments that fit",
            now=tuple(change.do for change in changes),
            lasting=each_start.lines,
            verify=retry(case),
            undo=(*(change.undo for change in changes), *each_start.undo),
            risk="Helps TCP alone, not QUIC or other UDP; nothing is opened.",
        ),
    )


def _clamps(case: Case, traced: Traced, bridge: str) -> tuple[Change, ...]:
    return tuple(_clamped(case, traced, words) for words in (("-i", bridge), ("-o", bridge)))


def _clamped(case: Case, traced: Traced, words: tuple[str, str]) -> Change:
    tool = iptables(case.backend(), traced.journey.flow.destination.version)
    spec = (*words, "-p", "tcp", "--tcp-flags", "SYN,RST", "SYN", "-j", "TCPMSS", "--clamp-mss-to-pmtu")
    do = sh(tool, "-t", "mangle", "-A", "FORWARD", *spec)
    undo = sh(tool, "-t", "mangle", "-D", "FORWARD", *spec)
    return Change(do, undo, f"{undo} 2>/dev/null; {do}")


def _own_mtu(case: Case, traced: Traced, narrow: Narrowing) -> Remedy:
    network = case.network(traced.network)
    by_default = network is not None and is_default_bridge(network)
    if by_default:
        how = f'Set "mtu": {narrow.mtu} in /etc/docker/daemon.json, restart the engine and create the containers anew'
    else:
        how = f"Create network {traced.network} anew with --opt {OPTION}={narrow.mtu}, and its containers"
    return Remedy(
        summary=f"Or the thorough way: {how}",
        verify=retry(case),
        risk="Interrupts its containers. Packets between them become smaller too.",
    )
