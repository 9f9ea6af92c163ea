"""The walk: one container's packet through one host on paper, and its reply back."""

from dockerdiag.dataclass import replace
from dockerdiag.packet.flow import Direction, Flow, Halt, HaltKind, Journey, Source, Translation, rule_name
from dockerdiag.packet.inbound import InboundTrip
from dockerdiag.packet.trip import Trip
from dockerdiag.packet.world import World
from dockerdiag.report import Disposition, Hop
from dockerdiag.snapshot.model import Snapshot

__all__ = [
    "Direction",
    "Flow",
    "Halt",
    "HaltKind",
    "Journey",
    "Source",
    "Translation",
    "Walker",
    "rule_name",
    "walk",
]


class Walker:
    """Walks flows through one snapshot; its rules and routes are parsed once, when they are first met."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.world = World(snapshot)

    def walk(self, flow: Flow) -> Journey:
        """Walks one flow out and back."""
        trip = self._trip(flow, 0)
        journey = _journey(trip)
        others = [_journey(self._trip(flow, choice)) for choice in range(1, trip.branches)]
        if all(_outcome(other) == _outcome(journey) for other in others):
            return journey
        return _undecided([journey, *others])

    def _trip(self, flow: Flow, choice: int) -> Trip:
        kind = InboundTrip if flow.source.outside is not None else Trip
        trip = kind(self.world, flow, choice)
        trip.run()
        return trip


def walk(snapshot: Snapshot, flow: Flow) -> Journey:
    """Walks one flow. To walk several, keep a `Walker`."""
    return Walker(snapshot).walk(flow)


def _journey(trip: Trip) -> Journey:
    halts = trip.trail.halts
    return Journey(
        flow=trip.flow,
        sent_from=trip.sent_from,
        disposition=halts[0].disposition if halts else Disposition.DELIVERED,
        halts=halts,
        hops=trip.trail.hops,
        uplink=trip.uplink,
        entry=trip.entry,
        network=trip.network.name if trip.network is not None else None,
        translation=trip.translation,
        shadowed_nat=trip.tracking.shadowed,
        narrowest=trip.narrowest,
        later=tuple(trip.trail.later),
    )


def _outcome(journey: Journey) -> tuple[Disposition, str | None]:
    return (journey.disposition, journey.halts[0].at if journey.halts else None)


def _undecided(journeys: list[Journey]) -> Journey:
    """What is known where several ways, one of which the kernel chooses, lead to different ends."""
    stopped = next(journey for journey in journeys if journey.halts)
    ends = " or ".join(
        f"{journey.disposition} by {journey.uplink or 'no uplink'}"
        + (f" ({journey.halts[0].at})" if journey.halts else "")
        for journey in {_outcome(journey): journey for journey in journeys}.values()
    )
    first = stopped.halts[0]
    reason = (
        f"the kernel chooses one of several ways, by a hash or by what is not known of the packet: {ends}"
    )
    halt = replace(
        first,
        kind="route",
        disposition=Disposition.UNKNOWN,
        at="multipath route",
        reason=reason,
        rule=None,
        netfilter=None,
        sysctl=None,
    )
    hop = Hop(halt.direction, halt.place, "unknown", stop=True, rule=None, text=reason)
    known = [replace(h, disposition=Disposition.UNKNOWN) for journey in journeys for h in journey.halts]
    return replace(
        stopped,
        disposition=Disposition.UNKNOWN,
        halts=(halt, *known),
        hops=(*stopped.hops[:-1], hop),
    )
