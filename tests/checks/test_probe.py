"""The check probe, on snapshots of real hosts that were probed (dockerdiag collect --probe)."""

from dataclasses import replace
from pathlib import Path

import pytest

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.registry import checks
from dockerdiag.report import Disposition, Probe, Report, Status, Verdict
from dockerdiag.snapshot import Probe as Met
from dockerdiag.snapshot import RisenCounter, Snapshot
from dockerdiag.snapshot.redact import redact
from dockerdiag.snapshot.store import load

FOLDER = Path(__file__).parents[1] / "fixtures" / "probes"
TARGETS = {
    "healthy": ("203.0.113.10:443", "app.example:80", "203.0.113.10/icmp"),
    "rule-drops": ("203.0.113.10:443",),
    "dns-blocked": ("app.example:443",),
    "mtu-black-hole": ("203.0.113.10:443",),
    "behind-the-host": ("203.0.113.99:443",),
    "undecided": ("203.0.113.10:443",),
}


def snapshot(name: str) -> Snapshot:
    return load(FOLDER / f"{name}.json.gz")


def judged(name: str, **changes: object) -> Report:
    """The snapshot judged; `changes` are made to what the container's first probe of the target met."""
    one = snapshot(name)
    assert isinstance(one.probes, tuple)
    probes = list(one.probes)
    if changes:
        at = next(n for n, p in enumerate(probes) if p.sender == "web" and p.kind in ("tcp", "dns"))
        probes[at] = replace(probes[at], **changes)  # type: ignore[arg-type]
    return diagnose(replace(one, probes=tuple(probes)), Asked.parse(destinations=TARGETS[name]), *checks())


def probe_of(report: Report, kind: str) -> Probe:
    return next(one for one in report.probes if one.container == "web" and one.kind == kind)


def codes(report: Report) -> list[tuple[str, Status]]:
    result = next(one for one in report.results if one.check == "probe")
    return [(one.code, one.status) for one in result.findings]


def test_a_healthy_host_agrees() -> None:
    report = judged("healthy")
    assert (report.verdict, codes(report)) == (Verdict.OK, [])
    assert {one.comparison for one in report.probes if one.container == "web"} == {"agrees", "none"}


def test_without_probes_it_does_not_apply() -> None:
    report = diagnose(load(FOLDER.parent / "plain-trixie.json.gz"), Asked.parse(), *checks())
    result = next(one for one in report.results if one.check == "probe")
    assert (result.status, result.reason) == (Status.SKIP, "no probe was asked for (--probe)")
    assert report.probes == ()


@pytest.mark.parametrize(("name", "kind"), [("rule-drops", "tcp"), ("dns-blocked", "dns")])
def test_the_rule_that_drops_is_proven_by_its_counter(name: str, kind: str) -> None:
    report = judged(name)
    probe = probe_of(report, kind)
    assert (report.verdict, probe.comparison) == (Verdict.BROKEN, "agrees")
    (count,) = probe.counters
    assert "DOCKER-USER" in count.rule.text
    assert count.after - count.before == probe.sent
    assert f"rose from {count.before} to {count.after}" in probe.text


def test_a_black_hole_names_the_rule_that_hides_it() -> None:
    report = judged("mtu-black-hole")
    assert ("path-mtu-black-hole", Status.FAIL) in codes(report)
    probe = probe_of(report, "path-mtu")
    assert (probe.comparison, probe.mtu) == ("on-host", 1400)
    assert any("--icmp-type 3/4" in one.rule.text for one in probe.counters)
    result = next(one for one in report.results if one.check == "probe")
    (finding,) = [one for one in result.findings if one.code == "path-mtu-black-hole"]
    link, clamp, delete, watch = finding.remedies
    assert link.now[0].endswith("sh -c 'ip link set eth0 mtu 1400'")
    assert link.undo[0].endswith("sh -c 'ip link set eth0 mtu 1500'")
    assert [line.rpartition(" ")[2] for line in clamp.now] == ["1360", "1360"]
    assert [line.split()[4:7] for line in clamp.now] == [
        ["FORWARD", "-i", "docker0"],
        ["FORWARD", "-o", "docker0"],
    ]
    assert delete.now[0].endswith(" -D OUTPUT -p icmp -m icmp --icmp-type 3/4 -j DROP")
    assert "tcpdump" in watch.now[0]
    # What is read tells of the rule that hides it, and comes first.
    assert report.cause is not None
    assert finding.id in report.cause.explains


def test_a_black_hole_that_the_host_meets_too_is_not_its_own() -> None:
    one = snapshot("mtu-black-hole")
    assert isinstance(one.probes, tuple)
    both = tuple(
        replace(each, outcome="unanswered", mtu=1400) if each.kind == "path-mtu" else each
        for each in one.probes
    )
    report = diagnose(
        replace(one, probes=both), Asked.parse(destinations=TARGETS["mtu-black-hole"]), *checks()
    )
    assert "path-mtu-black-hole" not in [code for code, _ in codes(report)]


def test_what_passed_all_rules_unanswered_is_lost_behind_the_host() -> None:
    report = judged("behind-the-host")
    assert codes(report) == [("lost-beyond-host", Status.FAIL)]
    assert report.cause is not None
    assert report.cause.code == "lost-beyond-host"
    assert report.walks[0].disposition is Disposition.DELIVERED


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("behind-the-host", {"tracked": "absent"}),
        ("behind-the-host", {"tracked": "replied"}),
        ("behind-the-host", {"tracked": None}),
        ("behind-the-host", {"outcome": "unreachable", "offender": "172.17.0.1"}),
        ("rule-drops", {"outcome": "answered", "counters": ()}),
    ],
)
def test_a_contradiction_leaves_the_walk_unknown(name: str, changes: dict[str, object]) -> None:
    report = judged(name, **changes)
    assert report.verdict is Verdict.UNKNOWN
    assert ("probe-contradicts-walk", Status.UNKNOWN) in codes(report)
    assert report.walks[0].disposition is Disposition.UNKNOWN


def limited(**changes: object) -> Report:
    """The host whose rule has a limit that was exceeded before, so that no walk can tell what it does now."""
    one = snapshot("undecided")
    firewall = one.network.firewall
    assert isinstance(firewall.iptables_nft, str)
    counted = firewall.iptables_nft.replace("[0:0] -A DOCKER-USER", "[5:300] -A DOCKER-USER")
    assert isinstance(one.probes, tuple)
    probes = tuple(
        replace(each, **changes) if (each.sender, each.kind) == ("web", "tcp") else each  # type: ignore[arg-type]
        for each in one.probes
    )
    network = replace(one.network, firewall=replace(firewall, iptables_nft=counted))
    return diagnose(
        replace(one, network=network, probes=probes),
        Asked.parse(destinations=TARGETS["undecided"]),
        *checks(),
    )


def test_a_probe_settles_what_a_walk_cannot_tell() -> None:
    answered = limited(outcome="answered", counters=())
    assert (answered.verdict, probe_of(answered, "tcp").comparison) == (Verdict.OK, "settles")
    handle = next(
        one.handle
        for one in snapshot("undecided").probes  # type: ignore[union-attr]  # recorded with probes
        for one in one.counters
        if one.chain == "DOCKER-USER"
    )
    rise = RisenCounter("host", "nft", "ip", "filter", "DOCKER-USER", handle, 1, 5, 8)
    dropped = limited(outcome="unanswered", tracked="absent", counters=(rise,))
    assert (dropped.verdict, probe_of(dropped, "tcp").comparison) == (Verdict.BROKEN, "settles")
    assert dropped.cause is not None
    assert dropped.cause.code == "rule-drops"
    silent = limited(outcome="unanswered", tracked=None, counters=())
    assert silent.verdict is Verdict.UNKNOWN


def test_a_rule_that_counted_contradicts_a_walk_that_is_delivered() -> None:
    one = snapshot("undecided").probes
    assert isinstance(one, tuple)
    rises = tuple(rise for each in one for rise in each.counters if rise.chain == "DOCKER-USER")
    report = judged("undecided", outcome="unanswered", tracked="unreplied", sent=2, counters=rises[:1])
    assert ("probe-contradicts-walk", Status.UNKNOWN) in codes(report)
    assert report.walks[0].disposition is Disposition.UNKNOWN


def test_a_target_that_refuses_was_reached() -> None:
    report = judged("behind-the-host", outcome="refused", tracked=None)
    assert (report.verdict, probe_of(report, "tcp").comparison) == (Verdict.OK, "agrees")


def test_another_router_that_refuses_is_behind_the_host() -> None:
    report = judged("behind-the-host", outcome="unreachable", offender="198.51.100.1")
    assert codes(report) == [("lost-beyond-host", Status.FAIL)]


def test_a_name_without_address_is_unknown() -> None:
    one = snapshot("dns-blocked")
    assert isinstance(one.probes, tuple)
    none: tuple[Met, ...] = tuple(
        replace(each, outcome="answered", detail="there is no such name", addresses=(), counters=())
        for each in one.probes
        if each.kind == "dns" and each.sender is None
    )
    report = diagnose(replace(one, probes=none), Asked.parse(destinations=TARGETS["dns-blocked"]), *checks())
    assert ("name-not-resolved", Status.UNKNOWN) in codes(report)


def test_redaction_replaces_what_probes_tell() -> None:
    one, names = redact(snapshot("behind-the-host"), b"key")
    assert isinstance(one.probes, tuple)
    told = [each for each in one.probes if each.kind == "tcp"]
    host = names.redacted("203.0.113.99")
    assert all(each.to.startswith(host) for each in told)
    assert {each.sender for each in told} == {names.redacted_name("web"), None}


@pytest.mark.parametrize("name", ["behind-the-host", "mtu-black-hole", "undecided"])
def test_what_cannot_be_mended_here_says_how_to_find_out(name: str) -> None:
    report = limited(outcome="unanswered", tracked=None, counters=()) if name == "undecided" else judged(name)
    findings = [one for result in report.results for one in result.findings if one.remedies]
    assert any("To find out" in remedy.summary and remedy.now for one in findings for remedy in one.remedies)
