"""What iptables' matches ask of a packet.

A match, or an option of one, that is not in these tables makes its rule unknown; it is never left out.
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.packet import iptables_conntrack, matching
from dockerdiag.packet.ipsets import IpSets, set_match
from dockerdiag.packet.iptables_words import Extension, Option, RuleWords
from dockerdiag.packet.packet import IPAddress, PortRange
from dockerdiag.packet.rules import Match
from dockerdiag.packet.truth import Truth, Unknown, every, negate, some
from dockerdiag.packet.values import Element, Interval, NamePrefix, Value, covers
from dockerdiag.packet.view import View

_PROTOCOLS = {
    "all": 0, "icmp": 1, "igmp": 2, "ipip": 4, "ipencap": 4, "tcp": 6, "udp": 17, "dccp": 33, "ipv6": 41, "gre": 47,
    "esp": 50, "ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "ospf": 89, "pim": 103, "vrrp": 112, "l2tp": 115,
    "sctp": 132, "udplite": 136, "mobility-header": 135, "ipv6-mh": 135,
}  # fmt: skip

UNKNOWABLE = {
    "bpf": "a BPF program decides",
    "cluster": "a hash decides",
    "connbytes": "the flow's volume is not known",
    "connlabel": "connection labels are not known",
    "connlimit": "the number of open connections is not known",
    "cpu": "the processor is not known",
    "ecn": "the packet's ECN bits are not known",
    "hashlimit": "how much of the limit is used up is not known",
    "helper": "whether a connection tracking helper is attached is not known",
    "ipvs": "whether IPVS handles the flow is not known",
    "limit": "how much of the limit is used up is not known",
    "nth": "the count is not known",
    "osf": "the sender's system is not known",
    "quota": "how much of the quota is used up is not known",
    "realm": "the routing realm is not known",
    "statistic": "chance or a counter decides",
    "string": "the packet's content is not known",
    "time": "it depends on the time of day",
    "u32": "the packet's bytes are not known",
}


_ABOVE = ("--hashlimit-above", "--connlimit-above")
_CONTENT = ("--string", "--hex-string")


def unknown_match(reason: str, *, rate: bool = False) -> Match:
    """A match that cannot be judged; `rate` where a rate limit decides."""
    doubt = Unknown(reason, rate)
    return lambda _: doubt


def _is_rate(extension: Extension) -> bool:
    """Whether packets meet a match as long as a limit is not used up."""
    if extension.name == "hashlimit":
        return extension.option("--hashlimit", "--hashlimit-upto") is not None
    return extension.name == "limit"


def _is_excess(extension: Extension) -> bool:
    """Whether a limit must be exceeded. One that never was is not exceeded by the one packet that is walked."""
    if extension.name == "recent":
        asked = extension.option("--rcheck", "--update")
        hits = extension.option("--hitcount")
        return asked is not None and not asked.inverted and hits is not None and hits.value not in ("0", "1")
    limit = extension.option(*_ABOVE)
    return limit is not None and not limit.inverted and limit.value != "0"


def _is_content(extension: Extension) -> bool:
    """Whether some content is asked for. A rule that never saw it has stopped nobody so far."""
    content = extension.option(*_CONTENT)
    return content is not None and not content.inverted


_HEADERS = frozenset({"dscp", "hl", "length", "tcpmss", "tos", "ttl"})
"""Matches on what the walk knows of its own packets at most, and never of their answers."""


def always(_: View) -> Truth:
    """A match that every packet meets (`comment`, `nfacct`)."""
    return True


@dataclass(frozen=True, slots=True)
class MatchReader:
    """Reads the matches of one IP version's rules."""

    version: Literal[4, 6]
    sets: IpSets

    def read(self, rule: RuleWords, *, never_met: bool = False) -> list[Match]:
        """The matches of `rule`, in order; `never_met`: its counter says that no packet met them all so far."""
        matches = [self._basic(option) for option in rule.basics]
        for extension in rule.matches:
            if never_met and (_is_excess(extension) or _is_content(extension)):
                matches.append(lambda _: False)
            elif never_met and extension.name in _HEADERS:
                matches += [matching.unless_never_seen(match) for match in self._extension(extension)]
            else:
                matches += self._extension(extension)
        return matches

    def _basic(self, option: Option) -> Match:
        inverted = option.inverted
        if option.name in ("-s", "-d"):
            return self._address(option)
        if option.name in ("-i", "-o"):
            element: Element = option.value
            if option.value.endswith("+"):
                element = NamePrefix(option.value[:-1])
            if option.name == "-i":
                return lambda view: negate(covers(element, view.in_name), inverted)
            return lambda view: negate(covers(element, view.out_name), inverted)
        if option.name == "-p":
            return self._protocol(option)
        if option.name == "-f":
            # Second and further fragments are not walked.
            return lambda _: inverted
        return unknown_match(f"the option {option.name} is not known")

    def _address(self, option: Option) -> Match:
        try:
            element = matching.masked_address(option.value)
        except ValueError:
            return unknown_match(f"{option.name} {option.value} cannot be read")
        return matching.address_match(element, source=option.name == "-s", inverted=option.inverted)

    def _protocol(self, option: Option) -> Match:
        name = option.value
        number = int(name) if name.isdigit() else _PROTOCOLS.get(name)
        if number is None:
            return unknown_match(f"the protocol {name} is not known")
        inverted = option.inverted
        if number == 0:
            return lambda _: not inverted
        return lambda view: (view.protocol_number == number) is not inverted

    def _extension(self, extension: Extension) -> list[Match]:
        name = extension.name
        if name in UNKNOWABLE:
            return [unknown_match(f"match {name}: {UNKNOWABLE[name]}", rate=_is_rate(extension))]
        if name == "set":
            return [set_match(extension, self.sets, self.version)]
        readers: Mapping[str, Mapping[str, Callable[[Option], Match]]] = _MATCHES
        whole: Mapping[str, Callable[[Extension], Match]] = _WHOLE
        if name in whole:
            return [whole[name](extension)]
        if name == "multiport":
            return [_multiport(option) for option in extension.options]
        options = readers.get(name)
        if options is None:
            return [unknown_match(f"the match {name} is not known to this program")]
        matches: list[Match] = []
        for option in extension.options:
            read = options.get(option.name)
            if read is None:
                matches.append(
                    unknown_match(f"the option {option.name} of match {name} is not known to this program")
                )
                continue
            try:
                matches.append(read(option))
            except ValueError:
                matches.append(unknown_match(f"{option.name} {' '.join(option.values)} cannot be read"))
        if name in _PROTOCOL_OF:
            number = _PROTOCOL_OF[name]
            matches.insert(0, lambda view: view.protocol_number == number)
        return matches


_PROTOCOL_OF = {
    "tcp": 6,
    "udp": 17,
    "icmp": 1,
    "icmp6": 58,
    "sctp": 132,
    "dccp": 33,
    "udplite": 136,
    "esp": 50,
    "ah": 51,
}


def _on(value: Callable[[View], Value], element: Element, inverted: bool) -> Match:
    return lambda view: negate(covers(element, value(view)), inverted)


def _span(text: str) -> Interval:
    """Reads `N`, `N:M`, `N:` or `:M` of 16-bit numbers."""
    low, separator, high = text.partition(":")
    if not separator:
        return Interval(int(low), int(low))
    return Interval(int(low or 0), int(high or 65535))


def _source_port(option: Option) -> Match:
    return _on(lambda view: view.source_port, _span(option.value), option.inverted)


def _destination_port(option: Option) -> Match:
    return _on(lambda view: view.destination_port, _span(option.value), option.inverted)


def _multiport(option: Option) -> Match:
    try:
        spans = [_span(text) for text in option.value.split(",")]
    except ValueError:
        return unknown_match(f"{option.name} {option.value} cannot be read")
    either = option.name == "--ports"
    of_source = either or option.name in ("--sports", "--source-ports")
    of_destination = either or option.name in ("--dports", "--destination-ports")
    if not (of_source or of_destination):
        return unknown_match(f"the option {option.name} of match multiport is not known to this program")

    def match(view: View) -> Truth:
        ports: list[Value] = [view.source_port] if of_source else []
        if of_destination:
            ports.append(view.destination_port)
        return negate(some(covers(span, port) for span in spans for port in ports), option.inverted)

    return match


def _tcp_flags(option: Option) -> Match:
    mask, wanted = (matching.tcp_flag_names(text) for text in option.values[:2])
    return lambda view: (view.packet.tcp_flags & mask == wanted) is not option.inverted


def _syn(option: Option) -> Match:
    mask = frozenset({"fin", "syn", "rst", "ack"})
    return lambda view: (view.packet.tcp_flags & mask == {"syn"}) is not option.inverted


def _icmp_type(option: Option) -> Match:
    if option.value in ("any", "255"):
        return lambda _: not option.inverted
    type_text, _, code_text = option.value.partition("/")
    wanted_type = int(type_text)
    codes = Interval(int(code_text), int(code_text)) if code_text else None

    def match(view: View) -> Truth:
        packet = view.packet
        truths: list[Truth] = [_known_number(packet.icmp_type, wanted_type, "ICMP type")]
        if codes is not None:
            truths.append(_known_number(packet.icmp_code, int(code_text), "ICMP code"))
        return negate(every(truths), option.inverted)

    return match


def _known_number(value: int | None, wanted: int, what: str) -> Truth:
    return Unknown(f"the packet's {what} is not known") if value is None else value == wanted


def _mark_text(text: str) -> tuple[int, int]:
    value, _, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if mask else 0xFFFFFFFF


def _mark(option: Option) -> Match:
    value, mask = _mark_text(option.value)

    def match(view: View) -> Truth:
        mark = view.mark
        return mark if isinstance(mark, Unknown) else (mark & mask == value) is not option.inverted

    return match


def _connection_mark(option: Option) -> Match:
    value, mask = _mark_text(option.value)

    def match(view: View) -> Truth:
        mark = view.connection_mark
        if isinstance(mark, Unknown):
            return mark
        return isinstance(mark, int) and (mark & mask == value) is not option.inverted

    return match


def _range_of_addresses(option: Option, source: bool) -> Match:
    low, high = (ip_address(text) for text in option.value.split("-"))
    element = Interval(low, high)
    if source:
        return _on(lambda view: view.source, element, option.inverted)
    return _on(lambda view: view.destination, element, option.inverted)


def _mac(option: Option) -> Match:
    wanted = option.value.lower()

    def match(view: View) -> Truth:
        mac = view.packet.mac_source
        if mac is None:
            return Unknown("the frame's source MAC address is not known")
        return (mac.lower() == wanted) is not option.inverted

    return match


def _physical(option: Option) -> Match:
    element: Element = option.value
    if option.value.endswith("+"):
        element = NamePrefix(option.value[:-1])

    def match(view: View) -> Truth:
        packet = view.packet
        if packet.bridge_netfilter is None and (packet.in_port or packet.out_port):
            return Unknown("whether br_netfilter shows bridge ports to this rule is not known")
        if not packet.bridge_netfilter:
            return option.inverted
        if option.name == "--physdev-in":
            return negate(covers(element, packet.in_port or ""), option.inverted)
        return negate(covers(element, packet.out_port or ""), option.inverted)

    return match


def _physical_state(option: Option) -> Match:
    def match(view: View) -> Truth:
        packet = view.packet
        if packet.bridge_netfilter is None and (packet.in_port or packet.out_port):
            return Unknown("whether br_netfilter shows bridge ports to this rule is not known")
        if not packet.bridge_netfilter:
            return option.inverted
        holds = {
            "--physdev-is-in": packet.in_port is not None,
            "--physdev-is-out": packet.out_port is not None,
            # What is routed out by a bridge shows no port yet.
            "--physdev-is-bridged": packet.in_port is not None and packet.out_port is not None,
        }[option.name]
        return holds is not option.inverted

    return match


def _packet_type(option: Option) -> Match:
    def match(view: View) -> Truth:
        kind = matching.packet_type(view)
        return kind if isinstance(kind, Unknown) else (kind == option.value) is not option.inverted

    return match


def _number(option: Option, value: Callable[[View], PortRange | int | None], what: str) -> Match:
    element = _span(option.value)
    if option.name.endswith("-lt"):
        element = Interval(0, int(option.value) - 1)
    elif option.name.endswith("-gt"):
        element = Interval(int(option.value) + 1, 2**32)

    def match(view: View) -> Truth:
        number = value(view)
        return (
            Unknown(f"the packet's {what} is not known")
            if number is None
            else negate(covers(element, number), option.inverted)
        )

    return match


def _time_to_live(option: Option) -> Match:
    return _number(option, lambda view: view.packet.ttl, "time to live")


def _length(option: Option) -> Match:
    return _number(option, lambda view: view.length, "length")


def _service_class(option: Option) -> Match:
    wanted = int(option.value, 0)
    return _of_service(lambda service: service >> 2 == wanted, option)


def _type_of_service(option: Option) -> Match:
    value, mask = _mark_text(option.value)
    return _of_service(lambda service: service & mask == value, option)


def _of_service(test: Callable[[int], bool], option: Option) -> Match:
    def match(view: View) -> Truth:
        service = view.service
        return service if isinstance(service, Unknown) else test(service) is not option.inverted

    return match


def _link_group(option: Option) -> Match:
    value, mask = _mark_text("0" if option.value == "default" else option.value)
    of_source = option.name == "--src-group"

    def match(view: View) -> Truth:
        link = view.in_name if of_source else view.out_name
        group = view.surroundings.link_group(link) if link else 0
        if group is None:
            return Unknown(f"the group of link {link} is not known")
        return (group & mask == value) is not option.inverted

    return match


def _owner(extension: Extension) -> Match:
    """A packet without a local socket meets only what is negated."""
    if (strange := _strange(extension, *_OF_OWNERS, "--suppl-groups")) is not None:
        return strange
    conditions = [option for option in extension.options if option.name in _OF_OWNERS]

    def match(view: View) -> Truth:
        if view.packet.locally_generated:
            return every(_owned(option, view.packet.sender) for option in conditions)
        return all(option.inverted for option in conditions)

    return match


def _cgroup(_: Extension) -> Match:
    """No control group, not even one that is negated, holds a packet without a local socket."""

    def match(view: View) -> Truth:
        if view.packet.locally_generated or (view.hook == "input" and view.packet.connection.state != "new"):
            return Unknown("match cgroup: the process's control group is not known")
        return False

    return match


_OF_OWNERS = ("--uid-owner", "--gid-owner", "--socket-exists")


def _strange(extension: Extension, *known: str) -> Match | None:
    """The doubt about an option that is none of these; None where there is none."""
    option = next((option for option in extension.options if option.name not in known), None)
    if option is None:
        return None
    return unknown_match(f"the option {option.name} of match {extension.name} is not known to this program")


def _owned(option: Option, user: int | None) -> Truth:
    low, _, high = option.value.partition("-")
    if option.name == "--uid-owner" and user is not None and low.isdigit() and (not high or high.isdigit()):
        return (int(low) <= user <= int(high or low)) is not option.inverted
    return Unknown("match owner: the sending process is not known")


def _recent(extension: Extension) -> Match:
    option = extension.option("--set")
    if option is not None:
        inverted = option.inverted
        strange = _strange(extension, "--set", "--name", "--rsource", "--rdest", "--mask")
        return strange or (lambda _: not inverted)
    return unknown_match("match recent: the list of recent addresses is not known")


def _socket(extension: Extension) -> Match:
    """A socket that listens at no address of its own is left out, but with `--nowildcard`."""
    of_all = extension.option("--nowildcard") is not None
    strange = _strange(extension, "--transparent", "--nowildcard", "--restore-skmark")
    return strange or (lambda view: matching.has_socket(view, of_all=of_all))


def _policy(extension: Extension) -> Match:
    policy = extension.option("--pol")
    if policy is None or policy.value != "none":
        return unknown_match("match policy: IPsec policies are not known")
    # Without IPsec there is no policy; a host with IPsec is not walked through it.
    inverted = policy.inverted
    return _strange(extension, "--pol", "--dir") or (lambda _: not inverted)


def _addrtype(extension: Extension) -> Match:
    in_only = extension.option("--limit-iface-in") is not None
    out_only = extension.option("--limit-iface-out") is not None
    conditions = [option for option in extension.options if option.name in ("--src-type", "--dst-type")]
    if len(conditions) + in_only + out_only != len(extension.options):
        return unknown_match("an option of match addrtype is not known to this program")

    def match(view: View) -> Truth:
        link = view.in_name if in_only else view.out_name if out_only else None
        truths = []
        for option in conditions:
            address = view.source if option.name == "--src-type" else view.destination
            types = frozenset(option.value.lower().split(","))
            truths.append(negate(_is_of_type(view, address, link, types), option.inverted))
        return every(truths)

    return match


def _is_of_type(view: View, address: IPAddress | Unknown, link: str | None, types: frozenset[str]) -> Truth:
    if isinstance(address, Unknown):
        return address
    if address.version == 6:
        return _is_of_type6(view, address, link, types)
    kind = matching.address_type(view, address, link)
    return kind if isinstance(kind, Unknown) else kind in types


def _is_of_type6(view: View, address: IPAddress, link: str | None, types: frozenset[str]) -> Truth:
    """For IPv6 the kernel asks the address for its form, and the routes only for the types that they know."""
    forms = {
        "multicast": address.is_multicast,
        "unicast": not (address.is_multicast or address.is_unspecified),
        "unspec": address.is_unspecified,
    }
    if any(form in types and not holds for form, holds in forms.items()):
        return False
    routed = types & {"local", "anycast", "unreachable"}
    if not routed:
        return True
    kind = matching.address_type(view, address, link)
    if isinstance(kind, Unknown):
        return kind
    return ("unreachable" if kind in ("blackhole", "prohibit") else kind) in routed


def _rpfilter(extension: Extension) -> Match:
    names = {option.name for option in extension.options}
    if names - {"--loose", "--validmark", "--accept-local", "--invert"}:
        return unknown_match("an option of match rpfilter is not known to this program")

    def match(view: View) -> Truth:
        source = view.source
        if isinstance(source, Unknown):
            return source
        passes = matching.reverse_path(
            view,
            source,
            loose="--loose" in names,
            with_mark="--validmark" in names,
            accept_local="--accept-local" in names,
        )
        return negate(passes, "--invert" in names)

    return match


def _either_way(option: Option) -> Match:
    return always if not option.inverted else lambda _: False


def _segment_size(option: Option) -> Match:
    """What a SYN announces: any size that a link of at least 576 bytes makes, where all of them are in or out."""
    low, _, high = option.value.partition(":")
    smallest, largest = int(low), int(high or low)

    def match(view: View) -> Truth:
        if "syn" not in view.packet.tcp_flags:
            return option.inverted
        if smallest <= matching.SEGMENTS.low and matching.SEGMENTS.high <= largest:
            return not option.inverted
        if largest < matching.SEGMENTS.low or matching.SEGMENTS.high < smallest:
            return option.inverted
        return Unknown("the TCP segment size is not known")

    return match


_PORTS = {
    "--sport": _source_port,
    "--source-port": _source_port,
    "--dport": _destination_port,
    "--destination-port": _destination_port,
}
_MATCHES: Mapping[str, Mapping[str, Callable[[Option], Match]]] = {
    "comment": {"--comment": _either_way},
    "nfacct": {"--nfacct-name": _either_way},
    "tcp": {**_PORTS, "--tcp-flags": _tcp_flags, "--syn": _syn},
    "udp": _PORTS,
    "sctp": _PORTS,
    "dccp": _PORTS,
    "udplite": _PORTS,
    "esp": {},
    "ah": {},
    "icmp": {"--icmp-type": _icmp_type},
    "icmp6": {"--icmpv6-type": _icmp_type},
    "mark": {"--mark": _mark},
    "connmark": {"--mark": _connection_mark},
    "iprange": {
        "--src-range": lambda option: _range_of_addresses(option, source=True),
        "--dst-range": lambda option: _range_of_addresses(option, source=False),
    },
    "mac": {"--mac-source": _mac},
    "physdev": {
        "--physdev-in": _physical,
        "--physdev-out": _physical,
        "--physdev-is-in": _physical_state,
        "--physdev-is-out": _physical_state,
        "--physdev-is-bridged": _physical_state,
    },
    "pkttype": {"--pkt-type": _packet_type},
    "tcpmss": {"--mss": _segment_size},
    "ttl": {"--ttl-eq": _time_to_live, "--ttl-lt": _time_to_live, "--ttl-gt": _time_to_live},
    "hl": {"--hl-eq": _time_to_live, "--hl-lt": _time_to_live, "--hl-gt": _time_to_live},
    "length": {"--length": _length},
    "dscp": {"--dscp": _service_class},
    "tos": {"--tos": _type_of_service},
    "devgroup": {"--src-group": _link_group, "--dst-group": _link_group},
}
_WHOLE: Mapping[str, Callable[[Extension], Match]] = {
    "addrtype": _addrtype,
    "cgroup": _cgroup,
    "conntrack": iptables_conntrack.read,
    "owner": _owner,
    "policy": _policy,
    "recent": _recent,
    "rpfilter": _rpfilter,
    "socket": _socket,
    "state": iptables_conntrack.read,
}
"""Those whose conditions are answered together, as by a packet without a connection."""
