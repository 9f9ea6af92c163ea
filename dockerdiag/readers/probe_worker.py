"""`python -m dockerdiag.readers.probe_worker`: enters a network namespace and sends one probe for each request.

One request a line on stdin, one answer a line on stdout; the process ends with stdin.
"""

import json
import signal
import sys
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from dockerdiag.readers.deadline import Deadline, unread_on_error
from dockerdiag.readers.probe_counters import Counters, read_counters, risen
from dockerdiag.readers.probe_echo import echo, path_mtu
from dockerdiag.readers.probe_packets import ask_name, connect, send_datagram
from dockerdiag.readers.probe_sockets import Met
from dockerdiag.readers.visit import enter
from dockerdiag.snapshot import Unread


def send(request: dict[str, Any]) -> Met:
    """Sends one probe."""
    address, seconds = ip_address(request["address"]), request["seconds"]
    kind, port = request["kind"], request["port"]
    if kind == "tcp":
        return connect(address, port, seconds)
    if kind == "dns":
        return ask_name(address, port, request["name"], seconds)
    if kind == "udp":
        return send_datagram(address, port, seconds)
    return (echo if kind == "icmp" else path_mtu)(address, seconds)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the probe met, and the counters of this namespace's rules that rose.

    Raises:
        ReadError: where the namespace cannot be entered.
    """
    counting = request["pid"] is not None
    if counting:
        enter(request["pid"], request["namespace"])
    before: Counters | Unread = _counters(request) if counting else {}
    met = unread_on_error(lambda: send(request))
    after: Counters | Unread = _counters(request) if counting else {}
    uncounted = next((one.reason for one in (before, after) if isinstance(one, Unread)), None)
    rose = () if isinstance(before, Unread) or isinstance(after, Unread) else risen(before, after, "sender")
    return {
        "met": asdict(Met("not-made", met.reason) if isinstance(met, Unread) else met),
        "counters": [asdict(one) for one in rose],
        "uncounted": uncounted,
    }


def _counters(request: dict[str, Any]) -> Counters | Unread:
    return unread_on_error(lambda: read_counters(Deadline(request["counting_seconds"])))


def main() -> None:
    """Answers until stdin ends."""
    # Not the default, which leaves running tools behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        told = unread_on_error(lambda: answer(request))  # noqa: B023 - called before the next request
        if isinstance(told, Unread):
            told = {"met": asdict(Met("not-made", told.reason)), "counters": [], "uncounted": None}
        sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
