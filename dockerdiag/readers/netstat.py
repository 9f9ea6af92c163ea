"""What the kernel itself dropped in the network namespace the reader is in, and no rule did."""

from dockerdiag.readers.files import read_kernel_file

_PATH = "/proc/thread-self/net/netstat"
"""thread-self: that of a thread which has entered another namespace."""
_KEPT = ("IPReversePathFilter",)


def read_ip_counters() -> dict[str, int]:
    """The counters that a check cites, by their name in the file; a kernel that lacks one has no such key.

    Raises:
        OSError: where the file cannot be read.
    """
    found: dict[str, int] = {}
    lines = read_kernel_file(_PATH).splitlines()
    # Two lines each: the names, then the values.
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        for name, value in zip(names.split(), values.split(), strict=False):
            if name in _KEPT:
                found[name] = int(value)
    return found
