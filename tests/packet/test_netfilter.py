"""Base chains together: order, verdicts in three values, NAT, and what could not be read."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from dockerdiag.packet.netfilter import parse
from dockerdiag.packet.packet import PortRange
from dockerdiag.snapshot.model import Firewall, NetdevHook, Unread
from tests.packet.crossing import (
    ACCEPT,
    COUNTER,
    DROP,
    META_IN,
    META_MARK,
    META_OUT,
    at,
    chain,
    filter_table,
    forwarded,
    legacy,
    match,
    nat_table,
    nft,
    outgoing,
    reply_to,
    rule,
)


def test_policy_drops_what_no_rule_decided() -> None:
    crossing = forwarded("FORWARD -i eth0 -j ACCEPT", policy="DROP")
    assert crossing.verdict == "drop"
    stop = crossing.stops[0]
    assert (stop.rule.index, stop.rule.text, stop.base_chain.chain) == (None, "policy drop", "FORWARD")


def test_accept_ends_its_own_base_chain_only() -> None:
    firewall = replace(
        nft(chain("late", "forward", prio=10), rule("late", DROP)),
        iptables_legacy=filter_table("FORWARD -j ACCEPT"),
    )
    crossing = at(firewall, outgoing())
    assert crossing.verdict == "drop"
    assert crossing.stops[0].rule.table == "t"
    assert [passage.kind for passage in crossing.passages] == ["accept"]


def test_stops_beyond_the_first_are_told() -> None:
    crossing = forwarded("FORWARD -d 203.0.113.10/32 -j DROP", "FORWARD -p tcp -j REJECT", policy="DROP")
    assert [(stop.verdict, stop.rule.index) for stop in crossing.stops] == [
        ("drop", 1),
        ("reject", 2),
        ("drop", None),
    ]


def test_jumps_return_and_goto() -> None:
    chains = ("A", "B")
    returned = forwarded(
        "FORWARD -j A", "FORWARD -j DROP", "A -p udp -j DROP", "A -j RETURN", "A -j ACCEPT", chains=chains
    )
    assert returned.stops[0].rule.index == 2
    gone = forwarded("FORWARD -g A", "FORWARD -j DROP", "A -j B", "B -j RETURN", chains=chains)
    assert gone.verdict == "accept"
    path = forwarded("FORWARD -j A", "A -j B", "B -j DROP", chains=chains).stops[0].path
    assert [reference.chain for reference in path] == ["FORWARD", "A"]


def test_the_rule_that_leaves_a_packet_to_the_policy_is_no_jump() -> None:
    rules = ("FORWARD -j A", "FORWARD -j RETURN", "FORWARD -j ACCEPT")
    (stop,) = forwarded(*rules, policy="DROP", chains=("A",)).stops
    assert stop.left_by is not None
    assert (stop.path, stop.left_by.index) == ((), 2)
    (stop,) = forwarded(rules[0], policy="DROP", chains=("A",)).stops
    assert stop.left_by is None


def test_doubt_that_changes_nothing_is_not_told() -> None:
    assert forwarded("FORWARD -m limit --limit 1/sec -j ACCEPT").verdict == "accept"
    assert forwarded("FORWARD -m limit --limit 1/sec -j LOG", policy="DROP").verdict == "drop"
    assert forwarded("FORWARD -m limit --limit 1/sec -j DROP", policy="DROP").verdict == "drop"


def test_doubt_that_decides_names_the_match() -> None:
    crossing = forwarded("FORWARD -m limit --limit 1/sec -j ACCEPT", policy="DROP")
    assert crossing.verdict == "unknown"
    assert crossing.stops[0].rule.index == 1
    assert "limit" in crossing.stops[0].reason


def test_doubtful_return_lets_both_ways_go_on() -> None:
    rules = ("FORWARD -j A", "A -m limit --limit 1/sec -j RETURN", "A -j DROP")
    assert forwarded(*rules, chains=("A",)).verdict == "unknown"
    assert forwarded(*rules, policy="DROP", chains=("A",)).verdict == "drop"


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        (("FORWARD -m limit --limit 1/sec -j ACCEPT", "[0:0] FORWARD -j DROP"), "accept"),
        (("FORWARD -m limit --limit 1/sec -j ACCEPT", "[3:180] FORWARD -j DROP"), "unknown"),
        (
            (
                "FORWARD -p tcp -m limit --limit 1/sec -j ACCEPT",
                "FORWARD -p udp -j RETURN",
                "FORWARD -j DROP",
            ),
            "unknown",
        ),
        (("FORWARD -m string --algo bm --string x -j ACCEPT", "[0:0] FORWARD -j DROP"), "unknown"),
        (("FORWARD -j A", "A -m limit --limit 1/sec -j RETURN", "[0:0] A -j DROP"), "accept"),
        (("FORWARD -j A", "A -m limit --limit 1/sec -j RETURN", "[9:99] A -j DROP"), "unknown"),
        # These drop the first packets, not those above the limit.
        (("[0:0] FORWARD -m limit --limit 1/sec -j DROP",), "unknown"),
        (("FORWARD -m limit --limit 1/sec -j A", "[0:0] A -j DROP"), "unknown"),
        (
            (
                "FORWARD -m hashlimit --hashlimit-above 1/sec --hashlimit-name x -j RETURN",
                "[0:0] FORWARD -j DROP",
            ),
            "unknown",
        ),
    ],
)
def test_what_is_above_a_rate_limit_was_nothing_so_far(rules: tuple[str, ...], verdict: str) -> None:
    assert forwarded(*rules, chains=("A",)).verdict == verdict


CONTENT = "FORWARD -m string --algo bm --string x -j DROP"


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ((f"[0:0] {CONTENT}",), "accept"),
        ((f"[1:60] {CONTENT}",), "unknown"),
        ((CONTENT,), "unknown"),
        (("[0:0] FORWARD -m connlimit --connlimit-above 3 -j DROP",), "accept"),
        (("[0:0] FORWARD -m connlimit --connlimit-above 0 -j DROP",), "unknown"),
        (("[0:0] FORWARD -m recent --update --seconds 9 --hitcount 20 --name x -j DROP",), "accept"),
        (("[1:60] FORWARD -m recent --update --seconds 9 --hitcount 20 --name x -j DROP",), "unknown"),
        (("[0:0] FORWARD -m recent --rcheck --hitcount 1 --name x -j DROP",), "unknown"),
        (("[0:0] FORWARD -m recent ! --rcheck --hitcount 20 --name x -j DROP",), "unknown"),
    ],
)
def test_what_traffic_never_had_is_not_met(rules: tuple[str, ...], verdict: str) -> None:
    assert forwarded(*rules).verdict == verdict


def test_certain_drop_elsewhere_beats_a_doubt() -> None:
    firewall = replace(
        nft(chain("late", "forward", prio=10, policy="drop")),
        iptables_legacy=filter_table("FORWARD -m limit --limit 1/sec -j DROP"),
    )
    crossing = at(firewall, outgoing())
    assert crossing.verdict == "drop"
    assert crossing.stops[0].rule.chain == "late"
    assert crossing.stops[1].verdict == "unknown"


def test_unknown_target_is_never_left_out() -> None:
    assert forwarded("FORWARD -j NOSUCHTARGET").verdict == "unknown"


@pytest.mark.parametrize(
    ("words", "queues", "verdict"),
    [
        ("--queue-num 1", (), "drop"),
        ("--queue-num 1", (0, 2), "drop"),
        ("--queue-num 1 --queue-bypass", (), "accept"),
        ("--queue-num 1", (1,), "unknown"),
        ("--queue-num 1 --queue-bypass", (1,), "unknown"),
        ("--queue-balance 0:3 --queue-cpu-fanout", (7,), "drop"),
        ("--queue-balance 0:3", (3,), "unknown"),
        ("--queue-num 1 --queue-bypass", None, "unknown"),
    ],
)
def test_who_takes_packets_from_a_queue_decides(
    words: str, queues: tuple[int, ...] | None, verdict: str
) -> None:
    firewall = legacy(filter_table(f"FORWARD -j NFQUEUE {words}"))
    crossing = at(firewall, outgoing(), queues=queues)
    assert crossing.verdict == verdict
    if verdict == "drop":
        assert "from which no program takes it" in crossing.stops[0].reason


def test_marks_are_followed() -> None:
    mangle = (
        "*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i docker0 -j MARK --set-xmark 0x4000/0x4000\nCOMMIT\n"
    )
    dropping = filter_table("FORWARD -m mark --mark 0x4000/0x4000 -j DROP")
    assert at(legacy(mangle, dropping), outgoing()).verdict == "drop"
    doubtful = mangle.replace("-i docker0", "-m limit --limit 1/sec")
    assert at(legacy(doubtful, dropping), outgoing()).verdict == "unknown"


class TestNat:
    def test_masquerade_takes_the_address_of_the_outgoing_link(self) -> None:
        firewall = legacy(nat_table("POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"))
        crossing = at(firewall, outgoing(), hook="postrouting")
        assert crossing.packet.addresses.source == ip_address("198.51.100.2")
        assert crossing.packet.connection.source_nat
        assert crossing.nat is not None

    def test_first_rule_that_binds_wins_and_the_others_are_told(self) -> None:
        rules = ("POSTROUTING -j SNAT --to-source 192.0.2.9", "POSTROUTING -o eth0 -j MASQUERADE")
        crossing = at(legacy(nat_table(*rules)), outgoing(), hook="postrouting")
        assert str(crossing.packet.addresses.source) == "192.0.2.9"
        assert [reference.index for reference in crossing.shadowed_nat] == [2]

    @pytest.mark.parametrize("target", ["ACCEPT", "RETURN"])
    def test_accept_before_masquerade_shadows_it(self, target: str) -> None:
        rules = (f"POSTROUTING -d 203.0.113.0/24 -j {target}", "POSTROUTING -o eth0 -j MASQUERADE")
        crossing = at(legacy(nat_table(*rules)), outgoing(), hook="postrouting")
        assert crossing.nat is None
        assert str(crossing.packet.addresses.source) == "172.17.0.2"
        assert [reference.index for reference in crossing.shadowed_nat] == [2]

    def test_accept_that_may_match_leaves_it_unknown_whether_the_flow_is_masqueraded(self) -> None:
        doubtful = "POSTROUTING -m limit --limit 1/sec -j ACCEPT"
        masquerade = "POSTROUTING -o eth0 -j MASQUERADE"
        crossing = at(legacy(nat_table(doubtful, masquerade)), outgoing(), hook="postrouting")
        assert crossing.verdict == "unknown"
        assert "limit" in crossing.stops[0].rule.text
        post = chain("post", "postrouting", type="nat", prio=200)
        beside = replace(
            nft(post, rule("post", {"masquerade": None})),
            iptables_legacy=nat_table(doubtful, masquerade),
        )
        assert at(beside, outgoing(), hook="postrouting").verdict == "accept"

    def test_accept_in_one_nat_chain_leaves_the_flow_to_the_next(self) -> None:
        post = chain("post", "postrouting", type="nat", prio=200)
        firewall = replace(
            nft(post, rule("post", {"masquerade": None})), iptables_legacy=nat_table("POSTROUTING -j ACCEPT")
        )
        assert at(firewall, outgoing(), hook="postrouting").packet.connection.source_nat

    def test_nat_chains_run_in_the_nat_core_whatever_their_priority(self) -> None:
        """A filter chain at 150 sees the translated source, although the NAT chain's own priority is 200."""
        post = chain("post", "postrouting", type="nat", prio=200)
        late = chain("late", "postrouting", prio=150)
        saddr = {"payload": {"protocol": "ip", "field": "saddr"}}
        firewall = nft(
            post, late, rule("post", {"masquerade": None}), rule("late", match(saddr, "198.51.100.2"), DROP)
        )
        assert at(firewall, outgoing(), hook="postrouting").verdict == "drop"

    def test_reply_is_translated_back_without_asking_rules(self) -> None:
        firewall = legacy(
            nat_table("POSTROUTING -o eth0 -j MASQUERADE", "PREROUTING -j DNAT --to-destination 10.9.9.9")
        )
        sent = at(firewall, outgoing(), hook="postrouting").packet
        back = at(firewall, reply_to(sent), hook="prerouting").packet
        assert str(back.addresses.destination) == "172.17.0.2"

    def test_published_port_and_its_reply(self) -> None:
        firewall = legacy(
            nat_table("PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.5:80")
        )
        packet = at(firewall, outgoing(port=8080), hook="prerouting").packet
        assert (str(packet.addresses.destination), packet.addresses.destination_port) == (
            "172.17.0.5",
            PortRange.one(80),
        )
        answer = at(firewall, reply_to(packet), hook="postrouting").packet
        assert (str(answer.addresses.source), answer.addresses.source_port) == (
            "203.0.113.10",
            PortRange.one(8080),
        )

    def test_untracked_packets_are_not_translated(self) -> None:
        raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --notrack\nCOMMIT\n"
        firewall = legacy(
            raw, nat_table("POSTROUTING -j MASQUERADE", "PREROUTING -j DNAT --to-destination 10.9.9.9")
        )
        crossing = at(firewall, outgoing(), hook="prerouting")
        assert crossing.packet.connection.state == "untracked"
        assert "notrack" in [passage.kind for passage in crossing.passages]
        assert not at(firewall, crossing.packet, hook="postrouting").packet.connection.source_nat

    def test_doubt_between_equal_translations_does_not_matter(self) -> None:
        rules = ("POSTROUTING -m limit --limit 1/sec -j MASQUERADE", "POSTROUTING -o eth0 -j MASQUERADE")
        assert at(legacy(nat_table(*rules)), outgoing(), hook="postrouting").verdict == "accept"
        assert at(legacy(nat_table(rules[0])), outgoing(), hook="postrouting").verdict == "unknown"

    def test_masquerade_without_a_known_address_leaves_the_source_unknown(self) -> None:
        crossing = at(
            legacy(nat_table("POSTROUTING -j MASQUERADE")), outgoing(out_link="wg0"), hook="postrouting"
        )
        assert not crossing.packet.source_known
        assert crossing.packet.connection.source_nat

    def test_destination_chosen_from_several_is_unknown(self) -> None:
        firewall = legacy(nat_table("PREROUTING -j DNAT --to-destination 10.0.0.1-10.0.0.9"))
        assert at(firewall, outgoing(), hook="prerouting").verdict == "unknown"


class TestOrder:
    def test_equal_priorities_matter_only_where_they_decide(self) -> None:
        marking = chain("marking", "forward", table="a")
        dropping = chain("dropping", "forward", table="b")
        mark = rule("marking", {"mangle": {"key": META_MARK, "value": 1}}, table="a")
        drop = rule("dropping", match(META_MARK, 1), DROP, table="b")
        tables = (("inet", "a"), ("inet", "b"))
        assert at(nft(marking, dropping, mark, drop, tables=tables), outgoing()).verdict == "unknown"
        assert at(nft(marking, dropping, mark, tables=tables), outgoing()).verdict == "accept"

    def test_later_priority_sees_the_mark(self) -> None:
        marking = chain("marking", "forward", prio=-5)
        dropping = chain("dropping", "forward")
        mark = rule("marking", {"mangle": {"key": META_MARK, "value": 1}})
        drop = rule("dropping", match(META_MARK, 1), DROP)
        assert at(nft(marking, dropping, mark, drop), outgoing()).verdict == "drop"


class TestUnread:
    def test_nft_unread_is_unknown_unless_something_drops_anyway(self) -> None:
        firewall = Firewall(nft=Unread("no nft binary"), iptables_nft=filter_table("FORWARD -j ACCEPT"))
        crossing = at(firewall, outgoing())
        assert crossing.verdict == "unknown"
        assert "no nft binary" in crossing.stops[0].reason
        dropping = replace(firewall, iptables_nft=filter_table(policy="DROP"))
        assert at(dropping, outgoing()).verdict == "drop"

    def test_legacy_unread_concerns_its_ip_version_alone(self) -> None:
        firewall = Firewall(nft="", ip6tables_legacy=Unread("permission denied"))
        assert at(firewall, outgoing()).verdict == "accept"
        assert at(firewall, outgoing(destination="2001:db8::1")).verdict == "unknown"

    @pytest.mark.parametrize(
        "text", ["{", "[]", '{"nftables": 3}', '{"nftables": [{"chain": {"family": "ip"}}]}', "null"]
    )
    def test_unreadable_listing_is_unknown(self, text: str) -> None:
        assert at(Firewall(nft=text), outgoing()).verdict == "unknown"

    def test_table_whose_flags_are_garbled_may_be_dormant(self) -> None:
        garbled = {"table": {"family": "inet", "name": "t", "handle": 9, "flags": "d2"}}
        crossing = at(nft(garbled, chain("c", "forward", policy="drop")), outgoing())
        assert crossing.verdict == "unknown"
        assert "dormant" in crossing.stops[0].reason
        dormant = {"table": {"family": "inet", "name": "t", "flags": ["dormant"]}}
        assert at(nft(dormant, chain("c", "forward", policy="drop")), outgoing()).verdict == "accept"


class TestNetdev:
    _DROPPING = (chain("in", "ingress", family="netdev"), rule("in", DROP, family="netdev"))
    _TABLES = (("netdev", "t"),)

    def test_chain_meets_its_own_links_alone(self) -> None:
        hooks = (NetdevHook("netdev", "t", "in", ("veth0",)),)
        firewall = nft(*self._DROPPING, tables=self._TABLES, netdev_hooks=hooks)
        assert at(firewall, outgoing(in_link="veth0"), "ingress", "netdev").verdict == "drop"
        assert at(firewall, outgoing(in_link="eth0"), "ingress", "netdev").verdict == "accept"
        assert at(firewall, outgoing(), "prerouting").verdict == "accept"

    def test_unknown_links_make_it_unknown(self) -> None:
        firewall = nft(*self._DROPPING, tables=self._TABLES, netdev_hooks=Unread("no netlink"))
        assert at(firewall, outgoing(in_link="veth0"), "ingress", "netdev").verdict == "unknown"

    def test_links_that_nft_lists_itself(self) -> None:
        firewall = nft(
            chain("in", "ingress", family="netdev", dev=["veth0", "veth1"]),
            self._DROPPING[1],
            tables=self._TABLES,
        )
        assert at(firewall, outgoing(in_link="veth1"), "ingress", "netdev").verdict == "drop"


class TestPairing:
    """Rules of iptables-nft: structure from nft, arguments of their extensions from iptables-save."""

    _CHAIN = chain("FORWARD", "forward", table="filter", family="ip")
    _TABLES = (("ip", "filter"),)

    def _rule(self, *expr: object, handle: int = 5) -> dict[str, object]:
        return rule("FORWARD", *expr, table="filter", family="ip", handle=handle)

    def test_arguments_come_from_the_same_line(self) -> None:
        xt = {"xt": {"type": "match", "name": "conntrack"}}
        objects = (
            self._CHAIN,
            self._rule(match(META_IN, "eth0"), COUNTER, DROP),
            self._rule(xt, COUNTER, DROP, handle=6),
        )
        save = filter_table("FORWARD -i eth0 -j DROP", "FORWARD -m conntrack --ctstate NEW -j DROP")
        crossing = at(nft(*objects, tables=self._TABLES, iptables_nft=save), outgoing())
        stop = crossing.stops[0].rule
        assert (stop.backend, stop.handle, stop.text) == (
            "iptables-nft",
            6,
            "-A FORWARD -m conntrack --ctstate NEW -j DROP",
        )

    def test_different_counts_make_extensions_unknown(self) -> None:
        xt = {"xt": {"type": "match", "name": "conntrack"}}
        objects = (self._CHAIN, self._rule(xt, COUNTER, DROP))
        save = filter_table("FORWARD -m conntrack --ctstate ESTABLISHED -j DROP", "FORWARD -j ACCEPT")
        assert at(nft(*objects, tables=self._TABLES, iptables_nft=save), outgoing()).verdict == "unknown"

    def test_native_rule_is_judged_by_the_listing_where_save_lies(self) -> None:
        source = match({"payload": {"protocol": "ip", "field": "saddr"}}, {"set": ["192.0.2.1", "192.0.2.2"]})
        objects = (self._CHAIN, self._rule(source, DROP))
        crossing = at(
            nft(*objects, tables=self._TABLES, iptables_nft=filter_table("FORWARD -j DROP")), outgoing()
        )
        assert crossing.verdict == "accept"
        native = parse(nft(*objects, tables=self._TABLES, iptables_nft=filter_table("FORWARD -j DROP")))
        reference = native.tables[0].chains["FORWARD"].rules[0]
        assert (reference.backend, reference.write()) == ("nft", "ip saddr { 192.0.2.1, 192.0.2.2 } drop")

    def test_incompatible_table_has_no_lines(self) -> None:
        xt = {"xt": {"type": "match", "name": "mark"}}
        save = "# Table `filter' is incompatible, use 'nft' tool.\n"
        objects = (self._CHAIN, self._rule(xt, DROP))
        assert at(nft(*objects, tables=self._TABLES, iptables_nft=save), outgoing()).verdict == "unknown"


def test_large_chain_gives_the_same_as_a_small_one() -> None:
    """Rules found by link and address are those that a walk from rule to rule would find."""
    noise = [f"FORWARD -i br-{n} -j DROP" for n in range(40)] + [
        f"FORWARD -s 10.0.0.{n}/32 -j DROP" for n in range(40)
    ]
    telling = ["FORWARD ! -i docker0 -j DROP", "FORWARD -o eth0 -s 172.17.0.2/32 -d 203.0.113.10/32 -j DROP"]
    crossing = forwarded(*noise, *telling, *noise)
    assert [stop.rule.index for stop in crossing.stops] == [82]


def test_vmap_by_link_leads_to_the_networks_chain() -> None:
    verdicts = {"set": [["docker0", {"jump": {"target": "out"}}], ["br-1", {"drop": None}]]}
    firewall = nft(
        chain("forward", "forward"),
        chain("out"),
        rule("forward", {"vmap": {"key": META_IN, "data": verdicts}}),
        rule("out", match(META_OUT, "docker0", "!="), COUNTER, DROP, comment="INTERNAL"),
    )
    stop = at(firewall, outgoing()).stops[0]
    assert stop.rule.text == 'oifname != "docker0" counter packets 7 bytes 420 drop comment "INTERNAL"'
    assert [reference.chain for reference in stop.path] == ["forward"]
    assert at(nft(chain("forward", "forward"), rule("forward", ACCEPT)), outgoing()).verdict == "accept"


@pytest.mark.parametrize(
    ("beside", "verdict"),
    [
        ((), "unknown"),
        ((rule("post", {"snat": {"family": "ip6", "addr": "fd00::9"}}),), "unknown"),
        ((rule("post", match(META_IN, "x"), {"masquerade": None}),), "drop"),
        ((rule("post", match({"ct": {"key": "state"}}, "invalid"), COUNTER),), "drop"),
    ],
)
def test_a_nat_chain_drops_where_connections_are_tracked(
    beside: tuple[dict[str, Any], ...], verdict: str
) -> None:
    post = chain("post", "postrouting", type="nat", prio=100, policy="drop")
    away = match({"payload": {"protocol": "ip", "field": "daddr"}}, "192.0.2.1")
    # What stands behind a match that no packet meets has connections tracked all the same.
    firewall = nft(post, rule("post", away, *[part for one in beside for part in one["rule"]["expr"]]))
    assert at(firewall, outgoing(), "postrouting").verdict == verdict
