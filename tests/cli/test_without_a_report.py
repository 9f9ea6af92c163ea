"""What ends without a report is UNKNOWN to a monitor, and tells a terminal neither a credential nor a control character."""

import re
from pathlib import Path

import pytest

from tests.command_line import BROKEN, DEGRADED, OK, run
from tests.command_line import UNKNOWN as UNKNOWN_HOST

NAGIOS = re.compile(r"UNKNOWN: [^|\n]+\n")
CHECKMK = re.compile(r'3 "dockerdiag" - [^|\n]+\n')
FORMATS = [("nagios", NAGIOS), ("checkmk", CHECKMK)]


@pytest.mark.parametrize(("name", "line"), FORMATS)
@pytest.mark.parametrize("spelling", ["-f {}", "-f{}", "-qf {}", "-vf{}", "--format {}", "--format={}"])
def test_wrong_usage(name: str, line: re.Pattern[str], spelling: str) -> None:
    ran = run(*spelling.format(name).split(), "--from", OK, "-c", "nobody")
    assert ran.returncode == 64
    assert line.fullmatch(ran.stdout)
    assert "nobody" in ran.stdout
    assert "nobody" in ran.stderr


@pytest.mark.parametrize(("name", "line"), FORMATS)
def test_an_option_that_is_none(name: str, line: re.Pattern[str]) -> None:
    ran = run("--no-such-option", "-f", name)
    assert ran.returncode == 64
    assert line.fullmatch(ran.stdout)


@pytest.mark.parametrize(("name", "line"), FORMATS)
def test_a_file_that_cannot_be_written(name: str, line: re.Pattern[str], tmp_path: Path) -> None:
    for arguments in (
        ("-o", tmp_path / "missing" / "report.html"),
        ("--state", tmp_path / "missing" / "state"),
    ):
        ran = run("--from", OK, "-f", name, *arguments)
        assert ran.returncode == 74
        assert line.fullmatch(ran.stdout), ran.stdout


@pytest.mark.parametrize(("name", "line"), FORMATS)
def test_an_error_of_its_own(name: str, line: re.Pattern[str], tmp_path: Path) -> None:
    ran = run("--from", BROKEN, "-f", name, **failing(tmp_path, "register_at_fork"))
    assert ran.returncode == 70
    assert line.fullmatch(ran.stdout), ran.stdout + ran.stderr
    assert "an error of dockerdiag's own" in ran.stdout


@pytest.mark.parametrize("name", ["text", "json", "prometheus", "junit"])
def test_others_get_nothing(name: str) -> None:
    ran = run("--from", OK, "-f", name, "-c", "nobody")
    assert (ran.returncode, ran.stdout) == (64, "")


SECRET = "hunter2Xq"


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_traceback_tells_no_credential_and_obeys_nothing(tmp_path: Path, debug: str) -> None:
    message = f"cannot ask http://user:{SECRET}@proxy:3128 with token={SECRET}, \x1b[31m\u202e, as it said"
    ran = run("--from", BROKEN, DOCKERDIAG_DEBUG=debug, **failing(tmp_path, message))
    assert ran.returncode == 70
    assert ran.stdout == ""
    assert SECRET not in ran.stderr
    assert "cannot ask http://***@proxy:3128" in ran.stderr
    assert "as it said" in ran.stderr
    assert "\x1b" not in ran.stderr
    assert ("Traceback" in ran.stderr) == bool(debug)


def test_a_wrong_argument_is_told_without_its_password() -> None:
    ran = run("--from", OK, "--to", f"http://user:{SECRET}@web.example/x")
    assert ran.returncode == 64
    assert SECRET not in ran.stderr


def failing(folder: Path, message: str) -> dict[str, str]:
    """An environment in which the judgement ends with an error, for want of a real one."""
    (folder / "sitecustomize.py").write_text(
        "import dockerdiag.diagnosis\n"
        "def diagnose(*arguments, **options):\n"
        f"    raise RuntimeError({message!r})\n"
        "dockerdiag.diagnosis.diagnose = diagnose\n"
    )
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("fail_on", "path", "state", "code"),
    [
        ("warn", DEGRADED, "WARNING", 1),
        ("fail", DEGRADED, "OK: degraded, which --fail-on lets pass", 0),
        ("unknown", DEGRADED, "OK: degraded, which --fail-on lets pass", 0),
        ("fail", UNKNOWN_HOST, "OK: unknown, which --fail-on lets pass", 0),
        ("fail", BROKEN, "CRITICAL", 2),
    ],
)
def test_a_monitor_is_told_what_the_exit_code_says(fail_on: str, path: Path, state: str, code: int) -> None:
    nagios = run("--from", path, "--fail-on", fail_on, "-f", "nagios")
    checkmk = run("--from", path, "--fail-on", fail_on, "-f", "checkmk")
    assert (nagios.returncode, checkmk.returncode) == (code, code)
    assert nagios.stdout.startswith(f"{state}: ")
    assert checkmk.stdout.startswith(f'{code} "dockerdiag" ')
