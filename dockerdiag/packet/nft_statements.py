"""What nft's statements ask of a packet and do to it."""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.matching import TOS_REWRITTEN, nobody_listens, queued
from dockerdiag.packet.nft_expressions import Expression, NamedSets, read_expression
from dockerdiag.packet.nft_literals import FLAG_KINDS, PROTOCOLS, Json, Kind, read_element, read_map, read_set
from dockerdiag.packet.packet import RANDOM_PORTS, IPAddress, Packet, PortRange
from dockerdiag.packet.rules import Change, Choice, Item, Match, Nat, NoTrack, Verdict
from dockerdiag.packet.translating import masquerade_address, redirect_address
from dockerdiag.packet.truth import Truth, Unknown, negate, some
from dockerdiag.packet.values import ABSENT, Absent, Element, Elements, Interval, Value, covers
from dockerdiag.packet.view import View

VERDICTS = frozenset({"accept", "drop", "continue", "return", "jump", "goto"})

_WITHOUT_EFFECT = frozenset(
    {"counter", "log", "ct helper", "ct timeout", "ct expectation", "flow", "dup", "last", "reset", "secmark"}
)

_BY_NAME = frozenset(
    {"counter", "ct helper", "ct timeout", "ct expectation", "limit", "quota", "secmark", "synproxy"}
)
"""Statements that may be given an object of the table by its name."""

_PERHAPS = {
    "limit": "how much of the limit is used up is not known",
    "quota": "how much of the quota is used up is not known",
    "ct count": "the number of open connections is not known",
    "connlimit": "the number of open connections is not known",
    "meter": "how much of the meter's limit is used up is not known",
}

_UNFORESEEABLE = {
    "synproxy": "the kernel answers the connection attempt in the server's place",
    "fwd": "it is sent out of another link at once",
}

_XT_WITHOUT_EFFECT = frozenset({"LOG", "NFLOG", "TCPMSS", "TTL", "HL", "TRACE", "CHECKSUM", "CLASSIFY"})


MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What reading JSON of an unexpected shape raises."""


def read_statement(name: str, body: Json, sets: NamedSets) -> list[Item]:
    """The matches and actions that one statement is; unknown where this program does not know it."""
    try:
        return _read_known(name, body, sets)
    except MALFORMED:
        return [Verdict("unknown", reason=f"the statement {name} cannot be read")]


def _read_known(name: str, body: Json, sets: NamedSets) -> list[Item]:
    if isinstance(body, dict) and "map" in body and name in _BY_NAME:
        # What a map names ends the rule where the map has no element for the packet.
        return [_mapped(body["map"], "word", sets).found, *_read_known(name, "", sets)]
    if name in _WITHOUT_EFFECT:
        return []
    if name in VERDICTS:
        return [read_verdict(name, body)]
    if name in _PERHAPS:
        return [_unknown_match(f"{name}: {_PERHAPS[name]}", rate=_is_rate(name, body))]
    if name in _UNFORESEEABLE:
        return [Verdict("unknown", reason=f"{name}: {_UNFORESEEABLE[name]}")]
    if name == "reject":
        return _reject(body)
    if name == "notrack":
        return [NoTrack()]
    if name == "xt":
        return _extension(body)
    reader = _READERS.get(name)
    if reader is None:
        return [Verdict("unknown", reason=f"the statement {name} is not known to this program")]
    return reader(name, body, sets)


def _reject(body: Json) -> list[Item]:
    """The listing leaves out that a rule which rejects in one protocol's way asks for that protocol."""
    kind = (body or {}).get("type")
    if kind == "tcp reset":
        return [lambda view: view.packet.protocol == "tcp", Verdict("reject")]
    if kind in ("icmp", "icmpv6"):
        family = 4 if kind == "icmp" else 6
        return [lambda view: view.packet.ip_version == family, Verdict("reject")]
    return [Verdict("reject")]


def read_verdict(name: str, body: Json) -> Verdict:
    """One verdict."""
    if name in ("jump", "goto"):
        return Verdict(name, body["target"])  # type: ignore[arg-type]  # one of the two
    return Verdict(name)  # type: ignore[arg-type]  # one of VERDICTS


def _is_rate(name: str, body: Json) -> bool:
    """Whether packets meet a statement as long as a limit is not used up."""
    return name == "limit" and isinstance(body, dict) and "rate" in body and body.get("inv") is not True


def _unknown_match(reason: str, *, rate: bool = False) -> Match:
    doubt = Unknown(reason, rate)
    return lambda _: doubt


def _extension(body: Json) -> list[Item]:
    """A part of a rule that iptables-nft made, of which nft's JSON tells the name only."""
    if body is None:
        return [Verdict("unknown", reason="nft does not tell what this part of the rule is")]
    kind, name = body.get("type"), body.get("name")
    reason = f"nft does not tell the arguments of {kind} {name}, and iptables-save could not be used for them"
    if kind == "match":
        return [] if name == "comment" else [_unknown_match(reason)]
    if name in ("DSCP", "TOS"):
        return [TOS_REWRITTEN]
    return [] if name in _XT_WITHOUT_EFFECT else [Verdict("unknown", reason=reason)]


# -- matches ---------------------------------------------------------------------------------------------------


_OPERATORS = ("==", "!=", "in", "!", "<", "<=", ">", ">=")


def _match(_: str, body: Json, sets: NamedSets) -> list[Item]:
    left = read_expression(body["left"], sets)
    right = body["right"]
    operator = body.get("op", "==")
    if operator not in _OPERATORS:
        return [_unknown_match(f"the operator {operator} is not known to this program")]
    if isinstance(right, dict) and "set" in right:
        return [_membership(left, read_set(left.kind, right["set"]), operator == "!=")]
    if isinstance(right, str) and right.startswith("@"):
        elements = sets.elements(right, left.kind)
        if isinstance(elements, Unknown):
            return [_unknown_match(elements.reason)]
        membership = _membership(left, elements, operator == "!=")
        return [lambda view: membership(view) if (doubt := sets.changed(right, view)) is None else doubt]
    if isinstance(right, dict) and not right.keys() & {"range", "prefix", "concat", "|", "elem"}:
        return [_comparison_of_two(left, read_expression(right, sets), operator)]
    return [_comparison(left, read_element(left.kind, right), operator)]


def _membership(left: Expression, elements: Elements[Json], inverted: bool) -> Match:
    def match(view: View) -> Truth:
        value = left.value(view)
        if isinstance(value, Absent):
            return False
        found = elements.find(value)
        guarded = next((payload for _, payload in found if isinstance(payload, Unknown)), None)
        return guarded if guarded is not None else negate(elements.contains(value), inverted)

    return match


def _comparison(left: Expression, right: Element, operator: str) -> Match:
    by_bit = left.kind in FLAG_KINDS and operator in ("in", "!")

    def match(view: View) -> Truth:
        value = left.value(view)
        if isinstance(value, Absent):
            return False
        if isinstance(right, bool) and isinstance(value, str):
            return (value != "") is (right if operator != "!=" else not right)
        if by_bit and isinstance(value, int) and isinstance(right, int):
            return (value & right != 0) is (operator == "in")
        if operator in ("==", "in"):
            return covers(right, value)
        if operator == "!=":
            return negate(covers(right, value))
        return _ordered(value, right, operator)

    return match


def _ordered(value: Value, right: Element, operator: str) -> Truth:
    if isinstance(value, Unknown):
        return value
    if not isinstance(right, int):
        return Unknown("the comparison of this rule is not known to this program")
    span = {
        "<": Interval(0, right - 1),
        "<=": Interval(0, right),
        ">": Interval(right + 1, 2**32),
        ">=": Interval(right, 2**32),
    }.get(operator)
    return (
        Unknown(f"the operator {operator} is not known to this program")
        if span is None
        else covers(span, value)
    )


def _comparison_of_two(left: Expression, right: Expression, operator: str) -> Match:
    def match(view: View) -> Truth:
        one, other = left.value(view), right.value(view)
        if isinstance(one, Absent) or isinstance(other, Absent):
            return False
        for value in (one, other):
            if isinstance(value, Unknown):
                return value
            if isinstance(value, PortRange):
                return Unknown("the port is not known")
        if operator not in ("==", "!="):
            return Unknown(f"the operator {operator} is not known to this program")
        return (one == other) is (operator == "==")

    return match


def _add_to_set(_: str, body: Json, sets: NamedSets) -> list[Item]:
    """Goes on where the element is or can be added; a limit in it may stop the rule."""
    name = body.get("set") or body.get("map") or ""
    changing = sets.changing(name)
    if any(word in _PERHAPS for statement in body.get("stmt") or [] for word in statement):
        return [changing, _unknown_match("how much of the set element's limit is used up is not known")]
    element = body["elem"]
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    key = read_expression(element, sets)
    if body.get("op") == "delete":
        return [lambda view: not isinstance(key.value(view), Absent), changing]
    return [lambda view: _has_place(view, name, key, sets), changing]


def _has_place(view: View, name: str, key: Expression, sets: NamedSets) -> Truth:
    """Whether a set has the element, or takes it: a full one ends the rule."""
    value = key.value(view)
    if isinstance(value, Absent):
        return False
    room = sets.room(name)
    changed = sets.changed(name, view)
    if room is None or room > (changed is not None):
        return True
    elements = sets.elements(name, key.kind)
    if isinstance(elements, Unknown):
        return elements
    if changed is None and elements.contains(value) is True:
        return True
    return Unknown(
        f"the set {name.removeprefix('@')} is full, and which elements it has by then is not known"
    )


# -- verdict maps ------------------------------------------------------------------------------------------------


def _verdict_map(_: str, body: Json, sets: NamedSets) -> list[Item]:
    key = read_expression(body["key"], sets)
    elements = _map_elements(body["data"], key.kind, sets)
    if isinstance(elements, Unknown):
        return [Verdict("unknown", reason=elements.reason)]
    entries, data = elements, body["data"]

    def choose(view: View) -> list[tuple[Truth, Verdict]]:
        if isinstance(data, str) and (doubt := sets.changed(data, view)) is not None:
            return [(True, Verdict("unknown", reason=doubt.reason))]
        value = key.value(view)
        if isinstance(value, Absent):
            return []
        found = entries.find(value)
        return [(truth, _mapped_verdict(verdict)) for truth, verdict in found]

    return [Choice(choose)]


def _mapped_verdict(body: Json) -> Verdict:
    try:
        ((name, target),) = body.items()
        return read_verdict(name, target)
    except MALFORMED:
        return Verdict("unknown", reason="a verdict of the rule's map cannot be read")


def _map_elements(data: Json, kind: Kind, sets: NamedSets) -> Elements[Json] | Unknown:
    if isinstance(data, str):
        return sets.elements(data, kind)
    return read_map(kind, data["set"])


@dataclass(frozen=True, slots=True)
class _Operand:
    """What a statement is given: a constant, an expression, or what a map leads to."""

    value: Callable[[View], Value | Element]
    found: Match
    """Whether the packet has it; the rule ends where it has not."""


def _operand(json: Json, kind: Kind, sets: NamedSets) -> _Operand:
    if isinstance(json, dict) and "map" in json:
        return _mapped(json["map"], kind, sets)
    if isinstance(json, dict) and not json.keys() & {"range", "prefix"}:
        value = read_expression(json, sets).value
        if _is_never_absent(json):
            return _Operand(value, lambda _: True)
        return _Operand(value, lambda view: _presence(value(view)))
    constant = read_element(kind, json)
    return _Operand(lambda _: constant, lambda _: True)


def _is_never_absent(json: Json) -> bool:
    """Whether every packet has what an expression reads, known or not."""
    if not isinstance(json, dict):
        return True
    ((name, body), *_) = json.items()
    if name in ("&", "|", "^", "<<", ">>"):
        return all(_is_never_absent(part) for part in body)
    # The path's MTU can be asked for only where the packet has a route.
    return json in ({"meta": {"key": "mark"}}, {"rt": {"key": "mtu"}})


def _presence(value: Value | Element) -> Truth:
    return value if isinstance(value, Unknown) else not isinstance(value, Absent)


def _mapped(body: Json, kind: Kind, sets: NamedSets) -> _Operand:
    """What a map leads to; `kind` is what it leads to."""
    key, data = read_expression(body["key"], sets), body["data"]
    elements = _map_elements(data, key.kind, sets)

    def find(view: View) -> list[tuple[Truth, Json]] | Unknown:
        if isinstance(elements, Unknown):
            return elements
        if isinstance(data, str) and (doubt := sets.changed(data, view)) is not None:
            return doubt
        value = key.value(view)
        return [] if isinstance(value, Absent) else elements.find(value)

    def look_up(view: View) -> Value | Element:
        found = find(view)
        if isinstance(found, Unknown):
            return found
        if len(found) == 1 and found[0][0] is True:
            return read_element(kind, found[0][1])
        return Unknown("which element of the rule's map applies is not known") if found else ABSENT

    def is_found(view: View) -> Truth:
        found = find(view)
        return found if isinstance(found, Unknown) else some(truth for truth, _ in found)

    return _Operand(look_up, is_found)


# -- changes ----------------------------------------------------------------------------------------------------

_HARMLESS: Mapping[str, frozenset[str]] = {
    "meta": frozenset({"priority", "nftrace", "secmark"}),
    "ct": frozenset({"label", "event", "secmark", "helper", "timeout"}),
    "payload": frozenset({"ecn", "flowlabel", "checksum"}),
}
"""What changes nothing that the judged matches and the routes ask for."""


def _mangle(_: str, body: Json, sets: NamedSets) -> list[Item]:
    ((name, key), *_rest) = body["key"].items()
    if name == "meta" and key["key"] == "mark":
        mark = _operand(body["value"], "mark", sets)
        return [
            mark.found,
            Change(lambda view: replace(view.packet, mark=_known_number(mark.value(view)))),
        ]
    if name == "ct" and key["key"] == "mark":
        mark = _operand(body["value"], "mark", sets)
        return [mark.found, Change(lambda view: _with_connection_mark(view, mark.value(view)))]
    if name == "ct" and key["key"] == "zone":
        return [Verdict("unknown", reason="connection tracking zones are not followed")]
    # The listing leaves out that a rule which rewrites a header asks for its protocol.
    asked = _asked_by(name, key)
    operand = _operand(
        body["value"], "address" if key.get("field") in ("saddr", "daddr") else "integer", sets
    )
    items: list[Item] = [asked, operand.found] if asked is not None else [operand.found]
    if name == "payload" and key.get("field") in ("ttl", "hoplimit"):
        return [*items, Change(lambda view: _with_ttl(view, operand.value(view)))]
    if name == "tcp option" or key.get("key" if name in ("meta", "ct") else "field") in _HARMLESS.get(
        name, ()
    ):
        return items
    if name == "payload" and key.get("field") == "dscp":
        return [*items, TOS_REWRITTEN]
    if name == "payload" and key.get("protocol") in ("ip", "ip6") and key.get("field") in ("saddr", "daddr"):
        return [*items, _set_address(key, operand.value)]
    return [*items, Verdict("unknown", reason="this rule rewrites the packet in a way that is not followed")]


def _asked_by(name: str, key: Json) -> Match | None:
    """The match on a protocol that rewriting a field of its header implies."""
    protocol = "tcp" if name == "tcp option" else key.get("protocol") if name == "payload" else None
    if protocol in ("ip", "ip6"):
        family = 4 if protocol == "ip" else 6
        return lambda view: view.packet.ip_version == family
    if protocol in PROTOCOLS and protocol != "ip":
        number = PROTOCOLS[protocol]
        return lambda view: view.protocol_number == number
    return None


def _known_number(value: Value | Element) -> int | None:
    return value if isinstance(value, int) else None


def _with_ttl(view: View, value: Value | Element) -> Packet:
    return replace(view.packet, ttl=_known_number(value))


def _with_connection_mark(view: View, value: Value | Element) -> Packet:
    if isinstance(view.connection_mark, Absent):
        return view.packet
    packet = view.packet
    return replace(packet, connection=replace(packet.connection, mark=_known_number(value)))


def _set_address(key: Json, value: Callable[[View], Value | Element]) -> Change:
    def apply(view: View) -> Packet:
        packet, address = view.packet, value(view)
        if key["field"] == "saddr":
            if isinstance(address, IPAddress):
                return replace(packet, addresses=replace(packet.addresses, source=address), source_known=True)
            return replace(packet, source_known=False)
        if isinstance(address, IPAddress):
            return replace(
                packet, addresses=replace(packet.addresses, destination=address), destination_known=True
            )
        return replace(packet, destination_known=False)

    return Change(apply)


# -- NAT --------------------------------------------------------------------------------------------------------


def _translate(name: str, body: Json, sets: NamedSets) -> list[Item]:
    body = body or {}
    family: Literal[4, 6] | None = {"ip": 4, "ip6": 6}.get(body.get("family", ""))  # type: ignore[assignment]
    manipulation: Literal["source", "destination"] = (
        "source" if name in ("snat", "masquerade") else "destination"
    )
    port = _port_of(body, sets, manipulation)
    if name == "masquerade":
        return [Nat("source", family, masquerade_address, port)]
    if name == "redirect":
        return [Nat("destination", family, redirect_address, port)]
    if "addr" not in body:
        return [Nat(manipulation, family, lambda _: None, port)]
    target = body["addr"]
    if "prefix" in body.get("type_flags", ""):
        return [_translate_prefix(manipulation, family, target, port)]
    kind: Kind = "address"
    if (
        isinstance(target, dict)
        and "map" in target
        and "port" not in body
        and _leads_to_pair(target["map"], sets)
    ):
        kind = ("address", "port")
    operand = _operand(target, kind, sets)

    def address(view: View) -> IPAddress | Unknown | None:
        value = operand.value(view)
        return _one_address(value[0] if isinstance(value, tuple) else value)

    def mapped_port(view: View) -> PortRange | Unknown | None:
        value = operand.value(view)
        return _one_port(value[1]) if isinstance(value, tuple) else port(view)

    return [operand.found, Nat(manipulation, family, address, mapped_port)]


def _leads_to_pair(body: Json, sets: NamedSets) -> bool:
    data = body["data"]
    elements = (
        sets.declared.get(data.removeprefix("@"), {}).get("elem") if isinstance(data, str) else data["set"]
    )
    return any(isinstance(value, dict) and "concat" in value for _, value in elements or [])


def _one_address(value: Value | Element) -> IPAddress | Unknown:
    if isinstance(value, IPAddress):
        return value
    if isinstance(value, Unknown):
        return value
    return Unknown("the rule chooses one of several addresses")


def _one_port(value: Value | Element) -> PortRange | Unknown | None:
    if isinstance(value, Interval) and isinstance(value.low, int) and isinstance(value.high, int):
        return PortRange(value.low, value.high)
    if isinstance(value, int):
        return PortRange.one(value)
    return value if isinstance(value, Unknown | PortRange) else Unknown("the rule's port cannot be told")


def _port_of(
    body: Json, sets: NamedSets, manipulation: Literal["source", "destination"]
) -> Callable[[View], PortRange | Unknown | None]:
    if "port" in body:
        operand = _operand(body["port"], "port", sets)
        return lambda view: _one_port(operand.value(view))
    flags = body.get("flags", [])
    if manipulation == "source" and ("random" in flags or "fully-random" in flags):
        return lambda _: PortRange(*RANDOM_PORTS)
    return lambda _: None


def _translate_prefix(
    manipulation: Literal["source", "destination"],
    family: Literal[4, 6] | None,
    target: Json,
    port: Callable[[View], PortRange | Unknown | None],
) -> Nat:
    network = read_element("address", target)

    def address(view: View) -> IPAddress | Unknown:
        old = view.source if manipulation == "source" else view.destination
        if isinstance(old, Unknown):
            return old
        if not isinstance(network, IPv4Network | IPv6Network):
            return Unknown("the rule's prefix map is not known to this program")
        bits = int(network.network_address) | (int(old) & int(network.hostmask))
        return type(old)(bits)

    return Nat(manipulation, family, address, port)


def _queue(_: str, body: Json, sets: NamedSets) -> list[Item]:  # noqa: ARG001 - one signature for all
    numbers = (body or {}).get("num", 0)
    if isinstance(numbers, dict) and "range" not in numbers:
        return [Verdict("unknown", reason="queue: a program in user space decides, which one is computed")]
    first, last = numbers["range"] if isinstance(numbers, dict) else (numbers, numbers)
    return [queued("queue", int(first), int(last), bypass="bypass" in (body or {}).get("flags", ()))]


def _transparent_proxy(_: str, body: Json, sets: NamedSets) -> list[Item]:  # noqa: ARG001 - one signature for all
    taken = Verdict("unknown", reason="tproxy: a local transparent proxy takes it")
    port = (body or {}).get("port")
    if port is not None and not isinstance(port, int):
        return [taken]
    unheard = nobody_listens(port)
    # Where nobody listens the rule ends, and drops nothing.
    return [lambda view: unheard(view) is not True, taken]


_READERS: Mapping[str, Callable[[str, Json, NamedSets], list[Item]]] = {
    "match": _match,
    "vmap": _verdict_map,
    "set": _add_to_set,
    "map": _add_to_set,
    "mangle": _mangle,
    "snat": _translate,
    "dnat": _translate,
    "masquerade": _translate,
    "redirect": _translate,
    "queue": _queue,
    "tproxy": _transparent_proxy,
}
