"""Hosts that are not as others: no /sys, hidden processes, other namespaces; and runs that somebody ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unbreakable.running import check, command, finish, needs_root, start


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
    become = "" if user == "root" else 'set -- setpriv --reuid 65534 --regid 65534 --clear-groups "$@"'
    ran = check("-f", "json", setup=f"{setup}\n{become}").in_good_order(3)
    assert ran.unread


@needs_root
def test_without_proc() -> None:
    check("-f", "json", setup="mount -t tmpfs none /proc").in_good_order(3)


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
