"""In a swarm: do the other nodes get in, and do overlay networks leave this host's own addresses alone?

## What it asks

Only of an engine in a swarm. Whether the swarm's ports (TCP 2377 of a manager, TCP and UDP 7946, the data path's UDP
port) are open to the managers that it knows; whether an overlay network's subnet is also that of a link, a route or a
nameserver of this host; whether an overlay network's packets fit the uplink once they are wrapped; whether the engine
keeps its rules where a swarm cannot work.

## Why it breaks containers

Between nodes, overlay networks are UDP packets to this host itself, which the INPUT chains of a firewall see, unlike
all other traffic of containers. Subnets of overlay networks come from 10.0.0.0/8 unless somebody says otherwise, where
clouds keep their routers and nameservers: a container on such a network looks for those among its peers.

## What is normal and not reported

- A swarm of one node: nobody has to get in.
- Overlay networks whose subnet is part of a route by a gateway that is no nameserver's, unless the route is as narrow.
- Whether docker_gwbridge translates: the walks of the tasks' packets tell.
- Other workers' addresses, the keys of encrypted networks, and what the network between the nodes drops: not read.

## Remedy

An accept of the swarm's ports for the node that asks. Another subnet for a network (`--subnet`), or for all to come
(`docker swarm init --default-addr-pool`): a network's subnet is fixed when it is made.

## References

- [Docker: swarm mode, open protocols and ports](https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts)
- moby/moby#39228, moby/moby#27399, docker/for-linux#599
"""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Literal

from dockerdiag.case import Case, Hit
from dockerdiag.packet.flow import Flow, Halt, Source
from dockerdiag.packet.packet import IPAddress
from dockerdiag.packet.walk import Walker
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Network, SwarmNode, TextFile, Unread
from dockerdiag.snapshot.resolv_conf import parse_resolv_conf
from dockerdiag_checks.rule_commands import let_pass
from dockerdiag_checks.rule_remedies import accepted, where
from dockerdiag_checks.subnets import Subnet, subnets_in
from dockerdiag_checks.wording import retry

NEEDS = ("engine", "engine.networks", "engine.swarm_node", "network.links", "network.routes")
READS = ("network.addresses", "resolv_conf", "services")

_WRAPPING = 50
"""Bytes that VXLAN over IPv4 adds: Ethernet 14, IPv4 20, UDP 8, VXLAN 8."""
_DEFAULT_MTU = 1500 - _WRAPPING
_MTU = "com.docker.network.driver.mtu"
_SERVES_SWARM = (29, 6)
"""The engine that has rules for swarm mode in nftables too, where its features ask for them; without, it refuses."""
_MAIN = 254
_SHORT = {4: 8, 6: 32}
"""Routes that are no longer than this lead to everything private, and say nothing about one subnet."""


@check(
    "swarm",
    title="In a swarm: do the other nodes get in, and do overlay networks leave this host's own addresses alone?",
    group="Networks",
    place=84,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """What concerns a node of a swarm; nothing where the engine is in none."""
    engine = case.engine
    node = engine.swarm_node if engine is not None else None
    if not isinstance(node, SwarmNode):
        return
    if _wants_iptables(case):
        yield _wrong_backend(case)
    if case.walker is not None:
        yield from _closed(case, case.walker, node)
    for network in case.networks:
        if network.driver == "overlay":
            yield from _overlaps(case, network)
            yield from _too_large(case, network, node)


def _wants_iptables(case: Case) -> bool:
    """Whether it makes rules that swarm mode has no use for; later engines are in a swarm where they can serve it."""
    makes_rules = case.backend() == "nft" and case.presumed_value("iptables") is not False
    return makes_rules and (case.settings.version or _SERVES_SWARM) < _SERVES_SWARM


def _wrong_backend(case: Case) -> Finding:
    return Finding(
        code="swarm-without-iptables",
        status=Status.WARN,
        subject=case.engine_subject,
        summary="The engine is in a swarm and keeps its rules in nftables, which swarm mode cannot do: ports of "
        "services and docker_gwbridge lack rules",
        evidence=(Evidence("firewall backend", "nftables"), Evidence("docker info", "Swarm: active")),
        remedies=(
            Remedy(
                summary="Have the engine use iptables, as long as it is in a swarm",
                verify=("docker info --format '{{.FirewallBackend.Driver}}'", *retry(case)),
                risk="Restarts the engine; the rules of its nftables tables are left until somebody deletes them.",
            ),
        ),
    )


# -- who gets in -------------------------------------------------------------------------------------------------


def _ports(node: SwarmNode) -> Iterator[tuple[int, Literal["tcp", "udp"]]]:
    if node.manager:
        yield 2377, "tcp"
    yield 7946, "tcp"
    yield 7946, "udp"
    yield node.data_path_port, "udp"


def _closed(case: Case, walker: Walker, node: SwarmNode) -> Iterator[Finding]:
    """One finding for each rule that keeps a manager from a port of the swarm."""
    own = _address(node.address)
    peers = [peer for text in node.managers if (peer := _address(text)) is not None and peer != own]
    if own is None or not peers:
        return
    met: dict[str, list[tuple[Halt, str]]] = {}
    for port, protocol in _ports(node):
        for peer in peers:
            if peer.version != own.version:
                continue
            halt = _stopped(walker, Flow(Source(outside=peer), own, protocol, port))
            if halt is not None:
                met.setdefault(halt.at, []).append((halt, f"{port}/{protocol} from {peer}"))
    for hits in met.values():
        yield _shut(case, hits)


def _stopped(walker: Walker, flow: Flow) -> Halt | None:
    halts = [halt for halt in walker.walk(flow).halts if halt.kind != "listener"]
    first = halts[0] if halts else None
    is_rule = (
        first is not None and first.certain and first.kind in ("rule", "policy") and first.direction == "out"
    )
    return first if is_rule else None


def _shut(case: Case, hits: list[tuple[Halt, str]]) -> Finding:
    halt = hits[0][0]
    assert halt.rule is not None  # noqa: S101 - only rules and policies were kept
    asked = ", ".join(dict.fromkeys(text for _, text in hits))
    hit = Hit(halt, tuple(halt for halt, _ in hits), 0, (), (), (), hypothetical=False)
    return Finding(
        code="swarm-ports-blocked",
        status=Status.FAIL,
        subject=case.host,
        summary=f"Other nodes of the swarm do not get in: {asked} dropped by {where(halt.rule)}",
        evidence=(Evidence(where(halt.rule), halt.rule.text), Evidence("docker info, managers", asked)),
        remedies=accepted(case, hit, let_pass(hit.halts, ())),
    )


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


# -- overlay networks --------------------------------------------------------------------------------------------


def _overlaps(case: Case, network: Network) -> Iterator[Finding]:
    for subnet in subnets_in(network):
        collisions = tuple(dict.fromkeys((*_routes(case, subnet), *_nameservers(case, subnet))))
        if collisions:
            yield _overlap(case, network, subnet, collisions)


def _routes(case: Case, subnet: Subnet) -> Iterator[str]:
    host = case.snapshot.network
    if isinstance(host.routes, Unread) or isinstance(host.links, Unread):
        return
    names = {link.index: link.name for link in host.links}
    for route in host.routes:
        if route.type != "unicast" or route.family != subnet.version or route.table != _MAIN:
            continue
        to = ip_network(route.destination)
        narrow = route.scope == "link" or to.prefixlen >= subnet.prefixlen
        if narrow and to.prefixlen > _SHORT[to.version] and subnet.overlaps(to):
            yield f"the route {to} by {', '.join(names.get(hop.link or 0, '?') for hop in route.next_hops)}"


def _nameservers(case: Case, subnet: Subnet) -> Iterator[str]:
    file = case.snapshot.resolv_conf
    if isinstance(file, TextFile):
        for server in parse_resolv_conf(file.text).servers:
            if server.address in subnet:
                yield f"the host's nameserver {server.address}"


def _overlap(case: Case, network: Network, subnet: Subnet, collisions: tuple[str, ...]) -> Finding:
    return Finding(
        code="overlay-subnet-overlaps-host",
        status=Status.WARN,
        subject=f"network:{network.name}",
        summary=f"The subnet {subnet} of overlay network {network.name} overlaps {' and '.join(collisions)}: its "
        "containers look for those addresses among themselves",
        evidence=(
            Evidence(f"docker network inspect {network.name}", f"subnet {subnet}"),
            *(Evidence("overlaps", text) for text in collisions),
        ),
        remedies=(
            Remedy(
                summary="Create the network anew with a subnet that nobody here uses (--subnet)",
                verify=("ip route show table all", *retry(case)),
                risk="Its services must be updated to the new network, and get other addresses.",
            ),
        ),
    )


def _too_large(case: Case, network: Network, node: SwarmNode) -> Iterator[Finding]:
    links, addresses = case.snapshot.network.links, case.snapshot.network.addresses
    several = (node.nodes or 0) > 1 or any(text != node.address for text in node.managers)
    if not several or isinstance(links, Unread) or isinstance(addresses, Unread):
        return
    bearer = next((one.link for one in addresses if one.address == node.address), None)
    uplink = next((link for link in links if link.index == bearer), None)
    told = network.options.get(_MTU, "")
    mtu = int(told) if told.isdecimal() else _DEFAULT_MTU
    if uplink is None or mtu + _WRAPPING <= uplink.mtu:
        return
    yield Finding(
        code="overlay-mtu",
        status=Status.WARN,
        subject=f"network:{network.name}",
        summary=f"Overlay network {network.name} has MTU {mtu}; wrapped in {_WRAPPING} bytes more its packets do not "
        f"fit {uplink.name} ({uplink.mtu}): large ones to other nodes are lost or fragmented",
        evidence=(
            Evidence(
                f"docker network inspect {network.name}", f"{_MTU}={told or f'default, {_DEFAULT_MTU}'}"
            ),
            Evidence(f"link {uplink.name}", f"mtu {uplink.mtu}"),
        ),
        remedies=(
            Remedy(
                summary=f"Create it anew with --opt {_MTU}={uplink.mtu - _WRAPPING}",
                verify=retry(case),
                risk="Its services must be updated to the new network; for ingress, ports of services are closed "
                "meanwhile.",
            ),
        ),
    )
