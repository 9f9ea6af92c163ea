"""Processes of this host, and the engine's daemons among them."""

import os
import pwd
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from dockerdiag.readers.deadline import unread_on_error
from dockerdiag.readers.errors import ReadError, denied
from dockerdiag.readers.files import read_kernel_file
from dockerdiag.snapshot import DaemonProcess
from dockerdiag.snapshot.secrets import PROXY_VARIABLES, mask_arguments, mask_variables

T = TypeVar("T")

_CAP_NET_ADMIN = 12
_PTRACE = "CAP_SYS_PTRACE"


def read_daemons() -> tuple[DaemonProcess, ...]:
    """Every running dockerd of this host; one inside a container (with a PID namespace of its own) is not.

    Raises:
        ReadError: where other users' processes cannot be seen.
    """
    if not Path("/proc/1").exists():
        raise ReadError("other users' processes are hidden (hidepid): run as root")
    return tuple(
        _daemon(pid) for pid in pids() if process_name(pid) == "dockerd" and in_this_pid_namespace(pid)
    )


def process_name(pid: int) -> str | None:
    """A process's name (comm), None where there is no such process."""
    try:
        return read_kernel_file(f"/proc/{pid}/comm").rstrip("\n")
    except (OSError, ReadError):
        return None


def in_this_pid_namespace(pid: int) -> bool:
    """Whether the process has one PID only: the one by which it is seen here."""
    try:
        status = read_kernel_file(f"/proc/{pid}/status")
    except (OSError, ReadError):
        return False
    numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(numbers) <= 1


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
    status = read_kernel_file("/proc/thread-self/status")
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _CAP_NET_ADMIN & 1)


def namespace_of(pid: int | str) -> str:
    """A process's network namespace (`net:[4026531840]`).

    Raises:
        OSError: where there is no such process, or it is another user's.
    """
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def home_of(pid: int) -> tuple[int, str | None]:
    """A process's user id and that user's home directory.

    Raises:
        OSError: where there is no such process.
    """
    owner = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - no Path is needed for one field
    try:
        return owner, pwd.getpwuid(owner).pw_dir
    except KeyError:
        return owner, None


def pids() -> Iterator[int]:
    """Every process that is seen here."""
    with os.scandir("/proc") as entries:
        yield from sorted(int(entry.name) for entry in entries if entry.name.isdecimal())


def _daemon(pid: int) -> DaemonProcess:
    namespace = _or_none(lambda: namespace_of(pid))
    own = _or_none(lambda: namespace_of("self"))
    return DaemonProcess(
        pid=pid,
        executable=_or_none(lambda: str(Path(f"/proc/{pid}/exe").readlink())),
        command_line=unread_on_error(lambda: mask_arguments(_strings(f"/proc/{pid}/cmdline"))),
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
