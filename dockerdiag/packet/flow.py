"""What is walked and what comes of it: source, flow, halt, journey."""

from dataclasses import field
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.netfilter import Stop
from dockerdiag.packet.packet import IPAddress, Packet, Protocol
from dockerdiag.report import Disposition, Hop, RuleReference, Walk
from dockerdiag.snapshot.model import (
    Container,
    Neighbour,
    Network,
    NetworkNamespace,
    Route,
    RoutingRule,
    Unread,
)

Direction = Literal["out", "reply"]

HaltKind = Literal[
    "rule",
    "policy",
    "sysctl",
    "route",
    "no-route",
    "link",
    "address",
    "neighbour",
    "unanswered",
    "answer",
    "time-to-live",
    "reverse-path",
    "ipsec",
    "namespace",
    "listener",
    "unread",
    "loop",
]

Isolation = Literal["none", "internal"]

KNOWN_HERE_ALONE = "known on this host alone"
"""How the reason of a halt ends where a packet leaves with the address that a network's bridge has on the host."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who sends: a container, a hypothetical one of a network, a machine out there, or else the host."""

    container: Container | None = None
    network: Network | None = None
    """The network of a hypothetical container."""
    namespace: NetworkNamespace | Unread | None = field(default=None, compare=False, repr=False)
    """Where its packets are made; None for a container that does not run."""
    members: tuple[Container, ...] = ()
    """The containers that this one stands for, itself first; for a machine out there the one it asks."""
    outside: IPAddress | None = None
    """The address of a machine out there."""
    user: int | None = None
    """Whose process sends; None where that is not known."""

    @property
    def name(self) -> str:
        """As a person would call it."""
        if self.outside is not None:
            return "a machine out there"
        if self.container is not None:
            return f"container {self.container.name}"
        return f"a container of {self.network.name}" if self.network is not None else "this host"


@dataclass(frozen=True, slots=True)
class Published:
    """Whose port a packet from outside is for."""

    container: Container
    relay: tuple[IPAddress, int] | None = None
    """Where docker-proxy passes it on to; None for a port that the engine did not publish."""
    userland_proxy: bool | None = None
    """Whether the engine runs docker-proxy; None: not known."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One connection that `source` opens."""

    source: Source
    destination: IPAddress
    protocol: Protocol = "tcp"
    port: int | None = 443
    published: Published | None = None
    """Of a packet from outside."""
    zone: str | None = None
    """The link, by name or index, that a link-local destination is on."""

    @property
    def to(self) -> str:
        """`address:port/proto`, an IPv6 address in brackets."""
        host = f"[{self.destination}]" if self.destination.version == 6 else str(self.destination)
        return f"{host}:{self.port}/{self.protocol}" if self.port is not None else f"{host}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Halt:
    """One place at which the packet or its reply is stopped, or may be."""

    direction: Direction
    place: str
    kind: HaltKind
    disposition: Disposition
    """`unknown`: it only may stop here."""
    at: str
    """The object, as `report.Walk.at` names it."""
    reason: str
    """One plain sentence."""
    packet: Packet
    """The packet as it came here."""
    rule: RuleReference | None = None
    netfilter: Stop | None = None
    sysctl: str | None = None
    """The key as the snapshot has it."""
    link: str | None = None
    route: Route | None = None
    routing_rule: RoutingRule | None = None
    neighbour: Neighbour | None = None
    isolation: Isolation | None = None
    """Of a missing route: that the container has no network, or internal ones only."""
    networks: tuple[str, ...] = ()
    """The networks that an isolation is about."""
    namespace: str | None = None
    """The network namespace it happens in; None for the host's."""

    @property
    def certain(self) -> bool:
        """Whether it stops the packet, and not only may."""
        return self.disposition is not Disposition.UNKNOWN


@dataclass(frozen=True, slots=True)
class Translation:
    """What the host's NAT made of the flow's source."""

    source: IPAddress
    """The sender's own where the rule decided that nothing is rewritten."""
    rule: RuleReference | None


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A place on the container's way out that takes smaller packets than the container's link."""

    link: str
    """The host's link."""
    mtu: int
    own_link: str
    """The container's."""
    own_mtu: int
    route: Route | None = None
    """The route whose mtu it is; None where it is the link's."""
    silent: bool = False
    """Whether larger packets are dropped there unsaid, so that path MTU discovery never hears of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Journey:
    """One flow's way out and its reply's way back."""

    flow: Flow
    sent_from: IPAddress | None
    """The address it is sent from, None where it gets none."""
    disposition: Disposition
    halts: tuple[Halt, ...]
    """[0] decides: the first that certainly stops it, else the first that may. The others, in the order of the
    journey, would stop it next if that one were mended, or only may."""
    hops: tuple[Hop, ...]
    """Up to the stop."""
    uplink: str | None = None
    """The host's link it leaves by."""
    entry: str | None = None
    """The host's link it comes in by: its bridge."""
    network: str | None = None
    """The network that carries it."""
    translation: Translation | None = None
    shadowed_nat: tuple[RuleReference, ...] = ()
    later: tuple[Halt, ...] = ()
    """What stops nothing as long as the kernel knows its neighbours' hardware addresses."""
    narrowest: Narrowing | None = None
    """Where on the container's way out the MTU is smallest; None where nothing is smaller than at its own link."""

    def to_walk(self, containers: tuple[str, ...] | None = None) -> Walk:
        """As the report shows it; `containers` are the names it stands for, by default the source's members."""
        if containers is None:
            containers = tuple(member.name for member in self.flow.source.members)
        return Walk(
            containers=containers,
            network=self.network,
            family="ipv4" if self.flow.destination.version == 4 else "ipv6",
            from_=str(self.sent_from) if self.sent_from is not None else self.flow.source.name,
            to=self.flow.to,
            disposition=self.disposition,
            at=self.halts[0].at if self.halts else None,
            hops=self.hops,
        )


def rule_name(rule: RuleReference) -> str:
    """The rule as a person would look it up: `iptables-nft ip filter FORWARD rule 3`."""
    place = f"{rule.backend} {rule.family} {rule.table} {rule.chain}".replace("  ", " ").strip()
    if rule.handle is not None and rule.backend == "nft":
        return f"{place} handle {rule.handle}"
    if rule.index is not None:
        return f"{place} rule {rule.index}"
    return f"{place} ({rule.text})"
