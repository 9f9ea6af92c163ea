"""What the host's connection tracking has of a probe.

The kernel puts a connection into the table only when its first packet has passed every rule on its way out, so that
an entry proves that the packet left, and an answer that came marks it.
"""

import re
from ipaddress import ip_address

from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import read_kernel_file
from dockerdiag.snapshot.probes import Tracked

_FILE = "/proc/thread-self/net/nf_conntrack"
_MAXIMUM = 64 * 1024 * 1024
_WORD = re.compile(r"\b(src|dst|sport|dport|id)=(\S+)")


def tracked(protocol: str, address: str, port: int | None, own: int | None) -> Tracked | None:
    """What the table has of a connection to an address and port; None where the table cannot be read.

    Args:
        protocol: `tcp`, `udp`, `icmp` or `icmpv6`.
        address: Where it goes to.
        port: The port there; None for ICMP.
        own: The sender's port, or the number of its echo request.
    """
    if own is None:
        return None
    try:
        table = read_kernel_file(_FILE, _MAXIMUM)
    except (OSError, ReadError):
        return None
    target = ip_address(address)
    for line in table.splitlines():
        if f" {protocol} " not in line or f"{own}" not in line:
            continue
        original: dict[str, str] = {}
        for key, value in _WORD.findall(line):
            original.setdefault(key, value)  # the first half is the direction in which it was opened
        same = original.get("sport", original.get("id")) == str(own)
        if (
            same
            and original.get("dport") == (str(port) if port else None)
            and ip_address(original["dst"]) == target
        ):
            return "unreplied" if "[UNREPLIED]" in line else "replied"
    return "absent"
