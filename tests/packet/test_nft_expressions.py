"""Each expression of nft's JSON, in the spellings of several versions: whether it holds, or cannot be judged."""

import json
from typing import Any

import pytest

from dockerdiag.packet.netfilter import parse
from dockerdiag.packet.nft_literals import read_element
from dockerdiag.packet.truth import Unknown
from dockerdiag.snapshot.model import Firewall
from tests.packet.crossing import (
    COUNTER,
    DROP,
    META_IN,
    META_MARK,
    META_OUT,
    at,
    chain,
    match,
    nft,
    outgoing,
    rule,
)

DADDR = {"payload": {"protocol": "ip", "field": "daddr"}}
SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
FLAGS = {"payload": {"protocol": "tcp", "field": "flags"}}
SEGMENT_SIZE = {"tcp option": {"name": "maxseg", "field": "size"}}
STATE = {"ct": {"key": "state"}}
L4 = {"meta": {"key": "l4proto"}}
FIB_TYPE = {"fib": {"result": "type", "flags": ["daddr"]}}
FIB_OIF = {"fib": {"result": "oif", "flags": ["saddr", "iif"]}}

SETS = (
    {"set": {"family": "inet", "table": "t", "name": "nets", "type": "ipv4_addr", "flags": ["interval"],
             "elem": [{"prefix": {"addr": "203.0.113.0", "len": 24}}, {"range": ["10.0.0.1", "10.0.0.9"]}]}},
    {"set": {"family": "inet", "table": "t", "name": "seen", "type": "ipv4_addr",
             "elem": [{"elem": {"val": "203.0.113.10", "timeout": 60, "expires": 3, "comment": "x"}}]}},
    {"set": {"family": "inet", "table": "t", "name": "metered", "type": "ipv4_addr",
             "elem": [{"elem": {"val": "203.0.113.10", "limit": {"rate": 1, "per": "second"}}}]}},
    {"set": {"family": "inet", "table": "t", "name": "pairs", "type": ["ipv4_addr", "inet_service"], "elem": [
        {"concat": [{"prefix": {"addr": "203.0.113.0", "len": 24}}, {"range": [400, 500]}]}]}},
)  # fmt: skip

MATCHING: tuple[dict[str, Any], ...] = (
    match({"payload": {"protocol": "ip", "field": "dscp"}}, "cs0"),
    match({"meta": {"key": "length"}}, {"range": [40, 80]}),
    match({"meta": {"key": "iifkind"}}, "bridge"),
    match({"rt": {"key": "nexthop", "family": "ip"}}, "203.0.113.10"),
    match(META_IN, "docker0"),
    match(META_IN, "docker*"),
    match(META_OUT, {"set": ["eth0", "wg*"]}),
    match(META_OUT, "docker0", "!="),
    match(DADDR, "203.0.113.10"),
    match(DADDR, {"prefix": {"addr": "203.0.113.0", "len": 24}}),
    match(DADDR, {"range": ["203.0.113.1", "203.0.113.20"]}),
    match(DADDR, "@nets"),
    match(DADDR, "@seen"),
    match(SADDR, "@nets", "!="),
    match({"concat": [DADDR, DPORT]}, "@pairs"),
    match({"concat": [DADDR, DPORT]}, {"set": [{"concat": ["203.0.113.10", 443]}]}),
    match({"&": [SADDR, "255.255.0.0"]}, "172.17.0.0"),
    match(DPORT, {"set": [22, {"range": [400, 500]}]}),
    match(DPORT, 500, "<"),
    match(DPORT, 443, ">="),
    match({"payload": {"protocol": "th", "field": "dport"}}, 443),
    match({"payload": {"base": "transport", "offset": 16, "len": 16}}, 443),
    match(FLAGS, "syn", "in"),
    match(FLAGS, ["syn", "ack"], "in"),
    match({"&": [FLAGS, ["fin", "syn", "rst", "ack"]]}, "syn"),
    match({"&": [FLAGS, {"|": ["syn", "ack"]}]}, {"|": ["syn", "ack"]}, "!="),
    match(FLAGS, 18, "!="),
    match(FLAGS, "rst", "!"),
    match(STATE, ["established", "new"], "in"),
    match(STATE, "new", "in"),
    match(STATE, {"set": ["new", "untracked"]}),
    match(STATE, {"|": ["established", "related"]}, "!="),
    match({"ct": {"key": "direction"}}, "original"),
    match({"ct": {"key": "ip daddr", "dir": "original"}}, "203.0.113.10"),
    match({"ct": {"key": "proto-dst", "dir": "original"}}, 443),
    match({"ct": {"key": "status"}}, "dnat", "!="),
    match({"ct": {"key": "mark"}}, 0),
    match(L4, "tcp"),
    match(L4, {"set": ["tcp", "udp"]}),
    match({"meta": {"key": "nfproto"}}, "ipv4"),
    match({"meta": {"key": "protocol"}}, "ip"),
    match({"meta": {"key": "pkttype"}}, "host"),
    match({"meta": {"key": "ipsec"}}, False),
    match({"meta": {"key": "iifgroup"}}, "default"),
    match(META_MARK, 0),
    match({"&": [META_MARK, 255]}, 16, "!="),
    match({"payload": {"protocol": "ip", "field": "protocol"}}, "tcp"),
    match({"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, 8191]}, 0),
    match(FIB_TYPE, "local", "!="),
    match(FIB_TYPE, {"set": ["unicast", "broadcast"]}),
    match(FIB_OIF, True),
    match({"concat": [FIB_OIF]}, True),
    match({"fib": {"result": "check", "flags": ["saddr", "iif"]}}, True),
    match({"fib": {"result": "oifname", "flags": "daddr"}}, "eth0"),
    match({"exthdr": {"name": "frag"}}, False),
)

UNMATCHING: tuple[dict[str, Any], ...] = (
    match({"payload": {"protocol": "ip", "field": "dscp"}}, "af11"),
    match({"payload": {"protocol": "ip", "field": "dscp"}}, {"set": ["cs6", 46]}),
    match({"meta": {"key": "length"}}, 1500, ">"),
    match({"meta": {"key": "iifkind"}}, "vlan"),
    match({"meta": {"key": "oifkind"}}, "bridge"),
    match({"rt": {"key": "nexthop", "family": "ip6"}}, "fd00::1"),
    {"tproxy": {"port": 3}},
    match(META_IN, "eth0"),
    match(META_IN, "docker0", "!="),
    match(DADDR, "@nets", "!="),
    match(DPORT, 22),
    match({"payload": {"protocol": "udp", "field": "dport"}}, 53, "!="),
    match({"payload": {"protocol": "ip6", "field": "daddr"}}, "fd00::1", "!="),
    match({"payload": {"protocol": "icmp", "field": "type"}}, "echo-request", "!="),
    match(STATE, ["established", "related"], "in"),
    match(FIB_OIF, False),
    match(FIB_TYPE, "local"),
    match({"meta": {"key": "skuid"}}, 0, "!="),
    match({"payload": {"protocol": "arp", "field": "operation"}}, "request"),
    match({"ct": {"key": "ip6 daddr", "dir": "original"}}, "fd00::1", "!="),
    match({"socket": {"key": "transparent"}}, 1),
    match({"socket": {"key": "transparent"}}, 1, "!="),
    match(SEGMENT_SIZE, {"range": [1, 535]}),
)

UNKNOWN: tuple[dict[str, Any], ...] = (
    match(DADDR, "@metered"),
    match(DADDR, "@missing"),
    match({"payload": {"protocol": "tcp", "field": "sport"}}, 40000),
    match({"meta": {"key": "hour"}}, "10:00"),
    match({"meta": {"key": "nosuchkey"}}, 1),
    match({"nosuchexpression": {}}, 1),
    match({"payload": {"protocol": "vlan", "field": "id"}}, 3),
    match({"payload": {"protocol": "ether", "field": "saddr"}}, "02:00:00:00:00:01"),
    match({"numgen": {"mode": "random", "mod": 2}}, 0),
    match(SEGMENT_SIZE, {"range": [1, 1000]}),
    match({"tcp option": {"name": "timestamp"}}, True),
    match({"ct": {"key": "helper"}}, "ftp"),
    match(DADDR, {"nosuchliteral": 3}),
    match("not an expression", 3),
    {"limit": {"rate": 1, "per": "second"}},
    {"limit": "named"},
    {"quota": "named"},
    {"ct count": {"val": 10}},
    {
        "set": {
            "op": "update",
            "elem": SADDR,
            "set": "@seen",
            "stmt": [{"limit": {"rate": 1, "per": "second"}}],
        }
    },
    {"xt": {"type": "match", "name": "conntrack"}},
    {"xt": None},
    {"nosuchstatement": {}},
    {"queue": {"num": 1}},
    {"tproxy": {"port": 9040}},
    {"synproxy": None},
)

PASSING: tuple[dict[str, Any], ...] = (
    COUNTER,
    {"counter": "named"},
    {"log": {"prefix": "x"}},
    {"log": None},
    {"ct helper": "ftp"},
    {"flow": {"op": "add", "flowtable": "@f"}},
    {"set": {"op": "add", "elem": SADDR, "set": "@seen"}},
    {"xt": {"type": "match", "name": "comment"}},
    {"xt": {"type": "target", "name": "LOG"}},
    {"mangle": {"key": {"tcp option": {"name": "maxseg", "field": "size"}}, "value": {"rt": {"key": "mtu"}}}},
    {"mangle": {"key": {"meta": {"key": "priority"}}, "value": 1}},
)


def _verdict(*statements: dict[str, Any]) -> str:
    return at(nft(chain("forward", "forward"), *SETS, rule("forward", *statements, DROP)), outgoing()).verdict


@pytest.mark.parametrize("statement", MATCHING, ids=json.dumps)
def test_matches(statement: dict[str, Any]) -> None:
    assert _verdict(statement) == "drop"


@pytest.mark.parametrize("statement", UNMATCHING, ids=json.dumps)
def test_does_not_match(statement: dict[str, Any]) -> None:
    assert _verdict(statement) == "accept"


@pytest.mark.parametrize("statement", UNKNOWN, ids=json.dumps)
def test_cannot_be_judged(statement: dict[str, Any]) -> None:
    assert _verdict(statement) == "unknown"


@pytest.mark.parametrize("statement", PASSING, ids=json.dumps)
def test_goes_on(statement: dict[str, Any]) -> None:
    assert _verdict(statement) == "drop"


def test_set_mark_counts_even_where_the_rule_matches_no_further() -> None:
    mangle = {"mangle": {"key": META_MARK, "value": {"|": [META_MARK, 16]}}}
    first = rule("forward", mangle, match(DPORT, 80), DROP)
    assert at(
        nft(chain("forward", "forward"), first, rule("forward", match(META_MARK, 16), DROP)), outgoing()
    ).stops


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (None, "reject"),
        ({"type": "icmpx", "expr": "admin-prohibited"}, "reject"),
        ({"type": "icmp", "expr": "port-unreachable"}, "reject"),
        ({"type": "icmpv6", "expr": "port-unreachable"}, "accept"),
        ({"type": "tcp reset"}, "reject"),
    ],
)
def test_reject_asks_for_the_protocol_it_answers_in(body: Any, verdict: str) -> None:
    firewall = nft(chain("forward", "forward"), rule("forward", {"reject": body}))
    assert at(firewall, outgoing()).verdict == verdict
    udp = "accept" if body == {"type": "tcp reset"} else verdict
    assert at(firewall, outgoing("udp")).verdict == udp


def test_verdict_map_with_ranges_and_catchall() -> None:
    data = {"set": [[22, {"accept": None}], [{"range": [80, 90]}, {"accept": None}], ["*", {"drop": None}]]}
    assert _verdict_of_map(data, 443) == "drop"
    assert _verdict_of_map(data, 85) == "accept"


def test_verdict_map_on_an_unknown_key_may_be_any() -> None:
    same = {"set": [[0, {"drop": None}], [1, {"drop": None}], ["*", {"drop": None}]]}
    assert _verdict_of_map(same, 443, {"numgen": {"mode": "random", "mod": 2}}) == "drop"
    other = {"set": [[0, {"drop": None}], [1, {"accept": None}]]}
    assert _verdict_of_map(other, 443, {"numgen": {"mode": "random", "mod": 2}}) == "unknown"


def _verdict_of_map(data: dict[str, Any], port: int, key: dict[str, Any] = DPORT) -> str:
    firewall = nft(chain("forward", "forward"), rule("forward", {"vmap": {"key": key, "data": data}}))
    return at(firewall, outgoing(port=port)).verdict


def _translated(hook: str, statement: dict[str, Any], **fields: Any) -> Any:
    firewall = nft(chain("nat", hook, type="nat", prio=-100), *SETS, rule("nat", statement))
    return at(firewall, outgoing(**fields), hook=hook)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statement", "address", "port"),
    [
        ({"dnat": {"family": "ip", "addr": "10.0.0.1", "port": 8080}}, "10.0.0.1", 8080),
        ({"dnat": {"addr": {"map": {"key": DPORT, "data": {"set": [[443, "10.0.0.3"]]}}}}}, "10.0.0.3", 443),
        (
            {"dnat": {"family": "ip", "addr": {"map": {"key": {"concat": [DADDR, DPORT]}, "data": {
                "set": [[{"concat": ["203.0.113.10", 443]}, {"concat": ["10.0.0.4", 8443]}]]}}}}},
            "10.0.0.4",
            8443,
        ),
        ({"dnat": {"family": "ip6", "addr": "fd00::9"}}, "203.0.113.10", 443),
        ({"redirect": {"port": 3128}}, "127.0.0.1", 3128),
    ],
)  # fmt: skip
def test_destination_nat(statement: dict[str, Any], address: str, port: int) -> None:
    hook = "output" if "redirect" in statement else "prerouting"
    packet = _translated(hook, statement).packet
    assert (str(packet.addresses.destination), packet.addresses.destination_port.low) == (address, port)


def test_source_nat_by_prefix() -> None:
    statement = {
        "snat": {"family": "ip", "addr": {"prefix": {"addr": "11.0.0.0", "len": 8}}, "type_flags": "prefix"}
    }
    assert str(_translated("postrouting", statement).packet.addresses.source) == "11.17.0.2"


def test_map_without_the_key_binds_nothing() -> None:
    statement = {"dnat": {"addr": {"map": {"key": DPORT, "data": {"set": [[80, "10.0.0.3"]]}}}}}
    crossing = _translated("prerouting", statement)
    assert crossing.nat is None
    assert crossing.verdict == "accept"


@pytest.mark.parametrize("priority", [-100, "dstnat", "dstnat + 0", "mangle + 50"])
def test_priorities_by_name_and_number(priority: int | str) -> None:
    late = chain("late", "forward", prio=-99)
    firewall = nft(chain("named", "forward", prio=priority), late, rule("named", DROP), rule("late", DROP))
    assert at(firewall, outgoing()).stops[0].rule.chain == "named"


@pytest.mark.parametrize("address", [True, 5, None, "203.0.113.300"])
def test_a_prefix_of_no_address_is_unknown(address: Any) -> None:
    assert isinstance(read_element("ipv4_addr", {"prefix": {"addr": address, "len": 24}}), Unknown)


@pytest.mark.parametrize("cut", range(40, 700, 37))
def test_cut_listings_never_raise(cut: int) -> None:
    text = nft(chain("forward", "forward"), *SETS, rule("forward", DROP)).nft
    assert isinstance(text, str)
    assert at(Firewall(nft=text[:cut]), outgoing()).verdict in ("unknown", "accept", "drop")


@pytest.mark.parametrize("statement", [*MATCHING, *UNKNOWN, *PASSING], ids=json.dumps)
@pytest.mark.parametrize("damage", [None, 3, "x", [], {}, [[]], {"key": None}])
def test_damaged_statements_never_raise(statement: dict[str, Any], damage: Any) -> None:
    ((name, body), *_) = statement.items()
    firewall = nft(chain("forward", "forward"), rule("forward", {name: damage}, DROP))
    assert at(firewall, outgoing()).verdict in ("accept", "drop", "reject", "unknown")
    if isinstance(body, dict):
        for key in body:
            damaged = {name: {**body, key: damage}}
            at(nft(chain("forward", "forward"), *SETS, rule("forward", damaged, DROP)), outgoing())


@pytest.mark.parametrize("statement", [*MATCHING, *UNKNOWN, *PASSING], ids=json.dumps)
def test_every_rule_has_a_text(statement: dict[str, Any]) -> None:
    firewall = nft(chain("forward", "forward"), *SETS, rule("forward", statement, DROP, comment="why"))
    text = parse(firewall).tables[0].chains["forward"].rules[0].write()
    assert text.endswith('drop comment "why"')
    assert len(text) > len('drop comment "why"')


@pytest.mark.parametrize("operator", ["<<", ">>", "&", "|", "^"])
@pytest.mark.parametrize("operand", [-1, 2**40, "x", None])
def test_arithmetic_that_no_kernel_does_is_unknown_or_ends(operator: str, operand: Any) -> None:
    mark = {operator: [META_MARK, operand]}
    setting = {"mangle": {"key": META_MARK, "value": mark}}
    for statement in (match(mark, 5), setting):
        firewall = nft(chain("c", "forward"), rule("c", statement, match(META_MARK, 7), DROP))
        assert at(firewall, outgoing(mark=7)).verdict in ("accept", "unknown")
