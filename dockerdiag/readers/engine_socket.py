"""An engine's Unix socket: whether it can be asked without starting anything, and whose it is."""

import os
import socket
import struct
from pathlib import Path

from dockerdiag.readers.errors import ReadError, reason
from dockerdiag.readers.files import Tree, read_kernel_file
from dockerdiag.readers.processes import in_this_pid_namespace, pids, process_name, user_of, whose_files

_SECONDS = 5.0
_ENGINES = frozenset(("dockerd", "podman"))
_ACTIVATORS = frozenset(("systemd", "init"))
_ANOTHERS = Path("/proc/1")
"""A process that everybody sees unless other users' are hidden."""
_MAXIMUM_TABLE = 64 * 1024 * 1024
_LISTENS = "00010000"
"""The flag of such a socket in /proc/net/unix (__SO_ACCEPTCON)."""


def place_in(tree: Tree, url: str) -> str:
    """Where a host's own socket is to be found from here; other endpoints, and a socket not of the tree, as told."""
    if tree.root == "/" or not url.startswith("unix://"):
        return url
    place = tree.resolve(url.removeprefix("unix://"))
    return url if place is None else f"unix://{tree.root.rstrip('/')}{place}"


def try_socket(path: str, tree: Tree) -> None:
    """Connects, to say in the kernel's words why a socket does not answer.

    Raises:
        ReadError: where it does not, or where connecting would start an engine that does not run.
    """
    if _would_start_engine(path, tree):
        raise ReadError("no engine: none runs, and to connect to its socket would start it")
    try:
        with _connected(path):
            pass
    except FileNotFoundError:
        raise ReadError("no engine: the socket does not exist") from None
    except ConnectionRefusedError:
        raise ReadError("no engine: nobody listens on the socket") from None
    except PermissionError:
        raise ReadError("permission denied: run as root, or as a member of the socket's group") from None
    except OSError as error:
        raise ReadError(reason(error)) from None


def runs_here(url: str, name: str, kernel: str) -> bool:
    """Whether the engine's process is one of this host's: then its PIDs, links and rules are those seen here.

    A socket proves nothing by itself: ssh, Docker Desktop and a container's engine put theirs into this file
    system too.

    Args:
        url: Where the engine was asked.
        name: The host name that it tells.
        kernel: The kernel's release that it tells.
    """
    if not url.startswith("unix://"):
        return False
    owner = _socket_owner(url.removeprefix("unix://"))
    if owner is None:
        return False
    process = process_name(owner)
    if process in _ENGINES:
        return in_this_pid_namespace(owner)
    # With socket activation the socket is systemd's. The engine inherits it, or a program that passes everything
    # on to wherever: so it must also say that it is this machine.
    system = os.uname()
    return process in _ACTIVATORS and (name, kernel) == (system.nodename, system.release) and _engine_runs()


def whose_engine(url: str) -> int | None:
    """The user whose files alone may be read because the engine at a socket of this host names them.

    Raises:
        ReadError: where that cannot be told.
    """
    owner = _socket_owner(url.removeprefix("unix://"))
    if owner is None:
        raise ReadError("whose engine names it cannot be told")
    return whose_files(owner)


def _would_start_engine(path: str, tree: Tree) -> bool:
    """Whether systemd alone listens: it starts dockerd or Podman for whoever connects.

    Raises:
        ReadError: where that cannot be seen.
    """
    if tree.resolve("/run/systemd/system") is None or not Path(path).is_socket():
        return False
    owner = Path(path).stat().st_uid
    held = _held_by_managers_alone(os.path.realpath(path), owner, tree)
    if held is not None:
        return held
    if owner != 0:
        return False  # the host's systemd, of which no more is seen, makes its sockets root's
    if not _ANOTHERS.exists():
        raise ReadError("whether to connect would start an engine is hidden (hidepid): run as root")
    return not _engine_runs("podman" if "podman" in os.path.realpath(path) else "dockerd")


def _held_by_managers_alone(path: str, owner: int, tree: Tree) -> bool | None:
    """Whether no other process than systemd, the host's or a user's, has a socket; None where that cannot be seen."""
    inode = _listening_inode(path, tree)
    if inode is None:
        return None
    # Other users' managers, into which not even root may look everywhere, have sockets of their users'.
    managers = {pid for pid in pids() if process_name(pid) in _ACTIVATORS and user_of(pid) in (0, owner)}
    held = {pid: _holds(pid, inode) for pid in managers}
    if True not in held.values():
        return None if None in held.values() else False
    # Engines first: on most hosts the answer is there, and processes are many.
    others = sorted(set(pids()) - managers, key=lambda pid: process_name(pid) not in _ENGINES)
    return not any(_holds(pid, inode) for pid in others)


def _listening_inode(path: str, tree: Tree) -> str | None:
    """The number of the socket that listens at a path; None where none does in this network namespace."""
    within = path.removeprefix(os.path.realpath(tree.root).rstrip("/"))
    try:
        lines = read_kernel_file("/proc/thread-self/net/unix", _MAXIMUM_TABLE).splitlines()
    except (OSError, ReadError):
        return None
    name = within.rpartition("/")[2]
    bound = (line.split(maxsplit=7) for line in lines if line.endswith(name))
    for fields in bound:
        if len(fields) == 8 and fields[3] == _LISTENS and tree.resolve(fields[7]) == within:
            return fields[6]
    return None


def _holds(pid: int, inode: str) -> bool | None:
    try:
        with os.scandir(f"/proc/{pid}/fd") as descriptors:
            return any(_leads_to(entry.path) == f"socket:[{inode}]" for entry in descriptors)
    except PermissionError:
        return None
    except OSError:
        return False  # it has ended


def _leads_to(path: str) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - no Path is needed, and there are many
    except OSError:
        return None


def _engine_runs(*names: str) -> bool:
    return any(process_name(pid) in (names or _ENGINES) and in_this_pid_namespace(pid) for pid in pids())


def _connected(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_SECONDS)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _socket_owner(path: str) -> int | None:
    """PID of the process that made the socket listen; None where it is not to be seen from here."""
    try:
        with _connected(path) as connection:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    pid = int(struct.unpack("3i", credentials)[0])
    return pid if pid > 0 and process_name(pid) is not None else None
