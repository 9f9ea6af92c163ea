"""What root reads because a process names it: root's own choice, or files of the user whose process it is."""

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dockerdiag.readers import engine as engines
from dockerdiag.readers.daemon_json import read_daemon_json
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.processes import process_name, read_daemons, whose_files
from dockerdiag.readers.programs import read_programs
from dockerdiag.readers.resolver import read_container_resolv_conf
from dockerdiag.readers.shims import read_shims
from dockerdiag.snapshot import DaemonProcess, Program, TextFile, Unread
from tests.unbreakable.running import needs_root

pytestmark = needs_root

Processes = list[subprocess.Popen[bytes]]

USER = 65534
SECRET = "only root may read this"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """One that another user can enter, with a file that only root can read."""
    made = Path("/tmp") / f"dockerdiag-test-{tmp_path.name}-{os.getpid()}"
    made.mkdir(mode=0o755)
    (made / "secret").write_text(SECRET)
    (made / "secret").chmod(0o600)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def running() -> Iterator[Processes]:
    started: Processes = []
    yield started
    for one in started:
        one.kill()
        one.wait()


def program(folder: Path, name: str) -> list[str]:
    """One of that name, which waits whatever its arguments are."""
    if not (folder / name).exists():
        shutil.copy("/bin/sh", folder / name)
    return [str(folder / name), "-c", "read nothing"]


def named(
    running: Processes,
    folder: Path,
    name: str,
    *arguments: str,
    user: int = USER,
    **environment: str,
) -> int:
    command = [*program(folder, name), *arguments]
    running.append(subprocess.Popen(command, user=user, env=environment, stdin=subprocess.PIPE))
    return until_named(running[-1].pid, name)


def until_named(pid: int, name: str) -> int:
    for _ in range(500):
        if process_name(pid) == name:
            return pid
        time.sleep(0.01)
    raise AssertionError(process_name(pid))


def daemon(pid: int) -> DaemonProcess:
    (found,) = (one for one in read_daemons() if one.pid == pid)
    return found


def test_a_users_dockerd_names_files_of_that_user_alone(folder: Path, running: Processes) -> None:
    (folder / "own.json").write_text("{}")
    os.chown(folder / "own.json", USER, USER)
    (folder / "link.json").symlink_to("secret")
    for name in ("secret", "link.json"):
        theirs = daemon(named(running, folder, "dockerd", f"--config-file={folder}/{name}"))
        with pytest.raises(ReadError, match="belongs to another user"):
            read_daemon_json(Tree(), (theirs,), None)
    theirs = daemon(named(running, folder, "dockerd", f"--config-file={folder}/own.json"))
    file = read_daemon_json(Tree(), (theirs,), None)
    assert file is not None
    assert file.text == "{}"


def test_a_users_dockerd_stands_behind_roots(folder: Path, running: Processes) -> None:
    theirs = daemon(named(running, folder, "dockerd", f"--config-file={folder}/other.json"))
    roots = daemon(named(running, folder, "dockerd", f"--config-file={folder}/secret", user=0))
    file = read_daemon_json(Tree(), (theirs, roots), None)
    assert file is not None
    assert file.text == SECRET


def test_a_number_that_changed_hands_is_not_trusted(folder: Path, running: Processes) -> None:
    theirs = daemon(named(running, folder, "dockerd", f"--config-file={folder}/secret"))
    roots = named(running, folder, "dockerd", user=0)
    with pytest.raises(ReadError, match="dockerd ended while the host was read"):
        read_daemon_json(Tree(), (replace(theirs, pid=roots),), None)


def test_a_program_that_runs_as_root_for_others_is_not_roots(folder: Path, running: Processes) -> None:
    shutil.copy("/usr/bin/sleep", folder / "dockerd")
    (folder / "dockerd").chmod(0o755 | stat.S_ISUID)
    for user in (0, USER):
        running.append(subprocess.Popen([str(folder / "dockerd"), "600"], user=user))
        pid = until_named(running[-1].pid, "dockerd")
        if set(Path(f"/proc/{pid}/status").read_text().partition("Uid:")[2].split()[:4]) == {str(USER)}:
            pytest.skip("the folder for temporary files lets no program change its user")
        with pytest.raises(ReadError, match="under another user's control"):
            whose_files(pid)


def test_a_root_without_its_rights_is_a_containers(folder: Path, running: Processes) -> None:
    command = ["setpriv", "--bounding-set=-sys_admin", *program(folder, "dockerd")]
    running.append(subprocess.Popen(command, stdin=subprocess.PIPE))
    with pytest.raises(ReadError, match="under another user's control"):
        whose_files(until_named(running[-1].pid, "dockerd"))


def test_a_users_path_leads_to_no_program(folder: Path, running: Processes) -> None:
    (folder / "iptables").write_text("")
    theirs = daemon(named(running, folder, "dockerd", PATH=str(folder)))
    assert Program("iptables", f"{folder}/iptables", f"{folder}/iptables") not in read_programs(
        Tree(), (theirs,)
    )


def mounted_over(folder: Path, running: Processes, name: str) -> int:
    """A process of another user that has a file of root's in the place of its resolv.conf."""
    resolv_conf = os.path.realpath("/etc/resolv.conf")
    script = f'mount --bind {folder}/secret {resolv_conf} && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    command += program(folder, name)
    running.append(subprocess.Popen(command, user=USER, group=USER, extra_groups=[], stdin=subprocess.PIPE))
    return until_named(running[-1].pid, name)


def test_a_users_engine_shows_no_other_file_as_a_containers(
    folder: Path, running: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = mounted_over(folder, running, "dockerd")
    monkeypatch.setattr("dockerdiag.readers.engine_socket._socket_owner", lambda _: pid)
    read = engines._resolv_conf_reader(Tree(), "unix:///x", Deadline(5), local=True)
    other = Unread("it belongs to another user than the one who names it")
    assert read(pid, "") == read(None, f"{folder}/secret") == other
    # Root's engine, which may name it, would have had it.
    roots = read_container_resolv_conf(Tree(), pid, "", Deadline(5))
    assert isinstance(roots, TextFile)
    assert roots.text == SECRET


def test_a_users_shim_shows_no_other_file_as_a_containers(
    folder: Path, running: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = mounted_over(folder, running, "shell")
    shim = named(running, folder, "containerd-shim", "-namespace", "moby", "-id", "a" * 64)
    monkeypatch.setattr("dockerdiag.readers.shims._first_child", {shim: child}.get)
    (found,) = (one for one in read_shims(Tree(), Deadline(5)) if one.container == "a" * 64)
    assert found.resolv_conf == Unread("it belongs to another user than the one who names it")
