"""Compares predictions with the kernel, packet by packet.

A case is one packet through one rule set: what netfilter will do to it is predicted, then it is sent for real.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dockerdiag.packet.netfilter import Stop, parse
from dockerdiag.packet.packet import Tuple
from dockerdiag.packet.rules import Ruleset
from dockerdiag.report import RuleReference
from tests.kernel.frames import Frame
from tests.kernel.kernel import Kernel, LegacyRule, Outcome, RuleTexts
from tests.kernel.prediction import Prediction, first_packet, predict, reply_packet
from tests.kernel.shares import Sent, shares_of
from tests.kernel.tally import Result, Tally
from tests.kernel.tracing import Step


@dataclass(frozen=True, slots=True)
class Trial:
    """One rule set, and the flows to try on it: each packet of theirs is a case."""

    name: str
    origin: str
    """What its rules are made like."""
    texts: RuleTexts
    flows: tuple[tuple[str, Frame], ...]
    """Source role and first packet."""


def compare(kernel: Kernel, trials: Iterable[Trial], tally: Tally, enough: int | None = None) -> None:
    """Runs the trials, or as many as make `enough` cases; disagreements are collected, not raised."""
    for trial in trials:
        try:
            firewall = kernel.load(trial.texts)
        except RuntimeError as error:
            tally.refuse(f"{trial.name}: {error}")
            continue
        tally.rule_sets += 1
        judge = _Judge(kernel, trial, parse(firewall), tally)
        for number, (source, frame) in enumerate(trial.flows):
            if number and trial.texts.remembers:
                judge = replace(judge, ruleset=parse(kernel.read(trial.texts)))
            judge.compare_flow(source, frame)
        if enough is not None and tally.cases >= enough:
            return


@dataclass(frozen=True, slots=True)
class _Judge:
    """One trial, its rules loaded."""

    kernel: Kernel
    trial: Trial
    ruleset: Ruleset
    tally: Tally

    def compare_flow(self, source: str, frame: Frame) -> None:
        """Compares a flow's first packet and, where that goes through, the answer."""
        prediction = predict(self.ruleset, first_packet(frame), source, self.trial.texts.bridge_netfilter)
        outcome = self._compare(source, frame, prediction, is_reply=False)
        if outcome is None or outcome.arrived in (None, "host") or outcome.frame is None:
            return
        if prediction.verdict != "accept":
            return
        answer = outcome.frame.reply()
        reply = reply_packet(answer, prediction.packet)
        back = predict(self.ruleset, reply, outcome.arrived, self.trial.texts.bridge_netfilter)
        self._compare(outcome.arrived, answer, back, is_reply=True)

    def _compare(
        self, source: str, frame: Frame, prediction: Prediction, *, is_reply: bool
    ) -> Outcome | None:
        """Sends one packet and counts what comes of it."""
        if not prediction.comparable:
            return None
        outcome = self.kernel.send(source, frame)
        rewritten = prediction.packet.addresses != first_packet(frame).addresses
        sent = Sent(source, frame.source.version, prediction.arrives, is_reply=is_reply, rewritten=rewritten)
        shares = shares_of(self.trial.origin, self.trial.texts, sent)
        result: Result = "agreed"
        if prediction.verdict == "unknown":
            result = "unknown"
            doubt = next(stop for stop in prediction.stops if stop.verdict == "unknown")
            self.tally.doubts[doubt.reason] += 1
        elif (problem := _disagreement(prediction, outcome)) is not None:
            result = "disagreed"
            what = f"{'reply' if is_reply else 'first packet'} from {source}: {frame}"
            self.tally.disagreements.append(
                f"{self.trial.name}: {what}\n  {problem}\n  kernel: {outcome}\n  predicted: {prediction}"
            )
        self.tally.count(result, shares)
        return outcome


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
    if any(_is_same_rule(certain.rule, rule) for rule in (outcome.dropped_by, *outcome.beside)):
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
