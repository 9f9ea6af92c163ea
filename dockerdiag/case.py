"""What a check gets to see: the snapshot, what was asked, the walks, and the engine's settings."""

from collections.abc import Callable, Iterable
from dataclasses import field
from functools import cached_property
from typing import Literal, NamedTuple

from dockerdiag.configuration.daemon import DaemonSettings
from dockerdiag.configuration.settings import Unknown, value_of
from dockerdiag.dataclass import dataclass
from dockerdiag.destination import Destination
from dockerdiag.packet.flow import Flow, Halt, Journey, Source
from dockerdiag.packet.packet import IPAddress, without_zone, zone_of
from dockerdiag.packet.rules import Ruleset
from dockerdiag.packet.walk import Walker
from dockerdiag.probed import Compared
from dockerdiag.report import Disposition, Finding, Status
from dockerdiag.snapshot import Container, Endpoint, Engine, Network, Snapshot, Unread


class Located(NamedTuple):
    """A finding with its place among what stops a packet: of two causes the smaller place bites first."""

    finding: Finding
    place: int


@dataclass(frozen=True, slots=True)
class Traced:
    """One walk, and for whom it stands."""

    journey: Journey
    containers: tuple[str, ...]
    """Names; empty for a hypothetical container of `network`."""
    network: str | None
    resolver: bool
    """Whether it goes to one of several resolvers, any of which will do: not to the engine's own."""

    @property
    def delivered(self) -> bool:
        """Whether packet and reply arrive."""
        return self.journey.disposition is Disposition.DELIVERED


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that stops packets, over all walks that meet it."""

    halt: Halt
    """As the first of them meets it."""
    halts: tuple[Halt, ...]
    """Every meeting; they differ in direction and packet."""
    place: int
    """How many other things stop the packet before it, at the least."""
    containers: tuple[str, ...]
    networks: tuple[str, ...]
    traced: tuple[Traced, ...]
    hypothetical: bool
    """Whether no running container meets it."""

    @property
    def directions(self) -> tuple[str, ...]:
        """`out`, `reply` or both."""
        return tuple(
            direction for direction in ("out", "reply") if any(h.direction == direction for h in self.halts)
        )

    @property
    def count(self) -> int:
        """How many containers it hits, at least one."""
        return max(len(self.containers), 1)

    def of_network(self, name: str | None) -> "Hit":
        """The part of it that one network meets."""
        traced = tuple(one for one in self.traced if one.network == name)
        if not traced or len(traced) == len(self.traced):
            return self
        meetings = [
            (place, halt, one)
            for one in traced
            for place, halt in enumerate(one.journey.halts)
            if _object(halt, name) == _object(self.halt, name)
        ]
        return _hit(meetings)


MASQUERADE_OPTION = "com.docker.network.bridge.enable_ip_masquerade"
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
"""What Go's strconv.ParseBool reads as false."""


_ROOT = 0
"""Whose process dockerd is; a rootless one's packets are not walked."""


def is_default_bridge(network: Network) -> bool:
    """Whether it is the one that the engine makes for itself, whose options are the daemon's flags."""
    return network.options.get("com.docker.network.bridge.default_bridge") in ("true", "1")


def without_translation(network: Network) -> bool:
    """Whether it was created with enable_ip_masquerade=false."""
    return network.options.get(MASQUERADE_OPTION) in _FALSE and not is_default_bridge(network)


@dataclass(frozen=True)
class Case:
    """One host to judge."""

    snapshot: Snapshot
    settings: DaemonSettings
    traced: tuple[Traced, ...]
    asked_containers: tuple[str, ...] = ()
    asked_networks: tuple[str, ...] = ()
    asked_destinations: tuple[Destination, ...] = ()
    asked_of_dns: tuple[Destination, ...] = ()
    """Those of them that were looked up by probes."""
    walker: Walker | None = field(default=None, compare=False, repr=False)
    """Who walked; None where the engine's packets are not this host's."""
    probed: tuple[Compared, ...] = ()
    """What probes met, beside the walks."""

    def from_host(self, destination: IPAddress, port: int, protocol: Literal["tcp", "udp"]) -> Journey | None:
        """The walk of a packet that the host sends itself, as the engine does; None where nothing is walked."""
        if self.walker is None:
            return None
        source = Source(namespace=self.snapshot.network, user=_ROOT)
        flow = Flow(source, without_zone(destination), protocol, port, zone=zone_of(destination))
        key = (destination, port, protocol)
        if key not in self._from_host:
            self._from_host[key] = self.walker.walk(flow)
        return self._from_host[key]

    @cached_property
    def _from_host(self) -> dict[tuple[IPAddress, int, str], Journey]:
        return {}

    @property
    def engine(self) -> Engine | None:
        """The engine, where it answered."""
        return None if isinstance(self.snapshot.engine, Unread) else self.snapshot.engine

    def engine_elsewhere(self) -> str | None:
        """Why this host's rules and links are not those of the engine's containers; None where they are."""
        engine = self.engine
        if engine is None:
            return None
        if not engine.local:
            return "it runs on another host"
        if engine.rootless:
            return "it is rootless, in a network namespace of its own"
        process = self.settings.process
        if process is not None and process.namespace_is_host is False:
            return f"its process {process.pid} runs in another network namespace"
        return None

    def engine_unlike(self) -> str | None:
        """Why neither causes nor remedies of Docker's hold for this engine; None where they do."""
        if self.engine is not None and self.engine.is_podman:
            return "it is Podman, whose links, rules and services are not Docker's"
        return None

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """Its networks; empty where they could not be read."""
        engine = self.engine
        return () if engine is None or isinstance(engine.networks, Unread) else engine.networks

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """Its containers, running or not; empty where they could not be read."""
        engine = self.engine
        return () if engine is None or isinstance(engine.containers, Unread) else engine.containers

    @property
    def ruleset(self) -> Ruleset:
        """The host's rules as they are walked; none where nothing is."""
        return self.walker.world.host.ruleset if self.walker is not None else Ruleset()

    def network(self, name: str | None) -> Network | None:
        """The network of that name."""
        return None if name is None else self._networks_by_name.get(name)

    @cached_property
    def _networks_by_name(self) -> dict[str, Network]:
        return {one.name: one for one in reversed(self.networks)}

    @cached_property
    def ends(self) -> dict[str, tuple[tuple[Container, Endpoint], ...]]:
        """The containers on each network, by its name, with their ends on it."""
        found: dict[str, list[tuple[Container, Endpoint]]] = {}
        for container in self.containers:
            for endpoint in container.endpoints:
                found.setdefault(endpoint.network, []).append((container, endpoint))
        return {name: tuple(ends) for name, ends in found.items()}

    def asked_about(self, containers: Iterable[str]) -> bool:
        """Whether somebody asked about one of these containers by name."""
        return not set(self.asked_containers).isdisjoint(containers)

    def hits(self, claimed: Callable[[Halt], bool]) -> tuple[Hit, ...]:
        """What stops packets and is `claimed`, the same object once over all walks, first places first."""
        met: dict[tuple[str, str], list[tuple[int, Halt, Traced]]] = {}
        for traced in self.traced:
            if self._is_confined(traced):
                continue
            for place, halt in enumerate(traced.journey.halts):
                # What only may stop a packet that is stopped anyway is for the next run to settle.
                settled = not halt.certain and traced.journey.disposition is not Disposition.UNKNOWN
                if not settled and claimed(halt):
                    met.setdefault(_object(halt, traced.network), []).append((place, halt, traced))
        hits = [_hit(meetings) for meetings in met.values()]
        return tuple(sorted(hits, key=lambda hit: (hit.place, -hit.count)))

    def confined(self) -> tuple[Hit, ...]:
        """What keeps packets in an internal network, each network once: rules that it is made of, and no fault."""
        met: dict[str | None, list[tuple[int, Halt, Traced]]] = {}
        for traced in self.traced:
            if self._is_confined(traced):
                met.setdefault(traced.network, []).append((0, traced.journey.halts[0], traced))
        return tuple(_hit(meetings) for meetings in met.values())

    def _is_confined(self, traced: Traced) -> bool:
        """Whether it goes by an internal network; where that has no route, the walk says so itself."""
        network, halts = self.network(traced.network), traced.journey.halts
        return network is not None and network.internal and bool(halts) and halts[0].isolation is None

    def severity(self, hit: Hit) -> Status:
        """Fail where it stops a running container's traffic, unknown where it may, warn where it would.

        A note where it stops the way to a resolver whose containers have another.
        """
        if not any(halt.certain for halt in hit.halts):
            return Status.UNKNOWN
        if hit.hypothetical:
            return Status.WARN
        if self._only_spare_resolvers(hit):
            return Status.NOTE
        return Status.FAIL

    def _only_spare_resolvers(self, hit: Hit) -> bool:
        """Whether each container that is hit loses a resolver only, and has another that answers."""
        if not all(traced.resolver for traced in hit.traced):
            return False
        served = {name for one in self.traced if one.resolver and one.delivered for name in one.containers}
        return served.issuperset(hit.containers)

    def subject(self, hit: Hit) -> str:
        """The network where one alone is hit, else the host."""
        return f"network:{hit.networks[0]}" if len(hit.networks) == 1 else self.host

    @property
    def host(self) -> str:
        """The subject that the host is."""
        return f"host:{self.snapshot.host.hostname}"

    @property
    def engine_subject(self) -> str:
        """The subject that the engine is."""
        return f"engine:{self.engine.name}" if self.engine is not None else "engine:docker"

    def backend(self) -> Literal["nft", "iptables-nft", "iptables-legacy"]:
        """Where the engine keeps its rules: as it says itself, else where its chains are."""
        driver = self.engine.firewall_driver if self.engine is not None else None
        if (driver or "").startswith("nftables") or self.running_value("firewall-backend") == "nftables":
            return "nft"
        firewall = self.snapshot.network.firewall
        legacy, nft = (_has_docker_chain(text) for text in (firewall.iptables_legacy, firewall.iptables_nft))
        return "iptables-legacy" if legacy and not nft else "iptables-nft"

    def has_docker_rules(self) -> bool:
        """Whether a nat chain of Docker's is there; DOCKER-USER alone is no sign, for the engine never deletes it."""
        firewall = self.snapshot.network.firewall
        saved = (firewall.iptables_nft, firewall.iptables_legacy)
        native = isinstance(firewall.nft, str) and '"docker-bridges"' in firewall.nft
        return native or any(isinstance(text, str) and "\n:DOCKER " in text for text in saved)

    def running_value(self, name: str) -> object:
        """A setting of the running daemon by its flag's name; None where it is unset or unknown."""
        return value_of(self.settings.running(name))

    def presumed_value(self, name: str) -> object:
        """As `running_value`; where it is unknown, what the daemon most likely has."""
        running = self.settings.running(name)
        return value_of(
            running.presumably if isinstance(running, Unknown) and running.presumably else running
        )

    @cached_property
    def _missing_rules(self) -> tuple[Hit, ...]:
        hits = self.hits(self._for_want_of_rules)
        return tuple(hit for hit in hits if not self._chosen(hit))

    def missing_rules(self) -> tuple[Hit, ...]:
        """What stops packets for want of something that the engine makes.

        A chain's policy, an address that is not translated, firewalld's refusal of a bridge that is in no zone.
        """
        return self._missing_rules

    def _for_want_of_rules(self, halt: Halt) -> bool:
        if not halt.certain or halt.namespace is not None:
            return False
        by_firewalld = halt.kind == "rule" and halt.rule is not None and halt.rule.table == "firewalld"
        return halt.kind == "unanswered" or by_firewalld or self.lacks_accepts(halt)

    def lacks_accepts(self, halt: Halt) -> bool:
        """Whether the policy of the engine's own FORWARD chain drops it: its accepts are not there."""
        untouched = halt.netfilter is None or halt.netfilter.left_by is None
        return halt.kind == "policy" and untouched and self.comes_after_accepts(halt)

    def comes_after_accepts(self, halt: Halt) -> bool:
        """Whether it is in the engine's own FORWARD chain, where the engine puts its accepts before all else."""
        rule = halt.rule
        if halt.kind not in ("rule", "policy") or halt.namespace is not None or rule is None:
            return False
        stop = halt.netfilter
        base = rule if stop is None else stop.base_chain
        # What DOCKER-USER refuses is asked before those accepts.
        between = {rule.chain, *(jump.chain for jump in stop.path)} if stop is not None else {rule.chain}
        if base.backend == "nft" or any(chain.startswith("DOCKER") for chain in between):
            return False
        # Where none of its chains is left, which variant it writes to cannot be told.
        own = base.backend == self.backend() or (self.backend() != "nft" and not self.has_docker_rules())
        return own and (base.table, base.chain) == ("filter", "FORWARD")

    def _chosen(self, hit: Hit) -> bool:
        """Whether only networks are hit whose own option asks for no translation."""
        networks = [self.network(name) for name in hit.networks]
        by_option = all(network is not None and without_translation(network) for network in networks)
        return hit.halt.kind == "unanswered" and bool(networks) and by_option


def _object(halt: Halt, network: str | None) -> tuple[str, str]:
    """What it is that stops the packet, the same for every container that it stops."""
    family = f"ipv{halt.packet.family}"
    if halt.kind == "no-route" and halt.isolation is None:
        # A namespace lacks one default route, wherever packets are meant to go.
        return halt.kind, f"{halt.namespace} {family}"
    if halt.kind == "unanswered" and halt.rule is None and halt.certain:
        # One rule is missing, whichever address it would have translated.
        return halt.kind, f"{network} {family}"
    return halt.kind, halt.at


def _hit(meetings: list[tuple[int, Halt, Traced]]) -> Hit:
    _, halt, _ = min(meetings, key=lambda meeting: meeting[0])
    # By identity: what a walk holds of the snapshot cannot be hashed.
    traced = tuple({id(one): one for _, _, one in meetings}.values())
    containers = tuple(dict.fromkeys(name for one in traced for name in one.containers))
    networks = tuple(dict.fromkeys(one.network for one in traced if one.network is not None))
    return Hit(
        halt=halt,
        halts=tuple(halt for _, halt, _ in meetings),
        place=min(place for place, _, _ in meetings),
        containers=containers,
        networks=networks,
        traced=traced,
        hypothetical=not containers,
    )


def _has_docker_chain(text: str | Unread) -> bool:
    return isinstance(text, str) and ("\n:DOCKER " in text or "\n:DOCKER-USER " in text)
