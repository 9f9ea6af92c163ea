"""One network namespace as a whole: the one the reader is in."""

from collections.abc import Callable
from functools import partial
from typing import Any

from dockerdiag.readers.conntrack import read_conntrack_counters
from dockerdiag.readers.deadline import Deadline, SideBySide, unread_on_error
from dockerdiag.readers.firewall import read_firewall
from dockerdiag.readers.ipsec import read_ipsec_policies
from dockerdiag.readers.listeners import read_listeners
from dockerdiag.readers.netstat import read_ip_counters
from dockerdiag.readers.packet_queues import read_packet_queues
from dockerdiag.readers.processes import namespace_of
from dockerdiag.readers.routing import read_routing
from dockerdiag.readers.sysctls import read_sysctls
from dockerdiag.snapshot import Firewall, NetworkNamespace, Unread


def read_namespace(deadline: Deadline, *, one_by_one: bool = False) -> NetworkNamespace:
    """Reads it part by part; each that cannot be read is `Unread` by itself.

    Args:
        deadline: What is open when it passes is `Unread`.
        one_by_one: By the thread that asks alone, where many namespaces are read side by side.

    Raises:
        OSError: where /proc is not mounted.
    """
    name = namespace_of("thread-self")
    parts: dict[str, Callable[[], Any]] = {
        "routing": read_routing,
        "sysctls": read_sysctls,
        "firewall": partial(read_firewall, deadline),
        "listeners": read_listeners,
        "conntrack": read_conntrack_counters,
        "ip_counters": read_ip_counters,
        "packet_queues": read_packet_queues,
        "ipsec_policies": read_ipsec_policies,
    }
    if one_by_one:
        found = {part: unread_on_error(read) for part, read in parts.items()}
    else:
        found = SideBySide(parts, deadline).results()
    return NetworkNamespace(
        name=name,
        sysctls=found["sysctls"],
        firewall=_all_unread(found["firewall"]),
        listeners=found["listeners"],
        conntrack_counters=found["conntrack"],
        ip_counters=found["ip_counters"],
        packet_queues=found["packet_queues"],
        ipsec_policies=found["ipsec_policies"],
        **_fields(found["routing"]),
    )


def _fields(routing: Any) -> dict[str, Any]:
    names = ("links", "addresses", "routes", "rules", "neighbours")
    return {name: routing if isinstance(routing, Unread) else getattr(routing, name) for name in names}


def _all_unread(firewall: Firewall | Unread) -> Firewall:
    if isinstance(firewall, Firewall):
        return firewall
    return Firewall(*(firewall for _ in Firewall.__slots__))
