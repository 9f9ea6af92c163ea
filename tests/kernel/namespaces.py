"""The namespaces a comparison runs in: a host with two bridges, containers on them, and an internet.

    container 10.1.0.2 ── port0 ┤ br0 10.1.0.1
      sibling 10.1.0.3 ── port2 ┤
                                │ host ├ eth0 198.51.100.2 ── 198.51.100.1 internet
    neighbour 10.2.0.2 ── port1 ┤ br1 10.2.0.1

Only the host has a network stack that answers: the others are packet sockets. Neighbours are permanent, so nothing
but the packets of a case ever crosses.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

MACS = {
    "container": "02:00:00:00:01:02",
    "sibling": "02:00:00:00:01:03",
    "neighbour": "02:00:00:00:02:02",
    "internet": "02:00:00:00:00:01",
    "br0": "02:00:00:00:01:01",
    "br1": "02:00:00:00:02:01",
    "eth0": "02:00:00:00:00:02",
}
HOST_ADDRESSES = {
    "lo": ("127.0.0.1", "::1"),
    "br0": ("10.1.0.1", "fd00:1::1"),
    "br1": ("10.2.0.1", "fd00:2::1"),
    "eth0": ("198.51.100.2", "fd00:9::2"),
}
ENDPOINT_ADDRESSES = {
    "container": ("10.1.0.2", "fd00:1::2"),
    "sibling": ("10.1.0.3", "fd00:1::3"),
    "neighbour": ("10.2.0.2", "fd00:2::2"),
    "internet": ("203.0.113.10", "fd00:ffff::10"),
}
PORTS = {"container": "port0", "sibling": "port2", "neighbour": "port1", "internet": "eth0"}
"""The host's link towards each endpoint."""
GATEWAYS = {"container": "br0", "sibling": "br0", "neighbour": "br1", "internet": "eth0"}


def next_hop(source: str, destination: str) -> str:
    """The role or link that the endpoint `source` hands a packet to: who shares its bridge is reached directly."""
    for role, gateway in GATEWAYS.items():
        beside = role != source and gateway == GATEWAYS[source]
        if beside and destination in ENDPOINT_ADDRESSES[role]:
            return role
    return GATEWAYS[source]


def _setns(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Moves this thread, and the children and sockets it makes, into a namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _setns(there)
        yield
    finally:
        _setns(home)
        os.close(there)
        os.close(home)


_ROOT = tuple(
    ("chroot", os.environ["DOCKERDIAG_KERNEL_ROOT"]) if "DOCKERDIAG_KERNEL_ROOT" in os.environ else ()
)
"""The tools of another distribution's root may load and list the rules: their listings differ."""


def run(*command: str, text: str | None = None) -> str:
    """Runs a command; raises with its words if it fails."""
    rooted = _ROOT if command[0] == "nft" or "-nft-" in command[0] else ()
    done = subprocess.run((*rooted, *command), input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(slots=True)
class Namespaces:
    """The namespaces by role; their names carry this process's id."""

    names: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Removes them all."""
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        self.names.clear()

    def _make(self) -> None:
        for role in ("host", *PORTS):
            name = f"ddk{os.getpid()}-{role}"
            self.names[role] = name
            run("ip", "netns", "add", name)
        host = self.names["host"]
        with inside(host):
            lines = ["link set lo up"]
            for bridge in ("br0", "br1"):
                lines += [f"link add {bridge} address {MACS[bridge]} type bridge", f"link set {bridge} up"]
            run("ip", "-b", "-", text="\n".join(lines))
        for role, port in PORTS.items():
            name = self.names[role]
            host_mac = f" address {MACS['eth0']}" if port == "eth0" else ""
            run("ip", "link", "add", f"x{os.getpid()}", "type", "veth", "peer", "name", f"y{os.getpid()}")
            run("ip", "link", "set", f"x{os.getpid()}", "netns", host, "name", port)
            run("ip", "link", "set", f"y{os.getpid()}", "netns", name, "name", "eth0")
            with inside(name):
                _mute("eth0")
                run("ip", "link", "set", "eth0", "address", MACS[role], "up")
            with inside(host):
                run("ip", "link", "set", port, *host_mac.split())
                if port != "eth0":
                    run("ip", "link", "set", port, "master", GATEWAYS[role])
                run("ip", "link", "set", port, "up")
        with inside(host):
            self._address_host()

    def _address_host(self) -> None:
        lines = []
        for link in ("br0", "br1", "eth0"):
            address, address6 = HOST_ADDRESSES[link]
            lines += [
                f"addr add {address}/24 broadcast + dev {link}",
                f"addr add {address6}/64 dev {link} nodad",
            ]
        lines += ["route add default via 198.51.100.1", "route add default via fd00:9::1 dev eth0"]
        for role, link in GATEWAYS.items():
            addresses = ("198.51.100.1", "fd00:9::1") if role == "internet" else ENDPOINT_ADDRESSES[role]
            lines += [f"neigh replace {a} lladdr {MACS[role]} dev {link} nud permanent" for a in addresses]
        run("ip", "-b", "-", text="\n".join(lines))
        for key, value in {
            "ipv4/ip_forward": "1",
            "ipv6/conf/all/forwarding": "1",
            "ipv4/conf/all/rp_filter": "0",
            "ipv4/conf/default/rp_filter": "0",
            "ipv4/conf/br0/rp_filter": "0",
            "ipv4/conf/br1/rp_filter": "0",
            "ipv4/conf/eth0/rp_filter": "0",
            "ipv4/conf/all/send_redirects": "0",
            "ipv4/icmp_ratelimit": "0",
            "ipv6/icmp/ratelimit": "0",
        }.items():
            set_sysctl(key, value)
        for switch in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
            set_sysctl(f"bridge/{switch}", "0")


def set_sysctl(key: str, value: str) -> None:
    """Writes a sysctl of this thread's namespace, where it exists there."""
    path = Path("/proc/sys/net") / key
    if path.exists():
        path.write_text(value, encoding="ascii")


def _mute(link: str) -> None:
    """Keeps the stack of an endpoint from answering or speaking for itself."""
    set_sysctl(f"ipv6/conf/{link}/disable_ipv6", "1")
    run("ip", "link", "set", link, "arp", "off")
