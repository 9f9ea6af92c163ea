"""The command line: what each command prints, where, and with which exit code."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dockerdiag.snapshot.store import load
from tests.command_line import BROKEN, DEGRADED, OK, UNKNOWN, run


def test_version_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['dockerdiag', '--version']\n"
        "from dockerdiag.__main__ import main; main()\n"
        "heavy = {'typer', 'pydantic', 'docker', 'pyroute2', 'jinja2', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("dockerdiag ")


@pytest.mark.parametrize(
    ("snapshot", "code"),
    [(OK, 0), (DEGRADED, 1), (BROKEN, 2), (UNKNOWN, 3)],
    ids=["ok", "degraded", "broken", "unknown"],
)
@pytest.mark.parametrize("form", ["text", "html", "json"])
def test_exit_code_is_the_verdict_in_every_format(snapshot: Path, code: int, form: str) -> None:
    ran = run("--from", snapshot, "-f", form)
    assert ran.returncode == code
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("snapshot", "fail_on", "code"),
    [
        (DEGRADED, "fail", 0),
        (UNKNOWN, "fail", 0),
        (BROKEN, "fail", 2),
        (DEGRADED, "unknown", 0),
        (UNKNOWN, "unknown", 3),
    ],
)
def test_fail_on(snapshot: Path, fail_on: str, code: int) -> None:
    assert run("--from", snapshot, "--fail-on", fail_on).returncode == code


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-option"],
        ["-f", "nonsense"],
        ["-o", "report.nonsense"],
        ["--only", "nonsense"],
        ["--skip", "nonsense"],
        ["--to", "host:0"],
        ["--to", "host:99999"],
        ["--to", "host/sctp"],
        ["--to", "::1:80:x"],
        ["--fail-on", "nonsense"],
        ["--timeout", "soon"],
        *(["--timeout", value] for value in ("inf", "nan", "1e10", "0.5")),
        ["collect", "-o", "host.json", "--timeout", "inf"],
        ["--from", "/nonexistent"],
        ["--from", str(OK), "-c", "nobody"],
        ["--from", str(OK), "-n", "nothing"],
        ["--from", str(OK), "--to", "no.such.name"],
        ["explain", "nonsense"],
        ["collect"],
        ["unheard-of-command"],
    ],
    ids=" ".join,
)
def test_usage_errors_end_with_64_and_a_sentence(arguments: list[str]) -> None:
    ran = run(*arguments)
    assert ran.returncode == 64
    assert ran.stdout == ""
    assert "Error" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_one_run_gives_a_terminal_and_a_ticket(tmp_path: Path) -> None:
    ran = run("--from", BROKEN, "-o", tmp_path / "ticket.html", "-o", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert ran.returncode == 2
    assert report["verdict"] == "broken"
    assert report["cause"]["summary"][:40] in (tmp_path / "ticket.html").read_text()
    assert ran.stdout.rstrip().splitlines()[-1].startswith("broken")


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_a_report_is_shown_again_as_it_was(tmp_path: Path, name: str) -> None:
    first = run("--from", BROKEN, "-o", tmp_path / name)
    again = run("--from", tmp_path / name)
    assert (again.returncode, again.stdout) == (first.returncode, first.stdout)


def test_only_and_skip_choose_checks() -> None:
    only = json.loads(run("--from", OK, "-f", "json", "--only", "masquerade").stdout)
    skip = json.loads(run("--from", OK, "-f", "json", "--skip", "masquerade").stdout)
    assert [result["check"] for result in only["results"]] == ["masquerade"]
    assert "masquerade" not in [result["check"] for result in skip["results"]]


def test_quiet_is_silent_when_ok_only() -> None:
    assert run("--from", OK, "-q").stdout == ""
    assert all(
        run("--from", OK, "-q", "-f", name).stdout for name in ("json", "nagios", "checkmk", "prometheus")
    )
    assert "broken" in run("--from", BROKEN, "-q").stdout


def test_to_walks_elsewhere() -> None:
    report = json.loads(
        run("--from", OK, "-f", "json", "--to", "192.0.2.7:8080", "--to", "198.51.100.1/icmp").stdout
    )
    assert {"192.0.2.7:8080/tcp", "198.51.100.1/icmp"} <= {walk["to"] for walk in report["walks"]}


def test_pipe_gets_no_colour_and_no_control_characters() -> None:
    assert "\x1b" not in run("--from", BROKEN, "-v").stdout


def test_unwritable_file_ends_with_74_and_keeps_the_old_one(tmp_path: Path) -> None:
    ran = run("--from", OK, "-o", tmp_path / "missing" / "report.json")
    assert ran.returncode == 74
    assert "cannot write" in ran.stderr
    old = tmp_path / "report.json"
    old.write_text("old")
    assert run("--from", OK, "-o", "/proc/report.json").returncode == 74
    assert run("--from", OK, "-o", old).returncode == 0
    assert old.read_text() != "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_closed_stdout_is_no_traceback() -> None:
    shell = f"{sys.executable} -m dockerdiag --from {BROKEN} -v | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert ran.stdout.strip() in ("2", "74")


def test_interrupt_ends_with_128_plus_the_signal(tmp_path: Path) -> None:
    slow = tmp_path / "nft"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            # Tests that run in the background inherit an ignored SIGINT, and so would the program.
            ["env", "--default-signal=INT", sys.executable, "-m", "dockerdiag"],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(1.5)
        process.send_signal(number)
        out, errors = process.communicate(timeout=20)
        if process.returncode != 3:  # it may have ended before the signal came
            assert process.returncode == 128 + number, (out, errors)
        assert "Traceback" not in errors


def test_collect_writes_a_snapshot_that_judges_the_same(tmp_path: Path) -> None:
    plain, packed = tmp_path / "host.json", tmp_path / "host.json.gz"
    assert run("collect", "-o", plain).returncode == 0
    assert run("collect", "-o", packed).returncode == 0
    assert load(plain).host == load(packed).host
    assert gzip.decompress(packed.read_bytes()).startswith(b"{")
    assert plain.stat().st_mode & 0o777 == 0o600
    assert run("--from", plain).returncode == run("--from", packed).returncode == 3


def test_a_snapshot_that_somebody_wrote_shows_no_credential(tmp_path: Path) -> None:
    written = json.loads(gzip.decompress(DEGRADED.read_bytes()))
    written["host"]["architecture"] = "http://ops:zQ7xhunter@store.example"
    written["engine"]["containers"][0]["image"] = "token=zQ7xhunter"
    path = tmp_path / "host.json"
    path.write_text(json.dumps(written))
    for form in ("text", "json"):
        told = run("--from", path, "-v", "-f", form)
        assert told.returncode == 1
        assert "zQ7xhunter" not in told.stdout
        assert "http://***@store.example" in told.stdout


def test_checks_are_listed_and_explained() -> None:
    listed = run("checks")
    names = [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("  ")]
    assert listed.returncode == 0
    assert {
        "engine",
        "ip-forwarding",
        "forward-policy",
        "masquerade",
        "proxy-dropins",
        "docker-options",
    } <= set(names)
    for name in names:
        page = run("explain", name)
        assert page.returncode == 0
        assert "What is normal and not reported" in page.stdout


def test_a_check_is_explained_without_docstrings() -> None:
    plain, stripped = (run("explain", "masquerade", PYTHONOPTIMIZE=level) for level in ("", "2"))
    assert stripped.stdout == plain.stdout


@pytest.mark.parametrize(
    "command", ["", "check", "trace", "collect", "diff", "reveal", "checks", "explain", "demo"]
)
def test_help_is_the_same_without_docstrings(command: str) -> None:
    told, bare = (run(*command.split(), "--help", PYTHONOPTIMIZE=level).stdout for level in ("", "2"))
    assert bare == told
    described = told.partition("\n\n")[2]
    assert described.startswith("  ")
    assert described[2].isupper()


def test_demo_needs_no_docker() -> None:
    ran = run("demo")
    assert ran.returncode == 2
    assert "broken" in ran.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dockerdiag ex", "explain"),
        ("dockerdiag --fo", "--format"),
        ("dockerdiag check --ti", "--timeout"),
        ("dockerdiag explain mas", "masquerade"),
        ("dockerdiag --only mas", "masquerade"),
        ("dockerdiag -f ht", "html"),
    ],
)
def test_completion_offers(shell: str, line: str, offered: str) -> None:
    script = Path(sys.executable).with_name("dockerdiag")
    ran = subprocess.run(
        [script],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "_DOCKERDIAG_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "COMP_WORDS": line,
            "COMP_CWORD": str(line.count(" ")),
        },
    )
    assert offered in ran.stdout, ran.stderr


def test_a_file_for_node_exporter_can_be_read_by_its_user(tmp_path: Path) -> None:
    assert run("--from", OK, "-o", tmp_path / "host.prom", "-o", tmp_path / "host.html").returncode == 0
    assert (tmp_path / "host.prom").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "host.html").stat().st_mode & 0o777 == 0o600
