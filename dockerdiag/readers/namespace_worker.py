"""`python -m dockerdiag.readers.namespace_worker`: enters network namespaces and reads them.

One request a line on stdin, as JSON; one answer a line on stdout, pickled and in base64: nobody but the program that
started it reads it, and JSON would have to be validated there, which takes longer than to read a namespace. The process
stays in a namespace until the next request, and ends with stdin.
"""

import json
import pickle
import signal
import sys
from base64 import b64encode
from typing import Any

from dockerdiag.readers.deadline import Deadline, unread_on_error, within
from dockerdiag.readers.visit import visit
from dockerdiag.snapshot import NetworkNamespace, Unread

_TO_ANSWER = 1.05
"""What a reading may take of its time, that it can tell what it read until then."""


def read(request: dict[str, Any]) -> NetworkNamespace:
    """Answers one request.

    Raises:
        ReadError: where the namespace cannot be entered.
    """
    deadline = Deadline(request["seconds"])
    # By another thread: this one is to be free for SIGTERM, not in the middle of starting a tool.
    return within(
        Deadline(deadline.seconds * _TO_ANSWER),
        lambda: visit(request["pid"], request["name"], deadline, request["destinations"]),
    )


def main() -> None:
    """Answers until stdin ends."""
    # Not the default, which leaves running tools behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer: NetworkNamespace | Unread = unread_on_error(lambda: read(request))  # noqa: B023 - called at once
        sys.stdout.buffer.write(b64encode(pickle.dumps(answer)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
