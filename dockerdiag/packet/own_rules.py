"""Rules that are about one address alone, such as the engine's raw rule against direct access to each container.

A rule that asks for one source or destination address, and names no other, is met by that address's packets only. Where
each address of a group has such rules of the same shape at the same places among the rules for everybody, the group's
packets meet the same: nothing but the rules' own names differs.
"""

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field
from typing import Any

from dockerdiag.dataclass import dataclass

ADDRESS = re.compile(
    r"(?<![\w.:])(\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})"
    r"(?:/([\d.a-fA-F:]+))?"
)
_HINT = re.compile(r"\.\d|:[0-9a-fA-F:]")
"""In every written address, and found much faster than one."""
_COUNTERS = re.compile(r"\[\d+:\d+\] ?|\"(?:packets|bytes)\": ?\d+")
_SAVED = re.compile(
    r"(?:\[\d+:\d+\] )?-A (?P<chain>[^\s\"]+) (?:-s (?P<source>\S+) )?(?:-d (?P<destination>\S+) )?(?P<rest>.*)"
)
_NFT_RULE = '{"rule": '
_NFT_CHAIN = re.compile(r'\{"family": "(\w+)", "table": "([^"\\]*)", "chain": "([^"\\]*)"')
_ADDRESS_FIELDS = [
    {"payload": {"protocol": protocol, "field": name}}
    for protocol in ("ip", "ip6")
    for name in ("saddr", "daddr")
]


@dataclass(slots=True)
class OwnRules:
    """The rules about single addresses, taken out of rule sets.

    Args:
        addresses: The addresses, as the kernel prints them.
    """

    addresses: AbstractSet[str]
    _found: dict[str, list[Hashable]] = field(default_factory=dict)

    def of(self, address: str) -> tuple[Hashable, ...]:
        """Shape and place of each rule about an address."""
        return tuple(self._found.get(address, ()))

    def take_out(self, part: str, text: str) -> str:
        """Takes them out of one rule set and returns the rest; what cannot be told for sure stays."""
        return self._from_nft(part, text) if text.lstrip()[:1] == "{" else self._from_saved(part, text)

    def _from_saved(self, part: str, text: str) -> str:
        rest: list[str] = []
        table, before = "", Counter[tuple[str, str]]()
        for line in text.splitlines():
            if line.startswith("*"):
                table = line
            match = _SAVED.match(line)
            if match is None:
                rest.append(line)
                continue
            place = (table, match["chain"])
            address = self._asked_for(match)
            if address is None:
                before[place] += 1
                rest.append(line)
                continue
            shape = (bool(match["source"]), bool(match["destination"]), match["rest"])
            self._found.setdefault(address, []).append((part, *place, before[place], shape))
        return "\n".join(rest)

    def _asked_for(self, match: re.Match[str]) -> str | None:
        asked = {text for text in (match["source"], match["destination"]) if text}
        if len(asked) != 1 or _names_address(match["rest"]):
            return None
        address, _, length = asked.pop().partition("/")
        whole = "128" if ":" in address else "32"
        return address if length == whole and address in self.addresses else None

    def _from_nft(self, part: str, text: str) -> str:
        first, *rules = text.split(_NFT_RULE)
        rest = [first]
        before = Counter[tuple[str, ...]]()
        found: list[tuple[str, Hashable]] = []
        for written in rules:
            chain = _NFT_CHAIN.match(written)
            if chain is None:
                return text
            place = chain.groups()
            own = self._own(written)
            if own is None:
                before[place] += 1
                rest.append(written)
                continue
            address, shape, end = own
            found.append((address, (part, *place, before[place], shape)))
            rest.append(written[end:])
        for address, one in found:
            self._found.setdefault(address, []).append(one)
        return "\n".join(rest)

    def _own(self, written: str) -> tuple[str, str, int] | None:
        """The address that a rule of `nft -j` asks for, its shape, and where it ends; None for a rule for more."""
        # A rule about an address that is none of ours needs no closer look.
        if self.addresses.isdisjoint(written.split('"')):
            return None
        try:
            rule, end = json.JSONDecoder().raw_decode(written)
        except ValueError:
            return None
        address = _matched(rule.get("expr", []))
        if address not in self.addresses:
            return None
        fixed = {key: value for key, value in rule.items() if key not in ("handle", "index")}
        shape = _COUNTERS.sub("", json.dumps(fixed).replace(f'"{address}"', '"own"'))
        return None if _names_address(shape) else (address, shape, end)


def _names_address(text: str) -> bool:
    return _HINT.search(text) is not None and ADDRESS.search(text) is not None


def written_addresses(texts: Iterable[str]) -> set[str]:
    """Every address and prefix that rule sets name, each once; a mask may stand in place of a length."""
    words: set[str] = set()
    for text in texts:
        # Line by line: the words of a large rule set would take many times its own memory.
        for line in text.splitlines():
            words.update(line.replace('", "len": ', "/").split())
    lines = "\n".join(word for word in words if _HINT.search(word))
    return {f"{address}/{mask}" if mask else address for address, mask in ADDRESS.findall(lines)}


def _matched(expressions: list[Mapping[str, Any]]) -> str:
    """The address that has to match before the rule does anything; empty where there is none."""
    for expression in expressions:
        match = expression.get("match")
        if match is None:
            if "counter" not in expression:
                return ""
        elif match["op"] == "==" and match["left"] in _ADDRESS_FIELDS and isinstance(match["right"], str):
            return match["right"]
    return ""
