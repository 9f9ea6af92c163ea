"""`--redact` and `reveal`: what leaves the host tells no name, and the host puts names back."""

import gzip
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from dockerdiag.asked import Asked
from dockerdiag.cli import judging
from dockerdiag.snapshot.store import load
from dockerdiag.time_limit import TimeLimit
from tests.command_line import BROKEN, OK, run, runs_for_everybody

NAMES = ("172.17.0", '"lab"', "host:lab", "from web", '"web"')


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_a_redacted_report_tells_no_name_and_reveals_to_the_plain_one(tmp_path: Path, state: Path) -> None:
    plain, redacted, back = (tmp_path / f"{name}.json" for name in ("plain", "redacted", "back"))
    assert run("--from", BROKEN, "-o", plain).returncode == 2
    ran = run("--from", BROKEN, "--redact", "-o", redacted, "-o", tmp_path / "ticket.html", "-v")
    assert ran.returncode == 2
    for text in (ran.stdout, redacted.read_text(), (tmp_path / "ticket.html").read_text()):
        assert [name for name in NAMES if name in text] == []
    told = json.loads(redacted.read_text())["redaction"]
    assert told["redacted"]
    assert told["kinds"]["address"] > 10
    assert told["kept"]
    assert run("reveal", redacted, "-o", back).returncode == 0
    revealed, wanted = json.loads(back.read_text()), json.loads(plain.read_text())
    assert {**revealed, "redaction": None} == {**wanted, "redaction": None}
    assert run("reveal", tmp_path / "ticket.html").stdout.count("172.17.0.2") > 0
    assert "172.17.0.2" in run("reveal", "--map", told["map"], _saved(tmp_path, ran.stdout)).stdout
    folder = state / "dockerdiag" / "redaction"
    assert {stat.S_IMODE(one.stat().st_mode) for one in (folder, *folder.parents[:2])} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def _saved(folder: Path, text: str) -> Path:
    path = folder / "report.txt"
    path.write_text(text)
    return path


def test_the_same_host_gives_the_same_map(state: Path) -> None:
    first, second = (run("--from", OK, "--redact", "-f", "json").stdout for _ in range(2))
    assert first == second
    assert len(list((state / "dockerdiag" / "redaction").glob("*.json"))) == 1


def test_names_are_asked_for_as_they_are() -> None:
    ran = run("--from", BROKEN, "--redact", "-f", "json", "-c", "web", "--to", "172.17.0.9:80")
    walks = json.loads(ran.stdout)["walks"]
    assert {name for walk in walks for name in walk["containers"]} == {"container1"}
    assert not any("172.17.0.9" in walk["to"] for walk in walks)
    traced = run("trace", "--from", BROKEN, "--redact", "web", "1.1.1.1")
    assert traced.returncode == 2
    assert "container1" in traced.stdout
    assert "web" not in traced.stdout.split()


def test_collect_redacts(tmp_path: Path) -> None:
    path = tmp_path / "host.json.gz"
    assert run("collect", "--redact", "-o", path).returncode == 0
    document = json.loads(gzip.decompress(path.read_bytes()))
    assert document["redaction"]["map"]
    assert document["host"]["hostname"].startswith(("host", "localhost"))
    report = json.loads(run("--from", path, "-f", "json").stdout)
    assert report["redaction"]["redacted"]
    again = run("reveal", path, "-o", tmp_path / "back.json.gz")
    assert again.returncode == 0
    assert gzip.decompress((tmp_path / "back.json.gz").read_bytes()).startswith(b"{")


def test_what_cannot_be_redacted_or_revealed_is_said(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    run("--from", OK, "-o", report)
    refused = run("--from", report, "--redact")
    assert (refused.returncode, refused.stdout) == (64, "")
    for arguments in (
        ["reveal", report],
        ["reveal", tmp_path / "none"],
        ["reveal", "--map", "0" * 12, report],
    ):
        assert run(*arguments).returncode == 64


def test_to_redact_takes_no_more_time_than_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def endless(*_: object) -> object:
        while True:
            pass

    monkeypatch.setattr("dockerdiag.snapshot.redact.redact", endless)
    with pytest.raises(typer.Exit) as ended:
        judging._redacted(load(OK), Asked.parse(), TimeLimit(0.5))
    assert ended.value.exit_code == 74
    assert "the deadline of 0.5 s passed before names and addresses were replaced" in capsys.readouterr().err


def test_without_a_place_for_the_map_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, where the folder should be")
    ran = run("--from", OK, "--redact", "-o", tmp_path / "report.json")
    assert ran.returncode == 74
    assert ran.stdout == ""
    assert not (tmp_path / "report.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_user_without_a_home_directory() -> None:
    if not runs_for_everybody():
        pytest.skip("the interpreter is not for everybody")
    become = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_STATE_HOME")
    }
    for arguments, code in ((["--from", OK, "--redact", "-f", "nagios"], 74), (["reveal", OK], 64)):
        program = [*become, sys.executable, "-m", "dockerdiag", *map(str, arguments)]
        ran = subprocess.run(program, capture_output=True, text=True, env=environment, check=False)
        assert ran.returncode == code, ran.stderr
        assert "this user has no home directory, and XDG_STATE_HOME is not set" in ran.stderr
