"""What happens to frames on a bridge: who owns an address there, who answers for it, which rules see them."""

from collections.abc import Iterator
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.links import Links
from dockerdiag.packet.packet import IPAddress
from dockerdiag.packet.routing import sysctl_name
from dockerdiag.packet.world import World
from dockerdiag.snapshot.model import Link, NetworkNamespace, Unread

EARLIER = {"prerouting": range(-(2**31), 1), "forward": range(-(2**31), 1)}
"""Priorities of the bridge family's chains that see a frame before br_netfilter hands it to the IP hooks.

Of hooks of one priority the last registered comes first; br_netfilter registers its own, at 0, with the first bridge.
Older kernels hand frames that are forwarded over at -1.
"""
LATER = {hook: range(earlier.stop, 2**31) for hook, earlier in EARLIER.items()}
"""Of those that see it afterwards."""

_ARP_SILENT = 8
_ARP_HOST_SCOPE = 3


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


def owns(links: Links, bridge: Link, address: IPAddress) -> bool:
    """Whether the host has an address that it answers for on a bridge."""
    return any(a.address == str(address) for a in links.addresses(bridge.name, address.version) or ())


def silent(namespace: NetworkNamespace, links: Links, bridge: Link, address: IPAddress) -> Iterator[Silence]:
    """Why the host does not answer ARP for its address on a bridge."""
    if address.version == 6:
        return
    if not bridge.arp:
        yield Silence("link", f"link {bridge.name}", f"ARP is switched off on {bridge.name}")
    if isinstance(namespace.sysctls, Unread):
        return
    for name in (bridge.name, "all"):
        key = f"net/ipv4/conf/{name}/arp_ignore"
        level = int(namespace.sysctls.get(key, "0") or 0)
        host_scope = any(
            a.address == str(address) and a.scope == "host" for a in links.addresses(bridge.name, 4) or ()
        )
        if level == _ARP_SILENT or (level == _ARP_HOST_SCOPE and host_scope):
            reason = f"{sysctl_name(key)} = {level}: the host does not answer ARP for {address}"
            yield Silence("sysctl", sysctl_name(key), reason, key)
            return


def outer_ports(world: World, bridge: Link) -> list[Link]:
    """The ports of a bridge that lead off the host: not to a container."""
    return [
        port
        for port in world.host.links.ports(bridge)
        if world.container_end(port) is None and not (port.kind == "veth" and port.name.startswith("veth"))
    ]
