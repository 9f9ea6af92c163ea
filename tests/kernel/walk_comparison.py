"""Compares whole walks with the kernel: a random host, datagrams sent through it, and the counters of its rules.

A case is one datagram and its answer: whether they get through, how far they come, and which rule stops them.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from random import Random

from dockerdiag.packet.flow import Halt
from dockerdiag.packet.walk import Flow, Journey, Source, walk
from dockerdiag.report import Disposition
from tests.kernel import random_hosts
from tests.kernel.tally import Result, Tally
from tests.kernel.walk_lab import SERVICE, Lab, lab

ORIGIN = "whole walks: rules, routes, policy rules and sysctls"

_Counters = dict[tuple[str, str, str, int], int]


def compare_walks(prefix: str, seeds: Iterable[int], tally: Tally, enough: int) -> None:
    """Makes the hosts of the seeds until there are `enough` cases; disagreements are collected, not raised."""
    for seed in seeds:
        with lab(prefix) as here:
            kinds = random_hosts.make(here, Random(seed))
            tally.rule_sets += 1
            _compare_host(here, f"host {seed}", kinds, tally)
        if tally.cases >= enough:
            return


def _compare_host(here: Lab, name: str, kinds: set[str], tally: Tally) -> None:
    snapshot = here.snapshot()
    source = Source(here.containers[0])
    journeys = {
        to: walk(snapshot, Flow(source, ip_address(to), "udp", SERVICE)) for to in random_hosts.DESTINATIONS
    }
    # The versions side by side, the destinations of one version in turn: the rules' counters tell them apart.
    for pair in zip(random_hosts.DESTINATIONS[:2], random_hosts.DESTINATIONS[2:], strict=True):
        before = _counters(here)
        with ThreadPoolExecutor(len(pair)) as pool:
            met = list(pool.map(here.probe, pair))
        counted = {rule for rule, packets in _counters(here).items() if packets > before.get(rule, 0)}
        for to, (arrived, answered) in zip(pair, met, strict=True):
            journey = journeys[to]
            result: Result = "agreed"
            if journey.disposition is Disposition.UNKNOWN:
                result = "unknown"
                tally.doubts[journey.halts[0].reason] += 1
            elif problem := _disagreement(journey, counted, arrived=arrived, answered=answered):
                result = "disagreed"
                shown = "\n    ".join(f"{hop.direction} {hop.place}: {hop.text}" for hop in journey.hops)
                tally.disagreements.append(f"{name}, {sorted(kinds)}, to {to}: {problem}\n    {shown}")
            tally.count(result, (("origin", ORIGIN), ("packet", f"IPv{ip_address(to).version}"),
                                 ("way", "whole: out, and the answer back"), *(("changed", kind) for kind in kinds)))  # fmt: skip


def _counters(here: Lab) -> _Counters:
    """How many packets each rule has met, on the host and in the container."""
    found: _Counters = {}
    for role in ("host", "box"):
        for entry in json.loads(here.run(role, "nft -j list ruleset"))["nftables"]:
            rule = entry.get("rule")
            for statement in rule["expr"] if rule else ():
                if isinstance(counter := statement.get("counter"), dict):
                    found[rule["family"], rule["table"], rule["chain"], rule["handle"]] = counter["packets"]
    return found


def _disagreement(
    journey: Journey, counted: set[tuple[str, str, str, int]], *, arrived: bool, answered: bool
) -> str | None:
    delivered = journey.disposition is Disposition.DELIVERED
    if answered is not delivered:
        return f"predicted {journey.disposition}, {'answered' if answered else 'not answered'}; {_told(journey.halts)}"
    if delivered:
        return None
    first = journey.halts[0]
    gets_out = first.direction == "reply" or first.kind == "unanswered"
    # The host answers ARP for its addresses on any link: by a veth that is no port packets come in all the same.
    if arrived is not gets_out and not (arrived and first.kind == "link" and first.packet.family == 4):
        return f"{'arrived' if arrived else 'did not arrive'}; {_told(journey.halts)}"
    rule = first.rule
    if rule is None or rule.handle is None or "counter" not in rule.text:
        return None
    if (rule.family, rule.table, rule.chain, rule.handle) not in counted:
        return f"the rule met nothing: {rule}"
    return None


def _told(halts: tuple[Halt, ...]) -> str:
    return "; ".join(f"{halt.direction} {halt.at} ({halt.disposition})" for halt in halts) or "no halt"
