"""Hosts that are not as others: no /sys, hidden processes, other namespaces; and runs that somebody ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command_line import runs_for_everybody
from tests.unbreakable.running import AFTER_THE_DEADLINE, check, command, finish, needs_root, start, start_up


@needs_root
@pytest.mark.parametrize(
    "setup",
    [
        "mount -t tmpfs none /sys",
        "mount -o remount,hidepid=2 /proc || true",
        "mount -t tmpfs none /run; mount -t tmpfs none /etc",
        "mount -t tmpfs none /proc/sys",
        "test ! -e /proc/modules || mount --bind /dev/null /proc/modules",
    ],
    ids=["no-sys", "hidepid", "no-etc", "no-sysctls", "no-modules"],
)
@pytest.mark.parametrize("user", ["root", "nobody"])
def test_what_a_host_may_lack(setup: str, user: str) -> None:
    if user != "root" and not runs_for_everybody():
        pytest.skip("the interpreter is not for everybody")
    become = "" if user == "root" else 'set -- setpriv --reuid 65534 --regid 65534 --clear-groups "$@"'
    ran = check("-f", "json", setup=f"{setup}\n{become}").in_good_order(3)
    assert ran.unread


@needs_root
def test_without_proc() -> None:
    check("-f", "json", setup="mount -t tmpfs none /proc").in_good_order(3)


ODD_ENVIRONMENTS: list[dict[str, str]] = [
    {"HOME": ""},
    {"HOME": "."},
    {"TMPDIR": "/nonexistent/folder"},
    {"TERM": "dumb", "COLUMNS": "1", "LINES": "1", "NO_COLOR": "1"},
    {"COLUMNS": "-5"},
    {"COLUMNS": "many"},
    {"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"},
    {"PYTHONUNBUFFERED": "1"},
    {"PYTHONUNBUFFERED": ""},
    {"PYTHONDEVMODE": "1"},
    {"PYTHONSAFEPATH": "1"},
    {"PYTHONWARNINGS": "error"},
]


@needs_root
@pytest.mark.parametrize(
    "environment", ODD_ENVIRONMENTS, ids=lambda each: " ".join(f"{k}={v}" for k, v in each.items())
)
def test_environments(environment: dict[str, str], tmp_path: Path) -> None:
    # Programs that are found without PATH, too, print what only this machine knows.
    ran = check(
        "-f", "json", "-o", tmp_path / "r.txt", "-o", tmp_path / "r.html", **environment
    ).in_good_order(3)
    assert ran.errors == ""
    assert not [reason for part, reason in ran.unread.items() if "Error" in reason]
    assert "verdict" in (tmp_path / "r.html").read_text()


@needs_root
@pytest.mark.parametrize(
    "setup",
    [
        "unset HOME",
        "PATH=",
        "PATH=/nonexistent",
        "mkdir {tmp}/gone; cd {tmp}/gone; rmdir {tmp}/gone",
        "mkdir {tmp}/mine; cd {tmp}/mine; chmod 0 {tmp}/mine",
        "exec <&-",
        "ulimit -n 20",
        "ulimit -n 8",
        "ulimit -s 256",
        "mount --bind /tmp /tmp; mount -o remount,ro,bind /tmp",
    ],
    ids=[
        "no-home",
        "path-empty",
        "path-missing",
        "cwd-deleted",
        "cwd-unreadable",
        "no-stdin",
        "descriptors-20",
        "descriptors-8",
        "stack",
        "read-only-tmp",
    ],
)
def test_a_process_that_has_little(setup: str, tmp_path: Path) -> None:
    ran = check("-f", "json", setup=setup.format(tmp=tmp_path)).in_good_order(3)
    assert ran.errors == ""


@needs_root
@pytest.mark.parametrize("most", [1, 3, 8])
def test_a_user_who_may_start_few_processes(most: int) -> None:
    """Threads count as processes; root is not counted."""
    if not runs_for_everybody():
        pytest.skip("the interpreter is not for everybody")
    setup = f'set -- prlimit --nproc={most} setpriv --reuid 54321 --regid 54321 --clear-groups "$@"'
    ran = check("-f", "json", setup=setup).in_good_order(3)
    assert "lets it start no further thread" in " ".join(ran.unread.values())


@needs_root
@pytest.mark.parametrize("mebibytes", [30, 60, 80, 100, 200, 300])
def test_little_memory(mebibytes: int) -> None:
    """Too little to judge anything is an error, in a sentence; never a verdict."""
    # From the first line of the program's own: what the interpreter needs to start is not ours to guard.
    script = """
import resource, sys
from dockerdiag.__main__ import main
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) << 20,) * 2)
sys.argv = ["dockerdiag", "-f", "json", "--timeout", "20"]
main()
"""
    ran = finish(start(["unshare", "--net", sys.executable, "-c", script, str(mebibytes)]), 20)
    assert ran.code in (3, 70), ran.errors
    assert "Traceback" not in ran.errors
    assert ran.left == ()
    assert ran.seconds < 20 + AFTER_THE_DEADLINE + start_up()
    assert ran.code == 3 or "memory" in ran.errors or "cannot run" in ran.errors, ran.errors


def test_an_installation_without_its_parts(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import nothing_of_this_name")
    program = [sys.executable, "-m", "dockerdiag", "-f", "nagios"]
    ran = finish(start(program, PYTHONPATH=str(tmp_path)), 20).in_good_order(70)
    assert (
        ran.errors
        == "dockerdiag: it cannot run: ModuleNotFoundError: No module named 'nothing_of_this_name'\n"
    )


@needs_root
def test_as_in_a_container(tmp_path: Path) -> None:
    """The host's files elsewhere, a PID namespace and a /proc of its own."""
    setup = f"mount -t proc proc /proc; mkdir -p {tmp_path}/host; mount --bind / {tmp_path}/host"
    spaces = ("--mount", "--net", "--pid", "--fork", "--uts", "--ipc")
    check("-f", "json", "--root", tmp_path / "host", setup=setup, namespaces=spaces).in_good_order(3)


@needs_root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 4.0])
def test_ended_by_a_signal(tmp_path: Path, number: signal.Signals, after: float) -> None:
    for name in ("nft", "journalctl"):
        (tmp_path / name).write_text(
            "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 600 & while :; do sleep 1; done\n"
        )
        (tmp_path / name).chmod(0o755)
    program = command("-f", "json", "-o", tmp_path / "report.json", timeout=30)
    # A run in the background inherits an ignored SIGINT.
    whole = ["env", "--default-signal=INT", "unshare", "--net", *program]
    run = start(whole, PATH=f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    _wait_for_python(run.process)
    time.sleep(after)
    run.process.send_signal(number)
    ended = finish(run, 5)
    assert ended.code in (128 + number, -number), (ended.code, ended.errors)
    assert "Traceback" not in ended.errors
    assert ended.left == ()
    assert ended.out == ""
    assert {one.name for one in tmp_path.iterdir()} == {"nft", "journalctl"}


def _wait_for_python(process: "subprocess.Popen[str]") -> None:
    """Until our own first lines run; the interpreter's start is not ours to guard."""
    for _ in range(1000):
        try:
            if "typer" in Path(f"/proc/{process.pid}/maps").read_text() or _handles(process.pid):
                return
        except OSError:
            return
        time.sleep(0.01)


def _handles(pid: int) -> bool:
    """Whether the process has given SIGINT its default action back, or handles SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@needs_root
@pytest.mark.parametrize("few", [128, 0], ids=["by threads", "by processes"])
def test_namespaces_that_vanish(few: int) -> None:
    """Real containers' namespaces end while they are read, under an engine that still lists them."""
    script = """
import json, sys
from functools import partial
from dockerdiag.readers import namespaces
namespaces._FEW = int(sys.argv[1])
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.namespaces import read_namespaces
from dockerdiag.readers.processes import namespace_of
import subprocess, threading, time, random
alive = [subprocess.Popen(["unshare", "--net", "sleep", "600"]) for _ in range(20)]
time.sleep(1)
wanted = {namespace_of(one.pid): one.pid for one in alive}
def reap():
    for one in alive:
        time.sleep(random.random() * 0.2)
        one.kill(); one.wait()
threading.Thread(target=reap, daemon=True).start()
found = read_namespaces(wanted, (), Deadline(30))
for one in alive:
    one.kill(); one.wait()
reasons = {getattr(one, "reason", "read") for one in found.values()}
assert len(found) == len(wanted)
print(json.dumps(sorted(reasons)))
"""
    ended = finish(start([sys.executable, "-c", script, str(few)]), 60)
    assert ended.code == 0, ended.errors
    assert "Traceback" not in ended.errors
    assert ended.left == ()
    for reason in json.loads(ended.out):
        assert reason == "read" or reason.startswith("the container"), reason


@needs_root
@pytest.mark.parametrize("few", [128, 0], ids=["by threads", "by processes"])
def test_namespaces_in_which_reading_hangs(tmp_path: Path, few: int) -> None:
    """Every tool hangs in every namespace; what runs there ends with the run."""
    for tool in ("nft", "iptables-nft-save", "ip6tables-nft-save"):
        (tmp_path / tool).write_text("#!/bin/sh\ntrap '' TERM\nsleep 600\nsleep 600\n")
        (tmp_path / tool).chmod(0o755)
    script = """
import subprocess, sys, time
from dockerdiag.readers import namespaces
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.processes import namespace_of
namespaces._FEW = int(sys.argv[1])
alive = [subprocess.Popen(["unshare", "--net", "sleep", "600"]) for _ in range(5)]
time.sleep(1)
began = time.monotonic()
found = namespaces.read_namespaces({namespace_of(one.pid): one.pid for one in alive}, (), Deadline(4))
print(time.monotonic() - began)
for one in alive:
    one.kill(); one.wait()
assert all(hasattr(one, "reason") or hasattr(one.firewall.nft, "reason") for one in found.values()), found
assert len(found) == 5
"""
    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = finish(start([sys.executable, "-c", script, str(few)], PATH=path), 60)
    assert ended.code == 0, ended.errors
    assert "Traceback" not in ended.errors
    assert float(ended.out) < 6
    assert ended.left == ()


@needs_root
def test_links_that_come_and_go() -> None:
    """The host's own namespace changes while it is read."""
    churn = (
        "(while :; do ip link add a0 type veth peer name b0; ip link del a0; done) >/dev/null 2>&1 & churn=$!"
    )
    ran = check("-f", "json", setup=churn, shell='|| code=$?; kill $churn; exit "$code"').in_good_order(3)
    assert "network.firewall.nft" not in ran.unread
