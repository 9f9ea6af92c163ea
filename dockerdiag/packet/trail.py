"""What a walk leaves behind: its hops and halts, and which halt decides."""

from typing import TypedDict, Unpack

from dockerdiag.dataclass import replace
from dockerdiag.packet.flow import Direction, Halt, HaltKind, Isolation
from dockerdiag.packet.netfilter import Stop
from dockerdiag.packet.packet import Packet
from dockerdiag.packet.world import Terrain
from dockerdiag.report import Disposition, Hop, RuleReference
from dockerdiag.snapshot.model import Neighbour, Route, RoutingRule

_VERDICTS = {
    Disposition.DROPPED: "drop",
    Disposition.REJECTED: "reject",
    Disposition.NO_ROUTE: "no-route",
    Disposition.NOT_ANSWERED: "unanswered",
    Disposition.LOOPED: "loop",
    Disposition.UNKNOWN: "unknown",
}


class HaltDetails(TypedDict, total=False):
    """The fields of a halt that only some have."""

    rule: RuleReference | None
    netfilter: Stop | None
    sysctl: str | None
    link: str | None
    route: Route | None
    routing_rule: RoutingRule | None
    neighbour: Neighbour | None
    isolation: Isolation | None
    networks: tuple[str, ...]


class Trail:
    """Collects hops and halts in the order of the journey.

    A place is named for the namespace it is in: plain on the host, `container …` where the packet comes from, with
    the container's name elsewhere.
    """

    def __init__(self) -> None:
        self.direction: Direction = "out"
        self.origin: Terrain | None = None
        """Where the flow's own packets are made; None where that namespace is not walked through."""
        self._hops: list[Hop] = []
        self._halts: list[tuple[Halt, int]] = []
        self.later: list[Halt] = []
        """What stops nothing as long as the kernel knows a neighbour's hardware address."""
        self._seen: set[tuple[object, ...]] = set()

    def hop(
        self,
        terrain: Terrain,
        place: str,
        text: str,
        verdict: str = "pass",
        rule: RuleReference | None = None,
    ) -> None:
        """The packet passed here."""
        named = self._named(terrain, place)
        self._hops.append(Hop(self.direction, named, verdict, stop=False, rule=rule, text=text))

    def halt(
        self,
        terrain: Terrain,
        place: str,
        kind: HaltKind,
        disposition: Disposition,
        at: str,
        reason: str,
        packet: Packet,
        *,
        later: bool = False,
        **details: Unpack[HaltDetails],
    ) -> None:
        """The packet stops here, or may. Another halt at the same setting adds nothing: mended is mended.

        `later`: it passes for now, and is stopped when a neighbour has to be asked for again.
        """
        namespace = None if terrain.is_host else terrain.namespace.name
        by_rule = details.get("rule") is not None
        # A rule that stops the question for a neighbour and what then goes there is mended by two.
        of_rule = (self.direction, packet.asks_neighbours) if by_rule else None
        key = (kind, at, namespace, disposition, of_rule)
        if key in self._seen and not later:
            return
        if not later:
            self._seen.add(key)
        named = self._named(terrain, place)
        halt = Halt(
            direction=self.direction,
            place=named,
            kind=kind,
            disposition=disposition,
            at=at,
            reason=reason,
            packet=packet,
            namespace=namespace,
            **details,
        )
        if later:
            self.later.append(halt)
            return
        self._halts.append((halt, len(self._hops)))
        self._hops.append(Hop(self.direction, named, _VERDICTS[disposition], False, halt.rule, reason))

    def unread(self, terrain: Terrain, place: str, at: str, reason: str, packet: Packet) -> None:
        """What would decide here was not read, or cannot be judged."""
        self.halt(terrain, place, "unread", Disposition.UNKNOWN, at, reason, packet)

    def _named(self, terrain: Terrain, place: str) -> str:
        if terrain.owner is None:
            return place
        return f"container {place}" if terrain is self.origin else f"{terrain.owner.name} {place}"

    @property
    def _deciding(self) -> tuple[Halt, int] | None:
        return next((entry for entry in self._halts if entry[0].certain), next(iter(self._halts), None))

    @property
    def halts(self) -> tuple[Halt, ...]:
        """The one that decides (the first that is certain, else the first), then the others."""
        found = self._deciding
        if found is None:
            return ()
        return (found[0], *(halt for halt, _ in self._halts if halt is not found[0]))

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The hops up to the stop."""
        found = self._deciding
        if found is None:
            return tuple(self._hops)
        stop = found[1]
        return (*self._hops[:stop], replace(self._hops[stop], stop=True))
