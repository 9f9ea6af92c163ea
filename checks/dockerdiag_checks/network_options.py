"""What do the networks' drivers, options and subnets say about the way out?

## What it asks

For each network: its driver, and the options that `docker network create` takes (gateway, subnet, bridge name,
`enable_ip_masquerade`, `enable_icc`, `host_binding_ipv4`, mtu, gateway mode). Whether its subnet overlaps an address
or a route of the host that leads elsewhere, or another network's.

## Why it breaks containers

A subnet that is also in use on the LAN or behind a VPN takes packets that are meant for there: a resolver or a proxy
in that range cannot be reached from containers, nor from the host.

## What is normal and not reported

- The default route, the two halves `0.0.0.0/1` and `128.0.0.0/1` of a VPN, and supernets such as 10.0.0.0/8 by a
  gateway or a VPN's link: the network's own route is more specific.
- A resolver of the host that is a container of the network, the network's gateway, or another address of the host.
- host, none, macvlan, ipvlan and overlay networks have no bridge, and no rules on this host. Overlay networks lead out
  by docker_gwbridge.
- `enable_icc=false` and `host_binding_ipv4` concern neighbours and published ports, not the way out.

## Remedy

Another subnet; a network's is fixed when it is made.

## References

- [Docker: docker network create](https://docs.docker.com/reference/cli/docker/network/create/)
- docker/for-linux#599
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from dockerdiag.case import Case
from dockerdiag.packet.packet import prefix
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Network, NetworkNamespace, RoutingRule, TextFile, Unread
from dockerdiag_checks.link_remedies import moved
from dockerdiag_checks.overlapping import overlapping
from dockerdiag_checks.subnets import Subnet, subnets_in
from dockerdiag_checks.wording import retry

NEEDS = ("engine", "engine.networks", "network.links", "network.routes")
READS = ("network.addresses", "network.rules", "resolv_conf")

SHOWN = {
    "com.docker.network.bridge.name": "bridge name",
    "com.docker.network.bridge.enable_ip_masquerade": "enable_ip_masquerade",
    "com.docker.network.bridge.enable_icc": "enable_icc",
    "com.docker.network.bridge.host_binding_ipv4": "host_binding_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv4": "gateway_mode_ipv4",
    "com.docker.network.bridge.gateway_mode_ipv6": "gateway_mode_ipv6",
    "com.docker.network.driver.mtu": "mtu",
    "com.docker.network.host_ipv4": "host_ipv4",
    "parent": "parent",
}

WITHOUT_BRIDGE = {
    "host": "containers use the host's own network: no bridge, no translation",
    "null": "containers have no network",
    "overlay": "containers lead out by docker_gwbridge",
    "macvlan": "containers leave by the parent link, past the host's rules",
    "ipvlan": "containers leave by the parent link, past the host's rules",
}

_MAIN = 254


@check(
    "network-options",
    title="What do the networks' drivers, options and subnets say about the way out?",
    group="Networks",
    place=60,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """A note for each network, and what its subnet collides with."""
    for network in case.networks:
        yield _described(network)
    yield from _overlaps(case)


def _described(network: Network) -> Finding:
    pools = ", ".join(
        f"{pool.subnet or 'no subnet'}{f' by {pool.gateway}' if pool.gateway else ''}"
        for pool in network.pools
    )
    options = ", ".join(
        f"{SHOWN[key]}={value}" for key, value in sorted(network.options.items()) if key in SHOWN
    )
    parts = [f"{network.driver} network", pools, options, "internal" if network.internal else ""]
    remark = WITHOUT_BRIDGE.get(network.driver)
    return Finding(
        code="network-described",
        status=Status.PASS,
        subject=f"network:{network.name}",
        summary="; ".join(part for part in (*parts, remark) if part),
    )


def _overlaps(case: Case) -> Iterator[Finding]:
    bridged = [network for network in case.networks if network.bridge is not None]
    subnets = [(network, subnet) for network in bridged for subnet in subnets_in(network)]
    ways = tuple(_ways(case.snapshot.network))
    # The networks' subnets first, the routes after them.
    every = overlapping([*(subnet for _, subnet in subnets), *(way.destination for way in ways)])
    own = _own_addresses(case.snapshot.network)
    resolvers = [ip_address(one) for one in _resolvers(case.snapshot.resolv_conf)]
    yield from _overlaps_networks(case, subnets, every)
    for (network, subnet), places in zip(subnets, every, strict=False):
        for way in (ways[place - len(subnets)] for place in places if place >= len(subnets)):
            more_specific = way.destination.prefixlen > subnet.prefixlen
            takes = more_specific or way.connected or (way.by_link and way.destination == subnet)
            if takes and network.bridge not in way.links:
                what = f"the route {way.destination} by {', '.join(sorted(way.links))}"
                yield _overlap(case, network, what, subnet, Status.WARN)
        for address in resolvers:
            known = (*_gateways(network), *_members(case, network), *own)
            if address in subnet and address not in known:
                yield _overlap(case, network, f"the host's resolver {address}", subnet, Status.WARN)


def _overlaps_networks(
    case: Case, subnets: Sequence[tuple[Network, Subnet]], every: Sequence[Sequence[int]]
) -> Iterator[Finding]:
    for at, (one, first) in enumerate(subnets):
        for other, second in (subnets[place] for place in every[at] if at < place < len(subnets)):
            if other is not one:
                yield _overlap(case, one, f"network {other.name} ({second})", first, Status.WARN)


class _Way(NamedTuple):
    """A route of the host, the default routes left out."""

    destination: Subnet
    links: frozenset[str]
    by_link: bool
    """Whether no gateway leads there."""
    connected: bool
    """Whether it is a LAN that the host is on."""


def _ways(host: NetworkNamespace) -> Iterator[_Way]:
    if isinstance(host.routes, Unread) or isinstance(host.links, Unread):
        return
    names = {link.index: link.name for link in host.links}
    tables = _asked_for_all(host.rules)
    for route in host.routes:
        destination = prefix(route.destination)
        if route.type == "unicast" and route.table in tables and destination.prefixlen:
            links = frozenset(names.get(hop.link or 0, "?") for hop in route.next_hops)
            by_link = route.scope == "link"
            # A VPN's program routes what lies beyond: more than one network of its own. A DHCP client (dhcpcd) and a
            # router's advertisement give the route of the LAN itself.
            connected = by_link and route.protocol in ("kernel", "dhcp", "ra")
            yield _Way(destination, links, by_link, connected)


def _asked_for_all(rules: tuple[RoutingRule, ...] | Unread) -> set[int | None]:
    """The tables that are asked for every packet: what a table for some of them holds is the walks' to judge."""
    if isinstance(rules, Unread):
        return {_MAIN}
    anybody = {
        rule for rule in rules if rule == RoutingRule(rule.family, rule.priority, "lookup", rule.table)
    }
    return {rule.table for rule in anybody}


def _own_addresses(host: NetworkNamespace) -> tuple[object, ...]:
    """The host's: its own resolver may well listen on one of a bridge's."""
    addresses = host.addresses
    return () if isinstance(addresses, Unread) else tuple(ip_address(one.address) for one in addresses)


def _gateways(network: Network) -> tuple[object, ...]:
    return tuple(ip_address(pool.gateway.partition("/")[0]) for pool in network.pools if pool.gateway)


def _members(case: Case, network: Network) -> tuple[object, ...]:
    """The addresses of its containers: one of them may well be the resolver."""
    ends = [end for one in case.containers for end in one.endpoints if end.network == network.name]
    return tuple(ip_address(text) for end in ends for text in (end.address, end.address6) if text)


def _resolvers(file: TextFile | Unread | None) -> Iterator[str]:
    if not isinstance(file, TextFile):
        return
    for line in file.text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                yield str(ip_address(words[1].partition("%")[0]))
            except ValueError:
                continue


def _overlap(case: Case, network: Network, what: str, subnet: Subnet, status: Status) -> Finding:
    how, risk = moved(case, [network.name])
    return Finding(
        code="subnet-overlap",
        status=status,
        subject=f"network:{network.name}",
        summary=f"The subnet {subnet} of network {network.name} overlaps {what}: packets for one go to the other",
        evidence=(
            Evidence(f"docker network inspect {network.name}", f"subnet {subnet}"),
            Evidence("overlaps", what),
        ),
        remedies=(
            Remedy(
                summary=f"Give network {network.name} another subnet ({how})",
                verify=("ip route show table all", *retry(case)),
                risk=risk,
            ),
        ),
    )
