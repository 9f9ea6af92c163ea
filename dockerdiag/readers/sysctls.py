"""The sysctls that decide over forwarding and filtering, of the network namespace the reader is in."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = "/proc/sys"
_SINGLE = {
    "net/ipv4": (
        "ip_forward",
        "ip_default_ttl",
        "ip_local_port_range",
        "ip_no_pmtu_disc",
        "fib_multipath_hash_policy",
        "fib_multipath_use_neigh",
    ),
    "net/ipv4/neigh/default": ("gc_thresh1", "gc_thresh2", "gc_thresh3"),
    "net/ipv6/neigh/default": ("gc_thresh1", "gc_thresh2", "gc_thresh3"),
    "net/netfilter": ("nf_conntrack_count", "nf_conntrack_max", "nf_conntrack_tcp_be_liberal"),
}
_PER_LINK = {
    "net/ipv4/conf": (
        "forwarding",
        "rp_filter",
        "route_localnet",
        "arp_ignore",
        "arp_filter",
        "accept_local",
        "src_valid_mark",
        "send_redirects",
        "ignore_routes_with_linkdown",
        "log_martians",
        "proxy_arp",
        "proxy_arp_pvlan",
    ),
    "net/ipv6/conf": (
        "forwarding",
        # Linux 6.17: forwards what comes in by this link even where conf/all/forwarding is 0.
        "force_forwarding",
        "accept_ra",
        "disable_ipv6",
        "use_tempaddr",
        "proxy_ndp",
        "ignore_routes_with_linkdown",
    ),
}
_WHOLE = ("net/bridge",)
_MAXIMUM = 4096


def read_sysctls() -> dict[str, str]:
    """Every sysctl that a check or the walk asks for, by its path below /proc/sys.

    Raises:
        OSError: where one exists and cannot be read, or where /proc is not mounted.
    """
    if not Path(_ROOT, "net").is_dir():
        raise FileNotFoundError(2, "/proc/sys/net does not exist")
    return dict(_all())


def _all() -> Iterator[tuple[str, str]]:
    for directory, keys in _SINGLE.items():
        with _opened(directory) as descriptor:
            yield from _values(descriptor, directory, keys)
    for directory, keys in _PER_LINK.items():
        with _opened(directory) as descriptor:
            for link in _names(descriptor):
                yield from _values(descriptor, directory, (f"{link}/{key}" for key in keys))
    for directory in _WHOLE:
        with _opened(directory) as descriptor:
            yield from _values(descriptor, directory, _names(descriptor))


@contextmanager
def _opened(directory: str) -> Iterator[int | None]:
    """A descriptor of a directory; None where this kernel has none.

    Opened once for all that is in it: the directories of all network namespaces have one path, and for each step of
    it the kernel tries one namespace's after the other.
    """
    try:
        descriptor = os.open(f"{_ROOT}/{directory}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(descriptor: int | None) -> list[str]:
    return [] if descriptor is None else sorted(entry.name for entry in os.scandir(descriptor))


def _values(descriptor: int | None, directory: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names if descriptor is not None else ():
        try:
            file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=descriptor)
        except (FileNotFoundError, NotADirectoryError):
            continue  # this kernel has no such key, or the link has gone in the meantime
        try:
            yield f"{directory}/{name}", " ".join(os.read(file, _MAXIMUM).decode(errors="replace").split())
        finally:
            os.close(file)
