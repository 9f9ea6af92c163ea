from dataclasses import replace

import pytest

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Snapshot, TextFile
from tests.checks.hosts import (
    Change,
    cause_of,
    engine,
    environment,
    first_in,
    judged,
    network,
    rules,
    service,
    told,
)

CLOSED = rules(":FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT", ":FORWARD ACCEPT [0:0]\n:OUTPUT DROP")
PROXY = "http://192.0.2.7:3128"


def proxied(url: str = PROXY) -> tuple[Change, ...]:
    return environment(HTTPS_PROXY=url), engine(https_proxy=url)


def confined(**settings: str) -> Change:
    return service(confinement={"docker.service": settings})


def output(rule: str) -> Change:
    return first_in("filter:OUTPUT", rule)


def test_a_rule_that_drops_what_the_engine_sends() -> None:
    report = judged(output("-p tcp -m tcp --dport 443 -j DROP"))
    assert cause_of(report) == ("engine-egress", "egress-stopped", "engine:lab")
    assert report.cause is not None
    assert report.cause.remedies[0].now == (
        "iptables-legacy -t filter -I OUTPUT 1 -p tcp -m tcp --dport 443 -j ACCEPT",
    )


def test_one_policy_that_stops_packets_and_names_is_told_once() -> None:
    report = judged(CLOSED)
    assert list(told(report)) == ["egress-stopped"]
    assert report.cause is not None
    assert len(report.cause.remedies[0].now) == 2


def test_chosen_destinations_are_a_choice() -> None:
    report = judged(
        CLOSED,
        output("-d 192.0.2.0/24 -p tcp -m tcp --dport 443 -j ACCEPT"),
        output("-p udp -m udp --dport 53 -j ACCEPT"),
    )
    assert report.verdict is Verdict.OK
    assert "egress-stopped" in told(report, Status.NOTE)


def test_behind_a_proxy_only_the_way_to_it_counts() -> None:
    closed = output("-p tcp -m tcp --dport 443 -j DROP")
    assert "egress-stopped" not in told(judged(closed, *proxied()))
    report = judged(output("-p tcp -m tcp --dport 3128 -j DROP"), *proxied())
    assert cause_of(report)[1] == "egress-stopped"
    assert "its proxy 192.0.2.7:3128" in told(report)["egress-stopped"].summary


def test_a_proxy_by_name_is_walked_where_the_hosts_file_knows_it() -> None:
    closed = output("-p tcp -m tcp --dport 3128 -j DROP")
    named = proxied("http://proxy.example:3128")
    assert "egress-stopped" not in told(judged(closed, *named))
    file = TextFile("/etc/hosts", "192.0.2.7 proxy.example\n")
    assert "egress-stopped" in told(judged(closed, *named, lambda one: replace(one, hosts_file=file)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PrivateNetwork", "yes"),
        ("NetworkNamespacePath", "/run/netns/x"),
        ("RestrictAddressFamilies", "AF_NETLINK AF_UNIX"),
        ("RestrictAddressFamilies", "~AF_INET AF_INET6"),
        ("RestrictNetworkInterfaces", "lo"),
        ("RestrictNetworkInterfaces", "~eth0"),
        ("IPAddressDeny", "::/0 0.0.0.0/0"),
    ],
)
def test_systemd_keeps_the_engine_in(name: str, value: str) -> None:
    report = judged(confined(**{name: value}))
    assert cause_of(report) == ("engine-egress", "engine-confined", "unit:docker.service")
    assert report.cause is not None
    assert f"{name}={value}" in report.cause.evidence[0].text
    assert any(name in line for line in report.cause.remedies[0].now)


@pytest.mark.parametrize(
    "settings",
    [
        {"RestrictAddressFamilies": "AF_INET AF_INET6 AF_NETLINK AF_UNIX"},
        {"RestrictAddressFamilies": "~AF_PACKET"},
        {"RestrictNetworkInterfaces": "eth0 lo"},
        {"IPAddressDeny": "192.0.2.0/24"},
        {"IPAddressDeny": "::/0 0.0.0.0/0", "IPAddressAllow": "0.0.0.0/0"},
    ],
)
def test_settings_that_leave_its_way_open(settings: dict[str, str]) -> None:
    assert judged(confined(**settings)).verdict is Verdict.OK


def test_addresses_that_somebody_allows_are_a_choice() -> None:
    report = judged(confined(IPAddressDeny="::/0 0.0.0.0/0", IPAddressAllow="127.0.0.0/8 203.0.113.0/24"))
    assert report.verdict is Verdict.OK
    assert "engine-confined" in told(report, Status.NOTE)


def test_a_slice_above_is_named() -> None:
    report = judged(service(confinement={"system.slice": {"IPAddressDeny": "0.0.0.0/0"}}))
    assert cause_of(report)[2] == "unit:system.slice"
    assert report.cause is not None
    assert "containers whose cgroups are below that slice" in report.cause.summary
    alone = judged(confined(IPAddressDeny="0.0.0.0/0"))
    assert alone.cause is not None
    assert "containers" not in alone.cause.summary
    assert "/etc/systemd/system/system.slice.d/" in report.cause.remedies[0].now[0]
    assert "[Slice]" in report.cause.remedies[0].now[0]


def nft_output(*rules_: str) -> Change:
    """An nft table beside the engine's rules, whose chain drops what it does not accept."""
    chain = (
        '{"family": "inet", "table": "guard", "name": "out", "handle": 1, "type": "filter", "hook": "output"'
    )
    items = (
        '{"table": {"family": "inet", "name": "guard", "handle": 1}}',
        f'{{"chain": {chain}, "prio": 0, "policy": "drop"}}}}',
        *(
            f'{{"rule": {{"family": "inet", "table": "guard", "chain": "out", "handle": {at}, "expr": [{rule}]}}}}'
            for at, rule in enumerate(rules_, 2)
        ),
    )
    text = f'{{"nftables": [{", ".join(items)}]}}'

    def changed(snapshot: Snapshot) -> Snapshot:
        return network(firewall=replace(snapshot.network.firewall, nft=text))(snapshot)

    return changed


ACCEPT = '{"accept": null}'


def nft_match(protocol: str, field: str, value: str) -> str:
    left = f'{{"payload": {{"protocol": "{protocol}", "field": "{field}"}}}}'
    return f'{{"match": {{"op": "==", "left": {left}, "right": {value}}}}}'


NAMES = f"{nft_match('udp', 'dport', '53')}, {ACCEPT}"


def test_an_nft_policy_that_drops() -> None:
    report = judged(nft_output(NAMES))
    assert cause_of(report)[1] == "egress-stopped"
    assert report.cause is not None
    assert (
        report.cause.remedies[0]
        .now[0]
        .startswith("nft insert rule inet guard out 'tcp dport 443 counter accept'")
    )


def test_an_nft_policy_with_chosen_destinations() -> None:
    chosen = f"{nft_match('ip', 'daddr', chr(34) + '192.0.2.7' + chr(34))}, {ACCEPT}"
    assert judged(nft_output(NAMES, chosen)).verdict is Verdict.OK
    near = f"{nft_match('ip', 'daddr', chr(34) + '127.0.0.1' + chr(34))}, {ACCEPT}"
    assert judged(nft_output(NAMES, near)).verdict is Verdict.BROKEN


def test_a_rule_about_programs_is_settled_by_dockerd_itself() -> None:
    report = judged(output("-m cgroup --path system.slice -p tcp -m tcp --dport 443 -j DROP"))
    (step,) = told(report)["egress-unknown"].remedies
    assert step.now == ("docker search --limit 1 hello-world",)
    assert "no rule and no setting changes" in step.risk


def asks(server: str) -> Change:
    """The host has this nameserver alone."""
    file = TextFile("/etc/resolv.conf", f"nameserver {server}\n")
    return lambda snapshot: replace(snapshot, resolv_conf=file)


@pytest.mark.parametrize("zone", ["eth0", "2"])
def test_a_link_local_resolver_is_asked_by_the_link_that_its_zone_names(zone: str) -> None:
    assert judged(asks(f"fe80::1%{zone}"), recorded="plain-sid").verdict is Verdict.OK


def test_a_link_local_resolver_on_a_link_that_is_not_there() -> None:
    found = told(judged(asks("fe80::1%wlan7"), recorded="plain-sid"))
    assert found["egress-stopped"].status is Status.FAIL
    assert "fe80::1%wlan7" in found["egress-stopped"].summary
