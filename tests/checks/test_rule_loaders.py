"""Files that take Docker's rules away when they are loaded again, and what is said of who did it."""

from dataclasses import replace

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import ServiceState, TextFile
from tests.checks.hosts import Change, cause_of, command_line, default_bridge, host, judged, told

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
FLUSHES = files(("/etc/nftables.conf", FLUSHING))


def test_a_file_that_flushes_all_and_is_in_use() -> None:
    report = judged(NFTABLES, FLUSHES, recorded=NFT_ENGINE)
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report) == ("rule-loaders", "nftables-conf-flushes-all", "file:/etc/nftables.conf")
    assert report.cause is not None
    edit = report.cause.remedies[0].now[1]
    assert "2s/.*/table inet filter; delete table inet filter; table ip own; delete table ip own;/" in edit


def test_an_included_file_that_flushes_all() -> None:
    both = files(("/etc/nftables.conf", 'include "/etc/a.nft"\n'), ("/etc/a.nft", FLUSHING))
    assert cause_of(judged(NFTABLES, both, recorded=NFT_ENGINE))[2] == "file:/etc/a.nft"


def test_one_that_is_not_in_use_or_does_not_flush() -> None:
    off = services(ServiceState("nftables.service", "inactive", "disabled"))
    assert judged(off, FLUSHES, recorded=NFT_ENGINE).verdict is Verdict.OK
    for text in ("# flush ruleset\n", "flush table inet filter\n", "table inet filter {\n}\n"):
        mild = files(("/etc/nftables.conf", text))
        assert judged(NFTABLES, mild, recorded=NFT_ENGINE).verdict is Verdict.OK


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
