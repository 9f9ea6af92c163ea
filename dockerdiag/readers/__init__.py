"""Reads a host into a snapshot, and sends probes. The only code that touches the host; it changes nothing there."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockerdiag.destination import Destination
    from dockerdiag.readers.beside import Reading
    from dockerdiag.readers.probe import Sender
    from dockerdiag.snapshot import Probe, Snapshot

__all__ = ["begin_reading", "read_snapshot", "send_probes"]


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
    from dockerdiag.readers.collect import collect  # noqa: PLC0415 - all readers cost a tenth of one

    return collect(deadline, tuple(str(one) for one in destinations), progress, root)


def begin_reading(
    *, deadline: float, destinations: Sequence[str | IPv4Address | IPv6Address] = (), root: Path | None = None
) -> "Reading":
    """Begins what `read_snapshot` does, in a process beside this one.

    Returns:
        What gives the snapshot when it is asked for it, and is to be closed by `with`.
    """
    from dockerdiag.readers.beside import Reading  # noqa: PLC0415

    def read(seconds: float, progress: Callable[[str], None] | None) -> "Snapshot":
        return read_snapshot(deadline=seconds, destinations=destinations, progress=progress, root=root)

    return Reading(read, deadline)


def send_probes(
    senders: "Sequence[Sender]",
    targets: "Sequence[Destination]",
    deadline: float,
    progress: Callable[[str], None] | None = None,
) -> "tuple[Probe, ...]":
    """Sends real packets to `targets` from each of `senders`.

    Args:
        senders: Containers, and the host.
        targets: Where to.
        deadline: Seconds in all; what is open then is not sent.
        progress: Called with a few words whenever a probe begins.

    Returns:
        What each met; never raises for what the host or the network is like.
    """
    from dockerdiag.readers.deadline import Deadline  # noqa: PLC0415
    from dockerdiag.readers.probe import probe  # noqa: PLC0415

    return probe(senders, targets, Deadline(deadline), progress)
