"""Replaces addresses and names in a snapshot, the same by the same throughout, so that it is judged as before.

What is replaced and what is kept is told in docs/redaction.md. Credentials are no matter here: they were never
kept (`secrets`).
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Any, cast

from dockerdiag.dataclass import replace
from dockerdiag.snapshot.address_map import Address, AddressMap, address_map, is_kept
from dockerdiag.snapshot.model import Address as LinkAddress
from dockerdiag.snapshot.model import IpamPool, Redaction, RoutingRule, Snapshot
from dockerdiag.snapshot.names import (
    KINDS,
    PART,
    Names,
    domain_of,
    is_host_name,
    is_public,
    labels,
    names_in,
    texts_in,
)

KEPT = (
    "addresses that are the same everywhere: loopback, link-local IPv4, multicast, documentation, 1.1.1.1",
    "names that Docker, the kernel and systemd give: default networks, usual interfaces, chains, modules",
    "ids of containers and networks, ports, versions, times",
    "public domains such as docker.io, and the last label of every domain",
)

# A hardware address with dashes or dots has a letter, which dates and versions have not, or is what stands for one.
# A length follows its address behind a slash, or as nft's JSON has it, also where that is a text within JSON.
_TOKEN = re.compile(
    r"""(?P<escape>%{1,2}(?:25)?[2-7][0-9A-Fa-f])
      | (?<![A-Za-z0-9])(?<!\d\.)(?P<arpa>(?i:(?:\d{1,3}\.){1,4}in-addr|(?:[0-9a-f]\.){1,32}ip6)\.(?i:arpa))(?![\w-])
      | (?<![A-Za-z0-9:])(?P<frame>[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){13})(?![A-Za-z0-9:])
      | (?<![A-Za-z0-9:])(?P<mac>[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}
          | (?=02-00-|[\d-]{0,16}[A-Fa-f])[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}
          | (?=0200\.|[\d.]{0,13}[A-Fa-f])[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2})(?![A-Za-z0-9:])
      | (?<![A-Za-z0-9])(?P<six>[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?)
        (?<![^:]:)(?!:?[A-Za-z0-9]|::|\.\d)(?:/(?P<length6>\d{1,3})(?!\d)|\\?",\ ?\\?"len\\?":\ ?(?P<nft6>\d+))?
      | (?<![0-9.])(?P<four>\d{1,3}(?:\.\d{1,3}){3})(?!\.?\d)
        (?:/(?P<mask>\d{1,3}(?:\.\d{1,3}){3}|\d{1,2})(?!\d)|\\?",\ ?\\?"len\\?":\ ?(?P<nft4>\d+))?
      | (?P<number>(?<![A-Za-z0-9])(?:0x[0-9A-Fa-f]{8}|[1-9]\d{7,9}(?!\.)|[0-9A-F]{8}(?=:[0-9A-F]{4}\b))(?![A-Za-z0-9]))
      | (?P<octets>(?<![A-Za-z0-9])(?:0x)?[0-9A-Fa-f]{12}(?![A-Za-z0-9]))
      | (?P<word>[^\W_]+(?:[._-]+[^\W_]+)*)""",
    re.VERBOSE,
)
"""What may stand for an address or a name. Eight digits before a port are as in /proc/net/tcp, their bytes reversed."""
_FOUR_WITHIN = re.compile(r"(?<![0-9.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)")
_DASHED = re.compile(r"(?<![A-Za-z0-9])\d{1,3}([-_])\d{1,3}(?:\1\d{1,3}){2}(?![A-Za-z0-9])")
"""An address within a name, as `ip-10-0-0-5`."""
_HEXADECIMAL_RANGE = re.compile(r"\b0x([0-9A-Fa-f]{8}):0x([0-9A-Fa-f]{8})\b")
_HEXADECIMAL_MASK = re.compile(r"&\s{0,4}0x([0-9A-Fa-f]{8})\s{0,4}={1,2}\s{0,4}0x([0-9A-Fa-f]{8})\b")
_MARK = re.compile(r"mark[ =]{1,2}(?:0x)?([0-9A-Fa-f]{1,10})(?:/(?:0x)?([0-9A-Fa-f]{1,10}))?")
_ESCAPED = re.compile(
    r"(?<![0-9.])(\d{1,3})(\\{1,16}\.)(\d{1,3})\2(\d{1,3})\2(\d{1,3})(?!\d)(?:(\\{0,16}/)(\d{1,2})(?!\d))?"
)
"""An address in a pattern, whose dots are escaped."""
_RANGE = re.compile(r"(?<![\w.:])([\da-fA-F.:]{3,39})-([\da-fA-F.:]{3,39})(?![\w.:])")

_NEVER = frozenset(
    (
        *(
            "taken_at",
            "tool_version",
            "kernel",
            "architecture",
            "os_name",
            "virtualization",
            "modules",
            "family",
        ),
        *(
            "version",
            "api_version",
            "platform",
            "firewall_driver",
            "swarm",
            "state",
            "operstate",
            "kind",
            "type",
        ),
        *(
            "scope",
            "action",
            "protocol",
            "driver",
            "load_state",
            "active_state",
            "sub_state",
            "result",
            "error",
        ),
        *("flags", "id", "network_id", "namespace"),
    )
)
"""Fields that hold a word of the kernel or the engine, a version or an id."""

_NAMES_ALONE = frozenset(
    (
        *(("Host", "hostname"), ("Engine", "name"), ("Engine", "context"), ("Snapshot", "invoking_user")),
        *(("Container", "name"), ("Container", "compose_project"), ("Container", "compose_service")),
        *(("Container", "network_mode"), ("Network", "name"), ("Network", "compose_project")),
        *(("Endpoint", "network"), ("Endpoint", "aliases"), ("Probe", "sender")),
    )
)
"""Fields that hold one name each: replaced there even if the name is a common word."""


@dataclass(frozen=True)
class RedactionMap:
    """What stands for what. It stays on the host that it was made on.

    Attributes:
        addresses: The permutation of addresses.
        names: Replacement by name.
        kinds: Kind by replacement.
        words: Names that are replaced wherever they stand.
        labels: Labels that are replaced within a host's name with dots.
        domains: What such a name ends in, beside the endings that are known everywhere.
        macs: Replacement by hardware address.
        numbers: Replacement by IPv4 address, of those that stand as a number, with dashes or reversed somewhere: not
            everything that has their form is one.
    """

    addresses: AddressMap
    names: Mapping[str, str]
    kinds: Mapping[str, str]
    words: frozenset[str]
    labels: frozenset[str]
    macs: Mapping[str, str]
    domains: frozenset[str] = frozenset()
    numbers: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """A name for it, the same for the same content."""
        return hashlib.sha256(self.dumps().encode()).hexdigest()[:12]

    def redacted(self, text: str, count: Counter[str] | None = None) -> str:
        """A text with every name and address replaced; `count` is told how often each kind was."""
        return _Replacer(self, count if count is not None else Counter()).text(text)

    def redacted_name(self, name: str) -> str:
        """What stands for a name that somebody gives as such."""
        return self.names.get(name) or self.redacted(name)

    def revealed(self, text: str) -> str:
        """A text with what `redacted` replaced put back."""
        # Of spellings that differ in their case, all the same host, the last has most small letters.
        names = {new: old for old, new in sorted(self.names.items())}
        macs = {new: old for old, new in self.macs.items()}
        numbers = {new: old for old, new in self.numbers.items()}

        def name(word: str) -> str | None:
            found = names.get(word) or names.get(word.lower())
            return found and _in_case_of(word, found) if word not in names else found

        def original(match: re.Match[str]) -> str:
            if match["escape"]:
                return match[0]
            if match["arpa"]:
                return _reversed_name(match[0], self.addresses.restore)
            if match["frame"] or match["mac"] or (match["octets"] and _digits(match[0]) in macs):
                return _by_macs(match[0], macs)
            if match["number"] and (told := _number(match[0], numbers)) is not None:
                return told
            if match["word"] or match["octets"] or match["number"]:
                return _around_addresses(
                    match[0], lambda word: _dashed(_by_parts(word, name), numbers), self.revealed
                )
            return _address(match, self.addresses.restore) or _words_within(match[0], name)

        return _escaped(_TOKEN.sub(original, text), self.addresses.restore)

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(
            {
                "key": self.addresses.key.hex(),
                "subnets": self.addresses.subnets,
                "ranges": self.addresses.ranges,
                "names": dict(sorted(self.names.items())),
                "kinds": dict(sorted(self.kinds.items())),
                "words": sorted(self.words),
                "labels": sorted(self.labels),
                "macs": dict(sorted(self.macs.items())),
                "domains": sorted(self.domains),
                "numbers": dict(sorted(self.numbers.items())),
            },
            indent=1,
        )

    @classmethod
    def loads(cls, text: str) -> "RedactionMap":
        """The map that `dumps` wrote.

        Raises:
            ValueError: the text is no such map.
        """
        try:
            values = json.loads(text)
            ranges = tuple((str(first), str(last)) for first, last in values["ranges"])
            return cls(
                AddressMap(bytes.fromhex(values["key"]), tuple(values["subnets"]), ranges),
                dict(values["names"]),
                dict(values["kinds"]),
                frozenset(values["words"]),
                frozenset(values["labels"]),
                dict(values["macs"]),
                frozenset(values.get("domains", ())),
                dict(values.get("numbers", {})),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is not a map of replacements: {error}") from None


def redact(snapshot: Snapshot, key: bytes) -> tuple[Snapshot, RedactionMap]:
    """The snapshot without the names of `names.KINDS` and without addresses, and the map that puts them back.

    The same snapshot and the same key give the same.
    """
    names = names_in(snapshot)
    used = _Used()
    for text in texts_in(snapshot):
        used.look(text)
    subnets = _subnets(snapshot)
    addresses = address_map(key, subnets, _ranges(snapshot), used.addresses)
    replacements, kinds = _replacements(names, used.words)
    redaction_map = RedactionMap(
        addresses,
        replacements,
        kinds,
        frozenset(names.words),
        frozenset(names.labels),
        {mac: _mac(number) for number, mac in enumerate(sorted(used.macs), 1)},
        frozenset(names.domains),
        {
            str(one): str(addresses.replace(one))
            for one in _known(used.numbers - _marks(snapshot), used.addresses, subnets)
        },
    )
    count: Counter[str] = Counter()
    redacted = _Replacer(redaction_map, count).part(snapshot, "", "")
    kept: tuple[str, ...] = KEPT
    if names.kept_links:
        kept += (f"{len(names.kept_links)} names of links that a rule matches by a wildcard",)
    told = Redaction(redaction_map.id, dict(sorted(count.items())), kept)
    return replace(cast("Snapshot", redacted), redaction=told), redaction_map


# -- what there is ----------------------------------------------------------------------------------------------


@dataclass
class _Used:
    addresses: set[Address] = field(default_factory=set)
    macs: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    numbers: set[IPv4Address] = field(default_factory=set)

    def look(self, text: str) -> None:
        for match in _TOKEN.finditer(text):
            if match["frame"] or match["mac"]:
                self.macs.update(mac for mac in _macs(match[0]) if not _is_common_mac(mac))
            elif match["arpa"]:
                found = _of_reversed(match[0])
                if found is not None and found[1] == found[0].max_prefixlen:
                    self.addresses.add(found[0])
            elif match["number"]:
                self.numbers.add(_of_number(match[0]))
            elif match["word"]:
                self.words.update(PART.split(match[0]))
                self.numbers.update(
                    one for written in _DASHED.finditer(match[0]) if (one := _of_dashed(written[0]))
                )
            elif not match["escape"] and not match["octets"]:
                address = _parsed(match["six"] or match["four"])
                if address is not None:
                    self.addresses.add(address)


def _subnets(snapshot: Snapshot) -> set[str]:
    found: set[str] = set()
    for part in _dataclasses(snapshot):
        written = None
        if isinstance(part, LinkAddress):
            written = f"{part.address}/{part.prefix_length}"
        elif isinstance(part, IpamPool):
            written = part.subnet
        try:
            subnet = ip_network(written or "", strict=False)
        except ValueError:
            continue
        if subnet.prefixlen < subnet.max_prefixlen:
            found.add(str(subnet))
    for text in texts_in(snapshot):
        for one in _HEXADECIMAL_MASK.finditer(text) if "0x" in text else ():
            try:
                subnet = ip_network(f"{IPv4Address(int(one[2], 16))}/{IPv4Address(int(one[1], 16))}")
            except ValueError:
                continue
            if 8 <= subnet.prefixlen < subnet.max_prefixlen:
                found.add(str(subnet))
    return found


def _marks(snapshot: Snapshot) -> set[IPv4Address]:
    """The numbers by which policy rules know packets: those are no text, and stay."""
    rules = (one for one in _dataclasses(snapshot) if isinstance(one, RoutingRule))
    numbers = {number for one in rules for number in (one.mark, one.mask) if number is not None}
    for text in texts_in(snapshot):
        for match in _MARK.finditer(text) if "mark" in text else ():
            numbers.update(int(one, 16) for one in match.groups() if one)
    return {IPv4Address(one) for one in numbers if 0 <= one < 1 << 32}


def _known(numbers: set[IPv4Address], used: set[Address], subnets: set[str]) -> set[IPv4Address]:
    """The numbers that are addresses: those that stand elsewhere as such or nearly, or lie in a subnet of the host."""
    networks = [one for one in map(ip_network, subnets) if one.version == 4 and one.prefixlen >= 8]
    beginnings = {int(one) >> 8 for one in used if one.version == 4}
    return {
        one
        for one in numbers
        if not is_kept(one) and (int(one) >> 8 in beginnings or any(one in subnet for subnet in networks))
    }


def _ranges(snapshot: Snapshot) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()

    def note(first: object, last: object) -> None:
        low, high = _parsed(str(first)), _parsed(str(last))
        if low is not None and high is not None and low.version == high.version:
            found.add((str(low), str(high)))

    for text in texts_in(snapshot):
        for match in _RANGE.finditer(text):
            note(match[1], match[2])
        for match in _HEXADECIMAL_RANGE.finditer(text) if "0x" in text else ():
            note(*(IPv4Address(int(one, 16)) for one in match.groups()))
        for one in re.finditer(r'"range": ?\["([^"]{2,39})", ?"([^"]{2,39})"\]', text):
            note(one[1], one[2])
    return found


def _dataclasses(part: Any) -> Iterator[Any]:
    if is_dataclass(part):
        yield part
        for one in fields(part):
            yield from _dataclasses(getattr(part, one.name))
    elif isinstance(part, tuple | Mapping):
        for value in part.values() if isinstance(part, Mapping) else part:
            yield from _dataclasses(value)


def _replacements(names: Names, taken: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """A replacement for each name, `container1`, `host2`; none that the snapshot holds already."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name, kind in names.exact.items():
        by_kind[kind].append(name)
    by_kind["host"] += [label for label in names.labels if label not in names.exact]
    replacements: dict[str, str] = {}
    hosts: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for kind, known in by_kind.items():
        number = 0
        for name in sorted(known, key=lambda name: (name != name.lower(), name)):
            if kind == "host" and name.lower() in hosts:
                replacements[name] = _in_case_of(name, hosts[name.lower()])
                kinds[replacements[name]] = kind
                continue
            number += 1
            while f"{kind}{number}" in taken:
                number += 1
            replacements[name] = f"{kind}{number}"
            hosts.setdefault(name.lower(), replacements[name])
            kinds[f"{kind}{number}"] = kind
    return replacements, kinds


def _mac(number: int) -> str:
    # Locally administered and unicast, as Docker's own.
    return "02:00:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4, "big"))


def _is_common_mac(mac: str) -> bool:
    # All zero, or with the group bit: multicast and broadcast.
    return mac == "00:00:00:00:00:00" or bool(int(mac[:2], 16) & 1)


# -- replacing --------------------------------------------------------------------------------------------------


class _Replacer:
    """Goes through a snapshot and counts what it replaces."""

    def __init__(self, redaction_map: RedactionMap, count: Counter[str]) -> None:
        self._map = redaction_map
        self._count = count

    def part(self, part: Any, owner: str, name: str) -> Any:
        if isinstance(part, str):
            return self._field(part, owner, name)
        if isinstance(part, tuple):
            return tuple(self.part(one, owner, name) for one in part)
        if isinstance(part, Mapping):
            return {
                self.text(key) if name == "sysctls" else key: self.part(one, owner, name)
                for key, one in part.items()
            }
        if is_dataclass(part) and not isinstance(part, type):
            kind = type(part).__name__
            return replace(
                part,
                **{one.name: self.part(getattr(part, one.name), kind, one.name) for one in fields(part)},
            )
        return part

    def _field(self, text: str, owner: str, name: str) -> str:
        if name in _NEVER and owner != "LogLine":
            return text
        if name == "nft" and owner == "Firewall":
            return self._json(text)
        if (owner, name) in _NAMES_ALONE and text in self._map.names:
            return self._told(self._map.names[text])
        return self.text(text)

    def _json(self, text: str) -> str:
        try:
            rules = json.loads(text)
        except (ValueError, RecursionError):
            return self.text(text)
        # As nft prints it: readers of this text know its spaces.
        return json.dumps(self._json_value(rules), ensure_ascii=False) + "\n" * text.endswith("\n")

    def _json_value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._json_value(one) for one in value]
        if isinstance(value, int) and not isinstance(value, bool) and 1 << 24 <= value < 1 << 32:
            return int(_number(str(value), self._map.numbers) or value)
        if not isinstance(value, dict):
            return value
        if value.keys() == {"addr", "len"} and isinstance(value["addr"], str):
            prefix = self.text(f"{value['addr']}/{value['len']}")
            return {"addr": prefix.rpartition("/")[0], "len": value["len"]}
        return {key: self._json_value(one) for key, one in value.items()}

    def text(self, text: str) -> str:
        return _escaped(_TOKEN.sub(self._token, text), self._map.addresses.replace)

    def _token(self, match: re.Match[str]) -> str:
        if match["escape"]:
            return match[0]
        if match["arpa"]:
            name = _reversed_name(match[0], self._map.addresses.replace)
            return name if name == match[0] else self._told(name, "address")
        if match["number"] and (number := _number(match[0], self._map.numbers)) is not None:
            return self._told(number, "address")
        if match["frame"] or match["mac"] or (match["octets"] and _digits(match[0]) in self._map.macs):
            told = _by_macs(match[0], self._map.macs)
            self._count["mac"] += sum(mac in self._map.macs for mac in _macs(match[0]))
            return told
        if match["word"] or match["octets"] or match["number"]:
            return _around_addresses(match[0], self._word, self.text)
        new = _address(match, self._map.addresses.replace)
        if new is None:
            return _words_within(match[0], self._known)
        return match[0] if new == match[0] else self._told(new, "address")

    def _word(self, word: str) -> str:
        known_by_domain = domain_of(word) in self._map.domains and not is_public(word)
        if word not in self._map.words and "." in word and (known_by_domain or is_host_name(word)):
            told = labels(word)
            new = [self._told(self._map.names[one]) if one in self._map.labels else one for one in told]
            return ".".join((*new, word.rpartition(".")[2]))
        return _dashed(_by_parts(word, self._known), self._map.numbers)

    def _known(self, name: str) -> str | None:
        if name in self._map.words:
            return self._told(self._map.names[name])
        # Whoever writes of something by its name may write it large.
        new = self._map.names[name.lower()] if name.lower() in self._map.words else None
        if new is None or self._map.kinds[new] == "link":
            return None
        self._told(new)
        return _in_case_of(name, new)

    def _told(self, replacement: str, kind: str = "") -> str:
        self._count[kind or self._map.kinds[replacement]] += 1
        return replacement


def _in_case_of(name: str, other: str) -> str:
    """The other name, large where the first one is: all of it, or its first letter."""
    if name.isupper():
        return other.upper()
    return other.capitalize() if name == name.capitalize() else other


def _of_number(written: str) -> IPv4Address:
    """The address that a number stands for: in hexadecimal, in decimal, or its bytes reversed."""
    if written.startswith("0x"):
        return IPv4Address(int(written, 16))
    if len(written) == 8 and not written.isdecimal():
        return IPv4Address(bytes.fromhex(written)[::-1])
    return IPv4Address(min(int(written), 0xFFFFFFFF))


def _number(written: str, numbers: Mapping[str, str]) -> str | None:
    """What stands for a number, written as it is; None where it stands for no address."""
    new = numbers.get(str(_of_number(written)))
    if new is None:
        return None
    address = IPv4Address(new)
    if written.startswith("0x"):
        return f"0x{int(address):08X}" if written[2:].isupper() else f"0x{int(address):08x}"
    if len(written) == 8 and not written.isdecimal():
        return address.packed[::-1].hex().upper()
    return str(int(address))


def _of_dashed(written: str) -> IPv4Address | None:
    found = _parsed(re.sub("[-_]", ".", written))
    return found if isinstance(found, IPv4Address) else None


def _dashed(word: str, numbers: Mapping[str, str]) -> str:
    """A word with what stands for each address that is written in it with dashes or underscores."""

    def turned(match: re.Match[str]) -> str:
        new = numbers.get(str(_of_dashed(match[0])))
        return match[0] if new is None else new.replace(".", match[1])

    return _DASHED.sub(turned, word) if numbers else word


def _of_reversed(name: str) -> tuple[Address, int] | None:
    """The address of a name of reverse resolution, or the prefix of a zone's, with its length."""
    parts = name.split(".")[-3::-1]
    try:
        if name.lower().endswith("in-addr.arpa"):
            return IPv4Address(".".join([*parts, *["0"] * (4 - len(parts))])), 8 * len(parts)
        return IPv6Address(int("".join(parts).ljust(32, "0"), 16)), 4 * len(parts)
    except ValueError:
        return None


def _reversed_name(name: str, turn: Callable[[Address, int | None], Address]) -> str:
    """A name of reverse resolution for what stands for its address, or for its zone's prefix."""
    found = _of_reversed(name)
    if found is None:
        return name
    address, length = found
    new = turn(address, None if length == address.max_prefixlen else length)
    if new == address:
        return name
    digits = str(new).split(".") if isinstance(new, IPv4Address) else list(f"{int(new):032x}")
    count = length // (8 if isinstance(new, IPv4Address) else 4)
    return ".".join([*digits[:count][::-1], *name.split(".")[-2:]])


def _digits(octets: str) -> str:
    """A hardware address that is written as one number, as any other is."""
    return ":".join(re.findall("..", octets.lower().removeprefix("0x")))


def _macs(octets: str) -> tuple[str, ...]:
    """The hardware addresses in a frame's header as the kernel logs it, to whom and from whom; or the only one."""
    digits = re.sub("[^0-9a-f]", "", octets.lower().removeprefix("0x"))
    return tuple(":".join(re.findall("..", mac)) for mac in (digits[:12], digits[12:24]) if mac)


def _by_macs(octets: str, macs: Mapping[str, str]) -> str:
    """What stands for them, as they are written: with colons, with dashes, or as three numbers."""
    found = _macs(octets)
    if all(mac not in macs for mac in found):
        return octets
    told = ":".join(macs.get(mac, mac) for mac in found)
    if octets.lower().removeprefix("0x").isalnum():
        return octets[:-12] + told.replace(":", "")
    if octets[4] == ".":
        return ".".join(re.findall("....", told.replace(":", "")))
    return told.replace(":", octets[2]) + octets[len(told) :]


def _around_addresses(word: str, on_word: Callable[[str], str], on_address: Callable[[str], str]) -> str:
    """A word like `web-10.0.0.5`, which holds addresses: those apart from what stands around them."""
    around = [on_word(piece) for piece in _FOUR_WITHIN.split(word)]
    within = [on_address(found) for found in _FOUR_WITHIN.findall(word)]
    return "".join(left + right for left, right in zip(around, [*within, ""], strict=True))


def _by_parts(word: str, known: Callable[[str], str | None]) -> str:
    """A word in which every name that stands between dots, dashes and underscores is replaced, longest first."""
    whole = known(word)
    if whole is not None:
        return whole
    parts = PART.split(word)
    if len(parts) == 1 or len(parts) > 64:
        return word
    kept: list[str] = []
    at = 0
    while at < len(parts):
        for end in range(len(parts), at, -2):
            new = known("".join(parts[at:end]))
            if new is not None:
                kept.append(new)
                at = end
                break
        else:
            kept.append(parts[at])
            at += 1
        if at < len(parts):
            kept.append(parts[at])
            at += 1
    return "".join(kept)


def _words_within(text: str, known: Callable[[str], str | None]) -> str:
    return re.sub(r"[A-Za-z0-9]+", lambda match: known(match[0]) or match[0], text)


def _address(match: re.Match[str], turn: Callable[[Address, int | None], Address]) -> str | None:
    """What stands for the address of a match, with its mask; None where it is none, as in a time of day."""
    written = match["six"] or match["four"]
    address = _parsed(written)
    if address is None:
        return None
    mask = match["length6"] or match["mask"] or match["nft6"] or match["nft4"]
    length = _length(mask, address.max_prefixlen)
    new = turn(address, length)
    told = written if new == address else _written_alike(new, written)
    return told + match[0][len(written) :]


def _written_alike(new: Address, written: str) -> str:
    """An address in text; an IPv4 address within an IPv6 one keeps its dots."""
    if not isinstance(new, IPv6Address):
        return str(new)
    if "." not in written:
        return str(new).upper() if written.isupper() else str(new)
    network, host = divmod(int(new), 1 << 32)
    if network == int(IPv6Address(written)) >> 32:
        return f"{written[: written.rindex(':') + 1]}{IPv4Address(host)}"
    leading = IPv6Address(network << 32).exploded[:29]
    return f"{':'.join(f'{int(one, 16):x}' for one in leading.split(':') if one)}:{IPv4Address(host)}"


def _escaped(text: str, turn: Callable[[Address, int | None], Address]) -> str:
    """A text with what stands for each address in it whose dots are escaped."""

    def turned(match: re.Match[str]) -> str:
        address = _parsed(".".join(match.group(1, 3, 4, 5)))
        if address is None:
            return match[0]
        told = str(turn(address, _length(match[7], 32))).replace(".", match[2])
        return told + (match[6] + match[7] if match[7] else "")

    return _ESCAPED.sub(turned, text) if "\\." in text else text


def _length(mask: str | None, size: int) -> int | None:
    if mask is None:
        return None
    try:
        length = int(mask) if mask.isdecimal() else IPv4Network(f"0.0.0.0/{mask}").prefixlen
    except (AddressValueError, ValueError):
        return None
    return length if length <= size else None


def _parsed(written: str) -> Address | None:
    try:
        return ip_address(written)
    except ValueError:
        return None
