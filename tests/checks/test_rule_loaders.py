"""Files that take Docker's rules away when they are loaded again, and what is said of who did it."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from dockerdiag.report import Remedy, Status, Verdict
from dockerdiag.snapshot import ServiceState, TextFile
from tests.checks.hosts import (
    Change,
    cause_of,
    command_line,
    daemon_json,
    default_bridge,
    engine,
    host,
    judged,
    told,
)

NFT_ENGINE = "plain-trixie"
FLUSHING = "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n}\ntable ip own {\n}\n"


def files(*pairs: tuple[str, str]) -> Change:
    found = tuple(TextFile(path, text, 0.0) for path, text in pairs)
    return lambda snapshot: replace(snapshot, firewall_files=found)


def services(*states: ServiceState) -> Change:
    return lambda snapshot: replace(snapshot, services=states)


def enabled(name: str) -> ServiceState:
    return ServiceState(name, "active", "enabled", 1.0, 1.0)


NFTABLES = services(enabled("nftables.service"))
NATIVE = engine(firewall_driver="nftables")
FLUSHES = files(("/etc/nftables.conf", FLUSHING))


def test_a_file_that_flushes_all_and_is_in_use() -> None:
    report = judged(NFTABLES, FLUSHES, recorded=NFT_ENGINE)
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report) == ("rule-loaders", "nftables-conf-flushes-all", "file:/etc/nftables.conf")
    assert report.cause is not None
    edit = report.cause.remedies[0].now[1]
    own = "table inet filter; delete table inet filter; table ip own; delete table ip own"
    assert f"2s/flush[[:space:]]\\+ruleset/{own}/" in edit


def test_an_included_file_that_flushes_all() -> None:
    both = files(("/etc/nftables.conf", 'include "/etc/a.nft"\n'), ("/etc/a.nft", FLUSHING))
    assert cause_of(judged(NFTABLES, both, recorded=NFT_ENGINE))[2] == "file:/etc/a.nft"


def test_one_that_is_not_in_use_or_does_not_flush() -> None:
    off = services(ServiceState("nftables.service", "inactive", "disabled"))
    assert judged(off, FLUSHES, recorded=NFT_ENGINE).verdict is Verdict.OK


@pytest.mark.parametrize(
    "text",
    [
        "# flush ruleset\n",
        "table inet filter {\n}\n",
        "flush ruleset arp\nflush ruleset inet # not ip\n",
        "flush table inet filter; delete table ip own\n",
        'table inet filter {\n comment "; flush ruleset"\n}\n',
        # No network has IPv6; that table is of the nftables backend, which this engine does not use.
        "flush ruleset ip6; delete table ip6 nat; delete table ip docker-bridges\n",
    ],
)
def test_what_takes_nothing_of_dockers(text: str) -> None:
    mild = files(("/etc/nftables.conf", text))
    assert judged(NFTABLES, mild, recorded=NFT_ENGINE).verdict is Verdict.OK


def mended(text: str, remedy: Remedy, tmp_path: Path) -> str:
    """What the file holds after the remedy's edits."""
    path = tmp_path / "nftables.conf"
    path.write_text(text)
    for line in remedy.now:
        if line.startswith("sed "):
            subprocess.run(("sh", "-c", line.replace("/etc/nftables.conf", str(path))), check=True)
    return path.read_text()


@pytest.mark.parametrize(
    ("text", "tables", "after"),
    [
        ("flush ruleset ip\n", "tables ip nat and ip filter", "\n"),
        ("flush table nat\n", "table ip nat", "\n"),
        ("define a = 1\n  delete  table ip filter # old\n", "table ip filter", "define a = 1\n   # old\n"),
        ("destroy table ip nat; table inet a {\n}\n", "table ip nat", "; table inet a {\n}\n"),
        (
            "flush ruleset ip; table ip a {\n}\ntable inet b {\n}\n",
            "tables ip nat and ip filter",
            "table ip a; delete table ip a; table ip a {\n}\ntable inet b {\n}\n",
        ),
    ],
)
def test_a_file_that_takes_single_tables_of_dockers(
    text: str, tables: str, after: str, tmp_path: Path
) -> None:
    report = judged(NFTABLES, files(("/etc/nftables.conf", text)), recorded=NFT_ENGINE)
    assert cause_of(report) == ("rule-loaders", "nftables-conf-takes-tables", "file:/etc/nftables.conf")
    assert report.cause is not None
    assert f"takes Docker's rules in {tables} away" in report.cause.summary
    cut_off = "cuts every container off" in report.cause.summary
    assert cut_off is ("nat" in tables)
    assert mended(text, report.cause.remedies[0], tmp_path) == after


def test_the_tables_of_the_nftables_backend() -> None:
    for text, code in (
        ("delete table ip docker-bridges\n", "nftables-conf-takes-tables"),
        ("flush ruleset ip\n", "nftables-conf-takes-tables"),
        ("flush ruleset\n", "nftables-conf-flushes-all"),
    ):
        report = judged(NFTABLES, files(("/etc/nftables.conf", text)), NATIVE, recorded=NFT_ENGINE)
        assert code in told(report)
    mild = judged(
        NFTABLES, files(("/etc/nftables.conf", "flush table ip nat\n")), NATIVE, recorded=NFT_ENGINE
    )
    assert "nftables-conf-takes-tables" not in told(mild)


def test_ipv6_rules_are_at_stake_where_a_network_has_them() -> None:
    flush = files(("/etc/nftables.conf", "flush table ip6 nat\n"))
    with_six = (default_bridge(ipv6=True), command_line("--ip6tables=true"))
    assert "nftables-conf-takes-tables" in told(judged(NFTABLES, flush, *with_six, recorded=NFT_ENGINE))


def test_rules_of_its_own_in_a_table_of_dockers_are_no_table_to_delete() -> None:
    shared = files(("/etc/nftables.conf", "flush ruleset\ntable ip nat {\n}\n"))
    report = judged(NFTABLES, shared, recorded=NFT_ENGINE)
    assert report.cause is not None
    (remedy,) = report.cause.remedies
    assert remedy.now == ()
    assert "table of their own" in remedy.summary


def test_an_engine_with_legacy_rules_loses_none() -> None:
    assert judged(NFTABLES, FLUSHES).verdict is Verdict.OK


SAVED = "/etc/iptables/rules.v4"
PERSISTENT = services(enabled("netfilter-persistent.service"))
MASQUERADE = "*nat\n:POSTROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n{}COMMIT\n"
OWN = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n"
OLD = "-A POSTROUTING -s 172.31.9.0/24 ! -o br-0123456789ab -j MASQUERADE\n"


def test_saved_rules_of_another_day() -> None:
    report = judged(PERSISTENT, files((SAVED, MASQUERADE.format(OWN + OLD))))
    assert cause_of(report) == ("rule-loaders", "saved-rules-stale", f"file:{SAVED}")
    lacking = judged(PERSISTENT, files((SAVED, MASQUERADE.format(""))))
    assert report.cause is not None
    assert "172.31.9.0/24" in report.cause.summary
    assert lacking.cause is not None
    assert "lacks 172.17.0.0/16" in lacking.cause.summary


@pytest.mark.parametrize(
    ("state", "rules", "verdict"),
    [("enabled", OWN, Verdict.OK), ("enabled", OLD, Verdict.DEGRADED), ("disabled", OWN, Verdict.DEGRADED)],
)
def test_rules_that_somebody_else_brings_back_at_boot_are_no_time_bomb(
    state: str, rules: str, verdict: Verdict
) -> None:
    told_to_make_none = daemon_json('{"iptables": false}')
    loader = services(ServiceState("netfilter-persistent.service", "active", state, 1.0, 1.0))
    report = judged(told_to_make_none, loader, files((SAVED, MASQUERADE.format(rules))))
    assert report.verdict is verdict
    assert (report.cause is not None and report.cause.code == "iptables-off-rules-left") is (
        verdict is Verdict.DEGRADED
    )


def test_saved_rules_that_hurt_nothing() -> None:
    assert judged(PERSISTENT, files((SAVED, MASQUERADE.format(OWN)))).verdict is Verdict.OK
    report = judged(PERSISTENT, files((SAVED, "*filter\n:INPUT DROP [0:0]\nCOMMIT\n")))
    assert report.verdict is Verdict.OK
    assert "saved-rules-lack-docker" in told(report, Status.NOTE)
    assert judged(files((SAVED, MASQUERADE.format(OLD))), services()).verdict is Verdict.OK


def test_saved_rules_of_ipv6() -> None:
    saved = "/etc/iptables/rules.v6"
    old = "-A POSTROUTING -s fd00:9::/64 ! -o br-0123456789ab -j MASQUERADE\n"
    found = told(judged(PERSISTENT, files((saved, MASQUERADE.format(old)))))["saved-rules-stale"]
    assert found.subject == f"file:{saved}"
    assert "fd00:9::/64, which no network has" in found.summary
    assert f"ip6tables-restore --test < {saved}" in found.remedies[0].verify
    # No network has IPv6: there is nothing that such a file could lack, and nothing that it takes away.
    for text in (MASQUERADE.format(""), "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"):
        quiet = judged(PERSISTENT, files((saved, text)), command_line("--ip6tables=true"))
        assert {"saved-rules-stale", "saved-rules-lack-docker"}.isdisjoint(told(quiet, *Status))


def test_saved_rules_lack_nothing_of_a_network_that_is_routed() -> None:
    routed = default_bridge(options={"com.docker.network.bridge.gateway_mode_ipv4": "routed"})
    saved = files((SAVED, MASQUERADE.format("")))
    assert "saved-rules-stale" not in told(judged(PERSISTENT, routed, saved))


def test_a_masquerade_of_the_admins_own_is_not_dockers() -> None:
    vpn = "-A POSTROUTING -s 10.8.0.0/24 ! -o tun0 -j MASQUERADE\n"
    assert judged(PERSISTENT, files((SAVED, MASQUERADE.format(OWN + vpn)))).verdict is Verdict.OK


def test_who_started_after_the_engine() -> None:
    recorded = "ruleset-flushed-trixie"
    started = getattr(host(recorded=recorded).service, "active_since", None)
    assert started is not None
    later = services(ServiceState("nftables.service", "active", "enabled", started + 840, started + 840))
    report = judged(later, FLUSHES, recorded=recorded)
    assert report.cause is not None
    told_by = {piece.source: piece.text for piece in report.cause.evidence}
    assert "14 min after docker.service" in told_by["systemctl show nftables.service"]
    assert told_by["/etc/nftables.conf:2"] == "flush ruleset"
    assert report.cause.remedies[0].now[-1] == "systemctl restart docker"
    assert "/etc/nftables.conf" in report.cause.remedies[0].now[0]
    before = services(ServiceState("nftables.service", "active", "enabled", started - 5, started - 5))
    quiet = judged(before, FLUSHES, recorded=recorded)
    assert quiet.cause is not None
    assert "systemctl show nftables.service" not in {piece.source for piece in quiet.cause.evidence}


def test_firewalld_that_started_after_the_engine() -> None:
    recorded = "firewalld-after-docker-trixie"
    started = getattr(host(recorded=recorded).service, "active_since", None)
    assert started is not None
    later = services(ServiceState("firewalld.service", "active", "enabled", started + 7300, started + 7300))
    report = judged(later, recorded=recorded)
    assert report.cause is not None
    told_by = {piece.source: piece.text for piece in report.cause.evidence}
    assert "2 h after docker.service" in told_by["systemctl show firewalld.service"]
