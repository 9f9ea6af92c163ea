"""The queues that programs take packets from (NFQUEUE), in the network namespace the reader is in."""

from dockerdiag.readers.files import read_kernel_file

_PATH = "/proc/thread-self/net/netfilter/nfnetlink_queue"
"""thread-self: that of a thread which has entered another namespace."""


def read_packet_queues() -> tuple[int, ...]:
    """The numbers of those that a program is bound to; none where the kernel has no such queues loaded.

    Raises:
        OSError: where they cannot be read.
    """
    try:
        lines = read_kernel_file(_PATH).splitlines()
    except FileNotFoundError:
        return ()
    return tuple(int(fields[0]) for fields in map(str.split, lines) if fields)
