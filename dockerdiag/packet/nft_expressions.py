"""What nft's expressions read from a packet."""

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from ipaddress import IPv4Address, IPv6Address

from dockerdiag.dataclass import dataclass
from dockerdiag.packet import matching
from dockerdiag.packet.connections import (
    ASSURED,
    CONFIRMED,
    DESTINATION_NAT,
    EXPECTED,
    ICMP_PORTS,
    SEEN_REPLY,
    SOURCE_NAT,
    reply_tuple,
    status_bits,
)
from dockerdiag.packet.matching import changing_set
from dockerdiag.packet.nft_literals import CT_STATES, ETHERTYPES, Json, Kind, read_element, read_map, read_set
from dockerdiag.packet.packet import IPAddress, PortRange
from dockerdiag.packet.rules import Change
from dockerdiag.packet.truth import Unknown
from dockerdiag.packet.values import ABSENT, Absent, Elements, Value
from dockerdiag.packet.view import View


@dataclass(frozen=True, slots=True)
class Expression:
    """A value read from the packet, and the kind of constant it is compared with."""

    value: Callable[[View], Value]
    kind: Kind


def unknown_expression(reason: str, kind: Kind = "integer") -> Expression:
    """An expression whose value cannot be told."""
    doubt = Unknown(reason)
    return Expression(lambda _: doubt, kind)


def constant(value: Value, kind: Kind) -> Expression:
    """An expression that is the same for every packet."""
    return Expression(lambda _: value, kind)


@dataclass(slots=True)
class NamedSets:
    """The named sets and maps of one table."""

    place: str = ""
    """The table's family and name."""
    declared: dict[str, Json] = field(default_factory=dict)
    """The JSON objects by name."""
    _read: dict[tuple[str, Kind], Elements[Json]] = field(default_factory=dict)

    def changed(self, name: str, view: View) -> Unknown | None:
        """Why the set `name` may hold other elements than those listed: a rule before adds or deletes some."""
        name = name.removeprefix("@")
        if f"{self.place} {name}" not in view.packet.changed_sets:
            return None
        return Unknown(f"a rule before this one changes the set {name}")

    def changing(self, name: str) -> Change:
        """A rule's change of the set `name`."""
        return changing_set(f"{self.place} {name.removeprefix('@')}")

    def room(self, name: str) -> int | None:
        """How many more elements the set `name` takes, None where it is not limited."""
        declared = self.declared.get(name.removeprefix("@"), {})
        size = declared.get("size")
        return size - len(declared.get("elem") or []) if isinstance(size, int) else None

    def elements(self, name: str, kind: Kind) -> Elements[Json] | Unknown:
        """The elements of the set or map `name`, keys read as `kind`."""
        name = name.removeprefix("@")
        if name not in self.declared:
            return Unknown(f"the set {name} is not listed")
        key = (name, kind)
        if key not in self._read:
            declared = self.declared[name]
            elements = declared.get("elem") or []
            if "map" in declared:
                self._read[key] = read_map(kind, elements)
            else:
                statements = declared.get("stmt") or []
                stateful = any(
                    name in statement for statement in statements for name in ("limit", "ct count", "quota")
                )
                self._read[key] = read_set(kind, elements, stateful)
        return self._read[key]


def read_expression(json: Json, sets: NamedSets) -> Expression:
    """The expression that `json` is; unknown where this program does not know it."""
    if not isinstance(json, dict) or not json:
        return unknown_expression(f"the expression {json!r} is not known to this program")
    ((name, body), *_) = json.items()
    if name == "concat":
        parts = [read_expression(part, sets) for part in body]
        if len(parts) == 1:
            return parts[0]
        return Expression(lambda view: _concatenate(view, parts), tuple(part.kind for part in parts))
    if name in ("&", "|", "^", "<<", ">>"):
        return _arithmetic(name, body, sets)
    reader = _READERS.get(name)
    if reader is None:
        return unknown_expression(f"the expression {name} is not known to this program")
    return reader(body)


def _concatenate(view: View, parts: list[Expression]) -> Value:
    values = [part.value(view) for part in parts]
    if any(isinstance(value, Absent) for value in values):
        return ABSENT
    return tuple(values)


_OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "&": lambda one, other: one & other,
    "|": lambda one, other: one | other,
    "^": lambda one, other: one ^ other,
    "<<": lambda one, other: one << other & 0xFFFFFFFF,
    ">>": lambda one, other: one >> other,
}
_LONGEST_SHIFT = 31
"""What the kernel takes."""


def _arithmetic(operator: str, operands: list[Json], sets: NamedSets) -> Expression:
    left = read_expression(operands[0], sets)
    compute = _OPERATORS[operator]
    largest = _LONGEST_SHIFT if operator in ("<<", ">>") else None
    if _is_fragment_offset(operands[0]) and operator == "&" and operands[1] in (0x1FFF, 0x3FFF, 0x2000):
        # Fragments are not walked: the offset and the "more fragments" bit are zero.
        return Expression(lambda view: 0 if view.packet.ip_version == 4 else ABSENT, "integer")
    rights: list[Expression | Value] = []
    for operand in operands[1:]:
        if isinstance(operand, dict) and not {"|", "prefix", "range"} & operand.keys():
            rights.append(read_expression(operand, sets))
        else:
            element = read_element(left.kind, operand)
            rights.append(
                element if isinstance(element, int | IPv4Address | IPv6Address | Unknown) else ABSENT
            )

    def value(view: View) -> Value:
        result = left.value(view)
        for right in rights:
            operand = right.value(view) if isinstance(right, Expression) else right
            result = _combine(compute, result, operand, largest)
        return result

    return Expression(value, left.kind)


def _combine(compute: Callable[[int, int], int], one: Value, other: Value, largest: int | None) -> Value:
    """What `compute` makes of two values, the second of them no more than `largest`."""
    for value in (one, other):
        if isinstance(value, Unknown | Absent):
            return value
    if isinstance(one, PortRange) or isinstance(other, PortRange):
        return Unknown("the port is not known")
    if isinstance(one, IPv4Address | IPv6Address) and type(one) is type(other) and largest is None:
        return type(one)(compute(int(one), int(other)))
    fits = largest is None or (isinstance(other, int) and other <= largest)
    if isinstance(one, int) and isinstance(other, int) and min(one, other) >= 0 and fits:
        return compute(one, other)
    return Unknown("the arithmetic of this rule is not known to this program")


def _is_fragment_offset(json: Json) -> bool:
    return bool(json == {"payload": {"protocol": "ip", "field": "frag-off"}})


# -- meta ------------------------------------------------------------------------------------------------------


def _in_name(view: View) -> Value:
    # Where a hook has no input link the kernel compares an empty name (since Linux 5.4).
    return view.in_name


def _out_name(view: View) -> Value:
    return view.out_name


def _group(view: View, link: str) -> Value:
    if not link:
        return ABSENT
    group = view.surroundings.link_group(link)
    return Unknown(f"the group of link {link} is not known") if group is None else group


def _kind(view: View, link: str) -> Value:
    """The kind of a link; hardware and loopback have none."""
    if not link:
        return ABSENT
    kind = view.surroundings.link_kind(link)
    if kind is None:
        return Unknown(f"the kind of link {link} is not known")
    return kind or ABSENT


def _bridge_name(view: View, port: str | None, bridge: str | None) -> Value:
    if view.layer != "bridge" or port is None:
        return Unknown("the bridge of this frame's port is not known")
    return bridge or ABSENT


def _socket(view: View) -> Value:
    found = matching.has_socket(view, of_all=True)
    return found if isinstance(found, Unknown) else ABSENT


def _socket_user(view: View) -> Value:
    if view.packet.locally_generated and view.packet.sender is not None:
        return view.packet.sender
    return _socket_owner(view)


def _socket_owner(view: View) -> Value:
    if view.packet.locally_generated:
        return Unknown("the sending process is not known")
    if view.hook == "input" and view.packet.connection.state != "new":
        return Unknown("whose socket has it is not known")
    return ABSENT


def _length(view: View) -> Value:
    if view.packet.protocol == "arp":
        return Unknown("the packet's length is not known")
    length = view.length
    # At egress the frame has its Ethernet header again.
    more = 14 if view.hook == "egress" else 0
    if isinstance(length, int):
        return length + more
    return replace(length, low=length.low + more, high=length.high + more)


def _family_name(view: View) -> Value:
    version = view.packet.ip_version
    return ABSENT if version is None else f"ipv{version}"


_ETHERTYPE_OF = {4: ETHERTYPES["ip"], 6: ETHERTYPES["ip6"], None: ETHERTYPES["arp"]}

_META: Mapping[str, tuple[Callable[[View], Value], Kind]] = {
    "iifname": (_in_name, "link"),
    "oifname": (_out_name, "link"),
    "iif": (_in_name, "link index"),
    "oif": (_out_name, "link index"),
    "iifkind": (lambda view: _kind(view, view.in_name), "word"),
    "oifkind": (lambda view: _kind(view, view.out_name), "word"),
    "iifgroup": (lambda view: _group(view, view.in_name), "group"),
    "oifgroup": (lambda view: _group(view, view.out_name), "group"),
    "ibrname": (lambda view: _bridge_name(view, view.packet.in_port, view.packet.in_link), "link"),
    "obrname": (lambda view: _bridge_name(view, view.packet.out_port, view.packet.out_link), "link"),
    "ibridgename": (lambda view: _bridge_name(view, view.packet.in_port, view.packet.in_link), "link"),
    "obridgename": (lambda view: _bridge_name(view, view.packet.out_port, view.packet.out_link), "link"),
    "mark": (lambda view: view.mark, "mark"),
    "l4proto": (lambda view: ABSENT if view.packet.ip_version is None else view.protocol_number, "protocol"),
    "nfproto": (_family_name, "word"),
    "protocol": (lambda view: _ETHERTYPE_OF[view.packet.ip_version], "ethertype"),
    "length": (_length, "integer"),
    "pkttype": (matching.packet_type, "packet type"),
    "skuid": (_socket_user, "integer"),
    "skgid": (_socket_owner, "integer"),
    "cgroup": (_socket_owner, "integer"),
    # A host with IPsec is not walked through it.
    "ipsec": (lambda _: False, "truth"),
    "secpath": (lambda _: False, "truth"),
}


def _meta(body: Json) -> Expression:
    key = body.get("key")
    if key not in _META:
        return unknown_expression(f"meta {key} is not known of this packet")
    value, kind = _META[key]
    return Expression(value, kind)


# -- packet headers ---------------------------------------------------------------------------------------------


def _of_protocol(protocols: tuple[str, ...], value: Callable[[View], Value]) -> Callable[[View], Value]:
    return lambda view: value(view) if view.packet.protocol in protocols else ABSENT


def _of_family(family: int, value: Callable[[View], Value]) -> Callable[[View], Value]:
    return lambda view: value(view) if view.packet.ip_version == family else ABSENT


def _or_unknown(value: int | str | None, what: str) -> Value:
    return Unknown(f"the packet's {what} is not known") if value is None else value


def _payload(body: Json) -> Expression:
    protocol, name = body.get("protocol"), body.get("field")
    if protocol in ("ip", "ip6"):
        return _network_header(4 if protocol == "ip" else 6, name)
    if protocol in ("tcp", "udp", "th", "sctp", "dccp", "udplite"):
        return _transport_header(protocol, name)
    if protocol in ("icmp", "icmpv6"):
        return _icmp_header(protocol, name)
    if protocol == "ether":
        return _ethernet_header(name)
    if protocol == "arp":
        return _arp_header(name)
    if protocol is None and body.get("base") == "transport" and body.get("len") == 16:
        if body.get("offset") == 0:
            return _transport_header("th", "sport")
        if body.get("offset") == 16:
            return _transport_header("th", "dport")
    field = f"{protocol} {name}" if protocol is not None else "raw payload"
    return unknown_expression(f"the field {field} is not known of this packet")


def _service_class(view: View) -> Value:
    service = view.service
    return service if isinstance(service, Unknown) else service >> 2


def _network_header(family: int, name: str) -> Expression:
    fields: Mapping[str, tuple[Callable[[View], Value], Kind]] = {
        "saddr": (lambda view: view.source, "address"),
        "daddr": (lambda view: view.destination, "address"),
        "protocol": (lambda view: view.protocol_number, "protocol"),
        "nexthdr": (lambda view: view.protocol_number, "protocol"),
        "version": (lambda view: view.packet.family, "integer"),
        "dscp": (_service_class, "dscp"),
        "ttl": (lambda view: _or_unknown(view.packet.ttl, "time to live"), "integer"),
        "hoplimit": (lambda view: _or_unknown(view.packet.ttl, "hop limit"), "integer"),
    }
    if family == 4:
        fields = {**fields, "length": (lambda view: view.length, "integer")}
    if name not in fields:
        return unknown_expression(f"the field {name} of the IP header is not known of this packet")
    value, kind = fields[name]
    return Expression(_of_family(family, value), kind)


def _transport_header(protocol: str, name: str) -> Expression:
    if protocol == "th":
        return _any_transport_header(name)
    protocols = (protocol,)
    if name == "sport":
        return Expression(_of_protocol(protocols, lambda view: view.source_port), "port")
    if name == "dport":
        return Expression(_of_protocol(protocols, lambda view: view.destination_port), "port")
    if name == "flags" and protocol == "tcp":
        return Expression(_of_protocol(protocols, _tcp_flags), "tcp flags")
    if name == "length" and protocol == "udp":
        return Expression(_of_protocol(protocols, _udp_length), "integer")
    doubt = Unknown(f"the field {protocol} {name} is not known of this packet")
    return Expression(_of_protocol(protocols, lambda _: doubt), "integer")


def _any_transport_header(name: str) -> Expression:
    """Bytes at the place that ports have in TCP and UDP: in ICMP its type and code are there, and its checksum."""

    def value(view: View) -> Value:
        packet = view.packet
        if name in ("sport", "dport") and packet.protocol in ("tcp", "udp"):
            return view.source_port if name == "sport" else view.destination_port
        if name == "sport" and packet.icmp_type is not None and packet.icmp_code is not None:
            return packet.icmp_type << 8 | packet.icmp_code
        return Unknown(f"the packet's bytes that th {name} reads are not known")

    return Expression(value, "port")


def _udp_length(view: View) -> Value:
    length = view.packet.length
    if length is None:
        return Unknown("the packet's length is not known")
    return length - (20 if view.packet.family == 4 else 40)


def _tcp_flags(view: View) -> Value:
    return sum(matching.TCP_FLAGS[flag] for flag in view.packet.tcp_flags)


def _icmp_header(protocol: str, name: str) -> Expression:
    if name == "type":
        kind = f"{protocol} type"
        return Expression(
            _of_protocol((protocol,), lambda view: _or_unknown(view.packet.icmp_type, "ICMP type")), kind
        )
    if name == "code":
        return Expression(
            _of_protocol((protocol,), lambda view: _or_unknown(view.packet.icmp_code, "ICMP code")),
            f"{protocol} code",
        )
    doubt = Unknown(f"the field {protocol} {name} is not known of this packet")
    return Expression(_of_protocol((protocol,), lambda _: doubt), "integer")


_ARP_CONSTANTS = {"htype": 1, "ptype": ETHERTYPES["ip"], "hlen": 6, "plen": 4}


def _arp_header(name: str) -> Expression:
    fields: Mapping[str, tuple[Callable[[View], Value], Kind]] = {
        "operation": (lambda view: view.packet.arp_operation or ABSENT, "word"),
        "saddr ip": (lambda view: view.source, "address"),
        "daddr ip": (lambda view: view.destination, "address"),
        "saddr ether": (lambda view: _or_unknown(view.packet.mac_source, "MAC addresses"), "word"),
    }
    if name in _ARP_CONSTANTS:
        fields = {name: (lambda _: _ARP_CONSTANTS[name], "ethertype" if name == "ptype" else "integer")}
    doubt = Unknown(f"the field arp {name} is not known of this packet")
    value, kind = fields.get(name, (lambda _: doubt, "word"))
    return Expression(_of_protocol(("arp",), value), kind)


def _ethernet_header(name: str) -> Expression:
    if name not in ("type", "saddr", "daddr"):
        return unknown_expression(f"the field ether {name} is not known to this program")

    def value(view: View) -> Value:
        # The listing leaves out that such a rule asks for an input link with Ethernet headers.
        if view.layer == "inet" and view.in_name in ("", "lo"):
            return ABSENT
        if name == "type":
            return _META["protocol"][0](view)
        mac = view.packet.mac_source if name == "saddr" else view.packet.mac_destination
        return _or_unknown(mac and mac.lower(), "MAC addresses")

    return Expression(value, "ethertype" if name == "type" else "word")


def _route(body: Json) -> Expression:
    """What rules read of the packet's route."""
    family = {"ip": 4, "ip6": 6}.get(body.get("family", ""))
    if body.get("key") != "nexthop" or family is None:
        return unknown_expression("the route's properties are not known")

    def value(view: View) -> Value:
        if view.packet.ip_version != family or view.packet.out_link is None:
            return ABSENT
        return view.packet.gateway or view.destination

    return Expression(value, "address")


def _extension_header(body: Json) -> Expression:
    # Packets with IPv6 extension headers are not walked.
    return constant(ABSENT if "field" in body else False, "truth")


def _tcp_option(body: Json) -> Expression:
    if (body.get("name"), body.get("field")) != ("maxseg", "size"):
        return unknown_expression("the packet's TCP options are not known", "truth")
    return Expression(lambda view: matching.SEGMENTS if "syn" in view.packet.tcp_flags else ABSENT, "integer")


# -- connection tracking ----------------------------------------------------------------------------------------


def _ct(body: Json) -> Expression:
    key = body.get("key", "")
    if key == "state":
        return Expression(_ct_state, "ct state")
    if key == "status":
        return Expression(_with_connection(_ct_status), "ct status")
    if key == "direction":
        return Expression(_with_connection(lambda view: view.packet.connection.direction), "word")
    if key == "mark":
        return Expression(lambda view: view.connection_mark, "mark")
    if key == "l3proto":
        return Expression(
            _with_connection(lambda view: "ipv4" if view.packet.family == 4 else "ipv6"), "word"
        )
    words = key.split()
    if words and words[-1] in _TUPLE_FIELDS:
        return _ct_tuple(words, body.get("dir"))
    if key == "protocol":
        return Expression(_with_connection(lambda view: view.protocol_number), "protocol")
    return unknown_expression(f"ct {key} is not known of this packet")


def _ct_state(view: View) -> Value:
    state = view.connection_state
    return state if isinstance(state, Unknown) else CT_STATES[state]


def _with_connection(value: Callable[[View], Value]) -> Callable[[View], Value]:
    def guarded(view: View) -> Value:
        state = view.connection_state
        if isinstance(state, Unknown):
            return state
        return value(view) if view.has_connection else ABSENT

    return guarded


def _ct_status(view: View) -> Value:
    bits = 0
    for bit in (EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED, SOURCE_NAT, DESTINATION_NAT):
        is_set = status_bits(view.packet, bit)
        if isinstance(is_set, Unknown):
            return is_set
        bits |= bit if is_set else 0
    return bits


_TUPLE_FIELDS = {
    "saddr": "source",
    "daddr": "destination",
    "proto-src": "source_port",
    "proto-dst": "destination_port",
}


def _ct_tuple(words: list[str], direction: str | None) -> Expression:
    name = _TUPLE_FIELDS[words[-1]]
    family = {"ip": 4, "ip6": 6}.get(words[0])

    def value(view: View) -> Value:
        if family is not None and view.packet.family != family:
            return ABSENT
        connection = view.packet.connection
        addresses = connection.original if direction == "original" else reply_tuple(connection)
        if isinstance(addresses, Unknown):
            return addresses
        found: IPAddress | PortRange | None = getattr(addresses, name)
        if isinstance(found, PortRange):
            return found.low if found.low == found.high else found
        return ICMP_PORTS if found is None else found

    if direction not in ("original", "reply"):
        return unknown_expression(f"ct {' '.join(words)} is not known to this program")
    return Expression(_with_connection(value), "port" if "port" in name else "address")


# -- routes -----------------------------------------------------------------------------------------------------


def _fib(body: Json) -> Expression:
    flags = body.get("flags", [])
    flags = [flags] if isinstance(flags, str) else list(flags)
    result = body.get("result")
    known = {"saddr", "daddr", "iif", "oif", "mark"}
    if not known.issuperset(flags) or result not in ("type", "oif", "oifname", "check"):
        return unknown_expression("this fib expression is not known to this program", "link or existence")
    if result == "type":
        return Expression(lambda view: _fib_type(view, flags), "word")
    return Expression(lambda view: _fib_link(view, flags), "link or existence")


def _fib_address(view: View, flags: list[str]) -> IPAddress | Unknown:
    return view.source if "saddr" in flags else view.destination


def _fib_type(view: View, flags: list[str]) -> Value:
    link = view.in_name if "iif" in flags else view.out_name if "oif" in flags else None
    return matching.address_type(view, _fib_address(view, flags), link)


def _fib_link(view: View, flags: list[str]) -> Value:
    """Name of the link the lookup answers with, empty where there is no route."""
    address = _fib_address(view, flags)
    if isinstance(address, Unknown):
        return address
    wanted = view.in_name if "iif" in flags else view.out_name if "oif" in flags else None
    if view.hook == "prerouting" and view.in_name == "lo":
        return "lo"
    mark = view.packet.mark if "mark" in flags else 0
    kind = matching.address_type(view, address, None)
    if mark is None or isinstance(kind, Unknown):
        return Unknown(f"the route to {address} is not known")
    other = view.packet.addresses.destination if "saddr" in flags else view.packet.addresses.source
    # nft_fib looks up with the packet's protocol, and without its ports.
    link = view.surroundings.route_link(address, other, None, mark, view.protocol_number)
    if link is None:
        return Unknown(f"the route to {address} is not known")
    if kind != "unicast" or (wanted is not None and link != wanted):
        return ""
    return link


_READERS: Mapping[str, Callable[[Json], Expression]] = {
    "meta": _meta,
    "payload": _payload,
    "ct": _ct,
    "fib": _fib,
    "exthdr": _extension_header,
    "ip option": lambda _: constant(False, "truth"),
    "tcp option": _tcp_option,
    "numgen": lambda _: unknown_expression("chance or a counter decides"),
    "jhash": lambda _: unknown_expression("a hash decides"),
    "symhash": lambda _: unknown_expression("a hash decides"),
    "socket": lambda _: Expression(_socket, "integer"),
    "osf": lambda _: unknown_expression("the sender's system is not known", "word"),
    "rt": _route,
    "ipsec": lambda _: unknown_expression("IPsec policies are not known"),
    "tunnel": lambda _: unknown_expression("the packet's tunnel is not known"),
}
