"""Packet counters of every rule of the namespace that the caller is in, and which of them rose."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.firewall import read_counted_rules
from dockerdiag.snapshot.probes import RisenCounter


class RulePlace(NamedTuple):
    """Which rule; its number within its chain counts from 1, None is the chain's policy."""

    backend: Literal["nft", "iptables-legacy"]
    family: str
    table: str
    chain: str
    handle: int | None
    number: int | None


Counters = Mapping[RulePlace, int]


def read_counters(deadline: Deadline) -> Counters:
    """The counters now.

    Raises:
        ReadError: where a rule set cannot be read.
    """
    rules = read_counted_rules(deadline)
    return {
        **dict(_of_listing(rules.nft)),
        **dict(_of_save(rules.iptables_legacy, "ip")),
        **dict(_of_save(rules.ip6tables_legacy, "ip6")),
    }


def risen(before: Counters, after: Counters, within: Literal["host", "sender"]) -> tuple[RisenCounter, ...]:
    """Those that rose in between, of the rules that are still in their places."""
    return tuple(
        RisenCounter(within, *place, before=before[place], after=packets)
        for place, packets in after.items()
        if packets > before.get(place, packets)
    )


def _of_listing(text: str) -> Iterator[tuple[RulePlace, int]]:
    indices: dict[tuple[str, str, str], int] = {}
    for entry in json.loads(text)["nftables"] if text.strip() else ():
        rule: dict[str, Any] | None = entry.get("rule")
        if rule is None:
            continue
        chain = (rule["family"], rule["table"], rule["chain"])
        indices[chain] = index = indices.get(chain, 0) + 1
        for part in rule.get("expr", ()):
            counter = part.get("counter") if isinstance(part, dict) else None
            if isinstance(counter, dict) and isinstance(counter.get("packets"), int):
                yield RulePlace("nft", *chain, rule["handle"], index), counter["packets"]
                break


def _of_save(text: str, family: str) -> Iterator[tuple[RulePlace, int]]:
    table = ""
    indices: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table, indices = line[1:].strip(), {}
        elif line.startswith(":"):
            chain, _, counter = line[1:].split(" ")
            yield RulePlace("iptables-legacy", family, table, chain, None, None), _packets(counter)
        elif line.startswith("["):
            counter, _, rule = line.partition(" -A ")
            chain = rule.split(" ", 1)[0]
            indices[chain] = index = indices.get(chain, 0) + 1
            yield RulePlace("iptables-legacy", family, table, chain, None, index), _packets(counter)


def _packets(counter: str) -> int:
    return int(counter.strip("[]").partition(":")[0])
