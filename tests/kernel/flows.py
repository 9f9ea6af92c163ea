"""First packets of flows of the kinds that meet a container's host."""

from ipaddress import ip_address
from itertools import count
from random import Random

from tests.kernel.frames import FLAGS, Frame
from tests.kernel.namespaces import ENDPOINT_ADDRESSES, GATEWAYS, HOST_ADDRESSES

_ports = count(33000)


def flow(source: str, protocol: str, destination: str, port: int, version: int = 4) -> tuple[str, Frame]:
    """A first packet with a source port, identifier and sequence number of its own."""
    number = 33000 + next(_ports) % 27000
    origin = ip_address(_source(source, destination, version))
    name = {"icmp": "icmp" if version == 4 else "icmpv6"}.get(protocol, protocol)
    flags = {"tcp": FLAGS["syn"], "icmp": 8, "icmpv6": 128}.get(name, 0)
    is_icmp = name in ("icmp", "icmpv6")
    target = number if is_icmp else port
    return source, Frame(name, origin, ip_address(destination), number, target, flags, sequence=number)  # type: ignore[arg-type]


def _source(role: str, destination: str, version: int) -> str:
    """A role's address; the host's is that of the link towards `destination`."""
    if role != "host":
        return ENDPOINT_ADDRESSES[role][version == 6]
    for other, addresses in ENDPOINT_ADDRESSES.items():
        if destination in addresses:
            return HOST_ADDRESSES[GATEWAYS[other]][version == 6]
    raise ValueError(f"the host has no link towards {destination}")


_KINDS = {
    "out": 8, "host": 2, "neighbour": 2, "other out": 2, "in": 1, "published": 2, "beside": 2, "sent": 3
}  # fmt: skip
"""How often each way is tried: out of a container, to the host, to the other network, between containers of one
bridge, in from outside, and from the host itself, as from a container's own namespace."""


def random_flows(
    random: Random, number: int, versions: tuple[int, ...] = (4, 6)
) -> tuple[tuple[str, Frame], ...]:
    """Some flows, of either IP version or of those given."""
    flows = []
    for _ in range(number):
        version = random.choice(versions)
        kind = random.choices(list(_KINDS), list(_KINDS.values()))[0]
        protocol, port = random.choice(
            (("tcp", 443), ("tcp", 80), ("udp", 53), ("icmp", 0), ("tcp", 22), ("udp", 4789))
        )
        at = version == 6
        source = {
            "other out": "neighbour", "in": "internet", "published": "internet", "sent": "host",
            "beside": random.choice(("container", "sibling")),
        }.get(kind, "container")  # fmt: skip
        if kind == "published":
            protocol, port = "tcp", 8080
        destination = {
            "out": ENDPOINT_ADDRESSES["internet"][at],
            "other out": ENDPOINT_ADDRESSES["internet"][at],
            "host": random.choice((HOST_ADDRESSES["br0"][at], HOST_ADDRESSES["eth0"][at])),
            "neighbour": ENDPOINT_ADDRESSES["neighbour"][at],
            "in": ENDPOINT_ADDRESSES["container"][at],
            "published": HOST_ADDRESSES["eth0"][at],
            "beside": ENDPOINT_ADDRESSES["sibling" if source == "container" else "container"][at],
            "sent": ENDPOINT_ADDRESSES[random.choice(("internet", "internet", "container", "neighbour"))][at],
        }[kind]
        flows.append(flow(source, protocol, destination, port, version))
    return tuple(flows)
