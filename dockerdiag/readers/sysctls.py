"""The sysctls that decide over forwarding and filtering, of the network namespace the reader is in."""

import os
from collections.abc import Iterator
from pathlib import Path

from dockerdiag.readers.files import read_kernel_file

_ROOT = "/proc/sys"
_SINGLE = (
    "net/ipv4/ip_forward",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_no_pmtu_disc",
    "net/ipv4/fib_multipath_hash_policy",
    "net/ipv4/neigh/default/gc_thresh1",
    "net/ipv4/neigh/default/gc_thresh2",
    "net/ipv4/neigh/default/gc_thresh3",
    "net/ipv6/neigh/default/gc_thresh1",
    "net/ipv6/neigh/default/gc_thresh2",
    "net/ipv6/neigh/default/gc_thresh3",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
)
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
    ),
    "net/ipv6/conf": (
        "forwarding",
        # Linux 6.17: forwards what comes in by this link even where conf/all/forwarding is 0.
        "force_forwarding",
        "accept_ra",
        "disable_ipv6",
        "proxy_ndp",
        "ignore_routes_with_linkdown",
    ),
}
_DIRECTORIES = ("net/bridge",)


def read_sysctls() -> dict[str, str]:
    """Every sysctl that a check or the walk asks for, by its path below /proc/sys.

    Raises:
        OSError: where one exists and cannot be read, or where /proc is not mounted.
    """
    if not Path(_ROOT, "net").is_dir():
        raise FileNotFoundError(2, "/proc/sys/net does not exist")
    values: dict[str, str] = {}
    for key in _keys():
        try:
            values[key] = " ".join(read_kernel_file(f"{_ROOT}/{key}", 4096).split())
        except (FileNotFoundError, NotADirectoryError):
            continue  # this kernel has no such key, or the link has gone in the meantime
    return values


def _keys() -> Iterator[str]:
    yield from _SINGLE
    for directory, keys in _PER_LINK.items():
        for link in _names(directory):
            yield from (f"{directory}/{link}/{key}" for key in keys)
    for directory in _DIRECTORIES:
        yield from (f"{directory}/{name}" for name in _names(directory))


def _names(directory: str) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(f"{_ROOT}/{directory}"))
    except FileNotFoundError:
        return []
