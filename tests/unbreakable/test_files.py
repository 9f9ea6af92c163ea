"""Files of the host that are enormous, binary, links without end, FIFOs or devices: said, and never waited for."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unbreakable.running import check, needs_root

PLACES = {
    "etc/docker/daemon.json": "daemon_json",
    "etc/resolv.conf": "resolv_conf",
    "etc/hosts": "hosts_file",
    "etc/systemd/system/docker.service": "service",
    "etc/systemd/system/docker.service.d/10-own.conf": "service",
    "etc/sysctl.d/99-own.conf": "boot_sysctls",
    "etc/sysctl.conf": "boot_sysctls",
}


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)
    os.chdir(here)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: dict[str, Callable[[Path], object]] = {
    "enormous": lambda path: path.write_bytes(b"x" * 3_000_000),
    "sparse": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40),
    "fifo": os.mkfifo,
    "socket": _socket,
    "folder": lambda path: path.mkdir(),
    "device": lambda path: os.mknod(path, 0o20600, os.makedev(1, 5)),  # /dev/zero
    "loop": _loop,
}


@needs_root
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_where_a_file_belongs(tmp_path: Path, kind: str) -> None:
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        KINDS[kind](tmp_path / place)
    ran = check("-f", "json", "--root", tmp_path, namespaces=()).in_good_order(3)
    assert set(PLACES.values()) <= ran.unread.keys(), ran.unread


NEVER_ANSWERS = """
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None)
libc.prctl(1, signal.SIGKILL)
for place in sys.argv[1:]:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"none", place.encode(), b"fuse", 0, options) != 0:
        sys.exit("no file system can be mounted")
print("mounted", flush=True)
os.close(1)
time.sleep(600)
"""
"""A file system in a process of its own, which never answers the kernel. It ends with the run."""


@needs_root
@pytest.mark.parametrize(
    ("places", "part"),
    [
        (("etc/docker",), "daemon_json"),
        (("lib/modules",), "engine"),  # a kernel may have no modules
        (("usr/local/sbin",), "programs"),
        (("run/systemd", "etc/docker", "etc/sysctl.d", "etc/systemd"), "boot_sysctls"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_file_system_that_never_answers(tmp_path: Path, places: tuple[str, ...], part: str) -> None:
    if not Path("/dev/fuse").exists():
        pytest.skip("the kernel has no FUSE")
    (tmp_path / "hold.py").write_text(NEVER_ANSWERS)
    for place in places:
        (tmp_path / "root" / place).mkdir(parents=True)
    mounts = " ".join(str(tmp_path / "root" / place) for place in places)
    setup = f"""
        mkfifo {tmp_path}/ready
        env -i {sys.executable} {tmp_path}/hold.py {mounts} </dev/null >{tmp_path}/ready 2>&1 &
        read told <{tmp_path}/ready
        test "$told" = mounted || exit 77
    """
    ran = check("-f", "json", "--root", tmp_path / "root", timeout=5, setup=setup)
    if ran.code == 77:
        pytest.skip("no file system of a process can be mounted here")
    assert part in ran.in_good_order(3).unread, ran.unread


def test_binary_files(tmp_path: Path) -> None:
    content = bytes(range(256)) * 300 + b"\n[Service]\nExecStart=\xff\xfe\n\xed\xa0\x80=1\n"
    for place in PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(content)
    check("-f", "json", "--root", tmp_path, namespaces=()).in_good_order(2, 3)
    check("--root", tmp_path, namespaces=()).in_good_order(2, 3)


@pytest.mark.parametrize("form", ["text", "json", "html", "markdown", "junit", "prometheus", "nagios"])
def test_names_of_files_that_are_no_text(tmp_path: Path, form: str) -> None:
    for folder, suffix in (("etc/systemd/system/docker.service.d", b".conf"), ("etc/sysctl.d", b".conf")):
        (tmp_path / folder).mkdir(parents=True)
        for name in (b"\xff\xfe", b"\xed\xa0\x80", b"a\nb", b"\x1b[31m", "\u202e".encode()):
            (Path(os.fsdecode(os.fsencode(tmp_path / folder) + b"/" + name + suffix))).write_text(
                "[Service]\nEnvironment=HTTP_PROXY=http://u:p@proxy\nnet.ipv4.ip_forward = 0\n"
            )
    (tmp_path / "etc/systemd/system/docker.service").write_text("[Service]\nExecStart=/usr/bin/dockerd\n")
    ran = check("-f", form, "-v", "--root", tmp_path, namespaces=()).in_good_order(2, 3)
    assert "\x1b" not in ran.out


def test_a_snapshot_of_names_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "root/etc/sysctl.d"
    folder.mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.conf")).write_text("net.ipv4.ip_forward = 0\n")
    saved = tmp_path / "host.json"
    check("-q", "--root", tmp_path / "root", "--state", tmp_path / "state", namespaces=()).in_good_order(2, 3)
    check("-q", "--root", tmp_path / "root", "--state", tmp_path / "state", namespaces=()).in_good_order(2, 3)
    collected = [
        sys.executable,
        "-m",
        "dockerdiag",
        "collect",
        "-o",
        str(saved),
        "--root",
        str(tmp_path / "root"),
    ]
    assert subprocess.run(collected, check=False).returncode == 0
    check("--from", saved, namespaces=()).in_good_order(2, 3)
