"""One network namespace as a whole: the one the reader is in."""

from functools import partial
from typing import Any

from dockerdiag.readers.conntrack import read_conntrack_counters
from dockerdiag.readers.deadline import Deadline, SideBySide
from dockerdiag.readers.firewall import read_firewall
from dockerdiag.readers.listeners import read_listeners
from dockerdiag.readers.netstat import read_ip_counters
from dockerdiag.readers.packet_queues import read_packet_queues
from dockerdiag.readers.processes import namespace_of
from dockerdiag.readers.sysctls import read_sysctls
from dockerdiag.snapshot import Firewall, NetworkNamespace, Unread


def read_namespace(deadline: Deadline) -> NetworkNamespace:
    """Reads it part by part; each that cannot be read is `Unread` by itself.

    Raises:
        OSError: where /proc is not mounted.
    """
    name = namespace_of("thread-self")
    parts = SideBySide(
        {
            "routing": _routing,
            "sysctls": read_sysctls,
            "firewall": partial(read_firewall, deadline),
            "listeners": read_listeners,
            "conntrack": read_conntrack_counters,
            "ip_counters": read_ip_counters,
            "packet_queues": read_packet_queues,
        },
        deadline,
    ).results()
    return NetworkNamespace(
        name=name,
        sysctls=parts["sysctls"],
        firewall=_all_unread(parts["firewall"]),
        listeners=parts["listeners"],
        conntrack_counters=parts["conntrack"],
        ip_counters=parts["ip_counters"],
        packet_queues=parts["packet_queues"],
        **_fields(parts["routing"]),
    )


def _routing() -> Any:
    from dockerdiag.readers.routing import read_routing  # noqa: PLC0415 - pyroute2 takes a quarter of a second

    return read_routing()


def _fields(routing: Any) -> dict[str, Any]:
    names = ("links", "addresses", "routes", "rules", "neighbours")
    return {name: routing if isinstance(routing, Unread) else getattr(routing, name) for name in names}


def _all_unread(firewall: Firewall | Unread) -> Firewall:
    if isinstance(firewall, Firewall):
        return firewall
    return Firewall(*(firewall for _ in Firewall.__slots__))
