import json
from dataclasses import replace
from functools import partial

import pytest

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import ServiceState, Snapshot, Unread
from tests.checks.hosts import Change, cause_of, first_in, judged, network, rules, told, with_table
from tests.checks.native import listing, with_nftables


def now(report_of_rules: str, chain: str = "FORWARD") -> tuple[str, ...]:
    report = judged(first_in(chain, report_of_rules))
    assert report.cause is not None
    return report.cause.remedies[0].now


def test_a_policy_of_drop_is_normal() -> None:
    assert judged(rules(":FORWARD ACCEPT", ":FORWARD DROP")).verdict is Verdict.OK


def test_a_policy_drops_what_no_rule_accepts() -> None:
    report = judged(
        rules(":FORWARD ACCEPT", ":FORWARD DROP"),
        rules("[0:0] -A FORWARD -i docker0 ! -o docker0 -j ACCEPT\n", ""),
        rules("[0:0] -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", ""),
    )
    assert cause_of(report) == ("forward-policy", "forward-accepts-missing", "network:bridge")
    assert report.cause is not None
    assert report.cause.remedies[0].now == (
        "iptables-legacy -A FORWARD -i docker0 -o eth0 -j ACCEPT",
        "iptables-legacy -A FORWARD -i eth0 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    )
    assert report.cause.remedies[0].lasting == ("systemctl restart docker",)


def test_the_accept_comes_right_before_the_drop() -> None:
    assert now("-s 172.16.0.0/12 -j DROP") == ("iptables-legacy -I FORWARD 1 -i docker0 -o eth0 -j ACCEPT",)
    assert now("-i eth0 -j DROP", "DOCKER-USER") == (
        "iptables-legacy -I DOCKER-USER 1 -i eth0 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    )


def test_two_rules_of_one_chain_are_passed_together_by_what_each_names() -> None:
    report = judged(
        first_in("DOCKER-USER", "-i docker0 -p tcp -j REJECT --reject-with tcp-reset"),
        first_in("DOCKER-USER", "-i docker0 -p udp -j REJECT --reject-with icmp-port-unreachable"),
    )
    findings = [f for result in report.results for f in result.findings if f.code == "rule-rejects"]
    assert len(findings) == 2
    # The later place first, so that no insertion moves another's.
    accepts = {
        "iptables-legacy -I DOCKER-USER 2 -i docker0 -o eth0 -p tcp -j ACCEPT",
        "iptables-legacy -I DOCKER-USER 1 -i docker0 -o eth0 -p udp -j ACCEPT",
    }
    assert [set(finding.remedies[0].now) for finding in findings] == [accepts, accepts]
    assert [line.split()[3] for line in findings[0].remedies[0].now] == ["2", "1"]


@pytest.mark.parametrize(
    ("rule", "accepted"),
    [
        ("-p tcp -m tcp ! --dport 80 -j DROP", "-p tcp -m tcp '!' --dport 80 -j ACCEPT"),
        (
            "-p tcp -m multiport ! --dports 80,8080 -j REJECT",
            "-p tcp -m multiport '!' --dports 80,8080 -j ACCEPT",
        ),
        ("! -p udp -j DROP", "-o eth0 -j ACCEPT"),
    ],
)
def test_an_accept_names_the_ports_that_a_rule_leaves_out(rule: str, accepted: str) -> None:
    assert now(rule, "DOCKER-USER")[0].endswith(accepted)


def test_what_lasts_for_two_rules_of_one_chain_does_not_overwrite_each_other() -> None:
    report = judged(
        first_in("DOCKER-USER", "-i docker0 -p tcp -j DROP"),
        first_in("DOCKER-USER", "-o docker0 -p udp -j DROP"),
    )
    drops = [f for result in report.results for f in result.findings if f.code == "rule-drops"]
    written = {line: line.rpartition(" > ")[2] for f in drops for line in f.remedies[0].lasting[:1]}
    assert len(written) == 2
    assert len(set(written.values())) == 2


def test_one_accept_serves_two_rules_of_one_chain_and_comes_before_both() -> None:
    report = judged(
        first_in("DOCKER-USER", "-i docker0 -p tcp -j REJECT --reject-with tcp-reset"),
        first_in("DOCKER-USER", "-i docker0 ! -p tcp -j REJECT --reject-with icmp-port-unreachable"),
    )
    findings = [f for result in report.results for f in result.findings if f.code == "rule-rejects"]
    assert len(findings) == 2
    accept = ("iptables-legacy -I DOCKER-USER 1 -i docker0 -o eth0 -j ACCEPT",)
    assert [finding.remedies[0].now for finding in findings] == [accept, accept]


def test_a_hook_that_knows_no_link_gets_the_subnet() -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n[0:0] -A PREROUTING -s 172.17.0.2/32 -j DROP\nCOMMIT\n"
    mangle = "*mangle\n:POSTROUTING ACCEPT [0:0]\n[0:0] -A POSTROUTING -o eth0 -j DROP\nCOMMIT\n"
    lines = [
        report.cause.remedies[0].now for report in map(judged, map(with_table, (raw, mangle))) if report.cause
    ]
    assert lines == [
        ("iptables-legacy -t raw -I PREROUTING 1 -i docker0 -s 172.17.0.0/16 -j ACCEPT",),
        ("iptables-legacy -t mangle -I POSTROUTING 1 -o eth0 -s 172.17.0.0/16 -j ACCEPT",),
    ]


def test_an_answer_in_the_raw_table_has_no_state_yet() -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n[0:0] -A PREROUTING -i eth0 -p tcp -m tcp --sport 443 -j DROP\nCOMMIT\n"
    report = judged(with_table(raw))
    assert report.cause is not None
    remedy = report.cause.remedies[0]
    ports = "-p tcp -m tcp --sport 443"
    assert remedy.now == (
        f"iptables-legacy -t raw -I PREROUTING 1 -i eth0 -d 198.51.100.2 {ports} -j ACCEPT",
    )
    assert f"all ({ports}) that comes in by eth0 for 198.51.100.2" in remedy.risk


def test_a_rule_that_cannot_be_judged_is_unknown_with_the_way_to_find_out() -> None:
    report = judged(first_in("FORWARD", "-m nosuchmatch --something 1 -j DROP"))
    assert report.verdict is Verdict.UNKNOWN
    finding = told(report, Status.UNKNOWN)["rule-undecided"]
    assert finding.remedies[0].now == ("dockerdiag trace web 1.1.1.1:443/tcp --probe",)


def test_a_rule_that_cannot_be_judged_and_changes_nothing_is_no_matter() -> None:
    assert judged(first_in("FORWARD", "-m nosuchmatch --something 1 -j ACCEPT")).verdict is Verdict.OK


def test_a_limit_that_was_never_exceeded_is_not_by_one_packet() -> None:
    limit = "-p tcp -m connlimit --connlimit-above 50 --connlimit-mask 32 --connlimit-saddr -j REJECT"
    assert judged(first_in("FORWARD", limit)).verdict is Verdict.OK
    exceeded = rules(f"[0:0] -A FORWARD {limit}", f"[7:420] -A FORWARD {limit}")
    assert judged(first_in("FORWARD", limit), exceeded).verdict is Verdict.UNKNOWN


def test_rules_that_were_not_read_are_unknown() -> None:
    def unread(snapshot: Snapshot) -> Snapshot:
        firewall = replace(snapshot.network.firewall, iptables_legacy=Unread("not permitted"))
        return network(firewall=firewall)(snapshot)

    report = judged(unread)
    assert report.verdict is Verdict.UNKNOWN
    assert report.cause is None


def test_names_from_the_host_are_quoted() -> None:
    report = judged(first_in("FORWARD", """-i docker0 -m comment --comment "it's; a $(test)" -j DROP"""))
    assert cause_of(report)[1] == "rule-drops"


def test_a_rule_that_the_engine_has_made_is_not_deleted() -> None:
    report = judged(first_in("DOCKER-ISOLATION-STAGE-1", "-i eth0 -o docker0 -j DROP"))
    assert cause_of(report)[:2] == ("forward-policy", "rule-drops")
    assert report.cause is not None
    assert [remedy.now for remedy in report.cause.remedies[1:]] == [("systemctl restart docker",)]
    on_the_way_out = judged(first_in("DOCKER-ISOLATION-STAGE-1", "-i docker0 -o eth0 -j DROP"))
    assert on_the_way_out.cause is not None
    assert len(on_the_way_out.cause.remedies) == 1


@pytest.mark.parametrize(("table", "words"), [("filter", ""), ("mangle", "-t mangle ")])
def test_the_other_variants_policy_is_given_up_in_its_own_table(table: str, words: str) -> None:
    text = f"*{table}\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"

    def dropping(snapshot: Snapshot) -> Snapshot:
        return network(firewall=replace(snapshot.network.firewall, iptables_legacy=text))(snapshot)

    report = judged(dropping, recorded="plain-sid")
    assert cause_of(report)[:2] == ("forward-policy", "iptables-variant-mix")
    assert report.cause is not None
    policy = report.cause.remedies[-1]
    assert policy.now == (f"iptables-legacy {words}-P FORWARD ACCEPT",)
    assert policy.undo == (f"iptables-legacy {words}-P FORWARD DROP",)


def test_a_map_that_lets_others_pass_is_not_deleted() -> None:
    by_state = (
        '{"vmap": {"key": {"ct": {"key": "state"}}, '
        '"data": {"set": [["new", {"drop": null}], ["established", {"accept": null}]]}}}'
    )

    def mapped(snapshot: Snapshot) -> Snapshot:
        text = snapshot.network.firewall.nft
        assert isinstance(text, str)
        head, guard, tail = text.partition('"no way out"')
        changed = head + guard + tail.replace('{"drop": null}', by_state, 1)
        assert changed != text
        return network(firewall=replace(snapshot.network.firewall, nft=changed))(snapshot)

    before, after = (judged(*changes, recorded="nft-inet-drops-forward-sid") for changes in ((), (mapped,)))
    for report, remedies in ((before, 2), (after, 1)):
        assert cause_of(report)[:2] == ("forward-policy", "rule-drops")
        assert report.cause is not None
        assert len(report.cause.remedies) == remedies


def test_rules_that_stop_the_same_packets_in_turn_are_deleted_together() -> None:
    changes = (
        first_in("DOCKER-USER", "-i docker0 -j DROP"),
        first_in("FORWARD", "-s 172.16.0.0/12 -j REJECT"),
    )
    for finding in told(judged(*changes), Status.FAIL).values():
        deletion = finding.remedies[1]
        assert set(deletion.now) == {
            "iptables-legacy -D DOCKER-USER -i docker0 -j DROP",
            "iptables-legacy -D FORWARD -s 172.16.0.0/12 -j REJECT",
        }
        assert len(deletion.undo) == 2
        assert "rules" in deletion.risk


def test_a_rule_before_a_policy_that_drops_the_same_packets_is_not_deleted() -> None:
    report = judged(recorded="nft-inet-policy-drop-sid")
    assert report.cause is not None
    assert cause_of(report)[1] == "policy-drops"

    def with_a_rule_too(snapshot: Snapshot) -> Snapshot:
        text = snapshot.network.firewall.nft
        assert isinstance(text, str)
        listing = json.loads(text)
        rule = next(
            one["rule"] for one in listing["nftables"] if one.get("rule", {}).get("table") == "lockdown"
        )
        listing["nftables"].append({"rule": {**rule, "handle": 99, "expr": [{"drop": None}]}})
        return network(firewall=replace(snapshot.network.firewall, nft=json.dumps(listing)))(snapshot)

    both = judged(with_a_rule_too, recorded="nft-inet-policy-drop-sid")
    assert cause_of(both)[1] == "rule-drops"
    assert both.cause is not None
    assert len(both.cause.remedies) == 1


def test_one_remedy_for_requests_and_answers_that_rules_of_one_base_chain_stop() -> None:
    report = judged(
        first_in("DOCKER-USER", "-i eth0 -o docker0 -j DROP"),
        first_in("FORWARD", "-i docker0 -o eth0 -j DROP"),
    )
    assert report.cause is not None
    assert set(report.cause.remedies[0].now) == {
        "iptables-legacy -I FORWARD 1 -i docker0 -o eth0 -j ACCEPT",
        "iptables-legacy -I DOCKER-USER 1 -i eth0 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    }
    assert "chains FORWARD and DOCKER-USER" in report.cause.remedies[0].risk


def test_the_risk_names_all_that_the_accepts_let_pass() -> None:
    rules_ = ("-p tcp -m tcp --dport 443 -j DROP", "-p udp -m udp --dport 53 -j DROP")
    report = judged(*(first_in("FORWARD", rule) for rule in rules_))
    assert report.cause is not None
    remedy = report.cause.remedies[0]
    assert len(remedy.now) == 2
    assert "(-p tcp -m tcp --dport 443 and -p udp -m udp --dport 53)" in remedy.risk


@pytest.mark.parametrize(
    ("banned", "spared"),
    [("172.17.0.2/32", "172.17.0.0/16"), ("172.16.0.0/12", "172.17.0.0/16"), ("1.1.1.1/32", "1.1.1.1")],
)
def test_what_is_not_to_be_banned_again(banned: str, spared: str) -> None:
    report = judged(
        rules(":FORWARD ACCEPT [0:0]\n", ":FORWARD ACCEPT [0:0]\n:f2b-web - [0:0]\n"),
        first_in("FORWARD", "-j f2b-web"),
        first_in("f2b-web", f"-s {banned} -j DROP"),
    )
    assert report.cause is not None
    assert report.cause.code == "container-banned"
    assert f"name {spared} in ignoreip" in report.cause.remedies[0].risk


def test_an_accept_comes_before_the_rule_that_leaves_packets_to_the_policy() -> None:
    returns = first_in("FORWARD", "-i docker0 -j RETURN")
    report = judged(rules(":FORWARD ACCEPT", ":FORWARD DROP"), returns)
    assert cause_of(report) == ("forward-policy", "policy-drops", "network:bridge")
    assert report.cause is not None
    assert any("-i docker0 -j RETURN" in piece.text for piece in report.cause.evidence)
    (remedy,) = report.cause.remedies
    assert remedy.now == ("iptables-legacy -I FORWARD 1 -i docker0 -o eth0 -j ACCEPT",)


def test_an_accept_comes_before_the_goto_whose_chain_comes_to_its_end() -> None:
    chain = rules(":FORWARD ACCEPT [0:0]\n", ":FORWARD DROP [0:0]\n:aside - [0:0]\n")
    report = judged(
        chain, first_in("FORWARD", "-p tcp -g aside"), first_in("FORWARD", "-s 10.9.0.0/16 -j ACCEPT")
    )
    assert report.cause is not None
    answers = "-i eth0 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED"
    assert set(report.cause.remedies[0].now) == {
        "iptables-legacy -I FORWARD 2 -i docker0 -o eth0 -p tcp -j ACCEPT",
        f"iptables-legacy -I FORWARD 2 {answers} -p tcp -j ACCEPT",
    }


def test_a_queue_that_no_program_takes_from_is_told_as_such() -> None:
    report = judged(first_in("FORWARD", "-j NFQUEUE --queue-balance 0:3"), network(packet_queues=()))
    assert cause_of(report) == ("forward-policy", "rule-drops", "network:bridge")
    assert report.cause is not None
    assert report.cause.summary.endswith("which hands them to a queue that no program takes from")
    assert "start that instead" in report.cause.remedies[0].risk


@pytest.mark.parametrize("comment", ["queue", '"mail queue traffic"', '"was -j NFQUEUE once"'])
def test_a_queue_that_a_comment_names_is_none(comment: str) -> None:
    report = judged(
        first_in("FORWARD", f"-i docker0 -m comment --comment {comment} -j DROP"), network(packet_queues=())
    )
    assert cause_of(report)[1] == "rule-drops"
    assert report.cause is not None
    assert "no program takes" not in report.cause.summary


@pytest.mark.parametrize(("output", "told_so"), [("-o eth0 -j DROP", True), ("-o tun0 -j DROP", False)])
def test_a_kill_switch_is_thought_of_where_the_hosts_own_packets_are_refused_too(
    output: str, told_so: bool
) -> None:
    report = judged(first_in("FORWARD", "-o eth0 -j DROP"), first_in("OUTPUT", output))
    assert cause_of(report)[1] == "rule-drops"
    assert report.cause is not None
    assert ("kill switch" in report.cause.remedies[0].risk) is told_so


@pytest.mark.parametrize(
    ("banned", "member", "again"),
    [
        ({"prefix": {"addr": "172.17.0.0", "len": 24}}, "172.17.0.0/24", ""),
        ({"range": ["172.17.0.1", "172.17.0.9"]}, "172.17.0.1-172.17.0.9", ""),
        ({"elem": {"val": "172.17.0.2", "timeout": 600, "expires": 300}}, "172.17.0.2", " timeout 300s"),
        ({"elem": {"val": "172.17.0.2", "timeout": 600, "expires": 0}}, "172.17.0.2", " timeout 1s"),
    ],
)
def test_a_ban_is_taken_back_as_its_set_has_it_and_given_back_for_its_time(
    banned: object, member: str, again: str
) -> None:
    def in_set(snapshot: Snapshot) -> Snapshot:
        firewall = snapshot.network.firewall
        assert isinstance(firewall.nft, str)
        before = '"elem": ["172.17.0.2", "192.0.2.9"]'
        assert before in firewall.nft
        nft = firewall.nft.replace(before, f'"elem": ["192.0.2.9", {json.dumps(banned)}]')
        return network(firewall=replace(firewall, nft=nft))(snapshot)

    report = judged(in_set, recorded="crowdsec-set-bans-container-sid")
    assert report.cause is not None
    assert report.cause.summary.endswith(f"CrowdSec has banned {member}")
    (remedy,) = report.cause.remedies
    place = "element ip crowdsec crowdsec-blacklists"
    assert remedy.now == (f"nft delete {place} '{{ {member} }}'",)
    assert remedy.undo == (f"nft add {place} '{{ {member}{again} }}'",)


def test_a_ban_of_an_ipset_is_given_back_for_its_time() -> None:
    def ending(snapshot: Snapshot) -> Snapshot:
        sets = snapshot.network.firewall.ipsets
        assert not isinstance(sets, Unread)
        timed = tuple(replace(one, members=("172.17.0.2 timeout 300",)) for one in sets)
        return network(firewall=replace(snapshot.network.firewall, ipsets=timed))(snapshot)

    report = judged(ending, recorded="fail2ban-set-bans-container-sid")
    assert report.cause is not None
    assert report.cause.remedies[0].undo == ("ipset add f2b-web 172.17.0.2 timeout 300",)


@pytest.mark.parametrize(
    ("service", "chain", "kept_in"),
    [
        ("csf.service", "FORWARD", "/etc/csf/csfpost.sh"),
        ("ufw.service", "ufw-user-forward", "ufw route allow"),
        ("ufw.service", "FORWARD", None),
        ("csf.service", "ufw-user-forward", None),
        ("nftables.service", "FORWARD", None),  # its flush does not touch the legacy variant
    ],
)
def test_the_risk_says_whose_reload_takes_an_accept_away(
    service: str, chain: str, kept_in: str | None
) -> None:
    def used(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, services=(ServiceState(service, "active", "enabled"),))

    report = judged(
        rules(":FORWARD ACCEPT [0:0]\n", ":FORWARD ACCEPT [0:0]\n:ufw-user-forward - [0:0]\n"),
        *((first_in("FORWARD", f"-j {chain}"),) if chain != "FORWARD" else ()),
        first_in(chain, "-i docker0 -j DROP"),
        used,
    )
    assert report.cause is not None
    risk = report.cause.remedies[0].risk
    assert f"A reload of {service}" in risk if kept_in else "A reload of" not in risk
    assert (kept_in or "") in risk


def natively_dropped(key: str) -> Change:
    """A drop in the engine's own table of what has the default bridge for that link."""
    native = json.loads(listing())
    place = {"family": "ip", "table": "docker-bridges", "chain": "filter-FORWARD", "handle": 12}
    met = {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": "docker0"}}
    native["nftables"].append({"rule": {**place, "expr": [met, {"drop": None}]}})
    return partial(with_nftables, rules=json.dumps(native))


def test_a_rule_in_the_engines_native_table_is_gone_after_its_restart() -> None:
    report = judged(natively_dropped("oifname"))
    assert cause_of(report) == ("forward-policy", "rule-drops", "network:bridge")
    assert report.cause is not None
    accepted, made_again = report.cause.remedies
    assert accepted.now[0].startswith("nft insert rule ip docker-bridges filter-FORWARD handle 12 ")
    # The engine fills its chains anew: what a drop-in puts there at its start would not stay.
    assert accepted.lasting == made_again.now == ("systemctl restart docker",)


def test_what_is_dropped_on_the_way_out_natively_is_not_mended_by_a_restart() -> None:
    report = judged(natively_dropped("iifname"))
    assert cause_of(report) == ("forward-policy", "rule-drops", "network:bridge")
    assert report.cause is not None
    accepted = report.cause.remedies[0]
    assert accepted.lasting == ()
    assert "until the engine fills that chain anew" in accepted.risk
