"""The families that a case belongs to: where its rules come from, what is in them, and the packet's way."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.kernel.kernel import RuleTexts
from tests.kernel.namespaces import GATEWAYS
from tests.kernel.tally import Share

_NFT_TABLE = re.compile(r"^table (\w+) ", re.MULTILINE)
_CONTENTS = {
    "NAT": re.compile(r"-j (?:MASQUERADE|SNAT|DNAT|REDIRECT)|\b(?:masquerade|snat|dnat|redirect)\b"),
    "marks": re.compile(r"-j (?:MARK|CONNMARK)|-m (?:conn)?mark|\b(?:meta|ct) mark\b"),
    "sets and maps": re.compile(r"-m set|@\w+|vmap|\bmap \{|addr \{|dport \{"),
    "connection state": re.compile(r"-m (?:conntrack|state)|\bct (?:state|status|direction)\b"),
    "untracked packets": re.compile(r"--notrack|\bnotrack\b"),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One packet of a case."""

    source: str
    version: int
    toward: str | None
    """The role it is for once NAT is done, `host` for the host itself."""
    is_reply: bool
    rewritten: bool


def shares_of(origin: str, texts: RuleTexts, sent: Sent) -> Iterator[Share]:
    """The families of one packet through rules of an origin; only rules that it may meet count."""
    four = sent.version == 4
    iptables_nft = texts.iptables_nft if four else texts.ip6tables_nft
    legacy = texts.iptables_legacy if four else texts.ip6tables_legacy
    yield "origin", origin
    tools = {"nft": texts.nft, "iptables-nft": iptables_nft, "iptables-legacy": legacy}
    used = [tool for tool, text in tools.items() if text]
    yield "tool", used[0] if len(used) == 1 else "several" if used else "none for this IP version"
    yield from (("table", family) for family in _table_families(texts.nft, iptables_nft + legacy, four=four))
    rules = texts.nft + iptables_nft + legacy
    yield from (("contents", name) for name, pattern in _CONTENTS.items() if pattern.search(rules))
    yield "packet", f"IPv{sent.version}"
    yield "packet", "reply" if sent.is_reply else "first of its flow"
    if sent.rewritten:
        yield "packet", "rewritten by NAT"
    yield "way", _way(sent, bridge_netfilter=texts.bridge_netfilter)


def _table_families(nft: str, iptables: str, *, four: bool) -> set[str]:
    families = {family for family in _NFT_TABLE.findall(nft) if family != ("ip6" if four else "ip")}
    return families | ({"ip" if four else "ip6"} if iptables else set())


def _way(sent: Sent, *, bridge_netfilter: bool) -> str:
    if sent.source == "host":
        return "sent by the host"
    if sent.toward == "host":
        return "to the host"
    beside = sent.toward is not None and GATEWAYS[sent.toward] == GATEWAYS[sent.source] != "eth0"
    if not beside:
        return "forwarded"
    if bridge_netfilter:
        return "bridged, by br_netfilter"
    return "routed back" if sent.rewritten and not sent.is_reply else "bridged"
