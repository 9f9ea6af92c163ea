"""Membership in ipsets, from the members as `ipset list` prints them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Literal

from dockerdiag.packet.iptables_words import Option
from dockerdiag.packet.packet import PROTOCOL_NUMBERS
from dockerdiag.packet.rules import Match
from dockerdiag.packet.truth import Truth, Unknown, negate, some
from dockerdiag.packet.values import Absent, Element, Elements, Interval, Value
from dockerdiag.packet.view import View
from dockerdiag.snapshot.model import IpSet, Unread

Member = bool
"""True for a member, False for a `nomatch` exception."""


@dataclass(slots=True)
class IpSets:
    """The sets of one namespace by name."""

    sets: Mapping[str, IpSet] | Unread
    _read: dict[str, Elements[Member] | Unknown] = field(default_factory=dict)

    @classmethod
    def of(cls, sets: tuple[IpSet, ...] | Unread) -> "IpSets":
        """The sets as the snapshot holds them."""
        return cls(sets if isinstance(sets, Unread) else {one.name: one for one in sets})

    def get(self, name: str) -> IpSet | Unknown:
        """The set of that name."""
        if isinstance(self.sets, Unread):
            return Unknown(f"the members of ipset {name} could not be read: {self.sets.reason}")
        found = self.sets.get(name)
        return Unknown(f"the ipset {name} was not read") if found is None else found

    def elements(self, one: IpSet) -> Elements[Member] | Unknown:
        """The members of a set, ready for lookups."""
        if one.name not in self._read:
            self._read[one.name] = _read_elements(one)
        return self._read[one.name]


def _read_elements(one: IpSet) -> Elements[Member] | Unknown:
    kinds = one.type.partition(":")[2].split(",")
    pairs: list[tuple[Element, Member]] = []
    try:
        for member in one.members:
            text, _, rest = member.partition(" ")
            element = tuple(_part(part, kind) for part, kind in zip(text.split(","), kinds, strict=True))
            pairs.append((element[0] if len(element) == 1 else element, "nomatch" not in rest.split()))
    except ValueError:
        return Unknown(f"a member of ipset {one.name} cannot be read")
    # An exception is more specific than what it is an exception to.
    pairs.sort(key=lambda pair: pair[1])
    return Elements(pairs)


def _part(text: str, kind: str) -> Element:
    if kind in ("ip", "net"):
        if "-" in text:
            low, high = text.split("-")
            return Interval(ip_address(low), ip_address(high))
        return ip_network(text, strict=False) if "/" in text else ip_address(text)
    if kind == "port":
        protocol, separator, port = text.rpartition(":")
        number = PROTOCOL_NUMBERS.get(protocol, -1) if separator else None
        low, ranged, high = port.partition("-")
        ports: Element = Interval(int(low), int(high)) if ranged else int(low)
        return ports if number is None else (number, ports)
    if kind == "mark":
        return int(text, 0)
    if kind == "mac":
        return text.lower()
    if kind == "iface" and not text.startswith("physdev:"):
        return text
    raise ValueError(kind)


def set_match(option: Option, sets: IpSets, version: Literal[4, 6]) -> Match:
    """The match that `--match-set NAME FLAGS` is."""
    if option.name == "--return-nomatch":
        doubt = Unknown("match set: --return-nomatch is not known to this program")
        return lambda _: doubt
    if option.name != "--match-set" or len(option.values) < 2:
        # Counter conditions (--packets-eq …) only make a match rarer.
        doubt = Unknown(f"match set: {option.name} cannot be judged")
        return lambda _: doubt
    name, flags = option.values[0], option.values[1].split(",")

    def match(view: View) -> Truth:
        return negate(_in_set(view, name, flags, sets, version), option.inverted)

    return match


def _in_set(view: View, name: str, flags: list[str], sets: IpSets, version: int) -> Truth:
    if f"ipset {name}" in view.packet.changed_sets:
        return Unknown(f"a rule before this one changes the ipset {name}")
    one = sets.get(name)
    if isinstance(one, Unknown):
        return one
    if one.type == "list:set":
        return some(
            _in_member(view, member.partition(" ")[0], flags, sets, version) for member in one.members
        )
    if one.family and one.family != ("inet" if version == 4 else "inet6"):
        return False
    elements = sets.elements(one)
    if isinstance(elements, Unknown):
        return elements
    kinds = one.type.partition(":")[2].split(",")
    values: list[Value] = []
    with_protocol = one.type != "bitmap:port"
    for position, kind in enumerate(kinds):
        flag = flags[position] if position < len(flags) else flags[-1]
        if kind not in _VALUES:
            return Unknown(f"ipset {name} is of the unknown type {one.type}")
        value = _VALUES[kind](view, flag == "src")
        if isinstance(value, Absent):
            return False
        values.append((view.protocol_number, value) if kind == "port" and with_protocol else value)
    return _look_up(elements, values[0] if len(values) == 1 else tuple(values))


def _in_member(view: View, name: str, flags: list[str], sets: IpSets, version: int) -> Truth:
    one = sets.get(name)
    if isinstance(one, IpSet) and one.type == "list:set":
        return Unknown(f"ipset {name} is a list within a list, which the kernel does not make")
    return _in_set(view, name, flags, sets, version)


def _look_up(elements: Elements[Member], value: Value) -> Truth:
    """The most specific entry decides, and it may be an exception (`nomatch`)."""
    found = elements.find(value)
    doubt = next((truth for truth, _ in found if isinstance(truth, Unknown)), None)
    outcomes = {member for _, member in found}
    if doubt is None:
        return found[0][1] if found else False
    return True if outcomes == {True} and any(truth is True for truth, _ in found) else doubt


def _address(view: View, source: bool) -> Value:
    return view.source if source else view.destination


def _port(view: View, source: bool) -> Value:
    if view.packet.protocol in ("icmp", "icmpv6"):
        kind, code = view.packet.icmp_type, view.packet.icmp_code
        if kind is None or code is None:
            return Unknown("the packet's ICMP type and code are not known")
        return kind << 8 | code
    return view.source_port if source else view.destination_port


def _link(view: View, source: bool) -> Value:
    return view.in_name if source else view.out_name


def _mac(view: View, source: bool) -> Value:
    mac = view.packet.mac_source if source else view.packet.mac_destination
    return Unknown("the frame's MAC address is not known") if mac is None else mac.lower()


def _mark(view: View, source: bool) -> Value:  # noqa: ARG001 - one signature for all
    return view.mark


_VALUES: Mapping[str, Callable[[View, bool], Value]] = {
    "ip": _address,
    "net": _address,
    "port": _port,
    "iface": _link,
    "mac": _mac,
    "mark": _mark,
}
