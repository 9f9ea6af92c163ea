"""An engine's Unix socket: whether it can be asked without starting anything, and whose it is."""

import os
import socket
import struct
from pathlib import Path

from dockerdiag.readers.errors import ReadError, reason
from dockerdiag.readers.files import Tree
from dockerdiag.readers.processes import in_this_pid_namespace, pids, process_name, whose_files

_SECONDS = 5.0
_ENGINES = frozenset(("dockerd", "podman"))
_ACTIVATORS = frozenset(("systemd", "init"))
_ACTIVATED_SOCKET = "/run/docker.sock"


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
        raise ReadError("no engine: dockerd does not run, and to connect to its socket would start it")
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
    """Behind docker.socket systemd starts dockerd for whoever connects."""
    return (
        tree.resolve("/run/systemd/system") is not None
        and Path(path).is_socket()
        and os.path.realpath(path) == os.path.realpath(f"{tree.root}/{_ACTIVATED_SOCKET}")
        and Path("/proc/1").exists()  # else other users' processes are hidden
        and not _engine_runs()
    )


def _engine_runs() -> bool:
    return any(process_name(pid) in _ENGINES and in_this_pid_namespace(pid) for pid in pids())


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
