"""Can containers on one network reach each other, where the network wants that?

## What it asks

For each bridge network with two running containers or more, a packet from one to another is walked over the bridge,
and the answer back. Whether the network was made with `enable_icc=false`, and whether the kernel can enforce that.

## Why it breaks containers

Where br_netfilter is loaded and `net.bridge.bridge-nf-call-iptables` is 1, frames from one port of a bridge to another
meet the host's forward chains as if they were routed. A firewall that drops there what it does not know (a policy, a
reject at the end) then cuts containers off from each other, while their way to the internet still works.

## What is normal and not reported

- From one network to another nothing gets through: that is what networks are for.
- `enable_icc=false` and `"icc": false` (a note); docker_gwbridge always has it.
- A rule that names ports, addresses or this bridge on both sides, and rules of the bridge family (a note): meant so.
- Frames that no rule sees, with br_netfilter absent or its switch at 0.
- What stops the containers' own way out too: that is told there.

## Remedy

An accept for packets from the bridge to itself, right before the rule that drops them. Where nobody wants rules on
bridged frames at all, the switch at 0; but `enable_icc=false` and an engine without its userland proxy need it at 1.

## References

- [Docker: docker network create, bridge driver options](https://docs.docker.com/engine/network/drivers/bridge/#options)
- moby/moby#48375, firewalld/firewalld#844
"""

from collections.abc import Iterator
from ipaddress import ip_address

from dockerdiag.case import Case, Hit, Traced
from dockerdiag.packet.flow import Flow, Halt, Journey, Source
from dockerdiag.packet.walk import Walker
from dockerdiag.packet.world import Terrain
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Container, Network, Unread
from dockerdiag_checks.commands import AtEngineStart, Change, set_sysctl
from dockerdiag_checks.rule_commands import let_pass
from dockerdiag_checks.rule_remedies import accepted, where
from dockerdiag_checks.wording import listed, retry, subnets_of

NEEDS = ("engine", "engine.networks", "engine.containers", "network.links")
READS = ("network.firewall", "network.sysctls", "services")

ICC = "com.docker.network.bridge.enable_icc"
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
_SWITCH = "net/bridge/bridge-nf-call-iptables"
_SWITCH6 = "net/bridge/bridge-nf-call-ip6tables"
_GATEWAY_BRIDGE = "docker_gwbridge"
_ANY_PORT = 80
_CHOOSY = (
    "--dport",
    "--sport",
    "--dports",
    "--sports",
    "-s",
    "-d",
    "saddr",
    "daddr",
    "dport",
    "sport",
    "-m set",
)

Member = tuple[Container, str]


@check(
    "container-to-container",
    title="Can containers on one network reach each other, where the network wants that?",
    group="Packets",
    place=82,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """A note for each network without ICC, and one finding for each rule that drops what goes over a bridge."""
    met: dict[str, list[tuple[Network, tuple[str, ...], Journey]]] = {}
    everybody = _members(case)
    everywhere = _has_rules_of_bridges(case)
    for network in case.networks:
        members = everybody.get(network.name, [])
        if network.bridge is None or network.name == _GATEWAY_BRIDGE or len(members) < 2:
            continue
        if network.options.get(ICC) in _FALSE:
            yield _without_icc(case, network, members)
        elif case.walker is not None and (everywhere or _calls_iptables(case, network.bridge)):
            journey = _walked(case.walker, members)
            halt = _stop(case, journey)
            if halt is not None:
                names = tuple(container.name for container, _ in members)
                met.setdefault(halt.at, []).append((network, names, journey))
    for hits in met.values():
        yield _dropped(case, hits)


def _has_rules_of_bridges(case: Case) -> bool:
    """Whether a rule can see what stays on any bridge: without that, no walk is needed."""
    host = case.snapshot.network
    if (
        isinstance(host.sysctls, Unread)
        or isinstance(host.links, Unread)
        or isinstance(host.firewall.nft, Unread)
    ):
        return True
    switches = (host.sysctls.get(f"net/bridge/bridge-nf-call-{tool}") for tool in ("iptables", "ip6tables"))
    families = ('"family": "bridge"', '"family":"bridge"', '"family": "netdev"', '"family":"netdev"')
    return "1" in switches or any(family in host.firewall.nft for family in families)


def _calls_iptables(case: Case, bridge: str) -> bool:
    """Whether this one shows the host's rules what stays on it."""
    links = case.snapshot.network.links
    link = None if isinstance(links, Unread) else next((one for one in links if one.name == bridge), None)
    return link is not None and bool(link.bridge_nf_call_iptables or link.bridge_nf_call_ip6tables)


def _members(case: Case) -> dict[str, list[Member]]:
    """Each network's running containers with their addresses there, IPv4 where they have one."""
    found: dict[str, list[Member]] = {}
    for container in case.containers:
        if container.state == "running":
            for endpoint in container.endpoints:
                if address := endpoint.address or endpoint.address6:
                    found.setdefault(endpoint.network, []).append((container, address))
    return found


def _walked(walker: Walker, members: list[Member]) -> Journey:
    (sender, _), (peer, address) = members[0], members[1]
    terrain = walker.world.terrain_of(sender)
    namespace = terrain.namespace if isinstance(terrain, Terrain) else terrain
    source = Source(container=sender, namespace=namespace, members=(sender,))
    return walker.walk(Flow(source, ip_address(address), "tcp", _port(walker, peer, address)))


def _port(walker: Walker, peer: Container, address: str) -> int:
    """One that the peer answers at, where it has any."""
    terrain = walker.world.terrain_of(peer)
    if not isinstance(terrain, Terrain) or isinstance(terrain.namespace.listeners, Unread):
        return _ANY_PORT
    open_to_others = [
        listener.port
        for listener in terrain.namespace.listeners
        if listener.protocol == "tcp"
        and (listener.address == address or ip_address(listener.address).is_unspecified)
    ]
    return min(open_to_others, default=_ANY_PORT)


def _stop(case: Case, journey: Journey) -> Halt | None:
    """The rule of the host that certainly stops it on the bridge, unless it stops the way out as well."""
    at_network = [
        halt for halt in journey.halts if not (halt.kind == "listener" and halt.namespace is not None)
    ]
    halt = at_network[0] if at_network else None
    if halt is None or not halt.certain or halt.namespace is not None or halt.kind not in ("rule", "policy"):
        return None
    told = any(one.certain and one.at == halt.at for traced in case.traced for one in traced.journey.halts)
    return None if told else halt


def _without_icc(case: Case, network: Network, members: list[Member]) -> Finding:
    sysctls = case.snapshot.network.sysctls
    switch = (
        None if isinstance(sysctls, Unread) else sysctls.get(_SWITCH, "absent: br_netfilter is not loaded")
    )
    enforced = switch is None or switch == "1"
    what = (
        "do not reach each other" if enforced else "reach each other all the same: no rule sees their frames"
    )
    evidence = [Evidence(f"docker network inspect {network.name}", f"{ICC}={network.options[ICC]}")]
    if switch is not None:
        evidence.append(Evidence(_SWITCH.replace("/", "."), switch))
    return Finding(
        code="icc-disabled" if enforced else "icc-not-enforced",
        status=Status.NOTE,
        subject=f"network:{network.name}",
        summary=f"By its option enable_icc=false, containers on network {network.name} {what}"
        if enforced
        else f"Network {network.name} has enable_icc=false, but its containers {what}",
        count=len(members),
        evidence=tuple(evidence),
    )


def _dropped(case: Case, hits: list[tuple[Network, tuple[str, ...], Journey]]) -> Finding:
    halt = _stop(case, hits[0][2])
    assert halt is not None and halt.rule is not None  # noqa: S101, PT018 - only such journeys were kept
    hit = _hit(hits, halt)
    chosen = _is_chosen(halt, [network.bridge or "" for network, _, _ in hits])
    verb = "rejected" if halt.netfilter is not None and halt.netfilter.verdict == "reject" else "dropped"
    policy = "the policy of " if halt.kind == "policy" else ""
    packet = halt.packet
    return Finding(
        code="icc-filtered" if chosen else "bridge-nf-drops-icc",
        status=Status.NOTE if chosen else Status.FAIL,
        subject=case.subject(hit),
        summary=f"What containers on {listed(hit.networks, 'network')} send each other is {verb} by {policy}"
        f"{where(halt.rule)}",
        count=hit.count,
        evidence=(
            Evidence(where(halt.rule), halt.rule.text),
            Evidence(
                "packet",
                f"{packet.protocol} {packet.addresses.source} → {packet.addresses.destination}, "
                f"{packet.in_link or '-'} → {packet.out_link or '-'}",
            ),
            *_switch(case),
        ),
        remedies=() if chosen else (*accepted(case, hit, _accepts(case, hit)), *_past_rules(case, hit)),
    )


def _accepts(case: Case, hit: Hit) -> tuple[Change, ...]:
    return let_pass(hit.halts, subnets_of(case, hit))


def _hit(hits: list[tuple[Network, tuple[str, ...], Journey]], halt: Halt) -> Hit:
    names = tuple(dict.fromkeys(name for _, members, _ in hits for name in members))
    return Hit(
        halt=halt,
        halts=tuple(
            one
            for _, _, journey in hits
            for one in journey.halts
            if one.certain and one.kind in ("rule", "policy")
        ),
        place=0,
        containers=names,
        networks=tuple(network.name for network, _, _ in hits),
        traced=tuple(Traced(journey, members, network.name, False) for network, members, journey in hits),
        hypothetical=False,
    )


def _is_chosen(halt: Halt, bridges: list[str]) -> bool:
    """Whether the rule is about just such packets, and no net that catches them too."""
    rule = halt.rule
    if rule is None or halt.kind == "policy":
        return rule is not None and rule.family in ("bridge", "netdev")
    words = rule.text.split()
    return (
        rule.family in ("bridge", "netdev")
        or any(word in words for word in _CHOOSY)
        or any(rule.text.count(bridge) > 1 for bridge in bridges if bridge)
    )


def _switch(case: Case) -> tuple[Evidence, ...]:
    sysctls = case.snapshot.network.sysctls
    if isinstance(sysctls, Unread) or _SWITCH not in sysctls:
        return ()
    return (Evidence(_SWITCH.replace("/", "."), sysctls[_SWITCH]),)


def _past_rules(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    """Without rules on bridged frames, unless something on this host needs them."""
    needed = case.presumed_value("userland-proxy") is False or any(
        network.options.get(ICC) in _FALSE and network.name != _GATEWAY_BRIDGE for network in case.networks
    )
    version = hit.halt.packet.family
    switch = _SWITCH if version == 4 else _SWITCH6
    sysctls = case.snapshot.network.sysctls
    is_on = not isinstance(sysctls, Unread) and sysctls.get(switch) == "1"
    bridges = [network.bridge for name in hit.networks if (network := case.network(name)) is not None]
    # One that shows its frames by its own attribute does so whatever the switch says.
    if needed or not is_on or any(_calls_iptables(case, bridge) for bridge in bridges if bridge):
        return ()
    change = set_sysctl(switch, "0", "1")
    each_start = AtEngineStart("bridge-nf" if version == 4 else "bridge-nf6", [change.again])
    return (
        Remedy(
            summary=f"Or let no IPv{version} rule of the host see what stays on a bridge",
            now=(change.do,),
            lasting=each_start.lines,
            verify=retry(case),
            undo=(change.undo, *each_start.undo),
            risk="Rules that were meant for bridged frames (virtual machines, Kubernetes) do not see them any more.",
        ),
    )
