"""A host's network namespace and an "internet" beside it, joined by a veth; no way leads out of the two."""

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HOST_ADDRESS, HOST_ADDRESS6 = "198.51.100.2", "fd00:198::2"
GATEWAY, GATEWAY6 = "198.51.100.1", "fd00:198::1"
SERVER, SERVER6 = "203.0.113.10", "fd00:203::10"
# Where the product's walk goes when nobody names a destination: the traffic measured is then the one walked.
DEFAULT_TARGET, DEFAULT_TARGET6 = "1.1.1.1", "2606:4700:4700::1111"
NAME_PREFIX = "ddlab-"

Addresses = tuple[str, str]


@dataclass(frozen=True)
class Wires:
    """Two namespaces, named after one run of one host."""

    run: str

    @property
    def host(self) -> str:
        return f"{NAME_PREFIX}{self.run}-host"

    @property
    def internet(self) -> str:
        return f"{NAME_PREFIX}{self.run}-net"

    @property
    def host_path(self) -> Path:
        return Path("/run/netns", self.host)

    @property
    def internet_path(self) -> Path:
        return Path("/run/netns", self.internet)

    def make(self) -> None:
        ip("netns", "add", self.host)
        ip("netns", "add", self.internet)
        self.join("eth0", "uplink0", (HOST_ADDRESS, HOST_ADDRESS6), (GATEWAY, GATEWAY6))
        self.in_host("link", "set", "lo", "up")
        self.in_host("route", "add", "default", "via", GATEWAY)
        self.in_host("-6", "route", "add", "default", "via", GATEWAY6)
        self.in_internet("link", "set", "lo", "up")
        for address in (SERVER, DEFAULT_TARGET):
            self.in_internet("address", "add", f"{address}/32", "dev", "lo")
        for address in (SERVER6, DEFAULT_TARGET6):
            self.in_internet("address", "add", f"{address}/128", "dev", "lo", "nodad")

    def join(self, near: str, far: str, near_addresses: Addresses, far_addresses: Addresses) -> None:
        """A veth from the host to the internet, both ends born in their namespace."""
        self.in_host("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.internet)
        for here, link, (address, address6) in (
            (self.in_host, near, near_addresses),
            (self.in_internet, far, far_addresses),
        ):
            here("address", "add", f"{address}/24", "dev", link)
            here("address", "add", f"{address6}/64", "dev", link, "nodad")
            here("link", "set", link, "up")

    def in_host(self, *arguments: str) -> None:
        ip("-n", self.host, *arguments)

    def in_internet(self, *arguments: str) -> None:
        ip("-n", self.internet, *arguments)

    def remove(self) -> None:
        for name in (self.host, self.internet):
            if Path("/run/netns", name).exists():
                with suppress(subprocess.CalledProcessError):
                    ip("netns", "delete", name)


def ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True)
