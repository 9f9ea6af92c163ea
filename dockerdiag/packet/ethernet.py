"""What happens to frames on a bridge: who owns an address there, who answers for it, which rules see them."""

from collections.abc import Iterator
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.links import Links
from dockerdiag.packet.packet import IPAddress, prefix
from dockerdiag.packet.routing import sysctl_name
from dockerdiag.packet.world import Terrain, World
from dockerdiag.snapshot.model import Link, NetworkNamespace, Unread

EARLIER = {"prerouting": range(-(2**31), 1), "forward": range(-(2**31), 1)}
"""Priorities of the bridge family's chains that see a frame before br_netfilter hands it to the IP hooks.

Of hooks of one priority the last registered comes first; br_netfilter registers its own, at 0, with the first bridge.
Older kernels hand frames that are forwarded over at -1.
"""
LATER = {hook: range(earlier.stop, 2**31) for hook, earlier in EARLIER.items()}
"""Of those that see it afterwards."""

_ARP_OWN_LINK, _ARP_OWN_SUBNET, _ARP_HOST_SCOPE, _ARP_SILENT = 1, 2, 3, 8
"""Levels of arp_ignore; the others are as 0."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Why nobody answers ARP for an address that is there."""

    kind: Literal["link", "sysctl"]
    at: str
    reason: str
    sysctl: str | None = None


def bridge_netfilter(namespace: NetworkNamespace, bridge: Link, family: int) -> bool | None:
    """Whether frames on a bridge pass the IP hooks; None where it was not read."""
    tool = "iptables" if family == 4 else "ip6tables"
    own = bridge.bridge_nf_call_iptables if family == 4 else bridge.bridge_nf_call_ip6tables
    if isinstance(namespace.sysctls, Unread):
        return None
    value = namespace.sysctls.get(f"net/bridge/bridge-nf-call-{tool}")
    if value is None:
        # Without br_netfilter the bridge's own switch is there and does nothing.
        return False
    return value != "0" or bool(own)


def owns(links: Links, link: Link, address: IPAddress) -> bool:
    """Whether a link of the host has an address."""
    return any(holder.name == link.name for holder in links.holders(address))


def answers_for_another(terrain: Terrain, bridge: Link, address: IPAddress, asker: IPAddress) -> bool:
    """Whether the host answers ARP on a bridge for an address that the bridge has not.

    The kernel does so for the addresses of its other links, and as a proxy for those that it routes elsewhere.
    """
    if address.version == 6 or isinstance(terrain.namespace.addresses, Unread):
        return False
    router, links = terrain.router, terrain.links
    if router.address_type(address) == "local":
        _, level = _arp_ignore(terrain, bridge)
        narrow = level == _ARP_HOST_SCOPE and not any(
            one.address == str(address) and one.scope != "host"
            for name in links.by_name
            for one in links.addresses(name, 4) or ()
        )
        return not narrow and level not in (_ARP_OWN_LINK, _ARP_OWN_SUBNET, _ARP_SILENT)
    question = router.question(asker, address, bridge.name)
    if question.kind != "forward" or question.obstacles:
        return False
    same = any(way.link == bridge.name for way in question.ways)
    switch = "proxy_arp_pvlan" if same else "proxy_arp"
    return any(value for _, value in _switches(terrain, bridge, switch))


def silent(terrain: Terrain, bridge: Link, address: IPAddress, asker: IPAddress) -> Iterator[Silence]:
    """Why the host does not answer ARP for its address on a bridge."""
    if address.version == 6:
        return
    if not bridge.arp:
        yield Silence("link", f"link {bridge.name}", f"ARP is switched off on {bridge.name}")
    key, level = _arp_ignore(terrain, bridge)
    if _ignores(terrain.links, bridge, level, address, asker):
        reason = f"{sysctl_name(key)} = {level}: the host does not answer ARP for {address}"
        yield Silence("sysctl", sysctl_name(key), reason, key)
    back = None
    for key, filters in _switches(terrain, bridge, "arp_filter"):
        back = terrain.router.route_link(asker, address, None, 0) if filters else None
        if back is not None and back != bridge.name:
            leaves = f"leaves by {back}" if back else "has no way"
            name = sysctl_name(key)
            reason = (
                f"{name} = 1: the host answers no ARP on {bridge.name}, as what it sends to {asker} {leaves}"
            )
            yield Silence("sysctl", name, reason, key)
            break


def _arp_ignore(terrain: Terrain, link: Link) -> tuple[str, int]:
    """The switch that counts, which is the larger of the two, and its level; 0 where they were not read."""
    return max(_switches(terrain, link, "arp_ignore"), key=lambda one: one[1], default=("", 0))


def _switches(terrain: Terrain, link: Link, name: str) -> list[tuple[str, int]]:
    """The link's own value of an IPv4 switch and that of `all`, by key; none where they were not read."""
    sysctls = terrain.namespace.sysctls
    if isinstance(sysctls, Unread):
        return []
    keys = [f"net/ipv4/conf/{where}/{name}" for where in (link.name, "all")]
    return [(key, int(sysctls.get(key, "0") or 0)) for key in keys]


def _ignores(links: Links, bridge: Link, level: int, address: IPAddress, asker: IPAddress) -> bool:
    """Whether arp_ignore keeps a bridge from answering for an address; one of its own, but for level 3."""
    own = links.addresses(bridge.name, 4) or []
    if level == _ARP_HOST_SCOPE:
        return any(one.address == str(address) and one.scope == "host" for one in own)
    if level == _ARP_OWN_SUBNET:
        subnets = [prefix(f"{one.address}/{one.prefix_length}") for one in own]
        return not any(address in subnet and asker in subnet for subnet in subnets)
    return level == _ARP_SILENT


def outer_ports(world: World, bridge: Link) -> list[Link]:
    """The ports of a bridge that lead off the host: not to a container."""
    return [
        port
        for port in world.host.links.ports(bridge)
        if world.container_end(port) is None and not (port.kind == "veth" and port.name.startswith("veth"))
    ]
