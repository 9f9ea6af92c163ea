"""Where the report goes: full, read-only, closed, broken, or without letters for it."""

import json
import os
import sys
from pathlib import Path

import pytest

from dockerdiag.cli import delivery
from tests.command_line import BROKEN, OK, run
from tests.unbreakable.running import check, command, finish, needs_root, start


@needs_root
@pytest.mark.parametrize("size", ["4k", "16k"])
def test_a_full_disk_keeps_the_old_report_whole(tmp_path: Path, size: str) -> None:
    setup = f"mount -t tmpfs -o size={size} none {tmp_path}; printf old > {tmp_path}/report.html"
    shell = f'|| code=$?; cat {tmp_path}/report.html >&2; ls -A {tmp_path} >&2; exit "$code"'
    ran = check("--from", BROKEN, "-o", tmp_path / "report.html", setup=setup, shell=shell).in_good_order(74)
    assert "oldreport.html" in ran.errors
    assert ran.errors.rstrip().endswith("report.html")
    assert "cannot write" in ran.errors
    assert "broken" in ran.out, "the terminal gets the report all the same"


@needs_root
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("limit", ["disk", "file"])
@pytest.mark.parametrize(
    "command", [("--from", BROKEN, "-f", "html"), ("explain", "masquerade")], ids=["check", "explain"]
)
def test_a_disk_that_takes_the_beginning_of_stdout(
    tmp_path: Path, unbuffered: str, limit: str, command: tuple[object, ...]
) -> None:
    """PYTHONUNBUFFERED, which container images like to set, must not make half a report a whole one."""
    setup = f"mount -t tmpfs -o size=4k none {tmp_path}; head -c 3584 /dev/zero > {tmp_path}/file"
    if limit == "file":
        setup = "ulimit -f 1"
    program = [sys.executable, "-m", "dockerdiag", *map(str, command)]
    script = f'{setup}; "$@" >> {tmp_path}/file'
    ran = finish(
        start(["unshare", "--mount", "sh", "-c", script, "sh", *program], PYTHONUNBUFFERED=unbuffered), 20
    ).in_good_order(74)
    assert "cannot write to stdout" in ran.errors


@needs_root
@pytest.mark.parametrize(
    ("where", "code"),
    [(">&-", 74), (">/dev/full", 74), (">&- 2>&-", 74), ("2>&-", 3), ("2>/dev/full", 3), ("<&- 2>&-", 3)],
)
def test_a_run_without_arguments_and_streams(where: str, code: int) -> None:
    whole = ["unshare", "--net", "sh", "-c", f'exec "$@" {where}', "sh", sys.executable, "-m", "dockerdiag"]
    ran = finish(start(whole), 20).in_good_order(code)
    assert code == 74 or "unknown" in ran.out


@needs_root
def test_a_full_disk_keeps_the_old_state(tmp_path: Path) -> None:
    setup = f"mount -t tmpfs -o size=8k none {tmp_path}; : > {tmp_path}/state"
    ran = check("--from", BROKEN, "--state", tmp_path / "state", setup=setup).in_good_order(74)
    assert "broken" in ran.out


@needs_root
def test_a_place_that_is_read_only(tmp_path: Path) -> None:
    setup = f"mount -t tmpfs none {tmp_path}; mount -o remount,ro {tmp_path}"
    ran = check("--from", OK, "-o", tmp_path / "report.html", setup=setup).in_good_order(74)
    assert "Read-only file system" in ran.errors
    assert "ok" in ran.out


@needs_root
@pytest.mark.parametrize("mode", [0o1777, 0o755])
@pytest.mark.parametrize("device", [False, True])
def test_another_users_link_is_replaced_and_not_followed(tmp_path: Path, mode: int, device: bool) -> None:
    public, private = tmp_path / "public", tmp_path / "private"
    public.mkdir()
    public.chmod(mode)
    private.write_text("mine")
    if device:
        private = Path("/dev/full")
    (public / "report.html").symlink_to(private)
    os.chown(public / "report.html", 65534, 65534, follow_symlinks=False)
    assert delivery.write(public / "report.html", b"whole") == 0
    assert not (public / "report.html").is_symlink()
    assert device or private.read_text() == "mine"
    assert [one.name for one in public.iterdir()] == ["report.html"]


@needs_root
def test_a_link_that_is_put_there_in_the_meantime_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, report = tmp_path / "private", tmp_path / "report.html"
    private.write_text("mine")
    looked = delivery._status

    def then_linked(folder: int, name: str, *, follow: bool) -> os.stat_result | None:
        found = looked(folder, name, follow=follow)
        report.symlink_to(private)
        return found

    monkeypatch.setattr(delivery, "_status", then_linked)
    assert delivery.write(report, b"whole") == 0
    assert (private.read_text(), report.is_symlink(), report.read_text()) == ("mine", False, "whole")


def test_a_link_of_ones_own_stays_and_leads_to_the_report(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to("there/../linked")
    (tmp_path / "linked").symlink_to(tmp_path / "there/report")
    for content in (b"first", b"second"):
        assert delivery.write(tmp_path / "here", content) == 0
        assert (tmp_path / "there/report").read_bytes() == content
    (tmp_path / "loop").symlink_to("loop")
    assert delivery.write(tmp_path / "loop", b"whole") == 74


def test_a_fifo_that_nobody_reads(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "report.html")
    check("--from", OK, "-o", tmp_path / "report.html", namespaces=()).in_good_order(74)


@pytest.mark.parametrize("name", ["report.json", "report.html", "host.json.gz"])
def test_a_fifo_is_not_read(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    check("--from", tmp_path / name, namespaces=()).in_good_order(64)
    check("--from", OK, "--config", tmp_path / name, namespaces=()).in_good_order(64)
    check("--from", OK, "--state", tmp_path / name, namespaces=()).in_good_order(74)
    ran = run("reveal", tmp_path / name)
    assert (ran.returncode, "not a regular file" in ran.stderr) == (64, True)


@pytest.mark.parametrize("at", [3, 12, 400])
def test_a_damaged_file_is_not_revealed(tmp_path: Path, at: int) -> None:
    packed = bytearray(OK.read_bytes())
    packed[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "host.json.gz").write_bytes(packed)
    ran = run("reveal", tmp_path / "host.json.gz")
    assert (ran.returncode, "its compression is damaged" in ran.stderr) == (64, True)


@pytest.mark.parametrize(
    "where", [">&-", ">/dev/full", "| true", ">&- 2>&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"]
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_stdout_that_takes_nothing(where: str, form: str) -> None:
    ran = check("--from", BROKEN, "-f", form, namespaces=(), shell=where)
    if where == "| true":
        ran.in_good_order(0)
    else:
        ran.in_good_order(2 if where.startswith("2>") else 74)


def test_a_broken_pipe(tmp_path: Path) -> None:
    shell = f'; }} 2>{tmp_path}/errors | head -c 10 >/dev/null; cat {tmp_path}/errors >&2; exit "$(cat {tmp_path}/code)"'
    script = f'{{ "$@" || echo $? > {tmp_path}/code {shell}'
    program = command("--from", BROKEN, "-v", "-f", "html", timeout=20)
    finish(start(["sh", "-c", script, "sh", *program]), 20).in_good_order(2, 74)


ENCODINGS: list[dict[str, str]] = [
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LANG": "", "LC_ALL": "", "LC_CTYPE": ""},
    {"LC_ALL": "no_SUCH.locale"},
]


@pytest.mark.parametrize(
    "environment", ENCODINGS, ids=lambda each: " ".join(f"{k}={v}" for k, v in each.items())
)
@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_no_locale(environment: dict[str, str], form: str, tmp_path: Path) -> None:
    ran = check(
        "--from", BROKEN, "-f", form, "-o", tmp_path / "r.html", namespaces=(), **environment
    ).in_good_order(2)
    assert "docker-user" in ran.out.lower()
    if form == "json":
        assert json.loads(ran.out)["verdict"] == "broken"
    assert "\u2192" in (tmp_path / "r.html").read_text(encoding="utf-8")
