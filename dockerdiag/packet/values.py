"""Values that rules compare, and the sets and maps they are looked up in."""

from collections.abc import Hashable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Generic, TypeVar

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.packet import PortRange
from dockerdiag.packet.truth import Truth, Unknown, every

Payload = TypeVar("Payload")


@dataclass(frozen=True, slots=True)
class Absent:
    """The packet has no such field (a port of an ICMP packet): the rule does not match, negated or not."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Interval:
    """Every number, or address, from `low` to `high`."""

    low: int | IPv4Address | IPv6Address
    high: int | IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class NamePrefix:
    """Every interface name that starts with `text`."""

    text: str


Value = int | str | IPv4Address | IPv6Address | PortRange | tuple["Value", ...] | Unknown | Absent
Element = (
    int
    | str
    | IPv4Address
    | IPv6Address
    | IPv4Network
    | IPv6Network
    | Interval
    | NamePrefix
    | tuple["Element", ...]
    | Unknown
)


def covers(element: Element, value: Value) -> Truth:
    """Whether `value` is `element` or lies in it."""
    if isinstance(value, Unknown):
        return value
    if isinstance(element, Unknown):
        return element
    if isinstance(value, tuple):
        if not isinstance(element, tuple) or len(element) != len(value):
            return False
        return every(covers(part, of) for part, of in zip(element, value, strict=True))
    if isinstance(value, PortRange):
        return _covers_range(element, value)
    if isinstance(element, Interval):
        return _between(element, value)
    if isinstance(element, IPv4Network):
        return isinstance(value, IPv4Address) and value in element
    if isinstance(element, IPv6Network):
        return isinstance(value, IPv6Address) and value in element
    if isinstance(element, NamePrefix):
        return isinstance(value, str) and value.startswith(element.text)
    return element == value


def _between(interval: Interval, value: Value) -> bool:
    if isinstance(value, int) and isinstance(interval.low, int) and isinstance(interval.high, int):
        return interval.low <= value <= interval.high
    for kind in (IPv4Address, IPv6Address):
        if isinstance(value, kind):
            return (
                isinstance(interval.low, kind)
                and isinstance(interval.high, kind)
                and int(interval.low) <= int(value) <= int(interval.high)
            )
    return False


def _covers_range(element: Element, ports: PortRange) -> Truth:
    if isinstance(element, Interval) and isinstance(element.low, int) and isinstance(element.high, int):
        low, high = element.low, element.high
    elif isinstance(element, int):
        low = high = element
    else:
        return False
    if low <= ports.low and ports.high <= high:
        return True
    if ports.high < low or high < ports.low:
        return False
    return Unknown(f"the {ports.what} may be any from {ports.low} to {ports.high}")


def is_exact(value: Value) -> bool:
    """Whether `value` is a single known value."""
    if isinstance(value, tuple):
        return all(is_exact(part) for part in value)
    return not isinstance(value, PortRange | Unknown | Absent)


def _is_scalar(element: Element) -> bool:
    if isinstance(element, tuple):
        return all(_is_scalar(part) for part in element)
    return isinstance(element, int | str | IPv4Address | IPv6Address)


class Elements(Generic[Payload]):
    """The elements of a set, or of a map with what each leads to, found without scanning where possible."""

    def __init__(self, pairs: Iterable[tuple[Element, Payload]], otherwise: Payload | None = None) -> None:
        self._exact: dict[Hashable, Payload] = {}
        self._prefixes: dict[type, dict[int, dict[int, Payload]]] = {IPv4Address: {}, IPv6Address: {}}
        self._others: list[tuple[Element, Payload]] = []
        self._otherwise = otherwise
        """What the catch-all element `*` leads to."""
        for element, payload in pairs:
            if _is_scalar(element):
                self._exact[element] = payload
            elif isinstance(element, IPv4Network | IPv6Network):
                kind = type(element.network_address)
                shift = element.max_prefixlen - element.prefixlen
                by_prefix = self._prefixes[kind].setdefault(shift, {})
                by_prefix[int(element.network_address) >> shift] = payload
            else:
                self._others.append((element, payload))

    def __iter__(self) -> Iterator[tuple[Element, Payload]]:
        yield from self._exact.items()  # type: ignore[misc]  # keys are elements by construction
        for kind, network in ((IPv4Address, IPv4Network), (IPv6Address, IPv6Network)):
            for shift, by_prefix in self._prefixes[kind].items():
                length = (32 if kind is IPv4Address else 128) - shift
                for prefix, payload in by_prefix.items():
                    yield network((prefix << shift, length)), payload
        yield from self._others

    def find(self, value: Value) -> list[tuple[Truth, Payload]]:
        """What `value` leads to: one certain entry, or every entry that it may be (and `*` last)."""
        found: list[tuple[Truth, Payload]] = []
        for element, payload in self._candidates(value):
            truth = covers(element, value)
            if truth is True:
                return [(True, payload)] if not found else [*found, (True, payload)]
            if isinstance(truth, Unknown):
                found.append((truth, payload))
        if self._otherwise is not None:
            found.append((True, self._otherwise))
        return found

    def contains(self, value: Value) -> Truth:
        """Whether `value` is in the set."""
        found = self.find(value)
        if any(truth is True for truth, _ in found):
            return True
        return found[0][0] if found else False

    def _candidates(self, value: Value) -> Iterator[tuple[Element, Payload]]:
        if isinstance(value, Absent):
            return
        if not is_exact(value):
            yield from self
            return
        if value in self._exact:
            yield value, self._exact[value]  # type: ignore[misc]  # an exact value is an element
            return
        if isinstance(value, IPv4Address | IPv6Address):
            network = IPv4Network if isinstance(value, IPv4Address) else IPv6Network
            # The longest prefix first: an ipset answers for its most specific, and nft's sets have no overlaps.
            for shift, by_prefix in sorted(self._prefixes[type(value)].items()):
                if (prefix := int(value) >> shift) in by_prefix:
                    yield network((prefix << shift, value.max_prefixlen - shift)), by_prefix[prefix]
        yield from self._others
