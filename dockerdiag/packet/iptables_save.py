"""Reads what `iptables-save -c` prints, of both variants and both IP versions."""

import re
from collections.abc import Mapping
from dataclasses import field
from functools import partial
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet.indexing import ANY_KEY, Prefix, RuleKey, prefix
from dockerdiag.packet.iptables_matches import MatchReader
from dockerdiag.packet.iptables_targets import read_target
from dockerdiag.packet.iptables_words import RuleWords, split_rule
from dockerdiag.packet.rules import Backend, Chain, Hooking, Item, Rule, Table
from dockerdiag.packet.view import Hook

_NAT: dict[str, tuple[Hook, int]] = {
    "PREROUTING": ("prerouting", -100),
    "INPUT": ("input", 100),
    "OUTPUT": ("output", -100),
    "POSTROUTING": ("postrouting", 100),
}
_FILTER: dict[str, tuple[Hook, int]] = {
    "INPUT": ("input", 0),
    "FORWARD": ("forward", 0),
    "OUTPUT": ("output", 0),
}
_HOOKS: Mapping[str, Mapping[str, tuple[Hook, int]]] = {
    "raw": {"PREROUTING": ("prerouting", -300), "OUTPUT": ("output", -300)},
    "mangle": {
        "PREROUTING": ("prerouting", -150),
        "INPUT": ("input", -150),
        "FORWARD": ("forward", -150),
        "OUTPUT": ("output", -150),
        "POSTROUTING": ("postrouting", -150),
    },
    "nat": _NAT,
    "filter": _FILTER,
    "security": {name: (hook, 50) for name, (hook, _) in _FILTER.items()},
}
STANDARD_TABLES = frozenset(_HOOKS)

_RULE = re.compile(
    r"(?:\[(?P<packets>\d+):\d+\] )?-A (?P<chain>\S+)"
    r"(?: (?P<no_source>! )?-s (?P<source>\S+))?"
    r"(?: (?P<no_destination>! )?-d (?P<destination>\S+))?"
    r"(?: (?P<no_in>! )?-i (?P<in>\S+))?"
    r"(?: (?P<no_out>! )?-o (?P<out>\S+))?"
    r"(?= |$)"
)
_CHAIN = re.compile(r":(?P<name>\S+) (?P<policy>\S+)")
_INCOMPATIBLE = re.compile(r"# Table `(?P<table>[^']+)' (?P<why>is incompatible.*|contains incompatible.*)")


@dataclass(slots=True)
class SavedChain:
    """One chain as it is printed."""

    name: str
    policy: str | None
    """None for a chain of the user's."""
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class SavedTable:
    """One table as it is printed."""

    name: str
    chains: dict[str, SavedChain] = field(default_factory=dict)
    incompatible: str | None = None
    """What the tool says where it cannot print the table."""


def read_save(text: str) -> dict[str, SavedTable]:
    """The tables of an iptables-save output, by name. Lines that are none of its are left out."""
    tables: dict[str, SavedTable] = {}
    table: SavedTable | None = None
    for line in text.split("\n"):  # not splitlines: a comment may hold U+2028
        start = line[:1]
        if start == "*":
            table = tables.setdefault(line[1:].strip(), SavedTable(line[1:].strip()))
        elif start == "#" and (remark := _INCOMPATIBLE.match(line)):
            name = remark["table"]
            tables.setdefault(name, SavedTable(name)).incompatible = f"table `{name}' {remark['why']}"
        elif table is None:
            continue
        elif start == ":" and (chain := _CHAIN.match(line)):
            policy = None if chain["policy"] == "-" else chain["policy"].lower()
            table.chains[chain["name"]] = SavedChain(chain["name"], policy)
        elif start in ("[", "-") and (rule := _RULE.match(line)):
            name = rule["chain"]
            table.chains.setdefault(name, SavedChain(name, None)).lines.append(line)
    return tables


def saved_rule(
    line: str, index: int, table: SavedTable, reader: MatchReader, backend: Backend, handle: int | None = None
) -> Rule:
    """The rule that `line` prints, read only when a packet meets it."""
    return Rule(
        index=index,
        read=partial(_read, line, table, reader),
        write=partial(without_counters, line),
        backend=backend,
        handle=handle,
        packets=_packets(line),
        key=partial(_key, line),
    )


def _packets(line: str) -> int | None:
    count = line[1:].partition(":")[0]
    # The kernel counts in 64 bits.
    return int(count) if line.startswith("[") and len(count) <= 20 and count.isdecimal() else None


def without_counters(line: str) -> str:
    """The rule that `line` prints, alone."""
    return line.partition("] ")[2] if line.startswith("[") else line


def _key(line: str) -> RuleKey:
    found = _RULE.match(line)
    if found is None:
        return ANY_KEY
    return (
        _link(found["in"]) if not found["no_in"] else None,
        _link(found["out"]) if not found["no_out"] else None,
        _prefix(found["source"]) if not found["no_source"] else None,
        _prefix(found["destination"]) if not found["no_destination"] else None,
    )


def _link(name: str | None) -> str | None:
    return None if name is None or name.endswith("+") or '"' in name else name


def _prefix(text: str | None) -> Prefix | None:
    if text is None:
        return None
    address, _, length = text.partition("/")
    return prefix(address, length)


def _read(line: str, table: SavedTable, reader: MatchReader) -> tuple[Item, ...]:
    words: RuleWords = split_rule(line)
    return (
        *reader.read(words, never_met=line.startswith("[0:")),
        *read_target(words, reader.version, table.chains),
    )


def _kind(table: str, hook: str) -> Literal["filter", "nat", "route"]:
    if table == "nat":
        return "nat"
    # What mangle's OUTPUT rewrites or marks is routed again.
    return "route" if (table, hook) == ("mangle", "output") else "filter"


def save_tables(text: str, reader: MatchReader, backend: Backend) -> list[Table]:
    """The tables of an iptables-save output alone, hooked where iptables hooks them."""
    family = "ip" if reader.version == 4 else "ip6"
    tables = []
    for saved in read_save(text).values():
        table = Table(backend, family, saved.name)
        hooks = _HOOKS.get(saved.name, {})
        for saved_chain in saved.chains.values():
            chain = Chain(backend, family, saved.name, saved_chain.name)
            if saved_chain.policy is not None and saved_chain.name in hooks:
                hook, priority = hooks[saved_chain.name]
                policy = "drop" if saved_chain.policy == "drop" else "accept"
                kind = _kind(saved.name, hook)
                chain.hooking = Hooking(kind, hook, priority, policy)  # type: ignore[arg-type]  # hooks of _HOOKS
            if saved.incompatible is not None:
                chain.doubt = f"the tool could not print all of it: {saved.incompatible}"
            chain.rules = [
                saved_rule(line, index, saved, reader, backend)
                for index, line in enumerate(saved_chain.lines, 1)
            ]
            table.chains[chain.name] = chain
        tables.append(table)
    return tables
