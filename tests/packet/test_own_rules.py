"""Containers are classed in spite of rules about each; walked one by one they meet the same."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerdiag.packet.plan import Wanted, errands, journeys, sources
from dockerdiag.packet.walk import Flow, Journey, Source, Walker
from dockerdiag.packet.world import World
from dockerdiag.snapshot.model import Firewall, Listener, Snapshot
from tests.packet.hosts import RULES, container_namespace, host_namespace, snapshot

COUNT = 4
OWN = [f"172.17.0.{n + 2}" for n in range(COUNT)]
RAW = "*raw\n:PREROUTING ACCEPT [0:0]\n{}\nCOMMIT\n"


def host(rules: str, count: int = COUNT, nft: str = "") -> Snapshot:
    firewall = Firewall(nft=nft, iptables_legacy=rules)
    serving = {
        f"net:[{n + 10}]": container_namespace(n, listeners=(Listener("tcp", "::", 443),))
        for n in range(count)
    }
    return snapshot(count, host=host_namespace(count, firewall=firewall), namespaces=serving)


def direct_access(count: int = COUNT) -> str:
    return RAW.format(
        "\n".join(f"-A PREROUTING -d 172.17.0.{n + 2}/32 ! -i docker0 -j DROP" for n in range(count))
    )


def classes(one: Snapshot, destinations: tuple[Wanted, ...] = ()) -> list[int]:
    return [len(source.members) for source in sources(World(one), destinations=destinations)]


def to_json(rules: list[tuple[str, list[dict[str, Any]]]]) -> str:
    """Chains c0 and c1 of one table, at raw prerouting and at forward."""
    parts: list[dict[str, Any]] = [{"metainfo": {"json_schema_version": 1}}]
    parts.append({"table": {"family": "ip", "name": "t", "handle": 1}})
    for name, hook, priority in (("c0", "prerouting", -300), ("c1", "forward", 0)):
        chain = {"family": "ip", "table": "t", "name": name, "handle": 2, "type": "filter", "hook": hook}
        parts.append({"chain": {**chain, "prio": priority, "policy": "accept"}})
    for handle, (chain_name, expressions) in enumerate(rules, 10):
        fixed = {"family": "ip", "table": "t", "chain": chain_name, "handle": handle}
        parts.append({"rule": {**fixed, "expr": expressions}})
    return json.dumps({"nftables": parts})


def test_the_engines_rule_for_each_container_parts_none() -> None:
    one = host(direct_access(200) + RULES, 200)
    assert classes(one) == [200]
    walker = Walker(one)
    made = list(journeys(walker, errands(walker.world)))
    assert [(errand.flow.to, journey.disposition) for errand, journey in made] == [
        ("1.1.1.1:443/tcp", "delivered"),
        ("198.51.100.53:53/udp", "delivered"),
    ]


def test_one_without_its_rule_or_with_another_is_alone() -> None:
    lines = direct_access().splitlines()
    assert sorted(classes(host("\n".join([*lines[:3], *lines[4:]]) + "\n" + RULES))) == [1, 3]
    other = direct_access().replace("172.17.0.3/32 ! -i docker0", "172.17.0.3/32 ! -i docker1")
    assert sorted(classes(host(other + RULES))) == [1, 3]
    negated = direct_access().replace("-d 172.17.0.3/32 ! -i docker0", "! -d 172.17.0.3/32")
    assert sorted(classes(host(negated + RULES))) == [1, 1, 2]


def test_a_rule_for_everybody_between_them_parts_them() -> None:
    lines = direct_access().splitlines()
    lines.insert(4, "-A PREROUTING -p tcp -j ACCEPT")
    assert classes(host("\n".join(lines) + "\n" + RULES)) == [2, 2]


def test_who_has_the_destination_is_alone() -> None:
    one = host(direct_access() + RULES)
    assert sorted(classes(one, ((ip_address(OWN[2]), "tcp", 443),))) == [1, 3]


def test_where_its_own_rule_stops_it_each_is_walked() -> None:
    dropped = RAW.format("\n".join(f"-A PREROUTING -s {own}/32 -j DROP" for own in OWN))
    walker = Walker(host(dropped + RULES))
    planned = errands(walker.world, destinations=((ip_address("1.1.1.1"), "tcp", 443),))
    assert [len(errand.flow.source.members) for errand in planned] == [COUNT]
    met = [
        (journey.halts[0].at, len(errand.flow.source.members))
        for errand, journey in journeys(walker, planned)
    ]
    assert met == [(f"iptables-legacy ip raw PREROUTING rule {n + 1}", 1) for n in range(COUNT)]


@pytest.mark.parametrize(
    "expression",
    [
        {"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": OWN[1]}},
        {"match": {"op": "==", "left": {"ct": {"key": "ip saddr", "dir": "original"}}, "right": OWN[1]}},
        {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}},
    ],
)
def test_rules_that_others_meet_too_stay_for_everybody(expression: dict[str, Any]) -> None:
    own = {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": OWN[1]}}
    one = host(RULES, nft=to_json([("c0", [expression, own, {"drop": None}])]))
    assert max(classes(one)) < COUNT


# -- members walked one by one --------------------------------------------------------------------------------------

_GENERAL = (
    ("-i docker0", {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "docker0"}}),
    ("! -i docker0", {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "docker0"}}),
    ("-p tcp -m tcp --dport 443", {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 443}}),
)  # fmt: skip
_VERDICTS = ("ACCEPT", "DROP", "RETURN")
_own = st.tuples(
    st.just("own"),
    st.sampled_from(["s", "d"]),
    st.sampled_from([tuple(range(COUNT)), tuple(range(COUNT)), (0, 1, 2), (0, 2), (1,)]),
    st.sampled_from([*range(len(_GENERAL)), None]),
    st.sampled_from(_VERDICTS),
)
_general = st.tuples(
    st.just("general"),
    st.none(),
    st.none(),
    st.sampled_from(range(len(_GENERAL))),
    st.sampled_from(_VERDICTS),
)
_rules = st.one_of(
    st.lists(st.tuples(st.integers(0, 1), st.one_of(_own, _own, _general)), max_size=5),
    # One rule for each, of one shape, in any order among rules for everybody.
    st.tuples(_own, st.lists(_general, min_size=1, max_size=2)).flatmap(
        lambda drawn: st.permutations(
            [(1, (*drawn[0][:2], (n,), *drawn[0][3:])) for n in range(COUNT)] + [(1, one) for one in drawn[1]]
        )
    ),
)


def expanded(rules: list[Any]) -> Iterator[tuple[int, str | None, str | None, int | None, str]]:
    for chain, (kind, side, members, condition, verdict) in rules:
        for member in members if kind == "own" else (None,):
            yield chain, side, None if member is None else OWN[member], condition, verdict


def as_saved(rules: list[Any]) -> str:
    tables: dict[int, list[str]] = {0: [], 1: []}
    for chain, side, own, condition, verdict in expanded(rules):
        words = ["-A", ("PREROUTING", "FORWARD")[chain]]
        words += [f"-{side} {own}/32"] if own else []
        words += [_GENERAL[condition][0]] if condition is not None else []
        tables[chain].append(" ".join([*words, "-j", verdict]))
    mangle = "*mangle\n:FORWARD ACCEPT [0:0]\n" + "\n".join(tables[1]) + "\nCOMMIT\n"
    return RAW.format("\n".join(tables[0])) + mangle


def as_nft(rules: list[Any]) -> str:
    made = []
    for chain, side, own, condition, verdict in expanded(rules):
        field = {"payload": {"protocol": "ip", "field": "saddr" if side == "s" else "daddr"}}
        expressions: list[dict[str, Any]] = (
            [{"match": {"op": "==", "left": field, "right": own}}] if own else []
        )
        expressions += [_GENERAL[condition][1]] if condition is not None else []
        counter = {"counter": {"packets": chain, "bytes": len(made)}}
        made.append((f"c{chain}", [*expressions, counter, {verdict.lower(): None}]))
    return to_json(made)


def outcome(journey: Journey, own: str) -> Any:
    def plain(text: str) -> str:
        return re.sub(r"\b(handle|rule) \d+|\bveth\w+|\bweb\d\b|\bbytes \d+", "-", text).replace(own, "own")

    halts = [
        (h.direction, h.place, h.kind, h.disposition, plain(h.at), plain(h.reason)) for h in journey.halts
    ]
    texts = [plain(h.rule.text) for h in journey.halts if h.rule is not None]
    hops = [(h.direction, plain(h.place), h.verdict, h.stop, plain(h.text)) for h in journey.hops]
    return journey.disposition, halts, texts, hops


@settings(max_examples=150, deadline=None)
@given(rules=_rules, native=st.booleans(), to=st.sampled_from(["1.1.1.1", "172.17.0.1", OWN[3]]))
def test_members_of_a_class_meet_the_same(rules: list[Any], native: bool, to: str) -> None:
    one = host(RULES, nft=as_nft(rules)) if native else host(as_saved(rules) + RULES)
    walker = Walker(one)
    for source in sources(walker.world, destinations=((ip_address(to), "tcp", 443),)):
        met = [
            outcome(walker.walk(Flow(replace(Source(member)), ip_address(to))), member.endpoints[0].address)
            for member in source.members
        ]
        assert all(other == met[0] for other in met)
