"""Policy rules in the words that iproute2 takes."""

from dockerdiag.snapshot import RoutingRule

_REFUSALS = ("blackhole", "unreachable", "prohibit")
_ALL_BITS = 0xFFFFFFFF


def words_of_rule(rule: RoutingRule) -> tuple[str, ...] | None:
    """What follows `ip rule add` or `del` for a rule that refuses; None for another, or where it asks for more."""
    if rule.action not in _REFUSALS or rule.unread or rule.l3mdev or rule.tunnel_id is not None:
        return None
    mark = None
    if rule.mark is not None or rule.mask:
        mask = _ALL_BITS if rule.mask is None else rule.mask
        mark = f"{rule.mark or 0:#x}" + (f"/{mask:#x}" if mask != _ALL_BITS else "")
    asked = (
        ("from", rule.source or "all"),
        ("to", rule.destination),
        ("tos", f"{rule.tos:#x}" if rule.tos else None),
        ("fwmark", mark),
        ("iif", rule.in_link),
        ("oif", rule.out_link),
        ("uidrange", _range(rule.user_ids, always=True)),
        ("ipproto", None if rule.protocol is None else str(rule.protocol)),
        ("sport", _range(rule.source_ports)),
        ("dport", _range(rule.destination_ports)),
        ("priority", str(rule.priority)),
    )
    words = [word for name, value in asked if value is not None for word in (name, value)]
    return (*(("not",) if rule.invert else ()), *words, rule.action)


def _range(span: tuple[int, int] | None, *, always: bool = False) -> str | None:
    if span is None:
        return None
    return str(span[0]) if span[0] == span[1] and not always else f"{span[0]}-{span[1]}"
