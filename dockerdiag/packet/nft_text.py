"""Writes a rule of nft's JSON as `nft list ruleset` prints it."""

import json as json_module
from collections.abc import Callable, Mapping

from dockerdiag.packet.nft_literals import Json


def rule_text(statements: list[Json], comment: str | None) -> str:
    """The rule, statement by statement; what is not known here stays JSON."""
    words = [_statement(name, body) for statement in statements for name, body in statement.items()]
    if comment:
        words.append(f'comment "{comment}"')
    return " ".join(word for word in words if word)


def _statement(name: str, body: Json) -> str:
    try:
        return _written(name, body)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return _raw(name, body)


def _written(name: str, body: Json) -> str:
    writer = _STATEMENTS.get(name)
    if writer is not None:
        return writer(body)
    if body is None:
        return name
    if name in ("snat", "dnat", "masquerade", "redirect"):
        return _nat(name, body)
    return _raw(name, body)


def _raw(name: str, body: Json) -> str:
    return f"{name} {json_module.dumps(body)}" if body is not None else name


def _match(body: Json) -> str:
    left, right = body["left"], body["right"]
    # Of flags, those without an operator are any of them.
    one_of = isinstance(right, dict) and "set" in right
    usual = ("in",) if _are_flags(left) and not one_of else ("==", "in")
    operator = "" if body["op"] in usual else f"{body['op']} "
    if isinstance(left, dict) and "fib" in left and isinstance(right, bool):
        return f"{_expression(left)} {'exists' if right else 'missing'}"
    if isinstance(left, dict) and "&" in left:
        # Beside a mask a comma is a syntax error.
        return f"{_expression(left)} {body['op']} {_bits(right, left)}"
    return f"{_expression(left)} {operator}{_expression(right, left)}"


def _are_flags(left: Json) -> bool:
    if not isinstance(left, dict):
        return False
    return left.get("payload", {}).get("field") == "flags" or left.get("ct", {}).get("key") in (
        "state",
        "status",
    )


def _bits(body: Json, left: Json) -> str:
    return (
        " | ".join(_expression(bit, left) for bit in body)
        if isinstance(body, list)
        else _expression(body, left)
    )


def _masked(body: Json, left: Json) -> str:
    value, *masks = body
    return " & ".join((_expression(value, left or value), *(_mask(mask, left or value) for mask in masks)))


def _mask(body: Json, left: Json) -> str:
    # Newer tools say that they are alternatives, older ones list them.
    several = isinstance(body, list) or (isinstance(body, dict) and "|" in body)
    return f"({_bits(body, left)})" if several else _expression(body, left)


def _no_more_than(body: Json, *names: str) -> None:
    """Raises where there is more than these: a rule without it would be another rule."""
    if more := body.keys() - {*names}:
        raise ValueError(f"not written: {', '.join(sorted(more))}")


_QUOTED = frozenset(
    {"iif", "oif", "iifname", "oifname", "ibrname", "obrname", "iifkind", "oifkind", "time", "hour", "day"}
)


def _quoted(left: Json) -> bool:
    return isinstance(left, dict) and "meta" in left and left["meta"].get("key") in _QUOTED


def _expression(body: Json, left: Json = None) -> str:
    if isinstance(body, bool):
        return "exists" if body else "missing"
    if isinstance(body, str):
        return f'"{body}"' if _quoted(left) and not body.startswith("@") else body
    if isinstance(body, int):
        is_mark = isinstance(left, dict) and "mark" in json_module.dumps(left)
        return f"0x{body:08x}" if is_mark else str(body)
    if isinstance(body, list):
        return ",".join(_expression(part, left) for part in body)
    if not isinstance(body, dict):
        return str(body)
    ((name, inner), *_) = body.items()
    writer = _EXPRESSIONS.get(name)
    return writer(inner, left) if writer is not None else json_module.dumps(body)


_BARE_META = frozenset({"iif", "oif", "iifname", "oifname", "skuid", "skgid", "iifgroup", "oifgroup"})


def _meta(body: Json, _: Json) -> str:
    key = str(body["key"])
    return key if key in _BARE_META else f"meta {key}"


def _payload(body: Json, _: Json) -> str:
    if "protocol" in body:
        return f"{body['protocol']} {body['field']}"
    return f"@{body['base']},{body['offset']},{body['len']}"


def _ct(body: Json, _: Json) -> str:
    direction = f"{body['dir']} " if "dir" in body else ""
    return f"ct {direction}{body['key']}"


def _fib(body: Json, _: Json) -> str:
    flags = body["flags"] if isinstance(body["flags"], list) else [body["flags"]]
    return f"fib {' . '.join(flags)} {body['result']}"


def _counted_element(body: Json, left: Json) -> str:
    _no_more_than(body, "val")
    return _expression(body["val"], left)


def _numgen(body: Json, _: Json) -> str:
    offset = f" offset {body['offset']}" if body.get("offset") else ""
    return f"numgen {body['mode']} mod {body['mod']}{offset}"


def _element(body: Json, left: Json) -> str:
    if isinstance(body, list) and len(body) == 2:
        key, verdict = body
        if isinstance(verdict, dict) and not verdict.keys() & {"concat", "range", "prefix"}:
            ((name, inner), *_) = verdict.items()
            return f"{_expression(key, left)} : {_statement(name, inner)}"
        return f"{_expression(key, left)} : {_expression(verdict)}"
    return _expression(body, left)


def _set(body: Json, left: Json) -> str:
    return "{ " + ", ".join(_element(element, left) for element in body) + " }"


_EXPRESSIONS: Mapping[str, Callable[[Json, Json], str]] = {
    "meta": _meta,
    "payload": _payload,
    "ct": _ct,
    "fib": _fib,
    "prefix": lambda body, _: f"{body['addr']}/{body['len']}",
    "range": lambda body, left: "-".join(_expression(end, left) for end in body),
    "concat": lambda body, left: " . ".join(_expression(part, left) for part in body),
    "set": _set,
    "elem": _counted_element,
    "map": lambda body, _: f"{_expression(body['key'])} map {_expression(body['data'], body['key'])}",
    "&": _masked,
    "|": lambda body, left: " | ".join(_expression(part, left) for part in body),
    "^": lambda body, left: " ^ ".join(_expression(part, left) for part in body),
    "numgen": _numgen,
    "exthdr": lambda body, _: (
        f"{body['name']} {body['field']}" if "field" in body else f"exthdr {body['name']}"
    ),
    "tcp option": lambda body, _: (
        f"tcp option {body['name']}" + (f" {body['field']}" if "field" in body else "")
    ),
    "rt": lambda body, _: " ".join(("rt", *(body[name] for name in ("family", "key") if name in body))),
}


def _counter(body: Json) -> str:
    if isinstance(body, str):
        return f'counter name "{body}"'
    return f"counter packets {body['packets']} bytes {body['bytes']}" if body else "counter"


def _log(body: Json) -> str:
    if not body:
        return "log"
    numbers = ("group", "snaplen", "queue-threshold", "level")
    _no_more_than(body, "prefix", *numbers, "flags")
    words = ["log"]
    if "prefix" in body:
        words.append(f'prefix "{body["prefix"]}"')
    words += [f"{name} {body[name]}" for name in numbers if name in body]
    flags = body.get("flags", [])
    words += [f"flags {flag}" for flag in (flags if isinstance(flags, list) else [flags])]
    return " ".join(words)


_USUAL_BURST = 5
"""Of packets, where a rule names none."""


def _limit(body: Json) -> str:
    if isinstance(body, str):
        return f'limit name "{body}"'
    _no_more_than(body, "rate", "per", "rate_unit", "burst", "burst_unit", "inv")
    over = "over " if body.get("inv") else ""
    counts_packets = body.get("rate_unit", "packets") == "packets"
    unit = "" if counts_packets else f" {body['rate_unit']}"
    burst = body.get("burst", 0)
    usual = burst in (0, _USUAL_BURST) if counts_packets else burst == 0
    more = "" if usual else f" burst {burst} {body.get('burst_unit', 'packets')}"
    return f"limit rate {over}{body['rate']}{unit}/{body['per']}{more}"


def _quota(body: Json) -> str:
    if isinstance(body, str):
        return f'quota name "{body}"'
    _no_more_than(body, "val", "val_unit", "inv", "used", "used_unit")
    over = "over " if body.get("inv") else ""
    used = f" used {body['used']} {body['used_unit']}" if body.get("used") else ""
    return f"quota {over}{body['val']} {body['val_unit']}{used}"


def _queue(body: Json) -> str:
    if not body:
        return "queue"
    flags = body.get("flags", [])
    words = ["queue", *(f"flags {flag}" for flag in (flags if isinstance(flags, list) else [flags]))]
    return " ".join((*words, *((f"to {_expression(body['num'])}",) if "num" in body else ())))


def _reject(body: Json) -> str:
    if not body:
        return "reject"
    kind = body.get("type", "")
    return f"reject with {kind} {body['expr']}" if "expr" in body else f"reject with {kind}"


def _mangle(body: Json) -> str:
    return f"{_expression(body['key'])} set {_expression(body['value'], body['key'])}"


def _nat(name: str, body: Json) -> str:
    _no_more_than(body, "family", "addr", "port", "flags")
    words = [name]
    if "family" in body:
        words.append(str(body["family"]))
    address = _expression(body["addr"]) if "addr" in body else ""
    port = f":{_expression(body['port'])}" if "port" in body else ""
    if address or port:
        words.append(f"to {address}{port}")
    flags = body.get("flags", [])
    words += flags if isinstance(flags, list) else [flags]
    return " ".join(words)


def _add_to_set(body: Json) -> str:
    _no_more_than(body, "op", "set", "elem")
    return f"{body['op']} {body['set']} {{ {_expression(body['elem'])} }}"


_STATEMENTS: Mapping[str, Callable[[Json], str]] = {
    "match": _match,
    "counter": _counter,
    "log": _log,
    "limit": _limit,
    "reject": _reject,
    "mangle": _mangle,
    "jump": lambda body: f"jump {body['target']}",
    "goto": lambda body: f"goto {body['target']}",
    "vmap": lambda body: f"{_expression(body['key'])} vmap {_expression(body['data'], body['key'])}",
    "set": _add_to_set,
    "xt": lambda body: f'xt {body["type"]} "{body["name"]}"' if body else "xt",
    "ct helper": lambda body: f'ct helper set "{body}"',
    "quota": _quota,
    "queue": _queue,
}
