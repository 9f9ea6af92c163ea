"""IP sets, of the network namespace the reader is in."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from dockerdiag.dataclass import replace
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
_PHYSDEV, _NOMATCH, _WILDCARD = 0x2, 0x4, 0x80
"""IPSET_FLAG_…, of a member."""
_BITMASK = 12
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp", 136: "udplite"}


class _ListedSet(ipset_msg):  # type: ignore[misc]  # pyroute2 has no types
    """A set as it is listed, with the one attribute of its making that pyroute2 does not name."""

    class cadt_data(ipset_msg.cadt_data):  # type: ignore[misc]  # noqa: N801 - pyroute2 looks it up so
        nla_map = (*ipset_msg.cadt_data.nla_map, (_BITMASK, "IPSET_ATTR_BITMASK", "ipset_ip"))


def read_ipsets() -> tuple[IpSet, ...]:
    """Every set with its members, to be asked only where ip_set is loaded.

    Raises:
        ReadError: where there are more members than can be read.
        OSError: where the kernel refuses.
    """
    sets: dict[str, IpSet] = {}
    members: dict[str, list[str]] = {}
    with Netlink(_NETFILTER, {_LIST: _ListedSet}) as netlink:
        for message in netlink.dump(_LIST, _ANY_FAMILY + attribute(_PROTOCOL, bytes((_OLDEST_PROTOCOL,)))):
            attributes = _attributes(message)
            name = attributes["IPSET_ATTR_SETNAME"]
            # A large set comes in several messages; only the first tells its type.
            if "IPSET_ATTR_TYPENAME" in attributes:
                sets[name] = _without_members(name, attributes)
            found = members.setdefault(name, [])
            found.extend(_members(attributes.get("IPSET_ATTR_ADT"), sets[name].type))
            if sum(map(len, members.values())) > MAXIMUM_MEMBERS:
                raise ReadError(f"the sets have more than {MAXIMUM_MEMBERS} members")
    return tuple(replace(one, members=tuple(members[name])) for name, one in sets.items())


def _without_members(name: str, attributes: dict[str, Any]) -> IpSet:
    family = _FAMILIES.get(attributes.get("IPSET_ATTR_FAMILY", 0), "")
    made_with = _attributes(attributes["IPSET_ATTR_DATA"])
    mask = None
    if "IPSET_ATTR_NETMASK" in made_with:
        # pyroute2 leaves it in hexadecimal digits.
        length = int(made_with["IPSET_ATTR_NETMASK"], 16)
        mask = int(ip_network((0 if family == "inet" else 1 << 127, length), strict=False).netmask)
    elif "IPSET_ATTR_BITMASK" in made_with:
        mask = int(ip_address(_address(made_with["IPSET_ATTR_BITMASK"])))
    mark_mask = made_with.get("IPSET_ATTR_MARKMASK", 0xFFFFFFFF)
    return IpSet(name, attributes["IPSET_ATTR_TYPENAME"], family, (), mask, mark_mask)


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
        flags = attributes.get("IPSET_ATTR_CADT_FLAGS", 0)
        if flags & _NOMATCH:
            member += " nomatch"
        if flags & _WILDCARD:
            member += " wildcard"
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
            physical = attributes.get("IPSET_ATTR_CADT_FLAGS", 0) & _PHYSDEV
            yield f"{'physdev:' if physical else ''}{attributes['IPSET_ATTR_IFACE']}"
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
    text = _address(attributes["IPSET_ATTR_IP2" if second else "IPSET_ATTR_IP_FROM"])
    length = attributes.get("IPSET_ATTR_CIDR2" if second else "IPSET_ATTR_CIDR")
    whole = 128 if ":" in text else 32
    return text if length in (None, whole) else f"{text}/{length}"


def _address(nested: Any) -> str:
    address = _attributes(nested)
    return str(address.get("IPSET_ATTR_IPADDR_IPV4") or address.get("IPSET_ATTR_IPADDR_IPV6"))


def _port(attributes: dict[str, Any]) -> str:
    port = attributes["IPSET_ATTR_PORT_FROM"]
    number = attributes.get("IPSET_ATTR_PROTO")
    if number is None:
        return str(port)
    if number in (1, 58):
        return f"{_PROTOCOLS[number]}:{port >> 8}/{port & 0xFF}"
    return f"{_PROTOCOLS.get(number, number)}:{port}"
