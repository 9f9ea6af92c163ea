"""Compares predictions with the kernel, packet by packet."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import count
from random import Random

from dockerdiag.packet.netfilter import Stop, parse
from dockerdiag.packet.packet import Tuple
from dockerdiag.packet.rules import Ruleset
from dockerdiag.report import RuleReference
from tests.kernel.frames import FLAGS, Frame
from tests.kernel.kernel import Kernel, LegacyRule, Outcome, RuleTexts
from tests.kernel.namespaces import ENDPOINT_ADDRESSES, HOST_ADDRESSES
from tests.kernel.prediction import Prediction, first_packet, predict, reply_packet
from tests.kernel.tracing import Step


@dataclass(frozen=True, slots=True)
class Case:
    """One rule set and the flows to try on it."""

    name: str
    family: str
    """What the figures are grouped by."""
    texts: RuleTexts
    flows: tuple[tuple[str, Frame], ...]
    """Source role and first packet."""


@dataclass(slots=True)
class Tally:
    """What came of the comparisons, by family."""

    agreed: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Rule sets that the tools would not load."""
    disagreements: list[str] = field(default_factory=list)
    doubts: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """One line a family."""
        families = sorted({*self.agreed, *self.unknown, *self.refused})
        return [
            f"{family}: agreed {self.agreed[family]}, unknown {self.unknown[family]}, refused {self.refused[family]}"
            for family in families
        ]


def compare(kernel: Kernel, cases: Iterable[Case], tally: Tally) -> None:
    """Runs the cases; disagreements are collected, not raised."""
    for case in cases:
        try:
            firewall = kernel.load(case.texts)
        except RuntimeError as error:
            tally.refused[case.family] += 1
            tally.doubts[f"refused: {error}"[:300]] += 1
            continue
        ruleset = parse(firewall)
        for source, frame in case.flows:
            _compare_flow(kernel, case, ruleset, source, frame, tally)


def _compare_flow(
    kernel: Kernel, case: Case, ruleset: Ruleset, source: str, frame: Frame, tally: Tally
) -> None:
    prediction = predict(ruleset, first_packet(frame), source, case.texts.bridge_netfilter)
    if case.texts.bridge_netfilter and prediction.arrives == source:
        # With br_netfilter what is sent back to its own bridge is bridged, not routed: another way than this one.
        return
    outcome = kernel.send(source, frame)
    _judge(case, f"{source}: {frame}", prediction, outcome, tally)
    if prediction.verdict != "accept" or outcome.arrived in (None, "host") or outcome.frame is None:
        return
    answer = outcome.frame.reply()
    reply = reply_packet(answer, prediction.packet)
    back = predict(ruleset, reply, outcome.arrived, case.texts.bridge_netfilter)
    returned = kernel.send(outcome.arrived, answer)
    _judge(case, f"reply from {outcome.arrived}: {answer}", back, returned, tally)


def _judge(case: Case, what: str, prediction: Prediction, outcome: Outcome, tally: Tally) -> None:
    if prediction.verdict == "unknown":
        tally.unknown[case.family] += 1
        tally.doubts[prediction.stops[0].reason] += 1
        return
    problem = _disagreement(prediction, outcome)
    if problem is None:
        tally.agreed[case.family] += 1
    else:
        tally.disagreements.append(
            f"{case.name}: {what}\n  {problem}\n  kernel: {outcome}\n  predicted: {prediction}"
        )


def _disagreement(prediction: Prediction, outcome: Outcome) -> str | None:
    if prediction.verdict == "accept":
        if outcome.dropped_by is not None:
            return f"predicted to pass, dropped by {outcome.dropped_by}"
        if prediction.arrives != outcome.arrived:
            return f"predicted at {prediction.arrives}, arrived at {outcome.arrived}"
        return _wrong_addresses(prediction, outcome)
    if outcome.arrived is not None:
        return f"predicted {prediction.verdict}, arrived at {outcome.arrived}"
    if outcome.dropped_by is None:
        return (
            None if prediction.arrives is None else "predicted to be dropped, and lost, but no drop was seen"
        )
    certain = next(stop for stop in prediction.stops if stop.verdict != "unknown")
    if _is_same_rule(certain.rule, outcome.dropped_by):
        return None
    # Between chains of equal priority the first is the one that was registered last, which no tool shows.
    peers = [
        stop
        for stop in prediction.stops
        if stop.verdict != "unknown" and _priority(stop) == _priority(certain)
    ]
    if any(_is_same_rule(stop.rule, outcome.dropped_by) for stop in peers):
        return None
    # Where a rule that cannot be judged may take the packet first, the packet is lost in any case.
    if any(
        stop.verdict == "unknown" and _is_same_rule(stop.rule, outcome.dropped_by)
        for stop in prediction.stops
    ):
        return None
    return f"another rule: predicted {certain.rule}"


def _priority(stop: Stop) -> str:
    words = stop.base_chain.text.partition(";")[0].split()
    return " ".join(words[words.index("hook") :])


def _is_same_rule(rule: RuleReference, kernel: Step | LegacyRule) -> bool:
    # The trace calls an inet table by the packet's own family.
    family = kernel.family if rule.family != "inet" or kernel.family not in ("ip", "ip6") else "inet"
    if (rule.family, rule.table, rule.chain) != (family, kernel.table, kernel.chain):
        return False
    if isinstance(kernel, LegacyRule):
        return rule.backend == "iptables-legacy" and rule.index == kernel.index
    return rule.backend != "iptables-legacy" and rule.handle == kernel.handle


def _wrong_addresses(prediction: Prediction, outcome: Outcome) -> str | None:
    if outcome.frame is None:
        return None
    expected: Tuple = prediction.packet.addresses
    frame = outcome.frame
    if prediction.packet.source_known and expected.source != frame.source:
        return f"source {frame.source}, predicted {expected.source}"
    if expected.destination != frame.destination:
        return f"destination {frame.destination}, predicted {expected.destination}"
    for name in ("source_port", "destination_port"):
        ports, seen = getattr(expected, name), getattr(frame, name)
        if ports is not None and not ports.low <= seen <= ports.high:
            return f"{name} {seen}, predicted {ports}"
    return None


_ports = count(33000)


def flow(source: str, protocol: str, destination: str, port: int, version: int = 4) -> tuple[str, Frame]:
    """A first packet with a source port, identifier and sequence number of its own."""
    number = 33000 + next(_ports) % 27000
    origin = ip_address(ENDPOINT_ADDRESSES[source][version == 6])
    name = {"icmp": "icmp" if version == 4 else "icmpv6"}.get(protocol, protocol)
    flags = {"tcp": FLAGS["syn"], "icmp": 8, "icmpv6": 128}.get(name, 0)
    is_icmp = name in ("icmp", "icmpv6")
    target = number if is_icmp else port
    return source, Frame(name, origin, ip_address(destination), number, target, flags, sequence=number)  # type: ignore[arg-type]


def random_flows(
    random: Random, number: int, versions: tuple[int, ...] = (4, 6)
) -> tuple[tuple[str, Frame], ...]:
    """Flows of the kinds that meet a container's host."""
    flows = []
    for _ in range(number):
        version = random.choice(versions)
        kind = random.choices(
            ("out", "host", "neighbour", "other out", "in", "published"), (8, 2, 2, 2, 1, 2)
        )[0]
        protocol, port = random.choice(
            (("tcp", 443), ("tcp", 80), ("udp", 53), ("icmp", 0), ("tcp", 22), ("udp", 4789))
        )
        at = version == 6
        source = {"other out": "neighbour", "in": "internet", "published": "internet"}.get(kind, "container")
        if kind == "published":
            protocol, port = "tcp", 8080
        destination = {
            "out": ENDPOINT_ADDRESSES["internet"][at],
            "other out": ENDPOINT_ADDRESSES["internet"][at],
            "host": random.choice((HOST_ADDRESSES["br0"][at], HOST_ADDRESSES["eth0"][at])),
            "neighbour": ENDPOINT_ADDRESSES["neighbour"][at],
            "in": ENDPOINT_ADDRESSES["container"][at],
            "published": HOST_ADDRESSES["eth0"][at],
        }[kind]
        flows.append(flow(source, protocol, destination, port, version))
    return tuple(flows)
