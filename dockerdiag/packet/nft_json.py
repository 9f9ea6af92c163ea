"""Reads what `nft -j list ruleset` prints (1.0.6 and later; the versions differ)."""

import json as json_module
import operator
import re
from collections.abc import Mapping
from dataclasses import field
from functools import partial
from typing import Literal, cast

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.indexing import ANY_KEY, Prefix, RuleKey, prefix
from dockerdiag.packet.matching import unless_never_seen
from dockerdiag.packet.nft_expressions import NamedSets
from dockerdiag.packet.nft_literals import Json
from dockerdiag.packet.nft_statements import MALFORMED, read_statement
from dockerdiag.packet.nft_text import rule_text
from dockerdiag.packet.rules import Backend, Chain, Hooking, Item, Rule, Table
from dockerdiag.packet.view import Hook
from dockerdiag.snapshot.model import NetdevHook, TableFlags, Unread

PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
BRIDGE_PRIORITIES = {"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300}
_PRIORITY = re.compile(r"(?P<name>[a-z]+)\s*(?:(?P<sign>[+-])\s*(?P<offset>\d+))?")

_HOOKS = frozenset({"ingress", "egress", "prerouting", "input", "forward", "output", "postrouting"})


@dataclass(frozen=True, slots=True)
class ListedRule:
    """One rule as it is listed."""

    handle: int | None
    statements: list[Json]
    comment: str | None

    @property
    def has_extension(self) -> bool:
        """Whether parts of it are known to iptables alone."""
        return any("xt" in statement for statement in self.statements)


@dataclass(slots=True)
class ListedTable:
    """One table as it is listed: its chains hooked, their rules not yet read."""

    table: Table
    flags: Json = None
    sets: NamedSets = field(default_factory=NamedSets)
    rules: dict[str, list[ListedRule]] = field(default_factory=dict)


def read_listing(
    text: str, devices: tuple[NetdevHook, ...] | Unread, flags: tuple[TableFlags, ...] | Unread = ()
) -> list[ListedTable]:
    """The tables of a listing; `devices` and `flags` are what a listing of nft 1.0.6 lacks.

    Raises:
        ValueError: The text is no JSON.
        TypeError: It is no listing.
    """
    listing = json_module.loads(text)
    objects = listing.get("nftables") if isinstance(listing, dict) else None
    if not isinstance(objects, list):
        raise TypeError("the text is no nftables listing")
    tables: dict[tuple[str, str], ListedTable] = {}
    for entry in objects:
        if not isinstance(entry, dict) or not entry:
            continue
        ((kind, body), *_) = entry.items()
        if kind == "table":
            _table_of(tables, body["family"], body["name"]).table.handle = body.get("handle")
            _table_of(tables, body["family"], body["name"]).flags = body.get("flags")
        elif kind == "chain":
            listed = _table_of(tables, body["family"], body["table"])
            listed.table.chains[body["name"]] = _chain(body, devices)
        elif kind == "rule":
            listed = _table_of(tables, body["family"], body["table"])
            rule = ListedRule(body.get("handle"), _statements(body.get("expr")), body.get("comment"))
            listed.rules.setdefault(body["chain"], []).append(rule)
        elif kind in ("set", "map"):
            _table_of(tables, body["family"], body["table"]).sets.declared[body["name"]] = body
    for listed in tables.values():
        _heed_flags(listed, flags)
    return list(tables.values())


def _statements(listed: Json) -> list[Json]:
    statements = listed or []
    if not isinstance(statements, list) or not all(isinstance(one, dict) for one in statements):
        raise TypeError("what a rule consists of is no list of statements")
    return statements


_TABLE_FLAGS = frozenset({"dormant", "owner", "persist"})


def _heed_flags(listed: ListedTable, read: tuple[TableFlags, ...] | Unread) -> None:
    flags, table = listed.flags or [], listed.table
    names = {flags} if isinstance(flags, str) else set(flags)
    table.dormant = "dormant" in names
    if names <= _TABLE_FLAGS:
        return
    # nft 1.0.6 prints a stray piece of memory in place of the flag's name.
    for one in () if isinstance(read, Unread) else read:
        if (one.family, one.table) == (table.family, table.name):
            table.dormant = one.dormant
            return
    reason = f"nft does not tell whether table {listed.table.name} is dormant"
    for chain in listed.table.chains.values():
        if chain.hooking is not None:
            chain.hooking = replace(chain.hooking, doubt=reason)


def _table_of(tables: dict[tuple[str, str], ListedTable], family: str, name: str) -> ListedTable:
    key = (family, name)
    if key not in tables:
        tables[key] = ListedTable(Table("nft", family, name), sets=NamedSets(f"{family} {name}"))
    return tables[key]


def _chain(body: Mapping[str, Json], devices: tuple[NetdevHook, ...] | Unread) -> Chain:
    family = str(body["family"])
    chain = Chain("nft", family, str(body["table"]), str(body["name"]), handle=body.get("handle"))
    hook = body.get("hook")
    if hook in _HOOKS:
        links = _devices(body, devices) if hook in ("ingress", "egress") else ()
        chain.hooking = Hooking(
            type=cast('Literal["filter", "nat", "route"]', body.get("type", "filter")),
            hook=cast("Hook", hook),
            priority=_priority(body.get("prio", 0), family),
            policy="drop" if body.get("policy") == "drop" else "accept",
            devices=links,
            doubt="which links this chain is attached to is not known" if links is None else None,
        )
    return chain


def _priority(priority: Json, family: str) -> int:
    if not isinstance(priority, str):
        return operator.index(priority)
    names = BRIDGE_PRIORITIES if family == "bridge" else PRIORITIES
    found = _PRIORITY.fullmatch(priority.strip())
    if found is None or found["name"] not in names:
        return int(priority)
    offset = int(found["offset"] or 0)
    return names[found["name"]] + (-offset if found["sign"] == "-" else offset)


def _devices(body: Mapping[str, Json], known: tuple[NetdevHook, ...] | Unread) -> tuple[str, ...] | None:
    listed = body.get("dev") or body.get("devices")
    if listed:
        return (listed,) if isinstance(listed, str) else tuple(listed)
    if isinstance(known, Unread):
        return None
    place = (body["family"], body["table"], body["name"])
    return next((hook.devices for hook in known if (hook.family, hook.table, hook.chain) == place), None)


def listed_rule(listed: ListedRule, index: int, sets: NamedSets, backend: Backend = "nft") -> Rule:
    """The rule, read only when a packet meets it."""
    return Rule(
        index=index,
        read=partial(_read, listed, sets),
        write=partial(rule_text, listed.statements, listed.comment),
        backend=backend,
        handle=listed.handle,
        packets=_packets(listed.statements),
        key=partial(_safe_key, listed.statements),
    )


def _read(listed: ListedRule, sets: NamedSets) -> tuple[Item, ...]:
    items: list[Item] = []
    unmet = _unmet(listed.statements)
    for position, statement in enumerate(listed.statements):
        for name, body in statement.items():
            # A limit that was never exceeded is not exceeded by the one packet that is walked.
            if position < unmet and _asks_for_excess(name, body):
                items.append(lambda _: False)
            elif position < unmet and _asks_for_headers(name, body):
                items += [
                    unless_never_seen(item) if callable(item) else item
                    for item in read_statement(name, body, sets)
                ]
            else:
                items += read_statement(name, body, sets)
    return tuple(items)


def _unmet(statements: list[Json]) -> int:
    """How many statements stand before a counter that no packet has come to."""
    for position, statement in enumerate(statements):
        counter = statement.get("counter")
        if isinstance(counter, dict):
            return position if counter.get("packets") == 0 else 0
    return 0


def _asks_for_excess(name: str, body: Json) -> bool:
    if not isinstance(body, dict):
        return False
    if name in ("set", "map"):
        return any(_asks_for_excess(*one) for stateful in body.get("stmt") or [] for one in stateful.items())
    return (
        name in ("limit", "ct count")
        and body.get("inv") is True
        and 0 not in (body.get("rate"), body.get("val"))
    )


_HEADERS = frozenset({"dscp", "hoplimit", "length", "size", "ttl"})
"""What the walk knows of its own packets at most, and never of their answers."""


def _asks_for_headers(name: str, body: Json) -> bool:
    left = body.get("left") if name == "match" and isinstance(body, dict) else None
    if not isinstance(left, dict):
        return False
    read = [left[kind] for kind in ("payload", "meta", "tcp option") if isinstance(left.get(kind), dict)]
    return any(part.get("field") in _HEADERS or part.get("key") == "length" for part in read)


def _packets(statements: list[Json]) -> int | None:
    for statement in statements:
        counter = statement.get("counter")
        if isinstance(counter, dict):
            packets = counter.get("packets")
            return packets if isinstance(packets, int) else None
    return None


def _safe_key(statements: list[Json]) -> RuleKey:
    try:
        return _key(statements)
    except MALFORMED:
        return ANY_KEY


def _key(statements: list[Json]) -> RuleKey:
    in_link, out_link, source, destination = ANY_KEY
    for statement in statements:
        if "counter" in statement:
            continue
        match = statement.get("match")
        if match is None:
            break
        if match.get("op") != "==":
            continue
        left, right = match.get("left"), match.get("right")
        if not isinstance(left, dict):
            continue
        if (
            "meta" in left
            and isinstance(right, str)
            and not right.startswith("@")
            and not right.endswith("*")
            and right != "0"
        ):
            if left["meta"].get("key") in ("iif", "iifname"):
                in_link = right
            elif left["meta"].get("key") in ("oif", "oifname"):
                out_link = right
        elif "payload" in left and left["payload"].get("protocol") in ("ip", "ip6"):
            if left["payload"].get("field") == "saddr":
                source = _prefix(right)
            elif left["payload"].get("field") == "daddr":
                destination = _prefix(right)
    return (in_link, out_link, source, destination)


def _prefix(right: Json) -> Prefix | None:
    if isinstance(right, str):
        return prefix(right)
    if isinstance(right, dict) and isinstance(written := right.get("prefix"), dict):
        address, length = written.get("addr"), written.get("len")
        return prefix(address, length) if isinstance(address, str) and isinstance(length, int) else None
    return None
