"""Rules that nobody has seen before: whatever they say, they are read, and only what they may decide is unknown."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from dockerdiag.packet.netfilter import Hook
from dockerdiag.snapshot.model import Firewall
from tests.packet.crossing import at, chain, filter_table, nft, outgoing, reply_to, rule
from tests.packet.test_nft_expressions import MATCHING

WORDS = (
    "-m", "-p", "-s", "-i", "!", "--dport", "--ctstate", "--match-set", "--limit", "--set-xmark", "-j", "-g", "tcp",
    "conntrack", "mark", "set", "novelty", "--novel", "recent", "addrtype", "--dst-type", "multiport", "rpfilter",
    "iprange", "physdev", "connmark", "443", "0x1/0xf", "10.0.0.0/8", "fd00::/8", "NEW", "docker0", '"a b"', "-1",
    "1:2:3", "DROP", "ACCEPT", "MARK", "CT", "TTL", "SET", "DNAT", "NETMAP", "NOVELTY", "RETURN", "user", "--to",
    "--ttl-set", "--add-set", "src", "999999", "",
)  # fmt: skip
HOOKS: tuple[Hook, ...] = ("input", "forward", "output")


@pytest.mark.parametrize(
    "words", ["-m novelty --novel 5", "-m tcp --novel 5", "-j NOVELTY --novel", "--novel"]
)
def test_an_unknown_extension_is_unknown_where_it_decides(words: str) -> None:
    verdict = "" if "-j" in words else " -j DROP"
    deciding = Firewall(nft="", iptables_legacy=filter_table(f"FORWARD -p tcp {words}{verdict}"))
    assert at(deciding, outgoing()).verdict == "unknown"
    other = Firewall(nft="", iptables_legacy=filter_table(f"FORWARD -s 192.0.2.1 {words}{verdict}"))
    assert at(other, outgoing()).verdict == "accept"
    before = Firewall(nft="", iptables_legacy=filter_table("FORWARD -j DROP", f"FORWARD {words}{verdict}"))
    assert at(before, outgoing()).verdict == "drop"


@pytest.mark.parametrize("seed", range(200))
def test_iptables_rules_of_any_words_are_read(seed: int) -> None:
    random = Random(seed)
    rules = [
        f"{random.choice(('INPUT', 'FORWARD', 'OUTPUT'))} {' '.join(random.choices(WORDS, k=random.randint(1, 9)))}"
        for _ in range(8)
    ]
    text = filter_table(*rules, chains=("user",))
    firewall = Firewall(nft="", iptables_legacy=text, ip6tables_legacy=text)
    for hook in HOOKS:
        for packet in (outgoing(), reply_to(outgoing("udp")), outgoing("icmpv6", "fd00:9::1")):
            assert at(firewall, packet, hook).verdict in ("accept", "drop", "reject", "unknown")


def changed(random: Random, value: Any) -> Any:
    """`value` with one part of it made another."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        return {**value, key: changed(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.85:
        position = random.randrange(len(value))
        return [*value[:position], changed(random, value[position]), *value[position + 1 :]]
    return random.choice(
        (
            None,
            "novelty",
            -1,
            70000,
            1.5,
            True,
            [],
            {},
            {"novelty": 1},
            {"range": [1]},
            {"set": [1, "x"]},
            "@gone",
        )
    )


def statements() -> Iterator[dict[str, Any]]:
    yield from MATCHING
    saddr = {"payload": {"protocol": "ip", "field": "saddr"}}
    yield {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["new", {"accept": None}]]}}}
    yield {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 1]}}}
    yield {"mangle": {"key": {"payload": {"protocol": "ip", "field": "ttl"}}, "value": 5}}
    yield {"dnat": {"addr": {"map": {"key": saddr, "data": {"set": [["10.0.0.1", "10.0.0.2"]]}}}, "port": 80}}
    yield {"set": {"op": "add", "elem": saddr, "set": "@seen", "stmt": [{"limit": {"rate": 1, "inv": True}}]}}
    yield {"limit": {"rate": 5, "per": "second", "inv": True}}
    yield {"counter": {"packets": 0, "bytes": 0}}
    yield {"reject": {"type": "icmpx", "expr": "port-unreachable"}}


@pytest.mark.parametrize("seed", range(10))
def test_nft_statements_of_any_shape_are_read(seed: int) -> None:
    random = Random(seed)
    for statement in statements():
        for _ in range(6):
            made = changed(random, json.loads(json.dumps(statement)))
            if not isinstance(made, dict):
                continue
            firewall = nft(chain("c", "forward"), rule("c", made, {"drop": None}))
            for packet in (outgoing(), outgoing("udp", "fd00:9::1")):
                assert at(firewall, packet).verdict in ("accept", "drop", "reject", "unknown"), made
