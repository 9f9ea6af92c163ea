"""What connection tracking and NAT of each namespace remember of one flow."""

from dockerdiag.dataclass import replace
from dockerdiag.packet.flow import Direction, rule_name
from dockerdiag.packet.netfilter import Crossing, Hook
from dockerdiag.packet.packet import Connection, IPAddress, Packet
from dockerdiag.packet.world import Terrain
from dockerdiag.report import RuleReference


class Tracking:
    """Follows one flow's connection through the namespaces that it crosses."""

    def __init__(self) -> None:
        self.nat_rule: RuleReference | None = None
        """The host's rule that settled the flow's source: rewrote it, or kept others from doing so."""
        self.shadowed: tuple[RuleReference, ...] = ()
        self.destination_rule: RuleReference | None = None
        """The host's rule that rewrote the flow's destination."""
        self.doubt: str | None = None
        """Why it is not known what the host's rules make of the flow."""
        self.untracked_by: RuleReference | None = None
        self._kept: dict[int, Connection] = {}
        self._changed_sets: dict[int, frozenset[str]] = {}

    def enter(self, terrain: Terrain, packet: Packet, direction: Direction) -> Packet:
        """The packet in another namespace, whose marks, sets and connections are its own."""
        connection = Connection("new", "original", packet.addresses)
        if direction == "reply":
            kept = self._kept.get(id(terrain), connection)
            if kept.state != "untracked":
                connection = replace(kept, state="established", direction="reply")
            elif packet.protocol == "tcp":
                # An answer to a request that was never tracked belongs to no flow.
                connection = replace(connection, state="invalid")
        changed_sets = self._changed_sets.get(id(terrain), frozenset())
        return replace(
            packet,
            mark=0,
            gateway=None,
            connection=connection,
            changed_sets=changed_sets,
            bridge_netfilter=None,
        )

    def remember_sets(self, terrain: Terrain, packet: Packet) -> None:
        """What a namespace's rules put into its sets, or took from them, is so for the answer as well."""
        self._changed_sets[id(terrain)] = packet.changed_sets

    def remember(self, terrain: Terrain, hook: Hook, crossing: Crossing, direction: Direction) -> None:
        """What the answer's way depends on."""
        untracked = next((p.rule for p in crossing.passages if p.kind == "notrack"), None)
        if untracked is not None and terrain.is_host:
            self.untracked_by = untracked
        if direction == "reply":
            return
        self._kept[id(terrain)] = crossing.packet.connection
        if not terrain.is_host:
            return
        self.doubt = self.doubt or next((s.reason for s in crossing.stops if s.verdict == "unknown"), None)
        if hook in ("prerouting", "output"):
            self.destination_rule = crossing.nat or self.destination_rule
        if hook == "postrouting":
            self.shadowed = crossing.shadowed_nat
            self.nat_rule = crossing.nat
            if crossing.nat is None and crossing.shadowed_nat:
                settled = [p.rule for p in crossing.passages if p.base_chain.text.startswith("type nat ")]
                self.nat_rule = settled[-1] if settled else None

    def masqueraded(self, terrain: Terrain, packet: Packet, source: IPAddress) -> Packet:
        """The packet as if NAT had given it `source`."""
        connection = replace(packet.connection, state="new", source_nat=True)
        self._kept[id(terrain)] = connection
        return replace(
            packet,
            addresses=replace(packet.addresses, source=source),
            connection=connection,
            source_known=True,
        )

    def unanswered(self, packet: Packet, sent_from: IPAddress | None) -> tuple[str, RuleReference | None]:
        """Why a packet leaves with a source that nobody answers, and the rule that is to blame."""
        source = packet.addresses.source
        if source != sent_from:
            reason = f"its source is rewritten to {source}, which is no address of this host"
            return f"{reason}: the answers go elsewhere", self.nat_rule
        untranslated = f"it leaves with the container's address {source}"
        if packet.connection.state == "untracked":
            return f"{untranslated}, untranslated: connection tracking is off for it", self.untracked_by
        if self.nat_rule is not None:
            shadowed = ", ".join(rule_name(rule) for rule in self.shadowed)
            return f"{untranslated}: this rule decides before {shadowed}", self.nat_rule
        return f"{untranslated}, which nobody out there can answer", None
