"""iptables' conntrack and state matches."""

from collections.abc import Callable

from dockerdiag.packet import matching
from dockerdiag.packet.connections import ICMP_PORTS, reply_tuple, status_bits
from dockerdiag.packet.iptables_words import Extension, Option
from dockerdiag.packet.packet import PROTOCOL_NUMBERS, Packet, PortRange, Tuple
from dockerdiag.packet.rules import Match
from dockerdiag.packet.truth import Truth, Unknown, every, negate, some
from dockerdiag.packet.values import Interval, covers
from dockerdiag.packet.view import View

_STATUS = {"none": 0, "expected": 1, "seen_reply": 2, "assured": 4, "confirmed": 8}

Condition = Callable[[Packet], Truth]


def read(extension: Extension) -> Match:
    """The match: its state condition, and those that only a packet with a connection can meet."""
    states = [option for option in extension.options if option.name in ("--ctstate", "--state")]
    conditions: list[Condition] = []
    for option in extension.options:
        if option in states:
            continue
        try:
            conditions.append(_condition(option))
        except ValueError:
            doubt = Unknown(f"{option.name} {' '.join(option.values)} cannot be judged")
            conditions.append(lambda _, doubt=doubt: doubt)  # type: ignore[misc]

    def match(view: View) -> Truth:
        state = view.connection_state
        if isinstance(state, Unknown):
            return state
        truths = [_state(view, state, option) for option in states]
        if view.has_connection:
            truths += [condition(view.packet) for condition in conditions]
        elif not states:
            return False
        return every(truths)

    return match


def _state(view: View, state: str, option: Option) -> Truth:
    wanted = option.value.lower().split(",")
    connection = view.packet.connection
    bits = {state}
    if view.has_connection:
        if connection.source_nat:
            bits.add("snat")
        if connection.destination_nat:
            bits.add("dnat")
    return (not bits.isdisjoint(wanted)) is not option.inverted


def _condition(option: Option) -> Condition:
    name, inverted = option.name, option.inverted
    if name == "--ctdir":
        wanted = option.value.lower()
        return lambda packet: (packet.connection.direction == wanted) is not inverted
    if name == "--ctstatus":
        mask = sum(_STATUS[word] for word in option.value.lower().split(",") if word in _STATUS)
        return lambda packet: negate(
            some(status_bits(packet, bit) for bit in (1, 2, 4, 8) if mask & bit), inverted
        )
    if name == "--ctproto":
        number = int(option.value) if option.value.isdigit() else PROTOCOL_NUMBERS.get(option.value, -1)
        return lambda packet: (PROTOCOL_NUMBERS[packet.protocol] == number) is not inverted
    return _tuple_condition(option)


_FIELDS = {
    "--ctorigsrc": ("original", "source"),
    "--ctorigdst": ("original", "destination"),
    "--ctreplsrc": ("reply", "source"),
    "--ctrepldst": ("reply", "destination"),
    "--ctorigsrcport": ("original", "source_port"),
    "--ctorigdstport": ("original", "destination_port"),
    "--ctreplsrcport": ("reply", "source_port"),
    "--ctrepldstport": ("reply", "destination_port"),
}


def _tuple_condition(option: Option) -> Condition:
    if option.name not in _FIELDS:
        raise ValueError(option.name)
    which, field = _FIELDS[option.name]
    inverted = option.inverted
    if field.endswith("port"):
        low, separator, high = option.value.partition(":")
        span = Interval(int(low), int(high) if separator else int(low))

        def port_condition(packet: Packet) -> Truth:
            addresses = _addresses(packet, which)
            if isinstance(addresses, Unknown):
                return addresses
            port: PortRange | None = getattr(addresses, field)
            return ICMP_PORTS if port is None else negate(covers(span, port), inverted)

        return port_condition
    element = matching.masked_address(option.value)

    def address_condition(packet: Packet) -> Truth:
        addresses = _addresses(packet, which)
        if isinstance(addresses, Unknown):
            return addresses
        return element.holds(getattr(addresses, field)) is not inverted

    return address_condition


def _addresses(packet: Packet, which: str) -> Tuple | Unknown:
    return packet.connection.original if which == "original" else reply_tuple(packet.connection)
