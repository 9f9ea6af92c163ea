"""What a walk leaves behind: its hops and halts, and which halt decides."""

from dataclasses import replace

from dockerdiag.packet.flow import Direction, Halt
from dockerdiag.report import Disposition, Hop, RuleReference

_VERDICTS = {
    Disposition.DROPPED: "drop",
    Disposition.REJECTED: "reject",
    Disposition.NO_ROUTE: "no-route",
    Disposition.NOT_ANSWERED: "unanswered",
    Disposition.LOOPED: "loop",
    Disposition.UNKNOWN: "unknown",
}


class Trail:
    """Collects hops and halts in the order of the journey."""

    def __init__(self) -> None:
        self.direction: Direction = "out"
        self._hops: list[Hop] = []
        self._halts: list[tuple[Halt, int]] = []
        self._seen: set[tuple[object, ...]] = set()

    def hop(self, place: str, text: str, verdict: str = "pass", rule: RuleReference | None = None) -> None:
        """The packet passed here."""
        self._hops.append(Hop(self.direction, place, verdict, stop=False, rule=rule, text=text))

    def halt(self, halt: Halt) -> None:
        """The packet stops here, or may. Another halt at the same setting adds nothing: mended is mended."""
        by_rule = halt.rule is not None
        key = (halt.kind, halt.at, halt.namespace, halt.disposition, halt.direction if by_rule else None)
        if key in self._seen:
            return
        self._seen.add(key)
        self._halts.append((halt, len(self._hops)))
        verdict = _VERDICTS[halt.disposition]
        self._hops.append(
            Hop(halt.direction, halt.place, verdict, stop=False, rule=halt.rule, text=halt.reason)
        )

    @property
    def deciding(self) -> Halt | None:
        """The first halt that is certain, else the first."""
        found = self._deciding
        return None if found is None else found[0]

    @property
    def _deciding(self) -> tuple[Halt, int] | None:
        return next((entry for entry in self._halts if entry[0].certain), next(iter(self._halts), None))

    @property
    def halts(self) -> tuple[Halt, ...]:
        """The deciding one, then the others."""
        decides = self.deciding
        if decides is None:
            return ()
        return (decides, *(halt for halt, _ in self._halts if halt is not decides))

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The hops up to the stop."""
        found = self._deciding
        if found is None:
            return tuple(self._hops)
        stop = found[1]
        return (*self._hops[:stop], replace(self._hops[stop], stop=True))
