"""Makes one rule set of what the tools print of one network namespace."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

from dockerdiag.packet.ipsets import IpSets
from dockerdiag.packet.iptables_matches import MatchReader
from dockerdiag.packet.iptables_save import (
    STANDARD_TABLES,
    SavedTable,
    read_save,
    save_tables,
    saved_rule,
    without_counters,
)
from dockerdiag.packet.nft_json import ListedRule, ListedTable, listed_rule, read_listing
from dockerdiag.packet.nft_statements import MALFORMED
from dockerdiag.packet.rules import Chain, Rule, Ruleset, Table, Unreadable
from dockerdiag.snapshot.model import Firewall, Unread

_VERSIONS: tuple[tuple[Literal[4, 6], str], ...] = ((4, "ip"), (6, "ip6"))


def parse(firewall: Firewall) -> Ruleset:
    """The rules of one namespace in one form.

    It raises on no input: what cannot be read becomes unknown rules, chains or whole rule sets, with the reason.
    """
    sizes = [len(text) for text in (firewall.nft, firewall.iptables_legacy) if isinstance(text, str)]
    if sum(sizes) < _LARGE:
        return _parse(firewall)
    with _without_collection():
        return _parse(firewall)


_LARGE = 1 << 20
"""Characters from which on the garbage collector would take most of the time."""


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keeps the garbage collector from walking a heap that only grows, over and over, then and later."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _parse(firewall: Firewall) -> Ruleset:
    ruleset = Ruleset()
    sets = IpSets.of(firewall.ipsets)
    legacy = {4: firewall.iptables_legacy, 6: firewall.ip6tables_legacy}
    for version, _ in _VERSIONS:
        _add_legacy(ruleset, legacy[version], MatchReader(version, sets))
    saves = {"ip": firewall.iptables_nft, "ip6": firewall.ip6tables_nft}
    readers = {family: MatchReader(version, sets) for version, family in _VERSIONS}
    if isinstance(firewall.nft, Unread):
        _without_listing(ruleset, f"nftables could not be listed: {firewall.nft.reason}", saves, readers)
        return ruleset
    if not firewall.nft.strip():
        return ruleset
    try:
        listing = read_listing(firewall.nft, firewall.netdev_hooks, firewall.table_flags)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _without_listing(ruleset, f"the nftables listing cannot be read: {error}", saves, readers)
        return ruleset
    saved = {family: {} if isinstance(text, Unread) else read_save(text) for family, text in saves.items()}
    for listed in listing:
        table = listed.table
        printed = saved.get(table.family, {}).get(table.name) if table.name in STANDARD_TABLES else None
        reader = readers.get(table.family)
        _fill(listed, printed if reader is not None else None, reader)
        ruleset.tables.append(table)
    return ruleset


def _add_legacy(ruleset: Ruleset, text: str | Unread, reader: MatchReader) -> None:
    if isinstance(text, Unread):
        ruleset.unreadable.append(
            Unreadable(
                layers=frozenset({"inet"}),
                families=frozenset({reader.version}),
                backend="iptables-legacy",
                reason=f"the rules of iptables-legacy could not be read: {text.reason}",
            )
        )
    else:
        ruleset.tables += save_tables(text, reader, "iptables-legacy")


def _without_listing(
    ruleset: Ruleset, reason: str, saves: dict[str, str | Unread], readers: dict[str, MatchReader]
) -> None:
    """What iptables-nft prints is something; other tables, and native rules in these, may be there all the same."""
    ruleset.unreadable.append(
        Unreadable(
            layers=frozenset({"netdev", "bridge", "inet", "arp"}),
            families=frozenset({4, 6}),
            backend="nft",
            reason=f"{reason}, so other rules than those shown may decide",
        )
    )
    for family, text in saves.items():
        if not isinstance(text, Unread):
            ruleset.tables += save_tables(text, readers[family], "iptables-nft")


def _fill(listed: ListedTable, printed: SavedTable | None, reader: MatchReader | None) -> None:
    """Gives the chains of a table their rules."""
    table: Table = listed.table
    if printed is not None and printed.incompatible is None:
        table.backend = "iptables-nft"
    for chain in table.chains.values():
        rules = listed.rules.get(chain.name, [])
        lines = _paired_lines(printed, chain, rules)
        if table.backend == "iptables-nft":
            chain.backend = "iptables-nft"
        for index, rule in enumerate(rules, 1):
            if lines is None or printed is None or reader is None:
                chain.rules.append(listed_rule(rule, index, listed.sets))
            else:
                chain.rules.append(_paired_rule(rule, index, lines[index - 1], listed, printed, reader))


def _paired_lines(printed: SavedTable | None, chain: Chain, rules: list[ListedRule]) -> list[str] | None:
    """The lines iptables-save prints for the chain's rules, None where the two do not agree on their number."""
    if printed is None or printed.incompatible is not None:
        return None
    saved = printed.chains.get(chain.name)
    if saved is None or len(saved.lines) != len(rules):
        return None
    return saved.lines


def _paired_rule(
    rule: ListedRule, index: int, line: str, listed: ListedTable, printed: SavedTable, reader: MatchReader
) -> Rule:
    if rule.has_extension:
        return saved_rule(line, index, printed, reader, "iptables-nft", rule.handle)
    # iptables-save prints `-j DROP` for a native rule that drops by a set: only nft's listing can be judged.
    native = listed_rule(rule, index, listed.sets)
    if _iptables_could_write(rule):
        native.write = partial(without_counters, line)
        native.backend = "iptables-nft"
    return native


_IPTABLES_META = frozenset({"iifname", "oifname", "iif", "oif", "l4proto", "mark"})
_IPTABLES_STATEMENTS = frozenset({"counter", "accept", "drop", "return", "jump", "goto", "log", "limit"})
_IPTABLES_PAYLOAD = frozenset({"ip", "ip6", "tcp", "udp", "icmp", "icmpv6"})


def _iptables_could_write(rule: ListedRule) -> bool:
    """Whether a rule has only parts that iptables-nft makes itself, and so reads well in its words."""
    try:
        return _has_parts_of_iptables(rule)
    except MALFORMED:
        return False


def _has_parts_of_iptables(rule: ListedRule) -> bool:
    for statement in rule.statements:
        match = statement.get("match")
        if match is None:
            if not _IPTABLES_STATEMENTS.issuperset(statement):
                return False
            continue
        left, right = match.get("left"), match.get("right")
        if isinstance(left, dict) and "&" in left:
            left = left["&"][0]
        if not isinstance(left, dict) or (isinstance(right, dict) and "set" in right):
            return False
        if isinstance(right, str) and right.startswith("@"):
            return False
        by_meta = left.get("meta", {}).get("key") in _IPTABLES_META
        by_payload = left.get("payload", {}).get("protocol") in _IPTABLES_PAYLOAD
        if not (by_meta or by_payload):
            return False
    return any("counter" in statement for statement in rule.statements)
