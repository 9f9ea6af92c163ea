"""Finds the rules of a long chain that may match a packet, by the links and prefixes that they ask for."""

from collections.abc import Iterable, Iterator
from heapq import merge
from socket import AF_INET, AF_INET6, inet_pton

from dockerdiag.packet.packet import IPAddress

Prefix = tuple[int, int, int]
"""IP version, length, and the leading bits."""

RuleKey = tuple[str | None, str | None, Prefix | None, Prefix | None]
"""Input link, output link, source and destination that a rule asks for; None where it does not."""

ANY_KEY: RuleKey = (None, None, None, None)

_Kind = tuple[int, int]
_Pattern = tuple[bool, bool, _Kind | None, _Kind | None]
_Values = tuple[str | None, str | None, int | None, int | None]


def prefix(address: str, length: str | int | None = None) -> Prefix | None:
    """The prefix that is written so; None where it is none, such as an address with a mask."""
    version, bits, family = (6, 128, AF_INET6) if ":" in address else (4, 32, AF_INET)
    try:
        size = bits if length is None or length == "" else int(length)
        number = int.from_bytes(inet_pton(family, address), "big")
    except (ValueError, OSError):
        return None
    return (version, size, number >> (bits - size)) if 0 <= size <= bits else None


def holds(subnet: Prefix, address: IPAddress) -> bool:
    """Whether an address is in a subnet."""
    return _leading(address, subnet[:2]) == subnet[2]


class Index:
    """The positions of rules by their keys."""

    def __init__(self, keys: Iterable[RuleKey]) -> None:
        self._groups: dict[_Pattern, dict[_Values, list[int]]] = {}
        for position, (in_link, out_link, source, destination) in enumerate(keys):
            pattern = (
                in_link is not None,
                out_link is not None,
                source and source[:2],
                destination and destination[:2],
            )
            values = (in_link, out_link, source and source[2], destination and destination[2])
            self._groups.setdefault(pattern, {}).setdefault(values, []).append(position)

    def positions(
        self, in_link: str, out_link: str, source: IPAddress, destination: IPAddress
    ) -> Iterator[int]:
        """Where rules stand that ask for nothing else than this, in order."""
        found = []
        for (with_in, with_out, source_kind, destination_kind), group in self._groups.items():
            values = (
                in_link if with_in else None,
                out_link if with_out else None,
                _leading(source, source_kind),
                _leading(destination, destination_kind),
            )
            if positions := group.get(values):
                found.append(positions)
        return iter(found[0]) if len(found) == 1 else merge(*found)


def _leading(address: IPAddress, kind: _Kind | None) -> int | None:
    """The leading bits of an address; a number that no prefix has where that is of the other version."""
    if kind is None:
        return None
    version, length = kind
    return int(address) >> (address.max_prefixlen - length) if address.version == version else -1
