from dataclasses import replace
from functools import partial

import pytest

from dockerdiag.case import MASQUERADE_OPTION
from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Engine, NetworkNamespace, Snapshot
from tests.checks.hosts import (
    Change,
    cause_of,
    command_line,
    daemon_json,
    default_bridge,
    engine,
    first_in,
    judged,
    rules,
    told,
    with_table,
)
from tests.checks.native import direct_access, listing, with_nftables

DELETED = rules("[0:0] -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n", "")


def twenty_more(snapshot: Snapshot) -> Snapshot:
    """Containers like the first, which share its namespace but for the address that the engine tells."""
    assert isinstance(snapshot.engine, Engine)
    assert isinstance(snapshot.engine.containers, tuple)
    (first,) = snapshot.engine.containers
    ((key, space),) = snapshot.namespaces.items()
    assert isinstance(space, NetworkNamespace)
    assert isinstance(space.addresses, tuple)
    spaces, others = {key: space}, []
    for number in range(3, 23):
        address = f"172.17.0.{number}"
        own = tuple(replace(a, address=address) if a.address == "172.17.0.2" else a for a in space.addresses)
        spaces[f"net:[{number}]"] = replace(space, name=f"net:[{number}]", addresses=own)
        ends = tuple(replace(end, address=address) for end in first.endpoints)
        one = replace(first, id=f"{number:064x}", name=f"more{number}", endpoints=ends)
        others.append(replace(one, namespace=f"net:[{number}]"))
    return replace(engine(containers=(first, *others))(snapshot), namespaces=spaces)


def as_own_network(name: str, **options: str) -> Change:
    """Makes of the default bridge one that somebody created."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.networks, tuple)
        assert isinstance(snapshot.engine.containers, tuple)
        own = {"com.docker.network.bridge.name": "docker0", **options}
        networks = tuple(
            replace(one, name=name, options=own) if one.name == "bridge" else one
            for one in snapshot.engine.networks
        )
        containers = tuple(
            replace(one, endpoints=tuple(replace(end, network=name) for end in one.endpoints))
            for one in snapshot.engine.containers
        )
        return engine(networks=networks, containers=containers)(snapshot)

    return changed


def test_a_missing_rule_is_named_as_it_should_read() -> None:
    report = judged(DELETED)
    assert cause_of(report) == ("masquerade", "masquerade-missing", "network:bridge")
    assert report.cause is not None
    assert report.cause.evidence[0].text == "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
    assert report.cause.remedies[0].now == (
        "iptables-legacy -t nat -A POSTROUTING -s 172.17.0.0/16 '!' -o docker0 -j MASQUERADE",
    )


def test_one_missing_rule_is_told_once_for_all_containers_of_the_network() -> None:
    report = judged(DELETED, twenty_more)
    findings = [f for result in report.results for f in result.findings if f.code == "masquerade-missing"]
    (finding,) = findings
    assert finding.count == 21
    assert "and 18 more" in finding.summary


def test_another_rule_that_does_the_same_is_fine() -> None:
    report = judged(DELETED, first_in("nat:POSTROUTING", "-o eth0 -j SNAT --to-source 198.51.100.2"))
    assert report.verdict is Verdict.OK


def test_a_rule_for_another_link_does_not_help() -> None:
    report = judged(DELETED, first_in("nat:POSTROUTING", "-o tun0 -j MASQUERADE"))
    assert cause_of(report)[1] == "masquerade-missing"


NEARLY = (
    ("-s 172.16.0.0/12 -o ens3 -j MASQUERADE", "the packet leaves by eth0"),
    ("-o ens3 -j SNAT --to-source 198.51.100.2", "the packet leaves by eth0"),
    ("-s 192.168.44.0/24 -o eth0 -j MASQUERADE", "the packet comes from 172.17.0.2"),
)
NOT_NEARLY = (
    "-s 198.51.100.0/24 -j MASQUERADE",
    "-s 192.168.44.0/24 -j ACCEPT",
    "-s 10.9.0.0/16 -o ens3 -j MASQUERADE",
)


@pytest.mark.parametrize(("rule", "why"), NEARLY)
def test_a_rule_that_nearly_translates_is_shown(rule: str, why: str) -> None:
    cause = judged(DELETED, first_in("nat:POSTROUTING", rule)).cause
    assert cause is not None
    (nearly,) = (piece for piece in cause.evidence if "does not match" in piece.source)
    assert (nearly.text, nearly.source.endswith(why)) == (f"-A POSTROUTING {rule}", True)


@pytest.mark.parametrize("rule", NOT_NEARLY)
def test_a_rule_for_others_is_not_shown(rule: str) -> None:
    cause = judged(DELETED, first_in("nat:POSTROUTING", rule)).cause
    assert cause is not None
    assert not [piece for piece in cause.evidence if "does not match" in piece.source]


def test_own_rules_that_do_not_fit_are_shown_with_the_flag() -> None:
    nearly = first_in("nat:POSTROUTING", "-o ens3 -j MASQUERADE")
    cause = judged(DELETED, nearly, command_line("--iptables=false")).cause
    assert cause is not None
    assert (cause.code, cause.summary.partition(", ")[2]) == (
        "iptables-off",
        "and no rule of others fits its containers",
    )
    assert any("-o ens3" in piece.text for piece in cause.evidence)


def test_an_earlier_rule_that_settles_the_packet_is_named_with_what_it_shadows() -> None:
    report = judged(first_in("nat:POSTROUTING", "-s 172.16.0.0/12 -j ACCEPT"))
    assert cause_of(report) == ("masquerade", "masquerade-shadowed", "network:bridge")
    assert report.cause is not None
    texts = [piece.text for piece in report.cause.evidence]
    assert texts[0] == "-A POSTROUTING -s 172.16.0.0/12 -j ACCEPT"
    assert "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE" in texts
    remedy = report.cause.remedies[0]
    assert remedy.now[0].startswith("iptables-legacy -t nat -I POSTROUTING 1 -s 172.17.0.0/16")
    assert "50-dockerdiag-masquerade-ipv4-bridge-" in remedy.lasting[0]


def test_of_two_rules_of_one_chain_the_first_is_gone_before() -> None:
    report = judged(
        first_in("nat:POSTROUTING", "-s 172.17.0.0/16 -p tcp -j ACCEPT"),
        first_in("nat:POSTROUTING", "-s 172.17.0.0/16 -p udp -j ACCEPT"),
    )
    findings = [f for result in report.results for f in result.findings if f.code == "masquerade-shadowed"]
    places = {finding.remedies[0].now[0].partition(" -s ")[0] for finding in findings}
    assert places == {"iptables-legacy -t nat -I POSTROUTING 1"}


def test_a_source_that_the_host_does_not_have_is_not_answered() -> None:
    report = judged(first_in("nat:POSTROUTING", "-s 172.17.0.0/16 -j SNAT --to-source 192.0.2.77"))
    assert cause_of(report)[1] == "snat-to-foreign-address"


def test_what_is_not_tracked_is_not_translated() -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n[0:0] -A PREROUTING -s 172.17.0.0/16 -j CT --notrack\nCOMMIT\n"
    report = judged(with_table(raw))
    assert cause_of(report) == ("masquerade", "connection-untracked", "network:bridge")
    assert report.cause is not None
    assert report.cause.remedies[0].now == (
        "iptables-legacy -t raw -I PREROUTING 1 -i docker0 -s 172.17.0.0/16 -j ACCEPT",
    )


def test_an_answer_that_is_not_tracked_is_not_translated_back() -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n[0:0] -A PREROUTING -i eth0 -j CT --notrack\nCOMMIT\n"
    report = judged(with_table(raw))
    assert cause_of(report)[1] == "connection-untracked"
    assert list(told(report)) == ["connection-untracked"]


def test_a_request_and_its_answer_that_are_not_tracked_are_mended_together() -> None:
    query, answer = "-p udp -m udp --dport 53", "-p udp -m udp --sport 53"
    taken_out = [f"-A PREROUTING {ports} -j CT --notrack" for ports in (query, answer)]
    raw = f"*raw\n:PREROUTING ACCEPT [0:0]\n[0:0] {taken_out[0]}\n[0:0] {taken_out[1]}\nCOMMIT\n"
    report = judged(with_table(raw))
    assert cause_of(report) == ("masquerade", "connection-untracked", "network:bridge")
    assert report.cause is not None
    accepting, deleting = report.cause.remedies
    tool = "iptables-legacy -t raw"
    assert accepting.now == (
        f"{tool} -I PREROUTING 2 -i eth0 -d 198.51.100.2 {answer} -j ACCEPT",
        f"{tool} -I PREROUTING 1 -i docker0 -s 172.17.0.0/16 {query} -j ACCEPT",
    )
    assert "what another rule there refuses is let in too" in accepting.risk
    assert deleting.now == tuple(f"{tool} {rule.replace('-A', '-D')}" for rule in taken_out)


def test_ip_masq_off_is_the_engines_and_says_where() -> None:
    report = judged(
        DELETED,
        daemon_json('{\n  "ip-masq": false\n}'),
        default_bridge(
            options={
                "com.docker.network.bridge.default_bridge": "true",
                "com.docker.network.bridge.name": "docker0",
                MASQUERADE_OPTION: "false",
            }
        ),
    )
    assert cause_of(report) == ("masquerade", "ip-masq-off", "engine:lab")
    assert report.cause is not None
    assert any(piece.source == "/etc/docker/daemon.json:2" for piece in report.cause.evidence)


def test_iptables_false_takes_ip_masq_along_and_is_the_one_to_blame() -> None:
    report = judged(
        DELETED,
        command_line("--iptables=false"),
        default_bridge(
            options={
                "com.docker.network.bridge.default_bridge": "true",
                "com.docker.network.bridge.name": "docker0",
                MASQUERADE_OPTION: "false",
            }
        ),
    )
    assert cause_of(report)[1] == "iptables-off"


def test_a_network_without_translation_by_its_option_is_a_warning_unless_asked_about() -> None:
    own = as_own_network("lan", **{MASQUERADE_OPTION: "false"})
    assert told(judged(DELETED, own))["network-masquerade-off"].status is Status.WARN
    asked = judged(DELETED, own, containers=("web",))
    assert asked.verdict is Verdict.BROKEN
    assert cause_of(asked) == ("masquerade", "network-masquerade-off", "network:lan")
    assert asked.cause is not None
    made_anew = asked.cause.remedies[0].lasting
    assert made_anew[0] == "docker network disconnect lan web"
    assert not any(MASQUERADE_OPTION in line for line in made_anew)
    undo = asked.cause.remedies[0].undo
    assert undo[-3:] == (
        made_anew[1],
        made_anew[2].replace(" lan", f" --opt {MASQUERADE_OPTION}=false lan"),
        made_anew[3],
    )
    assert "--attachable" in asked.cause.remedies[0].risk


def test_a_network_of_a_compose_project_is_not_made_anew_behind_its_back() -> None:
    own = as_own_network("lan", **{MASQUERADE_OPTION: "0"})

    def composed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.networks, tuple)
        networks = tuple(replace(one, compose_project="demo") for one in snapshot.engine.networks)
        return engine(networks=networks)(snapshot)

    finding = told(judged(DELETED, own, composed))["network-masquerade-off"]
    assert "50-dockerdiag-masquerade-ipv4-lan-" in finding.remedies[0].lasting[0]


def test_a_host_address_that_is_gone_is_the_networks_option() -> None:
    own = as_own_network("sn", **{"com.docker.network.host_ipv4": "192.0.2.77"})
    snat = rules("! -o docker0 -j MASQUERADE", "! -o docker0 -j SNAT --to-source 192.0.2.77")
    report = judged(snat, own)
    assert report.cause is not None
    assert any(piece.text == "com.docker.network.host_ipv4=192.0.2.77" for piece in report.cause.evidence)
    assert report.cause.remedies[0].lasting[0] == "docker network disconnect sn web"


def test_a_routed_network_is_a_note() -> None:
    routed = as_own_network("pub", **{"com.docker.network.bridge.gateway_mode_ipv4": "routed"})
    report = judged(DELETED, routed)
    assert report.verdict is Verdict.OK
    assert told(report, Status.NOTE)["network-routed"].subject == "network:pub"


def test_an_engine_that_translates_no_ipv6_is_not_restarted_for_it() -> None:
    report = judged(recorded="ipv6-not-translated-trixie")
    assert report.cause is not None
    lasting = report.cause.remedies[0].lasting
    assert "systemctl restart docker" not in lasting
    assert "/etc/systemd/system/docker.service.d/50-dockerdiag-masquerade-ipv6-six-" in lasting[0]


def test_in_nftables_what_no_restart_brings_back_gets_a_table_of_its_own() -> None:
    native = partial(with_nftables, rules=listing(masquerade=None, raw=direct_access(0)))
    restarted = judged(native).cause
    assert restarted is not None
    assert restarted.remedies[0].now == ("systemctl restart docker",)
    without = {MASQUERADE_OPTION: "false", "com.docker.network.bridge.name": "docker0"}
    report = judged(native, default_bridge(options=without), containers=("web",))
    assert report.cause is not None
    assert report.cause.code == "network-masquerade-off"
    (line,) = report.cause.remedies[0].now
    assert line.startswith("nft add table ip dockerdiag && nft add chain ip dockerdiag postrouting ")
    assert 'oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade' in line
