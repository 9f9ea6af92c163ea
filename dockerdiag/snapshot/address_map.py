"""Replaces addresses one for one so that every prefix relation stays.

Two addresses that share their first k bits share the first k bits of what replaces them, and no more: what a
route, a rule or a set matched, it still matches. Bit k is turned by a keyed hash of the k bits before it
(Xu, Fan, Ammar and Moon, "Prefix-Preserving IP Address Anonymization", ICNP 2002), except on the way to
addresses and blocks that have a meaning of their own.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot.resolv_conf import FALLBACK

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*written: str) -> tuple[Network, ...]:
    return tuple(ip_network(one) for one in written)


KEPT = _networks(
    *("0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "1.1.1.1/32"),
    *FALLBACK,
    *("::/127", "ff00::/8", "2001:db8::/32", "3fff::/20", "2606:4700:4700::1111/128"),
)
"""Blocks that are not replaced: they are the same on every host, or belong to nobody (RFC 5737, 3849, 9637).

The public nameservers are those that the engine falls back to.
"""

_BLOCKS = _networks(
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"),
    *("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
    *("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "5f00::/16"),
    *("fc00::/8", "fd00::/8", "fe80::/64", "2000::/3"),
)
"""Blocks within which addresses are replaced: private stays private, and public stays public (RFC 6890)."""


_KEPT_BITS = {
    version: tuple(
        (one.max_prefixlen - one.prefixlen, int(one.network_address) >> (one.max_prefixlen - one.prefixlen))
        for one in KEPT
        if one.version == version
    )
    for version in (4, 6)
}


_HOLD_IPV4 = frozenset(
    int(ip_network(one).network_address) >> 32 for one in ("::ffff:0:0/96", "64:ff9b::/96")
)
"""Prefixes before an IPv4 address, which is replaced as it is by itself."""


def is_kept(address: Address) -> bool:
    """Whether an address is not replaced."""
    bits = int(address)
    return any(bits >> shift == prefix for shift, prefix in _KEPT_BITS[address.version])


_STEP = 8
"""Bits after which what the first ones became is remembered: addresses of one network begin alike."""


@dataclass(frozen=True, slots=True)
class AddressMap:
    """A permutation of all IPv4 and all IPv6 addresses.

    Attributes:
        key: What decides it, beside what follows; whoever has it can undo the replacement.
        subnets: Those of links and networks, whose first and last addresses stay first and last (CIDR).
        ranges: First and last address of each range that is written out; what lay between them still does.
    """

    key: bytes
    subnets: tuple[str, ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()
    _fixed: set[tuple[int, int, int]] = field(default_factory=set, repr=False, compare=False)
    _turns: dict[tuple[int, int, int], int] = field(default_factory=dict, repr=False, compare=False)
    _beginnings: dict[tuple[int, int, int], int] = field(default_factory=dict, repr=False, compare=False)
    _replaced: dict[tuple[Address, int | None], Address] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for network in (*KEPT, *_BLOCKS):
            self._fix(network.version, int(network.network_address), 0, network.prefixlen)
        for subnet in map(ip_network, self.subnets):
            free = subnet.prefixlen - _block_length(subnet)
            if free >= 4:
                for end in (subnet.network_address, subnet.broadcast_address):
                    self._fix(subnet.version, int(end), subnet.prefixlen, subnet.max_prefixlen)
        for first, last in self.ranges:
            low, high = ip_address(first), ip_address(last)
            shared = low.max_prefixlen - (int(low) ^ int(high)).bit_length()
            for limit in (low, high):
                self._fix(limit.version, int(limit), shared, limit.max_prefixlen)

    def replace(self, address: Address, length: int | None = None) -> Address:
        """What stands for an address; with `length`, for the base address of a prefix of that length."""
        new = self._replaced.get((address, length))
        if new is None:
            new = self._replaced[address, length] = self._turned(address, length, undo=False)
        return new

    def restore(self, address: Address, length: int | None = None) -> Address:
        """The address that something stands for."""
        return self._turned(address, length, undo=True)

    def _turned(self, address: Address, length: int | None, *, undo: bool) -> Address:
        if isinstance(address, IPv6Address) and int(address) >> 32 in _HOLD_IPV4:
            within = None if length is None else max(length - 96, 0)
            held = IPv4Address(int(address) & 0xFFFFFFFF)
            told = int(self._turned(held, within, undo=undo))
            return IPv6Address(int(address) >> 32 << 32 | told)
        if is_kept(address):
            return address
        bits = int(address)
        size: int = address.max_prefixlen
        end = size
        if length is not None and not bits & ((1 << (size - length)) - 1):
            end = length
        original = turned = start = 0
        if not undo:
            start, turned = self._begun(address.version, bits, size, end)
            original = bits >> (size - start)
        for depth in range(start, end):
            bit = (bits >> (size - 1 - depth)) & 1
            other = bit ^ self._turn(address.version, depth, original)
            original = original << 1 | (other if undo else bit)
            turned = turned << 1 | other
            if not undo and not (depth + 1) % _STEP:
                self._beginnings[address.version, depth + 1, original] = turned
        return type(address)(turned << (size - end))

    def _begun(self, version: int, bits: int, size: int, end: int) -> tuple[int, int]:
        """How many of the first bits were turned already, for another address that begins alike, and into what."""
        for length in range(end - end % _STEP, 0, -_STEP):
            turned = self._beginnings.get((version, length, bits >> (size - length)))
            if turned is not None:
                return length, turned
        return 0, 0

    def _turn(self, version: int, depth: int, before: int) -> int:
        node = (version, depth, before)
        if node in self._fixed:
            return 0
        turn = self._turns.get(node)
        if turn is None:
            told = f"{version}/{depth}/{before:x}".encode()
            turn = hashlib.blake2b(told, key=self.key, digest_size=1).digest()[0] & 1
            self._turns[node] = turn
        return turn

    def _fix(self, version: int, address: int, start: int, end: int) -> None:
        size = 32 if version == 4 else 128
        self._fixed.update((version, depth, address >> (size - depth)) for depth in range(start, end))


def _block_length(subnet: Network) -> int:
    """Length of the block that holds a subnet, 0 where none does."""
    lengths = (
        block.prefixlen
        for block in _BLOCKS
        if block.version == subnet.version
        and block.prefixlen <= subnet.prefixlen
        and subnet.network_address in block
    )
    return max(lengths, default=0)


def address_map(
    key: bytes, subnets: Iterable[str], ranges: Iterable[tuple[str, str]], used: Iterable[Address]
) -> AddressMap:
    """The map that `key` gives, chosen so that no replacement is an address in use, as far as that is possible."""
    subnets, ranges, in_use = tuple(sorted(subnets)), tuple(sorted(ranges)), frozenset(used)
    changeable = {one for one in in_use if not is_kept(one)}
    best: tuple[int, AddressMap] | None = None
    for attempt in range(32):
        one = AddressMap(
            hashlib.blake2b(key, salt=bytes([attempt]), digest_size=32).digest(), subnets, ranges
        )
        met = sum(one.replace(address) in in_use for address in changeable)
        if best is None or met < best[0]:
            best = (met, one)
        if met == 0 or len(changeable) > 5000:
            break
    if best is None:
        raise AssertionError
    return best[1]
