"""`python -m dockerdiag.readers.namespace_worker`: enters network namespaces and reads them.

One request a line on stdin, one answer a line on stdout. The process stays in a namespace until the next
request, and ends with stdin.
"""

import ctypes
import json
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from dockerdiag.readers.deadline import Deadline, unread_on_error
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


def read(request: dict[str, Any]) -> NetworkNamespace:
    """Answers one request.

    Raises:
        ReadError: where the namespace cannot be entered.
    """
    enter(request["pid"], request["name"])
    found = read_namespace(Deadline(request["seconds"]))
    if isinstance(found.links, Unread) or isinstance(found.sysctls, Unread):
        return found
    questions = [RouteQuestion(destination) for destination in request["destinations"]]
    return replace(found, route_answers=ask_routes(questions, found.links, found.sysctls))


def main() -> None:
    """Answers until stdin ends."""
    # Not the default, which leaves running tools behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    adapter: TypeAdapter[NetworkNamespace | Unread] = TypeAdapter(NetworkNamespace | Unread)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer = unread_on_error(lambda: read(request))  # noqa: B023 - called before the next request
        sys.stdout.buffer.write(adapter.dump_json(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
