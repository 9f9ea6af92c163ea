"""The packet that is walked: what is known of it, and what is not.

A field that is not known is None or a range; a match on it is then neither true nor false.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.report import RuleReference

IPAddress = IPv4Address | IPv6Address

EPHEMERAL_PORTS = (32768, 60999)
"""net.ipv4.ip_local_port_range's default: a client's source port is one of these where nothing else is set."""

RANDOM_PORTS = (1024, 65535)
"""Where NAT looks for a source port when it is told to choose at random, and a machine out there may find its own."""


def without_zone(address: IPAddress) -> IPAddress:
    """The address as packets have it: the link that `fe80::1%eth0` names is the sender's to know."""
    return IPv6Address(int(address)) if address.version == 6 else address


@lru_cache(maxsize=1 << 16)
def prefix(written: str) -> IPv4Network | IPv6Network:
    """A network as routes and pools name it, bits of a host in it or not; the same few are named over and over.

    Raises:
        ValueError: it is none.
    """
    return ip_network(written, strict=False)


@lru_cache(maxsize=1 << 16)
def as_address(written: str) -> IPAddress:
    """An address as snapshots write it; each walk meets the same few again.

    Raises:
        ValueError: it is none.
    """
    return ip_address(written)


def zone_of(address: IPAddress) -> str | None:
    """The link by which its sender reaches a link-local address, None where it does not say."""
    return address.scope_id if isinstance(address, IPv6Address) else None


Protocol = Literal["tcp", "udp", "icmp", "icmpv6"]
PROTOCOL_NUMBERS: dict[str, int] = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}


@dataclass(frozen=True, slots=True)
class PortRange:
    """Every port from `low` to `high`: one port where they are equal."""

    low: int
    high: int
    what: str = "port"
    """What it is a range of, where that is no port."""

    @classmethod
    def one(cls, port: int) -> "PortRange":
        """The range that is a single port."""
        return cls(port, port)


@dataclass(frozen=True, slots=True)
class Tuple:
    """Addresses and ports of one direction of a flow."""

    source: IPAddress
    destination: IPAddress
    source_port: PortRange | None
    destination_port: PortRange | None
    """None for protocols without ports."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What conntrack knows of the packet's flow."""

    state: Literal["new", "established", "related", "invalid", "untracked"]
    direction: Literal["original", "reply"]
    original: Tuple
    """The flow as its first packet had it, before any NAT."""
    source_nat: bool = False
    destination_nat: bool = False
    mark: int | None = 0
    """None where a rule set it in a way that could not be followed."""
    reply: Tuple | None = None
    """The flow as its replies arrive, once NAT was bound; None: not known, or the mirror of `original`."""
    nat_bound: frozenset[Literal["source", "destination"]] = frozenset()
    """What NAT rules have already decided for this flow (even to leave it): they are not asked again."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet at one place of its way.

    `in_link` and `out_link` are what netfilter's rules see there (None where the hook has none); the port links
    are the bridge ports under them, and `None` where the frame did not pass a bridge here.
    """

    protocol: Protocol | Literal["arp"]
    addresses: Tuple
    """Of ARP: the sender's and the target's."""
    connection: Connection
    in_link: str | None = None
    out_link: str | None = None
    in_port: str | None = None
    out_port: str | None = None
    gateway: IPAddress | None = None
    """The next hop of its route, None where that is the destination itself."""
    mac_source: str | None = None
    mac_destination: str | None = None
    mark: int | None = 0
    """skb mark; None where a rule set it in a way that could not be followed."""
    tcp_flags: frozenset[str] = frozenset()
    """`syn`, `ack`, `rst`, `fin`, `psh`, `urg`; the first packet of a TCP flow has `syn` alone."""
    icmp_type: int | None = None
    icmp_code: int | None = None
    arp_operation: Literal["request", "reply"] | None = None
    length: int | None = None
    """Length of the IP packet in bytes."""
    tos: int | None = 0
    """Type of service, or traffic class; None once a rule rewrites it."""
    ttl: int | None = None
    """Time to live, or hop limit; None where neither the sender's was told nor a rule sets one."""
    ttl_set_by: RuleReference | None = None
    """The last rule that changed it."""
    changed_sets: frozenset[str] = frozenset()
    """Sets of this namespace that rules add elements to, or delete them from, as the flow's packets meet them."""
    locally_generated: bool = False
    """Sent by a process of this namespace: it starts at the output hook."""
    sender: int | None = None
    """The user whose process sends it; None where that is not known."""
    bridge_netfilter: bool | None = None
    """Whether br_netfilter hands this bridge's frames to the IP hooks: only then do `physdev` matches see ports.
    None: not known."""
    source_known: bool = True
    """False where a rule gives it a source that could not be told; `addresses` then holds the old."""
    destination_known: bool = True
    """False where a rule chooses among several destinations; `addresses` then holds the old."""

    @property
    def family(self) -> Literal[4, 6]:
        """The version of its addresses."""
        return 4 if isinstance(self.addresses.source, IPv4Address) else 6

    @property
    def asks_neighbours(self) -> bool:
        """Whether it asks for a neighbour's hardware address, or tells it: ARP, or neighbour discovery."""
        return self.protocol == "arp" or (self.protocol == "icmpv6" and self.icmp_type in (135, 136))

    @property
    def ip_version(self) -> Literal[4, 6] | None:
        """The version of its IP header; None where it has none."""
        return None if self.protocol == "arp" else self.family
