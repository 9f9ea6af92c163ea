"""The links of one namespace by name and index, and what keeps a packet from crossing one."""

from functools import cached_property

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.packet import IPAddress
from dockerdiag.snapshot.model import Address, Link, NetworkNamespace, Unread

NO_CARRIER = ("down", "lowerlayerdown", "notpresent")
"""Operational states (RFC 2863) of a link that is without carrier, or was when the kernel last told of it."""
_STACKED = ("vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec")
"""Kinds of links that send by another of this host, and go down with it or send nothing while it is down."""
_MOST_LEVELS = 8
"""Of links one upon the other; the kernel makes no more."""
_AGGREGATES = ("bond", "team")
WITHOUT_PORT = "has no port"
"""How the reason of a fault ends where a link has nothing to send by."""
VALID = frozenset({"permanent", "noarp", "reachable", "stale", "delay", "probe"})
"""States of a neighbour to which packets are sent at once."""


@dataclass(frozen=True, slots=True)
class LinkFault:
    """Why nothing passes a link."""

    link: str
    reason: str


class Links:
    """The links and addresses of one namespace; where they were not read there are none: `unread` has why."""

    def __init__(self, namespace: NetworkNamespace) -> None:
        self._namespace = namespace
        self.unread: str | None = None
        self._links: tuple[Link, ...] = ()
        if isinstance(namespace.links, Unread):
            self.unread = f"the links could not be read: {namespace.links.reason}"
        else:
            self._links = namespace.links

    @cached_property
    def by_name(self) -> dict[str, Link]:
        """The links by name."""
        return {link.name: link for link in self._links}

    @cached_property
    def by_index(self) -> dict[int, Link]:
        """The links by index."""
        return {link.index: link for link in self._links}

    @cached_property
    def _ports(self) -> dict[int, list[Link]]:
        ports: dict[int, list[Link]] = {}
        for link in self._links:
            if link.master is not None:
                ports.setdefault(link.master, []).append(link)
        return ports

    @cached_property
    def _addresses(self) -> dict[int, list[Address]] | None:
        if isinstance(self._namespace.addresses, Unread):
            return None
        addresses: dict[int, list[Address]] = {}
        for address in self._namespace.addresses:
            addresses.setdefault(address.link, []).append(address)
        return addresses

    @cached_property
    def _holders(self) -> dict[str, list[Link]]:
        holders: dict[str, list[Link]] = {}
        for link in self._links:
            for address in (self._addresses or {}).get(link.index, ()):
                holders.setdefault(address.address, []).append(link)
        return holders

    def holders(self, address: IPAddress) -> list[Link]:
        """The links that have an address; none where the addresses were not read."""
        return self._holders.get(str(address), [])

    def get(self, name: str | None) -> Link | None:
        """The link of that name."""
        return None if name is None else self.by_name.get(name)

    def name(self, index: int | None) -> str | None:
        """The name of the link with that index."""
        link = None if index is None else self.by_index.get(index)
        return None if link is None else link.name

    def ports(self, master: Link) -> list[Link]:
        """The ports of a bridge or bond."""
        return self._ports.get(master.index, [])

    def master(self, link: Link) -> Link | None:
        """The link that this one is a port of."""
        return None if link.master is None else self.by_index.get(link.master)

    def bridge_of(self, link: Link) -> Link | None:
        """The bridge that this link is a port of."""
        master = self.master(link)
        return master if master is not None and master.kind == "bridge" else None

    def vrf_of(self, name: str) -> Link | None:
        """The VRF that this link is, or belongs to."""
        link = self.by_name.get(name)
        if link is None:
            return None
        if link.kind == "vrf":
            return link
        master = self.master(link)
        return master if master is not None and master.kind == "vrf" else None

    @cached_property
    def vrfs(self) -> dict[str, int]:
        """The table of each VRF, by its name."""
        return {link.name: link.vrf_table for link in self._links if link.vrf_table is not None}

    def addresses(self, name: str, family: int) -> list[Address] | None:
        """The addresses of a link, None where they were not read."""
        link = self.by_name.get(name)
        if link is None or self._addresses is None:
            return None
        return [address for address in self._addresses.get(link.index, []) if address.family == family]

    def fault(self, link: Link, levels: int = _MOST_LEVELS) -> LinkFault | None:
        """Why `link`, or a link that carries it at most `levels` below, passes nothing."""
        lower = self.lower(link) if levels else None
        beneath = self.fault(lower, levels - 1) if lower is not None else None
        if beneath is not None and link.kind in _STACKED:
            return beneath
        if not link.up:
            return LinkFault(link.name, f"{link.name} is down")
        if link.kind == "bridge":
            # A bridge has carrier when a port has; the ports on the packet's way are looked at one by one.
            return None
        if link.carrier is False or (link.carrier is None and link.operstate in NO_CARRIER):
            if beneath is not None:
                return beneath
            if link.kind in _AGGREGATES:
                return self._of_ports(link)
            return LinkFault(link.name, f"{link.name} has no carrier")
        return None

    def _of_ports(self, link: Link) -> LinkFault:
        """Why a bond has no carrier."""
        ports = self.ports(link)
        if not ports:
            return LinkFault(link.name, f"{link.name} {WITHOUT_PORT}")
        down = next((port for port in ports if not port.up), None)
        if down is not None:
            return LinkFault(down.name, f"{down.name} is down, and no port of {link.name} has a carrier")
        names = " and ".join(port.name for port in ports)
        dead = all(port.carrier is False for port in ports)
        return LinkFault(link.name, f"{link.name} has no carrier{f', for {names} have none' if dead else ''}")

    def lower(self, link: Link) -> Link | None:
        """The link of this namespace that carries a VLAN or the like; a veth's other end is no such link."""
        if link.kind == "veth" or link.peer is None or link.peer_namespace is not None:
            return None
        lower = self.by_index.get(link.peer)
        return lower if lower is not None and lower.index != link.index else None
