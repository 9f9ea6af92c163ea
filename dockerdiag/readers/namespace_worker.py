"""`python -m dockerdiag.readers.namespace_worker`: enters network namespaces and reads them.

One request a line on stdin, one answer a line on stdout. The process stays in a namespace until the next
request, and ends with stdin.
"""

import json
import signal
import sys
from typing import Any

from pydantic import TypeAdapter

from dockerdiag.readers.deadline import Deadline, unread_on_error
from dockerdiag.readers.visit import visit
from dockerdiag.snapshot import NetworkNamespace, Unread


def read(request: dict[str, Any]) -> NetworkNamespace:
    """Answers one request.

    Raises:
        ReadError: where the namespace cannot be entered.
    """
    return visit(request["pid"], request["name"], Deadline(request["seconds"]), request["destinations"])


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
