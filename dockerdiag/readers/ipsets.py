"""IP sets, of the network namespace the reader is in."""

import socket
from collections.abc import Iterator
from typing import Any

from dockerdiag.readers.bare_package import bare_package
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.netlink import Netlink, attribute
from dockerdiag.snapshot import IpSet

with bare_package("pyroute2"):
    from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_IPSET
    from pyroute2.netlink.nfnetlink.ipset import IPSET_CMD_LIST, ipset_msg

MAXIMUM_MEMBERS = 262_144
"""More in all sets together are not read: their messages would take minutes to decode."""

_NETFILTER = 12
"""NETLINK_NETFILTER, which Python does not name."""
_LIST = NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST
_ANY_FAMILY = bytes(4)
_PROTOCOL, _OLDEST_PROTOCOL = 1, 6
"""IPSET_ATTR_PROTOCOL, and what every kernel with ip_set accepts."""
_FAMILIES = {socket.AF_INET: "inet", socket.AF_INET6: "inet6"}
_NOMATCH = 0x4
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp", 136: "udplite"}


def read_ipsets() -> tuple[IpSet, ...]:
    """Every set with its members, to be asked only where ip_set is loaded.

    Raises:
        ReadError: where there are more members than can be read.
        OSError: where the kernel refuses.
    """
    kinds: dict[str, tuple[str, str]] = {}
    members: dict[str, list[str]] = {}
    with Netlink(_NETFILTER, {_LIST: ipset_msg}) as netlink:
        for message in netlink.dump(_LIST, _ANY_FAMILY + attribute(_PROTOCOL, bytes((_OLDEST_PROTOCOL,)))):
            attributes = _attributes(message)
            name = attributes["IPSET_ATTR_SETNAME"]
            # A large set comes in several messages; only the first tells its type.
            if "IPSET_ATTR_TYPENAME" in attributes:
                family = _FAMILIES.get(attributes.get("IPSET_ATTR_FAMILY", 0), "")
                kinds[name] = (attributes["IPSET_ATTR_TYPENAME"], family)
            found = members.setdefault(name, [])
            found.extend(_members(attributes.get("IPSET_ATTR_ADT"), kinds[name][0]))
            if sum(map(len, members.values())) > MAXIMUM_MEMBERS:
                raise ReadError(f"the sets have more than {MAXIMUM_MEMBERS} members")
    return tuple(IpSet(name, *kinds[name], members=tuple(members[name])) for name in kinds)


def _attributes(nested: Any) -> dict[str, Any]:
    # pyroute2 adds an attribute's flags as a third field.
    return {attribute[0]: attribute[1] for attribute in nested["attrs"]}


def _members(entries: Any, kind: str) -> Iterator[str]:
    if entries is None:
        return
    dimensions = kind.partition(":")[2].split(",")
    for entry in entries["attrs"]:
        attributes = _attributes(entry[1])
        member = ",".join(_dimensions(attributes, dimensions))
        if "IPSET_ATTR_TIMEOUT" in attributes:
            member += f" timeout {attributes['IPSET_ATTR_TIMEOUT']}"
        if attributes.get("IPSET_ATTR_CADT_FLAGS", 0) & _NOMATCH:
            member += " nomatch"
        yield member


def _dimensions(attributes: dict[str, Any], dimensions: list[str]) -> Iterator[str]:
    second = False
    for dimension in dimensions:
        if dimension in ("ip", "net"):
            yield _network(attributes, second=second)
            second = True
        elif dimension == "port":
            yield _port(attributes)
        elif dimension == "iface":
            yield str(attributes["IPSET_ATTR_IFACE"])
        elif dimension == "mark":
            yield f"0x{attributes['IPSET_ATTR_MARK']:08x}"
        elif dimension == "mac":
            if "IPSET_ATTR_ETHER" in attributes:
                yield str(attributes["IPSET_ATTR_ETHER"]).upper()
        elif dimension == "set":
            yield str(attributes["IPSET_ATTR_NAME"])
        else:
            raise ReadError(f"sets by {dimension} are not known")


def _network(attributes: dict[str, Any], *, second: bool) -> str:
    address = _attributes(attributes["IPSET_ATTR_IP2" if second else "IPSET_ATTR_IP_FROM"])
    text = str(address.get("IPSET_ATTR_IPADDR_IPV4") or address.get("IPSET_ATTR_IPADDR_IPV6"))
    length = attributes.get("IPSET_ATTR_CIDR2" if second else "IPSET_ATTR_CIDR")
    whole = 128 if ":" in text else 32
    return text if length in (None, whole) else f"{text}/{length}"


def _port(attributes: dict[str, Any]) -> str:
    port = attributes["IPSET_ATTR_PORT_FROM"]
    number = attributes.get("IPSET_ATTR_PROTO")
    if number is None:
        return str(port)
    if number in (1, 58):
        return f"{_PROTOCOLS[number]}:{port >> 8}/{port & 0xFF}"
    return f"{_PROTOCOLS.get(number, number)}:{port}"
