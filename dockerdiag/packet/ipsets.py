"""Membership in ipsets, from the members as `ipset list` prints them."""

from collections.abc import Callable, Mapping
from dataclasses import field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.iptables_words import Extension
from dockerdiag.packet.packet import PROTOCOL_NUMBERS
from dockerdiag.packet.rules import Match
from dockerdiag.packet.truth import Truth, Unknown, negate, some
from dockerdiag.packet.values import ABSENT, Absent, Element, Elements, Interval, NamePrefix, Value
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
    kinds = _kinds(one)
    pairs: list[tuple[Element, Member]] = []
    flags: set[str] = set()
    try:
        for member in one.members:
            text, _, rest = member.partition(" ")
            words = rest.split()
            flags.update(words)
            if "physdev:" in text:
                # Only what asks for a bridge's port meets it, and no match of iptables does.
                continue
            element = tuple(
                _part(part, kind, wildcard="wildcard" in words)
                for part, kind in zip(text.split(","), kinds, strict=True)
            )
            pairs.append((element[0] if len(element) == 1 else element, "nomatch" not in words))
    except ValueError:
        return Unknown(f"a member of ipset {one.name} cannot be read")
    if flags >= {"nomatch", "wildcard"}:
        return Unknown(f"which of the members of ipset {one.name} comes first is not known")
    # The kernel asks for the longest prefixes first, and the first member that it finds decides.
    pairs.sort(key=lambda pair: _lengths(pair[0]), reverse=True)
    return Elements(pairs)


def _kinds(one: IpSet) -> list[str]:
    return one.type.partition(":")[2].split(",")


def _lengths(element: Element) -> tuple[int, ...]:
    parts = element if isinstance(element, tuple) else (element,)
    return tuple(
        part.prefixlen if isinstance(part, IPv4Network | IPv6Network) else part.max_prefixlen
        for part in parts
        if isinstance(part, IPv4Network | IPv6Network | IPv4Address | IPv6Address)
    )


def _part(text: str, kind: str, *, wildcard: bool) -> Element:
    if kind in ("ip", "net"):
        if "-" in text:
            low, high = text.split("-")
            return Interval(ip_address(low), ip_address(high))
        return ip_network(text, strict=False) if "/" in text else ip_address(text)
    if kind == "port":
        return _ports(text)
    if kind == "mark":
        return int(text, 0)
    if kind == "mac":
        return text.lower()
    if kind == "iface":
        return NamePrefix(text) if wildcard else text
    raise ValueError(kind)


def _ports(text: str) -> Element:
    """Reads `PORT`, `PROTOCOL:PORT`, or `icmp:TYPE/CODE`."""
    protocol, separator, port = text.rpartition(":")
    kind, slash, code = port.partition("/")
    low, dash, high = port.partition("-")
    ports: Element = (
        Interval(int(low), int(high)) if dash else int(kind) << 8 | int(code) if slash else int(port)
    )
    return (PROTOCOL_NUMBERS.get(protocol, -1), ports) if separator else ports


@dataclass(frozen=True, slots=True)
class _Question:
    """What a rule asks of a set."""

    sources: tuple[bool, ...]
    """Of each dimension, whether it is the packet's source that is looked up."""
    version: Literal[4, 6]
    return_nomatch: bool
    """Whether exceptions are asked for in place of members."""


def set_match(extension: Extension, sets: IpSets, version: Literal[4, 6]) -> Match:
    """The match that `-m set` is with all of its options."""
    option = extension.option("--match-set")
    if option is None or len(option.values) < 2:
        return _doubtful("match set: it names no set")
    counted = None
    for other in extension.options:
        if other.name in _OF_COUNTERS:
            counted = Unknown(
                f"match set: how much the set counted, which {other.name} asks for, is not known"
            )
        elif other is not option and other.name not in _PLAIN_OPTIONS:
            return _doubtful(f"the option {other.name} of match set is not known to this program")
    name, directions = option.values[:2]
    question = _Question(
        sources=tuple(direction == "src" for direction in directions.split(",")),
        version=version,
        return_nomatch=extension.option("--return-nomatch") is not None,
    )

    def match(view: View) -> Truth:
        found = _in_set(view, name, question, sets)
        if counted is not None and found is True:
            found = counted
        return negate(found, option.inverted)

    return match


_PLAIN_OPTIONS = frozenset({"--return-nomatch", "--update-counters", "--update-subcounters"})
"""Options that change nothing but what is looked for, or what is counted."""
_OF_COUNTERS = frozenset(f"--{what}-{how}" for what in ("packets", "bytes") for how in ("eq", "lt", "gt"))


def _doubtful(reason: str) -> Match:
    doubt = Unknown(reason)
    return lambda _: doubt


def _in_set(view: View, name: str, question: _Question, sets: IpSets) -> Truth:
    if f"ipset {name}" in view.packet.changed_sets:
        return Unknown(f"a rule before this one changes the ipset {name}")
    one = sets.get(name)
    if isinstance(one, Unknown):
        return one
    if one.type == "list:set":
        return some(_in_member(view, member.partition(" ")[0], question, sets) for member in one.members)
    if one.family and one.family != ("inet" if question.version == 4 else "inet6"):
        return False
    kinds = _kinds(one)
    # A rule that names fewer directions than the set has dimensions meets nothing.
    if len(question.sources) < len(kinds):
        return False
    elements = sets.elements(one)
    if isinstance(elements, Unknown):
        return elements
    values: list[Value] = []
    for kind, source in zip(kinds, question.sources, strict=False):
        if kind not in _VALUES:
            return Unknown(f"ipset {name} is of the unknown type {one.type}")
        value = _VALUES[kind](view, one, source)
        if isinstance(value, Absent):
            return False
        values.append(value)
    found = _look_up(elements, values[0] if len(values) == 1 else tuple(values))
    if not question.return_nomatch or "net" not in kinds:
        return found is True if found is None else found
    return found is False if isinstance(found, bool) or found is None else found


def _in_member(view: View, name: str, question: _Question, sets: IpSets) -> Truth:
    one = sets.get(name)
    if isinstance(one, IpSet) and one.type == "list:set":
        return Unknown(f"ipset {name} is a list within a list, which the kernel does not make")
    return _in_set(view, name, question, sets)


def _look_up(elements: Elements[Member], value: Value) -> Member | Unknown | None:
    """The most specific entry decides, and it may be an exception (`nomatch`); None where there is none."""
    found = elements.find(value)
    doubt = next((truth for truth, _ in found if isinstance(truth, Unknown)), None)
    if doubt is None:
        return found[0][1] if found else None
    outcomes = {member for _, member in found}
    return found[-1][1] if len(outcomes) == 1 and found[-1][0] is True else doubt


def _address(view: View, one: IpSet, source: bool) -> Value:
    address = view.source if source else view.destination
    if isinstance(address, Unknown) or one.mask is None:
        return address
    return type(address)(int(address) & one.mask)


def _port(view: View, one: IpSet, source: bool) -> Value:
    if view.packet.protocol not in ("icmp", "icmpv6"):
        value: Value = view.source_port if source else view.destination_port
    elif one.type == "bitmap:port":
        return ABSENT
    elif view.packet.icmp_type is None or view.packet.icmp_code is None:
        value = Unknown("the packet's ICMP type and code are not known")
    else:
        value = view.packet.icmp_type << 8 | view.packet.icmp_code
    return value if one.type == "bitmap:port" else (view.protocol_number, value)


def _link(view: View, _: IpSet, source: bool) -> Value:
    return (view.in_name if source else view.out_name) or ABSENT


def _mac(view: View, _: IpSet, source: bool) -> Value:
    mac = view.packet.mac_source if source else view.packet.mac_destination
    return Unknown("the frame's MAC address is not known") if mac is None else mac.lower()


def _mark(view: View, one: IpSet, _: bool) -> Value:
    mark = view.mark
    return mark if isinstance(mark, Unknown) else mark & one.mark_mask


_VALUES: Mapping[str, Callable[[View, IpSet, bool], Value]] = {
    "ip": _address,
    "net": _address,
    "port": _port,
    "iface": _link,
    "mac": _mac,
    "mark": _mark,
}
