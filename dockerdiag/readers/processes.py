"""Processes of this host, and the engine's daemons among them."""

import os
import pwd
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from dockerdiag.readers.deadline import unread_on_error
from dockerdiag.readers.errors import ReadError, denied
from dockerdiag.readers.files import read_kernel_file
from dockerdiag.snapshot import DaemonProcess, Unread
from dockerdiag.snapshot.secrets import PROXY_VARIABLES, mask_arguments, mask_variables

T = TypeVar("T")

_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21
_PTRACE = "CAP_SYS_PTRACE"


def read_daemons() -> tuple[DaemonProcess, ...]:
    """Every running dockerd of this host; one inside a container (with a PID namespace of its own) is not.

    Raises:
        ReadError: where other users' processes cannot be seen.
    """
    if not Path("/proc/1").exists():
        raise ReadError("other users' processes are hidden (hidepid): run as root")
    return tuple(_daemon(pid) for pid in _without_doubles(filter(_is_daemon, pids())))


def process_name(pid: int) -> str | None:
    """A process's name (comm), None where there is no such process."""
    try:
        return read_kernel_file(f"/proc/{pid}/comm").rstrip("\n")
    except (OSError, ReadError):
        return None


def in_this_pid_namespace(pid: int) -> bool:
    """Whether the process has one PID only: the one by which it is seen here."""
    return len(_status(pid, "NSpid")) <= 1 and process_name(pid) is not None


def _is_daemon(pid: int) -> bool:
    return process_name(pid) == "dockerd" and in_this_pid_namespace(pid)


def _without_doubles(found: Iterable[int]) -> list[int]:
    """Without what a daemon starts a program with, and without a script of its name that waits for it.

    Between clone and execve the new process has the old one's name, program and arguments.
    """
    parents = {pid: next(map(int, _status(pid, "PPid")), 0) for pid in found}
    doubles = set()
    for pid, parent in parents.items():
        if parent in parents:
            same = _program(pid) == _program(parent) or not _is_daemon(pid)
            doubles.add(pid if same else parent)
    return [pid for pid in parents if pid not in doubles]


def _program(pid: int) -> tuple[str | None, tuple[str, ...] | Unread]:
    return _executable(pid), command_line_of(pid)


def _executable(pid: int) -> str | None:
    return _or_none(lambda: str(Path(f"/proc/{pid}/exe").readlink()))


def _status(pid: int | str, name: str) -> list[str]:
    """The words of one line of a process's status; none where there is no such process or line."""
    try:
        lines = read_kernel_file(f"/proc/{pid}/status").splitlines()
    except (OSError, ReadError):
        return []
    return next((line.split()[1:] for line in lines if line.startswith(f"{name}:")), [])


def own_line() -> Iterator[int]:
    """This process, its parent, and so on, as far as they are seen here."""
    pid = os.getpid()
    while pid > 1:
        yield pid
        try:
            # The name in parentheses may hold anything.
            pid = int(read_kernel_file(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
        except (OSError, ReadError):
            return


def may_administer_network() -> bool:
    """Whether this process has CAP_NET_ADMIN."""
    effective = next(iter(_status("thread-self", "CapEff")), "0")
    return bool(int(effective, 16) >> _CAP_NET_ADMIN & 1)


def namespace_of(pid: int | str) -> str:
    """A process's network namespace (`net:[4026531840]`).

    Raises:
        OSError: where there is no such process, or it is another user's.
    """
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def whose_files(pid: int) -> int | None:
    """The user whose files alone may be read because this process names them; None where any may.

    What root reads for a process of another user, that user could otherwise read in the report.

    Raises:
        ReadError: where the process is neither root's nor wholly one user's.
    """
    if os.geteuid() != 0 or _is_of_root(pid):
        return None
    users = set(_status(pid, "Uid"))
    if len(users) != 1 or users == {"0"}:
        raise ReadError("the process that names it may be under another user's control")
    return int(users.pop())


def _is_of_root(pid: int) -> bool:
    """Whether root runs it: anybody may call a program dockerd, also one that runs as root for whoever calls it.

    Neither the root of a user namespace, who has another number here, nor that of an unprivileged container counts.
    """
    if set(_status(pid, "Uid")) != {"0"}:
        return False
    permitted = next(iter(_status(pid, "CapPrm")), "0")
    try:
        mode = os.stat(f"/proc/{pid}/exe").st_mode  # noqa: PTH116 - no Path is needed for one field
    except OSError:
        return False
    return bool(int(permitted, 16) >> _CAP_SYS_ADMIN & 1) and not mode & stat.S_ISUID


def command_line_of(pid: int) -> tuple[str, ...] | Unread:
    """A process's arguments, credentials replaced."""
    return unread_on_error(lambda: mask_arguments(_strings(f"/proc/{pid}/cmdline")))


def user_of(pid: int) -> int | None:
    """The user who started a process, None where there is no such process."""
    return next(map(int, _status(pid, "Uid")), None)


def home_of(user: int) -> str | None:
    """A user's home directory, None where this host does not know the user."""
    try:
        return pwd.getpwuid(user).pw_dir
    except KeyError:
        return None


def pids() -> Iterator[int]:
    """Every process that is seen here."""
    with os.scandir("/proc") as entries:
        yield from sorted(int(entry.name) for entry in entries if entry.name.isdecimal())


def _daemon(pid: int) -> DaemonProcess:
    namespace = _or_none(lambda: namespace_of(pid))
    own = _or_none(lambda: namespace_of("self"))
    return DaemonProcess(
        pid=pid,
        executable=_executable(pid),
        command_line=command_line_of(pid),
        environment=unread_on_error(lambda: _environment(pid)),
        started_at=_or_none(lambda: _started_at(pid)),
        namespace=namespace,
        namespace_is_host=None if namespace is None else namespace == own,
    )


def _or_none(function: Callable[[], T]) -> T | None:
    try:
        return function()
    except (OSError, ReadError, ValueError):
        return None


def _strings(path: str) -> list[str]:
    text = read_kernel_file(path, 4 * 1024 * 1024)
    return text.removesuffix("\0").split("\0") if text else []


def _environment(pid: int) -> dict[str, str]:
    try:
        pairs = (entry.partition("=") for entry in _strings(f"/proc/{pid}/environ"))
    except PermissionError:
        raise ReadError(denied(_PTRACE)) from None
    return mask_variables({name: value for name, _, value in pairs if _is_kept(name)})


def _is_kept(name: str) -> bool:
    return name == "PATH" or name.startswith("DOCKER_") or name.lower() in PROXY_VARIABLES


def _started_at(pid: int) -> float | None:
    # The name in brackets may hold blanks and brackets itself.
    fields = read_kernel_file(f"/proc/{pid}/stat").rpartition(")")[2].split()
    # btime of /proc/stat is whole seconds: a file written just before the start would look newer than it.
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
