"""What connection tracking counts in the network namespace the reader is in."""

from dockerdiag.readers.files import read_kernel_file

_PATH = "/proc/thread-self/net/stat/nf_conntrack"
"""thread-self: that of a thread which has entered another namespace."""
_CURRENT = "entries"
"""The table's size now, which every line repeats: no counter."""


def read_conntrack_counters() -> dict[str, int]:
    """Each counter of the file, summed over the processors; empty where connection tracking is not there.

    Raises:
        OSError: where it exists and cannot be read.
    """
    try:
        lines = read_kernel_file(_PATH).splitlines()
    except FileNotFoundError:
        return {}
    names = lines[0].split() if lines else []
    totals: dict[str, int] = {}
    for line in lines[1:]:
        for name, value in zip(names, line.split(), strict=False):
            if name != _CURRENT:
                totals[name] = totals.get(name, 0) + int(value, 16)
    return totals
