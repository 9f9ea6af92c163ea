from dataclasses import replace

from dockerdiag.report import Disposition, Finding, Status, Verdict
from dockerdiag.snapshot import PODMAN, LogLine, Snapshot, Unread
from tests.checks.hosts import (
    Change,
    cause_of,
    daemon_json,
    default_bridge,
    engine,
    first_in,
    judged,
    links,
    service,
    told,
)

FAILED = service(active_state="failed", sub_state="failed", result="exit-code", main_pid=None)


def silent(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, engine=Unread("no such socket"), daemons=())


def journal(*texts: str) -> Change:
    lines = tuple(LogLine(float(at), "docker.service", text) for at, text in enumerate(texts))
    return lambda snapshot: replace(snapshot, journal=lines)


def test_an_engine_that_answers() -> None:
    assert "engine-answers" in told(judged(), Status.PASS)


def test_an_engine_that_is_silent_is_unknown() -> None:
    report = judged(silent)
    assert (report.verdict, report.exit_code, report.cause) == (Verdict.UNKNOWN, 3, None)


def test_no_engine_at_all_is_unknown_too() -> None:
    report = judged(silent, lambda snapshot: replace(snapshot, service=None))
    assert "engine-not-found" in told(report)


def test_dockerds_last_words_are_the_reason() -> None:
    words = "failed to load listeners: listen tcp 127.0.0.1:2375: bind: address already in use"
    report = judged(
        silent,
        FAILED,
        journal(
            'time="2026-11-23T22:08:02Z" level=warning msg="Binding to IP address is insecure"',
            words,
            "docker.service: Main process exited, code=exited, status=1/FAILURE",
            "Failed to start docker.service - Docker Application Container Engine.",
        ),
    )
    assert cause_of(report) == ("engine", "engine-failed", "unit:docker.service")
    assert report.cause is not None
    assert report.cause.summary == f"docker.service does not start: {words}"
    assert report.exit_code == 2


def test_an_engine_that_systemd_started_too_often() -> None:
    limited = service(active_state="failed", sub_state="failed", result="start-limit-hit", main_pid=None)
    report = judged(silent, limited, journal("docker.service: Start request repeated too quickly."))
    assert cause_of(report) == ("engine", "engine-start-limit", "unit:docker.service")
    assert report.cause is not None
    assert report.cause.remedies[0].now[0].startswith("systemctl reset-failed docker.service")
    # Where its file would be refused, that comes first.
    refused = judged(silent, limited, journal(), daemon_json('{"mtu": 1400,}'))
    assert cause_of(refused)[1] == "engine-failed"


def test_a_conflict_with_a_flag_is_found_in_the_file() -> None:
    report = judged(silent, FAILED, journal(), daemon_json('{\n "hosts": ["unix:///run/docker.sock"]\n}'))
    assert report.cause is not None
    assert any(piece.source == "/etc/docker/daemon.json:2" for piece in report.cause.evidence)


def test_a_journal_that_was_not_read_is_said_to_be_so() -> None:
    report = judged(silent, FAILED, lambda snapshot: replace(snapshot, journal=Unread("not permitted")))
    assert report.cause is not None
    assert any("not permitted" in piece.text for piece in report.cause.evidence)


def test_an_engine_elsewhere_says_nothing_of_this_hosts_rules() -> None:
    for elsewhere in ({"local": False}, {"rootless": True}):
        report = judged(engine(**elsewhere))
        assert report.verdict is Verdict.UNKNOWN
        assert "engine-elsewhere" in told(report)
        assert {result.status for result in report.results if result.check == "masquerade"} == {Status.SKIP}


def in_its_own_namespace(snapshot: Snapshot) -> Snapshot:
    assert isinstance(snapshot.daemons, tuple)
    (daemon,) = snapshot.daemons
    return replace(snapshot, daemons=(replace(daemon, namespace="net:[1]", namespace_is_host=False),))


def test_an_engine_in_a_namespace_of_its_own_is_asked_there() -> None:
    found = told(judged(in_its_own_namespace))["engine-elsewhere"]
    assert found.remedies[0].now[0].endswith("--net dockerdiag")


def test_a_rootless_engine_is_looked_at_in_its_namespace() -> None:
    found = told(judged(in_its_own_namespace, engine(rootless=True)))["engine-elsewhere"]
    assert found.remedies[0].verify[0].endswith("--net ip route")
    report = judged(in_its_own_namespace, engine(rootless=True))
    judged_all = {r.check for r in report.results if r.status in (Status.FAIL, Status.WARN)}
    assert judged_all == set()


def test_a_desktops_machine_is_named() -> None:
    found = told(judged(engine(local=False, platform="Docker Desktop 4.40")))["engine-elsewhere"]
    assert "Docker Desktop" in found.remedies[0].summary


def podman(snapshot: Snapshot) -> Snapshot:
    """As if Podman answered: it names no bridge, and no dockerd runs."""
    for change in (engine(platform=PODMAN), default_bridge(options={}, bridge_seen="docker0")):
        snapshot = change(snapshot)
    return replace(snapshot, daemons=(), service=None)


def test_podman_is_walked_and_no_check_of_dockers_speaks() -> None:
    report = judged(podman)
    assert (report.verdict, report.exit_code, set(told(report))) == (
        Verdict.UNKNOWN,
        3,
        {"engine-not-docker"},
    )
    assert {walk.disposition for walk in report.walks} == {Disposition.DELIVERED}


def test_what_stops_podmans_packets_is_seen_in_the_walk_without_dockers_remedies() -> None:
    report = judged(podman, first_in("DOCKER-USER", "-i docker0 -j DROP"), links("docker0", mtu=1400))
    assert set(told(report)) == {"engine-not-docker"}
    assert {walk.disposition for walk in report.walks} == {Disposition.DROPPED}
    (finding,) = told(report).values()
    assert all("docker.service" not in line and "restart docker" not in line for line in lines_of(finding))


def test_a_users_podman_is_looked_at_in_that_users_namespace() -> None:
    found = told(judged(podman, engine(rootless=True)))["engine-elsewhere"]
    assert found.remedies[0].verify[0] == "podman unshare --rootless-netns ip route"


def lines_of(finding: Finding) -> list[str]:
    return [line for one in finding.remedies for line in (*one.now, *one.lasting, *one.verify, *one.undo)]
