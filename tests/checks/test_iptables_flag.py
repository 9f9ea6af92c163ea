import json
from functools import partial

import pytest

from dockerdiag.dataclass import replace
from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Snapshot
from tests.checks.hosts import (
    Change,
    cause_of,
    command_line,
    daemon_json,
    engine,
    first_in,
    judged,
    network,
    rules,
    service,
    told,
    with_table,
    without_rules,
)
from tests.checks.native import direct_access, listing, with_nftables

OWN_RULES = "*nat\n:POSTROUTING ACCEPT [0:0]\n[0:0] -A POSTROUTING -o eth0 -j MASQUERADE\nCOMMIT\n"
TWO_LINES = '{\n\t"iptables"\n: false}'


def off(text: str = '{"iptables": false}') -> tuple[Change, ...]:
    return without_rules, daemon_json(text)


def test_the_flag_explains_the_rules_that_are_not_there() -> None:
    report = judged(*off())
    assert cause_of(report) == ("iptables-flag", "iptables-off", "engine:lab")
    assert report.cause is not None
    assert report.cause.explains == ("masquerade-missing network:bridge",)
    assert report.cause.evidence[0].source == "/etc/docker/daemon.json:1"


def test_the_edit_finds_a_value_on_the_next_line() -> None:
    report = judged(*off(TWO_LINES))
    assert report.cause is not None
    assert report.cause.remedies[0].now[1].startswith("sed -i --follow-symlinks -z ")


def test_own_rules_that_serve_are_a_note() -> None:
    report = judged(*off(), with_table(OWN_RULES))
    assert report.verdict is Verdict.OK
    assert "iptables-managed-elsewhere" in told(report, Status.NOTE)


def test_rules_of_an_earlier_start_are_a_time_bomb() -> None:
    report = judged(daemon_json('{"iptables": false}'))
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report)[1] == "iptables-off-rules-left"


def test_chains_of_an_earlier_start_that_were_flushed_are_no_time_bomb() -> None:
    with_chain = OWN_RULES.replace("*nat\n", "*nat\n:DOCKER - [0:0]\n")
    assert judged(*off(), with_table(with_chain)).verdict is Verdict.OK


def test_a_daemon_started_by_hand_has_no_file_to_mend() -> None:
    report = judged(without_rules, command_line("--iptables=false"), service(main_pid=None))
    assert cause_of(report)[1] == "iptables-off"
    assert report.cause is not None
    assert report.cause.remedies[0].now == ()
    assert report.cause.remedies[0].verify


def test_rules_that_the_engine_made_and_somebody_flushed() -> None:
    report = judged(without_rules)
    assert cause_of(report) == ("iptables-flag", "engine-rules-gone", "engine:lab")
    assert report.cause is not None
    assert report.cause.explains == ("masquerade-missing network:bridge",)
    assert report.cause.remedies[0].now == ("systemctl restart docker",)


def flushed(table: str) -> Change:
    """What `iptables -t TABLE -F` leaves: chains without rules."""

    def changed(snapshot: Snapshot) -> Snapshot:
        text = snapshot.network.firewall.iptables_legacy
        assert isinstance(text, str)
        head, star, rest = text.partition(f"*{table}\n")
        rules, commit, after = rest.partition("COMMIT\n")
        chains = "".join(line for line in rules.splitlines(keepends=True) if line.startswith(":"))
        firewall = replace(snapshot.network.firewall, iptables_legacy=f"{head}{star}{chains}{commit}{after}")
        return network(firewall=firewall)(snapshot)

    return changed


def test_a_flushed_nat_table_is_one_cause_for_all_networks() -> None:
    report = judged(flushed("nat"))
    assert cause_of(report) == ("iptables-flag", "engine-nat-rules-gone", "engine:lab")
    assert report.cause is not None
    assert report.cause.explains == ("masquerade-missing network:bridge",)
    translated, restarted = report.cause.remedies
    assert translated.now == (
        "iptables-legacy -t nat -A POSTROUTING -s 172.17.0.0/16 '!' -o docker0 -j MASQUERADE",
    )
    assert translated.lasting == restarted.now == ("systemctl restart docker",)


def test_flushed_tables_keep_their_chains_and_are_as_good_as_gone() -> None:
    report = judged(flushed("nat"), flushed("filter"))
    assert cause_of(report) == ("iptables-flag", "engine-rules-gone", "engine:lab")


def test_a_nat_table_of_which_the_engines_jumps_are_left_was_not_flushed() -> None:
    report = judged(
        rules("-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "-A POSTROUTING -j RETURN")
    )
    assert cause_of(report)[1] != "engine-nat-rules-gone"
    assert "engine-nat-rules-gone" not in told(report)


def test_a_rule_of_its_own_before_that_is_the_cause_of_its_own() -> None:
    report = judged(*off(), with_table(OWN_RULES), with_table("*filter\n:FORWARD DROP [0:0]\nCOMMIT\n"))
    assert cause_of(report)[1] == "iptables-off"
    assert set(report.cause.explains if report.cause else ()) == {"forward-accepts-missing network:bridge"}


def test_another_tables_policy_does_not_follow_from_flushed_rules() -> None:
    mangle = "*mangle\n:FORWARD DROP [0:0]\nCOMMIT\n"
    report = judged(without_rules, with_table(mangle))
    assert cause_of(report)[1] == "policy-drops"
    assert told(report)["engine-rules-gone"].explains == ("masquerade-missing network:bridge",)


LAST_RULES = pytest.mark.parametrize(
    "last",
    ["-A FORWARD -j REJECT --reject-with icmp-host-prohibited", "-A FORWARD -j reject\n-A reject -j DROP"],
)


def forward(last: str) -> Change:
    """A firewall's own table, with these as the last rules of FORWARD."""
    return with_table(
        f"*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n:reject - [0:0]\n{last}\nCOMMIT\n"
    )


@LAST_RULES
def test_what_a_firewalls_last_rule_refuses_follows_from_flushed_rules(last: str) -> None:
    report = judged(without_rules, forward(last))
    assert cause_of(report) == ("iptables-flag", "engine-rules-gone", "engine:lab")
    assert report.cause is not None
    refused = "rule-rejects" if "REJECT" in last else "rule-drops"
    assert f"{refused} network:bridge" in report.cause.explains
    assert report.cause.remedies[0].now == ("systemctl restart docker",)


@LAST_RULES
def test_what_a_firewalls_last_rule_refuses_follows_from_an_engine_that_makes_none(last: str) -> None:
    report = judged(*off(), without_rules, forward(last))
    assert cause_of(report)[1] == "iptables-off"
    assert report.cause is not None
    assert len(report.cause.remedies) == 1  # to translate alone would not help


@pytest.mark.parametrize(
    "before",
    [
        "-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j DROP",
        "-A FORWARD -j REJECT\nCOMMIT\n*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j DROP",
    ],
)
def test_what_would_refuse_all_the_same_is_a_cause_of_its_own(before: str) -> None:
    report = judged(without_rules, forward(before))
    assert cause_of(report)[1] == "rule-drops"
    assert "rule-drops network:bridge" not in told(report)["engine-rules-gone"].explains


def test_a_file_changed_since_does_not_matter_where_the_engine_tells_that_it_translates() -> None:
    report = judged(daemon_json('{"iptables": false}', modified_at=1e12))
    assert cause_of(report)[:2] == ("docker-options", "options-not-in-force")


def test_a_file_changed_since_is_unknown_only_where_rules_are_missing() -> None:
    live = engine(live_restore=True)
    changed = daemon_json('{"iptables": true}', modified_at=1e12)
    (step,) = told(judged(live, changed, without_rules))["iptables-flag-unknown"].remedies
    assert any("/cmdline" in line for line in step.now)
    assert "changes nothing" in step.risk
    assert "iptables-flag-unknown" not in told(judged(live, changed))
    assert "iptables-flag-unknown" not in told(judged(live, changed, first_in("FORWARD", "-j DROP")))


@pytest.mark.parametrize(
    ("rules", "lacks"),
    [
        (listing(masquerade=None), "no rule of table ip docker-bridges that a packet meets"),
        (listing("ip6"), "no chain of table ip docker-bridges that a packet meets"),
    ],
)
def test_native_rules_that_are_flushed_or_left_for_ipv6_alone_are_gone(rules: str, lacks: str) -> None:
    report = judged(partial(with_nftables, rules=rules))
    assert cause_of(report)[:2] == ("iptables-flag", "engine-rules-gone")
    assert report.cause is not None
    assert report.cause.evidence[0].text == lacks
    assert report.cause.remedies[0].now == ("systemctl restart docker",)


def test_one_native_rule_that_is_missing_is_not_all() -> None:
    rules = listing(masquerade=None, raw=direct_access(0))
    assert cause_of(judged(partial(with_nftables, rules=rules)))[:2] == ("masquerade", "masquerade-missing")


def test_what_iptables_refuses_does_not_follow_from_native_rules_that_are_gone() -> None:
    """An engine with nftables puts nothing into iptables' FORWARD, whatever is missing elsewhere."""
    empty = json.dumps({"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}]})
    refuses = "[9:540] -A FORWARD -j REJECT --reject-with icmp-host-prohibited\n"
    report = judged(partial(with_nftables, rules=empty, more=refuses))
    blamed = [found for found in told(report).values() if found.code == "engine-rules-gone"]
    assert not any("rule-rejects" in pattern for found in blamed for pattern in found.explains)
    assert "rule-rejects" in [found.code for found in told(report).values()]
