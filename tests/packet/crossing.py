"""A packet, its surroundings, and rule sets as text, for tests of single hooks."""

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from dockerdiag.packet.netfilter import Crossing, Hook, Layer, cross, parse
from dockerdiag.packet.packet import EPHEMERAL_PORTS, Connection, IPAddress, Packet, PortRange, Tuple
from dockerdiag.snapshot.model import Firewall

HOST = ("198.51.100.2", "172.17.0.1", "fd00::1")


class Surroundings:
    """A host with an uplink eth0 and a bridge docker0."""

    def __init__(self, queues: tuple[int, ...] | None = None) -> None:
        self.queues = queues

    def address_type(self, address: IPAddress, link: str | None = None) -> str | None:
        del link
        return "local" if str(address) in HOST or address.is_loopback else "unicast"

    def route_link(
        self,
        destination: IPAddress,
        source: IPAddress | None,
        in_link: str | None,
        mark: int | None,
        protocol: int | None = None,
    ) -> str | None:
        del source, in_link, mark, protocol
        return "docker0" if str(destination).startswith(("172.17.", "fd00:1:")) else "eth0"

    def local_addresses(self, link: str) -> tuple[IPAddress, ...] | None:
        return {"eth0": (ip_address("198.51.100.2"), ip_address("fd00::1"))}.get(link, ())

    def translated_source(
        self, link: str, destination: IPAddress, gateway: IPAddress | None
    ) -> IPAddress | None:
        del gateway
        own = self.local_addresses(link) or ()
        return next((one for one in own if one.version == destination.version), None)

    def link_group(self, link: str) -> int | None:
        return 0 if link else None

    def link_kind(self, link: str) -> str | None:
        return {"docker0": "bridge", "eth0": ""}.get(link)

    def is_listened_on(self, protocol: str, ports: PortRange, at: IPAddress | None = None) -> bool | None:
        return protocol == "tcp" and ports.low <= 9040 <= ports.high and at is None

    def served_queues(self) -> tuple[int, ...] | None:
        return self.queues


def outgoing(
    protocol: Any = "tcp", destination: str = "203.0.113.10", port: int = 443, **fields: Any
) -> Packet:
    """A container's first packet as it is forwarded."""
    has_ports = protocol in ("tcp", "udp")
    six = ":" in destination
    addresses = Tuple(
        source=ip_address("fd00:1::2" if six else "172.17.0.2"),
        destination=ip_address(destination),
        source_port=PortRange(*EPHEMERAL_PORTS) if has_ports else None,
        destination_port=PortRange.one(port) if has_ports else None,
    )
    packet = Packet(
        protocol=protocol,
        addresses=addresses,
        connection=Connection("new", "original", addresses),
        in_link="docker0",
        out_link="eth0",
        tcp_flags=frozenset({"syn"}) if protocol == "tcp" else frozenset(),
        icmp_type=8 if protocol == "icmp" else None,
        icmp_code=0 if protocol == "icmp" else None,
    )
    return replace(packet, **fields)


def reply_to(packet: Packet) -> Packet:
    """The answer as it comes back in by the uplink."""
    sent = packet.addresses
    back = Tuple(sent.destination, sent.source, sent.destination_port, sent.source_port)
    connection = replace(packet.connection, state="established", direction="reply")
    return replace(packet, addresses=back, connection=connection, in_link="eth0", out_link="docker0")


def at(
    firewall: Firewall,
    packet: Packet,
    hook: Hook = "forward",
    layer: Layer = "inet",
    queues: tuple[int, ...] | None = None,
) -> Crossing:
    """What a hook of `firewall` does to `packet`; `queues` are those that a program serves."""
    return cross(parse(firewall), layer, hook, packet, Surroundings(queues))


def filter_table(*rules: str, policy: str = "ACCEPT", chains: tuple[str, ...] = ()) -> str:
    """iptables-save's words for a filter table; a rule may begin with its counters."""
    declared = "".join(f":{chain} - [0:0]\n" for chain in chains)
    counted = (rule if rule.startswith("[") else f"[3:180] {rule}" for rule in rules)
    lines = "".join(f"{rule.replace('] ', '] -A ', 1)}\n" for rule in counted)
    return f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {policy} [0:0]\n:OUTPUT ACCEPT [0:0]\n{declared}{lines}COMMIT\n"


def nat_table(*rules: str, chains: tuple[str, ...] = ()) -> str:
    """iptables-save's words for a nat table."""
    declared = "".join(f":{chain} - [0:0]\n" for chain in chains)
    lines = "".join(f"[0:0] -A {rule}\n" for rule in rules)
    hooks = "".join(f":{hook} ACCEPT [0:0]\n" for hook in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"))
    return f"*nat\n{hooks}{declared}{lines}COMMIT\n"


def legacy(*tables: str) -> Firewall:
    """A host with iptables-legacy alone."""
    return Firewall(nft="", iptables_legacy="".join(tables))


def forwarded(
    *rules: str, policy: str = "ACCEPT", packet: Packet | None = None, chains: tuple[str, ...] = ()
) -> Crossing:
    """What FORWARD rules of iptables do to a packet."""
    return at(legacy(filter_table(*rules, policy=policy, chains=chains)), packet or outgoing())


def chain(
    name: str, hook: str | None = None, *, table: str = "t", family: str = "inet", **fields: Any
) -> dict[str, Any]:
    """One chain in nft's JSON."""
    body: dict[str, Any] = {"family": family, "table": table, "name": name}
    if hook is not None:
        body |= {"type": "filter", "hook": hook, "prio": 0, "policy": "accept"}
    return {"chain": body | fields}


def rule(
    chain_name: str, *expr: Any, handle: int = 5, table: str = "t", family: str = "inet", **fields: Any
) -> dict[str, Any]:
    """One rule in nft's JSON."""
    body = {"family": family, "table": table, "chain": chain_name, "handle": handle, "expr": list(expr)}
    return {"rule": body | fields}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    """One match in nft's JSON."""
    return {"match": {"op": op, "left": left, "right": right}}


META_IN = {"meta": {"key": "iifname"}}
META_OUT = {"meta": {"key": "oifname"}}
META_MARK = {"meta": {"key": "mark"}}
DROP, ACCEPT, COUNTER = {"drop": None}, {"accept": None}, {"counter": {"packets": 7, "bytes": 420}}


def nft(
    *objects: dict[str, Any], tables: tuple[tuple[str, str], ...] = (("inet", "t"),), **fields: Any
) -> Firewall:
    """A host with these objects in its nftables listing."""
    named = [
        {"table": {"family": family, "name": name, "handle": n}} for n, (family, name) in enumerate(tables, 1)
    ]
    return Firewall(nft=json.dumps({"nftables": [{"metainfo": {}}, *named, *objects]}), **fields)
