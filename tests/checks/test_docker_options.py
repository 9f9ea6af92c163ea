from dataclasses import replace

import pytest

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import ServiceUnit, Snapshot, TextFile
from tests.checks.hosts import (
    cause_of,
    command_line,
    daemon_json,
    drop_in,
    judged,
    rules,
    service,
    told,
    without_rules,
)

OFF = 'Environment="DOCKER_OPTS=--iptables=false \\\n--log-opt max-size=50m"'


def test_the_drop_in_explains_the_flag_and_what_follows_from_it() -> None:
    report = judged(
        without_rules,
        drop_in("docker-options.conf", OFF),
        command_line("--iptables=false", "--log-opt", "max-size=50m"),
    )
    path = "/etc/systemd/system/docker.service.d/docker-options.conf"
    assert cause_of(report) == ("docker-options", "options-turn-off-iptables", f"file:{path}")
    assert report.cause is not None
    assert report.cause.explains == ("iptables-off engine:lab", "masquerade-missing network:bridge")
    assert any(piece.source == f"{path}:2" for piece in report.cause.evidence)
    assert report.cause.remedies[0].now[1].startswith("sed -i 2s/--iptables=") or (
        "2s/--iptables=" in report.cause.remedies[0].now[1]
    )


def test_an_edit_that_is_not_in_force_is_a_warning() -> None:
    report = judged(drop_in("docker-options.conf", OFF))
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report)[:2] == ("docker-options", "options-not-in-force")


@pytest.mark.parametrize(("above", "by_command"), [("/etc", True), ("/usr/lib", False)])
def test_what_would_stop_containers_is_taken_back_and_never_put_in_force(
    above: str, by_command: bool
) -> None:
    folder = f"{above}/systemd/system/docker.service.d"
    report = judged(drop_in("x.conf", "Environment=DOCKER_OPTS=--iptables=false", folder))
    (remedy,) = told(report)["options-not-in-force"].remedies
    assert bool(remedy.now) is by_command
    assert f"{folder}/x.conf" in (remedy.now[0] if by_command else remedy.summary)
    assert not any("restart" in line for line in remedy.now)


def test_a_variable_that_no_command_line_expands_is_a_note() -> None:
    report = judged(drop_in("x.conf", "Environment=DOCKER_NETWORK_OPTIONS=--iptables=false"))
    assert report.verdict is Verdict.OK
    assert "options-inert" in told(report, Status.NOTE)


def test_a_line_that_systemd_does_not_read_is_a_note() -> None:
    """As upstart read it, whose files are still about."""

    def exported(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.service, ServiceUnit)
        (file,) = snapshot.service.environment_files
        text = TextFile(file.path, 'export DOCKER_OPTS="--mtu=1400"\n', 0.0)
        return service(environment_files=(replace(file, file=text),))(snapshot)

    report = judged(exported)
    assert report.verdict is Verdict.OK
    finding = told(report, Status.NOTE)["options-line-ignored"]
    assert (finding.subject, "--mtu" in finding.summary) == ("file:/etc/default/docker", True)


def test_an_escape_that_systemd_does_not_know_takes_no_word_away() -> None:
    line = "ExecStart=\nExecStart=/usr/bin/dockerd -H fd:// --log-opt tag=a\\d --iptables=false"
    report = judged(drop_in("a.conf", line))
    assert "options-line-ignored" not in told(report, Status.NOTE)


def test_options_that_hurt_nothing_are_a_note() -> None:
    report = judged(drop_in("x.conf", "Environment=DOCKER_OPTS=--mtu=1400"), command_line("--mtu=1400"))
    assert report.verdict is Verdict.OK
    assert "options-in-force" in told(report, Status.NOTE)


def test_ip_masq_off_is_not_blamed_for_another_networks_missing_rule() -> None:
    off = drop_in("x.conf", "Environment=DOCKER_OPTS=--ip-masq=false"), command_line("--ip-masq=false")
    blamed = judged(*off, rules("[0:0] -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n", ""))
    assert cause_of(blamed)[1] == "options-turn-off-ip-masq"
    assert judged(*off).verdict is Verdict.OK


def test_a_file_that_the_next_start_refuses_is_a_warning() -> None:
    report = judged(daemon_json('{"iptables": true,}', modified_at=1e12))
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report)[:2] == ("docker-options", "next-start-fails")


def test_a_daemon_started_by_hand_is_not_held_against_the_unit() -> None:
    report = judged(command_line("--mtu=1400"), service(main_pid=None, active_state="inactive"))
    assert "options-not-in-force" not in told(report)
