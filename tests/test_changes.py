"""What changed between recorded hosts, and what of it changed the verdict."""

from dataclasses import replace
from fnmatch import fnmatchcase

import pytest

from dockerdiag.asked import Asked
from dockerdiag.changes import Change, Changes, compared_snapshots
from dockerdiag.cli.changes_told import told
from dockerdiag.diagnosis import diagnose
from dockerdiag.registry import checks
from dockerdiag.report import Report
from dockerdiag.snapshot import PREDATED, Snapshot, Unread
from dockerdiag.snapshot.store import load
from tests.command_line import BROKEN, OK, run
from tests.recorded import FOLDER, Recorded, name_of, recorded


def judge(snapshot: Snapshot) -> Report:
    return diagnose(snapshot, Asked.parse(), *checks())


def compared(old: str, new: str) -> Changes:
    return compared_snapshots(load(FOLDER / f"{old}.json.gz"), load(FOLDER / f"{new}.json.gz"), judge)


@pytest.mark.parametrize(
    ("broken", "decisive"),
    [
        ("docker-user-drops-replies", "rule added to * DOCKER-USER: -A DOCKER-USER -i eth0 -j DROP"),
        ("ip-forward-off", "sysctl net.ipv4.ip_forward: 1 → 0"),
        (
            "masquerade-deleted",
            "rule removed from * POSTROUTING: *-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        ),
        ("nft-inet-policy-drop", "chain nft inet lockdown forward is new: *policy drop"),
        ("legacy-forward-drop", "chain iptables-legacy ip filter FORWARD is new: *policy drop"),
        ("drop-in-edited-not-in-force", 'line added to */docker-options.conf: Environment="DOCKER_OPTS=*'),
        ("docker-options-iptables-false", "argument added to /usr/sbin/dockerd: --iptables=false"),
    ],
)
@pytest.mark.parametrize("suite", ["bookworm", "trixie", "sid"])
def test_what_changed_the_verdict_is_told_first(broken: str, decisive: str, suite: str) -> None:
    changes = compared(f"plain-{suite}", f"{broken}-{suite}")
    marked = [change.text for change in changes.host if change.decisive]
    assert any(fnmatchcase(text, decisive) for text in marked), marked
    assert [change.decisive for change in changes.host] == sorted(
        (change.decisive for change in changes.host), reverse=True
    )
    assert changes.verdict[0] == "ok"
    assert changes.found


@pytest.mark.parametrize(
    ("broken", "first"),
    [
        ("bridge-down", "link docker0: up, mtu 1500 → down, mtu 1500"),
        (
            "container-firewall-shut",
            "chain iptables-nft ip filter OUTPUT of container web is new: *policy drop",
        ),
        ("container-route-gone", "route removed from table main of container web: 0.0.0.0/0 via *"),
        ("daemon-json-iptables-false", 'line added to /etc/docker/daemon.json: "iptables": false'),
        ("docker-options-iptables-false", "argument added to /usr/sbin/dockerd: --iptables=false"),
        ("host-offline", "route removed from table main: 0.0.0.0/0 via *"),
        ("ip-forward-off", "sysctl net.ipv4.ip_forward: 1 → 0"),
        ("legacy-forward-drop", "chain iptables-legacy ip filter FORWARD is new: *policy drop"),
        ("masquerade-deleted", "rule removed from * POSTROUTING: *-j MASQUERADE"),
        ("nft-inet-drops-forward", 'rule added to nft inet guard passing: *drop comment "no way out"'),
        ("policy-rule-refuses", "routing rule added to the host: *prohibit"),
    ],
)
def test_what_the_cause_is_about_is_told_first(broken: str, first: str) -> None:
    changes = compared("plain-trixie", f"{broken}-trixie")
    assert fnmatchcase(changes.host[0].text, first), changes.host[0].text
    assert changes.host[0].decisive


FLUSHING = "nftables-conf-flushes-all-sid"


def without_flush(snapshot: Snapshot) -> Snapshot:
    assert not isinstance(snapshot.firewall_files, Unread)
    files = (replace(one, text=one.text.replace("flush ruleset", "")) for one in snapshot.firewall_files)
    return replace(snapshot, firewall_files=tuple(files))


def test_a_line_of_what_a_firewall_loads_changes_the_verdict() -> None:
    new = load(FOLDER / f"{FLUSHING}.json.gz")
    marked = [
        change.text for change in compared_snapshots(without_flush(new), new, judge).host if change.decisive
    ]
    assert marked == ["line added to /etc/nftables.conf: flush ruleset"]


def test_where_two_changes_make_the_verdict_both_are_told() -> None:
    old = load(FOLDER / f"{FLUSHING}.json.gz")
    flushed = load(FOLDER / "ruleset-flushed-sid.json.gz").network.firewall
    new = replace(old, network=replace(old.network, firewall=flushed))
    changes = compared_snapshots(without_flush(old), new, judge)
    assert changes.verdict == ("ok", "broken")
    assert {part for change in changes.host if change.decisive for part in change.parts} == {
        "firewall",
        "firewall_files",
    }


def test_a_part_that_an_older_snapshot_lacks_did_not_change() -> None:
    new = load(FOLDER / f"{FLUSHING}.json.gz")
    old = replace(new, services=PREDATED, firewall_files=PREDATED, name_service=PREDATED, programs=PREDATED)
    assert not compared_snapshots(old, new, judge).host


def test_what_could_not_be_read_is_neither_removed_nor_gone() -> None:
    changes = compared("plain-trixie", "user-without-root-trixie")
    texts = [change.text for change in changes.host]
    assert all(text.startswith("not compared, since it could not be read now (") for text in texts), texts
    assert {part for change in changes.host for part in change.parts} >= {"engine", "firewall", "daemons"}
    back = compared("user-without-root-trixie", "plain-trixie")
    assert all(
        change.text.startswith("not compared, since it could not be read before (") for change in back.host
    )


def test_a_part_that_neither_could_read_is_not_told() -> None:
    snapshot = load(OK)
    unread = replace(snapshot, resolv_conf=Unread("one reason"), daemons=Unread("denied"))
    later = replace(unread, resolv_conf=Unread("another"))
    assert not compared_snapshots(unread, later, judge).host


def test_of_a_container_that_is_new_or_gone_only_that_is_told() -> None:
    new, old = load(OK), load(FOLDER / "plain-no-container-trixie.json.gz")
    for changes, verb in (
        (compared_snapshots(old, new, judge), "is new: "),
        (compared_snapshots(new, old, judge), "is gone; it was: "),
    ):
        told = [change.text for change in changes.host if "container web" in change.text]
        assert len(told) == 1
        assert told[0].startswith(f"container web {verb}")


def test_a_container_that_stopped_lost_no_sysctls() -> None:
    running = load(OK)
    assert not isinstance(running.engine, Unread)
    assert not isinstance(running.engine.containers, Unread)
    stopped = tuple(
        replace(one, state="exited", pid=None, namespace=None) for one in running.engine.containers
    )
    engine = replace(running.engine, containers=stopped)
    changes = compared_snapshots(running, replace(running, engine=engine, namespaces={}), judge)
    assert [change.text.partition(":")[0] for change in changes.host] == ["container web"]


RECORDED_LATER = frozenset(
    (
        "client-proxies-on-loopback",
        "firewalld-zone-conflict-ahead",
        "iptables-link-dangles",
        "networkd-will-take-veths",
        "nftables-conf-flushes-all",
        "nftables-conf-takes-a-table",
        "saved-ipv6-rules-of-another-day",
        "saved-rules-of-another-day",
    )
)
"""What broke these hosts stands in a part that was not read yet when the plain hosts were recorded."""


@pytest.mark.parametrize("one", [one for one in recorded() if one.scenario.name != "plain"], ids=name_of)
def test_what_made_the_verdict_another_is_named(one: Recorded) -> None:
    changes = compared(f"plain-{one.suite}", name_of(one))
    if changes.verdict[0] == changes.verdict[1]:
        return
    decisive = [change.text for change in changes.host if change.decisive]
    assert bool(decisive) is not (one.scenario.name in RECORDED_LATER), decisive


def test_another_container_is_no_reason() -> None:
    changes = compared("plain-no-container-trixie", "plain-trixie")
    assert changes.verdict == ("ok", "ok")
    assert any(fnmatchcase(change.text, "container web is new: running*") for change in changes.host)
    assert not any(change.decisive for change in changes.host)


def test_the_same_host_later_did_not_change() -> None:
    snapshot = load(OK)
    later = replace(snapshot, taken_at="2027-01-01T00:00:00Z", journal=(), kernel_log=Unread("off"))
    assert not compared_snapshots(snapshot, later, judge)


def test_the_command_tells_it_and_ends_with_0_or_1(tmp_path: object) -> None:
    same, other = run("diff", OK, OK), run("diff", OK, BROKEN)
    assert (same.returncode, same.stdout) == (0, "nothing changed; ok\n")
    assert other.returncode == 1
    assert other.stdout.startswith("ok → broken\n\nwhat changed the verdict\n  rule added to ")
    report = f"{tmp_path}/broken.json"
    run("--from", BROKEN, "-o", report)
    mixed = run("diff", OK, report)
    assert mixed.returncode == 1
    assert "\nnew\n  fail: " in mixed.stdout
    assert run("diff", report, report).returncode == 0
    assert run("diff", report, "/nonexistent").returncode == 64


def test_a_name_that_sounds_secret_hides_nothing_of_a_change() -> None:
    change = Change("container auth: running, on bridge 172.17.0.2 → exited, on bridge")
    lines = told(Changes("2026-01-01T00:00:00Z", ("ok", "broken"), host=(change,)))
    assert f"  {change.text}" in lines


def test_names_from_the_host_do_not_reach_the_terminal() -> None:
    snapshot = load(OK)
    evil = replace(snapshot.network, sysctls={"net/\x1b[31m\u202e": "1"})
    changes = compared_snapshots(snapshot, replace(snapshot, network=evil), judge)
    assert all(line.replace("\n", "").isprintable() for line in told(changes))
