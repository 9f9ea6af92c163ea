"""`--state`: a run tells what changed since the last one, and keeps others out."""

import fcntl
import json
import time
from pathlib import Path

import pytest

from tests.command_line import BROKEN, DEGRADED, OK, run


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def test_only_what_changed_is_told_and_the_exit_code_stays(state: Path) -> None:
    first = run("--from", OK, "--state", state)
    again = run("--from", OK, "--state", state)
    broken = run("--from", BROKEN, "--state", state)
    still = run("--from", BROKEN, "--state", state)
    mended = run("--from", OK, "--state", state)
    assert [one.returncode for one in (first, again, broken, still, mended)] == [0, 0, 2, 2, 0]
    assert first.stdout.splitlines()[-1].startswith("ok")
    assert again.stdout == still.stdout == ""
    assert broken.stdout.startswith("ok → broken\n\nwhat changed the verdict\n  rule added to ")
    assert broken.stdout.splitlines()[-1].startswith("broken")
    assert mended.stdout.startswith("broken → ok\n\ngone\n  fail: ")
    assert state.stat().st_mode & 0o777 == 0o600


def test_the_last_good_snapshot_outlives_bad_ones(state: Path) -> None:
    run("--from", OK, "--state", state)
    run("--from", DEGRADED, "--state", state)
    broken = json.loads(run("--from", BROKEN, "--state", state, "-f", "json").stdout)
    good = json.loads(run("--from", OK, "-f", "json").stdout)["taken_at"]
    assert broken["changes"]["verdict"] == {"before": "degraded", "after": "broken"}
    assert broken["changes"]["host_since"] == good
    assert [one["text"] for one in broken["changes"]["host"] if one["decisive"]]


def test_machines_always_get_their_report(state: Path) -> None:
    run("--from", BROKEN, "--state", state)
    again = json.loads(run("--from", BROKEN, "--state", state, "-f", "json").stdout)
    assert again["verdict"] == "broken"
    assert (again["changes"]["found"], again["changes"]["gone"]) == ([], [])


def test_quiet_is_silent_when_ok(state: Path) -> None:
    assert run("--from", OK, "--state", state, "-q").stdout == ""
    assert run("--from", BROKEN, "--state", state, "-q").stdout != ""
    assert run("--from", OK, "--state", state, "-q").stdout == ""


def test_a_second_run_at_once_ends_and_says_so(state: Path) -> None:
    with Path(f"{state}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        started = time.monotonic()
        ran = run("--state", state)
    assert ran.returncode == 3
    assert ran.stdout == ""
    assert "another run holds" in ran.stderr
    assert time.monotonic() - started < 10
    assert not state.exists()


@pytest.mark.parametrize(
    ("name", "line"), [("nagios", "UNKNOWN: another run "), ("checkmk", '3 "dockerdiag" - ')]
)
def test_a_monitor_is_told_that_another_run_holds_the_state(state: Path, name: str, line: str) -> None:
    with Path(f"{state}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ran = run("--state", state, "-f", name)
    assert ran.returncode == 3
    assert ran.stdout.startswith(line)


@pytest.mark.parametrize("content", ["nonsense", "{}", "[]", '{"schema_version": 1}'])
def test_another_programs_file_is_left_as_it_is(state: Path, content: str) -> None:
    state.write_text(content)
    ran = run("--from", OK, "--state", state)
    assert (ran.returncode, ran.stdout) == (64, "")
    assert "is no state file of dockerdiag's" in " ".join(ran.stderr.replace("│", "").split())
    assert state.read_text() == content


MANY_VALUES = '{"state_version": 1, "report": [' + "{}," * 20_000_001 + "{}]}"


@pytest.mark.parametrize(
    "content", ['{"state_version": 99}', '{"state_version": 1, "repo', MANY_VALUES], ids=("99", "cut", "many")
)
def test_a_damaged_state_is_begun_anew(state: Path, content: str) -> None:
    state.write_text(content)
    ran = run("--from", OK, "--state", state)
    assert ran.returncode == 0
    assert "begun anew" in ran.stderr
    assert run("--from", OK, "--state", state).stdout == ""


def test_what_cannot_be_kept_is_said(tmp_path: Path) -> None:
    assert run("--from", OK, "--state", tmp_path / "missing" / "state").returncode == 74
    assert run("--from", OK, "--state", tmp_path).returncode == 74
    assert run("--from", OK, "--redact", "--state", tmp_path / "state").returncode == 64
    report = tmp_path / "report.json"
    run("--from", OK, "-o", report)
    assert run("--from", report, "--state", tmp_path / "state").returncode == 64
