"""Reads a host into a snapshot. The only code that touches the host, and it changes nothing there."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockerdiag.snapshot import Snapshot

__all__ = ["read_snapshot"]


def read_snapshot(
    *,
    deadline: float,
    destinations: Sequence[str | IPv4Address | IPv6Address] = (),
    progress: Callable[[str], None] | None = None,
    root: Path | None = None,
) -> "Snapshot":
    """Reads everything that can be read of this host.

    Args:
        deadline: Seconds in all; what is open then is `Unread`.
        destinations: Addresses to which the kernel is asked its routes; nothing is sent there.
        progress: Called with a few words whenever a part is done.
        root: Directory that holds the host's files, where that is not `/`; the kernel is this one.

    Returns:
        The snapshot; never raises for what the host is like.
    """
    from dockerdiag.readers.collect import collect  # noqa: PLC0415 - pyroute2 and docker cost half a second

    return collect(deadline, tuple(str(one) for one in destinations), progress, root)
