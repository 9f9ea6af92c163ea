"""Visits a network namespace: enters it, and reads it from within."""

import ctypes
import os
from collections.abc import Sequence

from dockerdiag.dataclass import replace
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError, denied
from dockerdiag.readers.namespace import read_namespace
from dockerdiag.readers.processes import namespace_of
from dockerdiag.readers.route_answers import RouteQuestion, ask_routes
from dockerdiag.snapshot import NetworkNamespace, Unread

_CLONE_NEWNET = 0x40000000


def enter(pid: int, name: str) -> None:
    """Enters a process's network namespace, which must still be the one of that name.

    Raises:
        ReadError: where the process has gone, or may not be entered.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ReadError("the container stopped while the host was read") from None
    except PermissionError:
        raise ReadError(denied("CAP_SYS_PTRACE")) from None
    # os.setns exists from Python 3.12 on.
    entered = ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) == 0
    os.close(descriptor)
    if not entered:
        raise ReadError(denied("CAP_SYS_ADMIN"))
    if namespace_of("thread-self") != name:
        raise ReadError("the container was restarted while the host was read")


def visit(pid: int, name: str, deadline: Deadline, destinations: Sequence[str]) -> NetworkNamespace:
    """Reads a process's network namespace, and asks its kernel's routes; the calling thread stays in it.

    Raises:
        ReadError: where it cannot be entered, has another name, or its process ends meanwhile.
    """
    enter(pid, name)
    found = read_namespace(deadline, one_by_one=True)
    # The engine takes a namespace's links away once the container's process has ended.
    if not _is_in(pid, name):
        raise ReadError("the container stopped while the host was read")
    if isinstance(found.links, Unread) or isinstance(found.sysctls, Unread):
        return found
    questions = [RouteQuestion(destination) for destination in destinations]
    return replace(found, route_answers=ask_routes(questions, found.links, found.sysctls))


def _is_in(pid: int, name: str) -> bool:
    """Whether a process is there, and in that namespace."""
    try:
        return namespace_of(pid) == name
    except OSError:
        return False
