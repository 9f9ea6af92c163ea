"""Takes credentials out of a whole snapshot, wherever a reader may have left one.

Readers mask what they know to hold credentials as they read it; this is the net below them. Rule sets are too large
to be searched whole, and a rule must stay the rule that it is: there only what people write freely is looked at.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from operator import is_
from typing import Any, TypeVar, cast

from dockerdiag.dataclass import replace
from dockerdiag.dataclass_fields import field_names, field_values
from dockerdiag.snapshot.model import Firewall, Snapshot
from dockerdiag.snapshot.secrets import MASK, forget_texts, mask_text, mask_variable

_MASK = re.compile(r"(?<!\*)\*\*\*(?!\*)")
_NFT_TEXT = re.compile(r'("(?:comment|prefix)":\s*)("(?:\\.|[^"\\])*")')
_IPTABLES_TEXT = re.compile(r'(--(?:comment|log-prefix|nflog-prefix|string)\s+)("(?:\\.|[^"\\])*"|[^\s"]+)')
_ADDRESS = re.compile(r"[0-9a-f.:/]*")
"""Digits and these letters alone make no name and no form of a credential."""

_NO_PARTS = (str, int, float, type(None))
_NO_TEXT = frozenset((int, float, bool, type(None)))

T = TypeVar("T")


def without_credentials(snapshot: Snapshot) -> Snapshot:
    """The snapshot with every credential that is known by its place or its form replaced."""
    try:
        return _masked(snapshot)
    finally:
        forget_texts()


def credentials_in(snapshot: Snapshot) -> int:
    """In how many places of a snapshot the mask stands for a credential."""
    found = 0
    pending: list[Any] = [snapshot]
    while pending:
        one = pending.pop()
        items: tuple[Any, ...]
        if isinstance(one, tuple):
            items = one
        elif isinstance(one, Mapping):
            items = (*one, *one.values())
        else:
            items = field_values(one)
        # As one, for they are short and many.
        texts = "\0".join([item for item in items if isinstance(item, str)])
        if MASK in texts:
            found += len(_MASK.findall(texts))
        pending += [item for item in items if not isinstance(item, _NO_PARTS)]
    return found


def _masked(value: T) -> T:
    masked: Any = value
    if isinstance(value, str):
        found = value if _ADDRESS.fullmatch(value) else mask_text(value).text
        masked = value if found == value else found
    elif isinstance(value, Firewall):
        rules: dict[str, Any] = {one.name: _rules(getattr(value, one.name)) for one in fields(value)}
        masked = replace(value, **rules)
    elif isinstance(value, tuple):
        items = _each_masked(value)
        masked = value if all(map(is_, items, value)) else items
    elif isinstance(value, Mapping):
        masked = {key: _named(key, item) for key, item in value.items()}
    elif names := field_names(value):
        values = field_values(value)
        changed = {
            name: new
            for name, old, new in zip(names, values, _each_masked(values), strict=True)
            if new is not old
        }
        masked = replace(masked, **changed) if changed else value
    return cast("T", masked)


def _each_masked(values: tuple[Any, ...]) -> tuple[Any, ...]:
    # Most are numbers, or nothing: there are hundreds of thousands.
    return tuple([one if type(one) in _NO_TEXT else _masked(one) for one in values])


def _named(name: object, value: object) -> object:
    if not isinstance(value, str):
        return _masked(value)
    # Sysctls such as bridge-nf-pass-vlan-input-dev sound secret and are switches.
    return value if value.isdecimal() else mask_variable(str(name), value).text


def _rules(part: object) -> object:
    if not isinstance(part, str):
        return _masked(part)
    if part.lstrip().startswith("{"):
        return _NFT_TEXT.sub(_nft_text, part)
    return _IPTABLES_TEXT.sub(_iptables_text, part)


def _nft_text(match: re.Match[str]) -> str:
    try:
        text = json.loads(match[2])
    except ValueError:
        return match[1] + mask_text(match[2]).text
    masked = mask_text(text).text
    return match[0] if masked == text else match[1] + json.dumps(masked, ensure_ascii=False)


def _iptables_text(match: re.Match[str]) -> str:
    quoted = match[2].startswith('"')
    text = re.sub(r"\\(.)", r"\1", match[2][1:-1]) if quoted else match[2]
    masked = mask_text(text).text
    if masked == text:
        return match[0]
    escaped = re.sub(r'(["\\\'])', r"\\\1", masked)
    return f'{match[1]}"{escaped}"'
