"""What iptables' targets do to a packet."""

from collections.abc import Callable, Container
from ipaddress import ip_address, ip_network
from typing import Literal

from dockerdiag.dataclass import replace
from dockerdiag.packet.iptables_words import Extension, Option, RuleWords
from dockerdiag.packet.matching import TOS_REWRITTEN, changing_set, nobody_listens, queued
from dockerdiag.packet.packet import RANDOM_PORTS, IPAddress, Packet, PortRange
from dockerdiag.packet.rules import Change, Choice, Item, Nat, NoTrack, Verdict
from dockerdiag.packet.translating import masquerade_address, redirect_address
from dockerdiag.packet.truth import Truth, Unknown
from dockerdiag.packet.view import View

_WITHOUT_EFFECT = frozenset(
    {
        "AUDIT", "CHECKSUM", "CLASSIFY", "CONNSECMARK", "ECN", "IDLETIMER", "LED", "LOG", "NFACCT",
        "NFLOG", "RATEEST", "SECMARK", "TCPMSS", "TCPOPTSTRIP", "TEE", "TRACE", "ULOG",
    }
)  # fmt: skip
"""Targets after which the packet goes on, changed in nothing that the judged matches ask for."""

_UNFORESEEABLE = {
    "QUEUE": "a program in user space decides",
    "SYNPROXY": "the kernel answers the connection attempt in the server's place",
    "CLUSTERIP": "a hash decides",
}

FULL = 0xFFFFFFFF


def read_target(rule: RuleWords, version: Literal[4, 6], chains: Container[str]) -> tuple[Item, ...]:
    """The action of a rule; none where it only counts."""
    target = rule.target
    if target is None:
        return ()
    name = target.name
    if rule.goto:
        return (Verdict("goto", name),)
    if name in chains:
        return (Verdict("jump", name),)
    if name == "ACCEPT":
        return (Verdict("accept"),)
    if name == "DROP":
        return (Verdict("drop"),)
    if name == "REJECT":
        return (Verdict("reject"),)
    if name == "RETURN":
        return (Verdict("return"),)
    if name in _WITHOUT_EFFECT:
        return ()
    if name in ("DSCP", "TOS"):
        return (TOS_REWRITTEN,)
    if name in _UNFORESEEABLE:
        return (Verdict("unknown", reason=f"target {name}: {_UNFORESEEABLE[name]}"),)
    read = _READERS.get(name)
    if read is None:
        return (Verdict("unknown", reason=f"the target {name} is not known to this program"),)
    strange = next((option.name for option in target.options if option.name not in _OPTIONS[name]), None)
    if strange is not None:
        return (
            Verdict("unknown", reason=f"the option {strange} of target {name} is not known to this program"),
        )
    try:
        return read(target, version)
    except ValueError:
        return (Verdict("unknown", reason=f"the options of target {name} cannot be read"),)


def _number(text: str) -> int:
    return int(text, 0)


def _value_and_mask(text: str) -> tuple[int, int]:
    value, _, mask = text.partition("/")
    return _number(value), _number(mask) if mask else FULL


Arithmetic = Callable[[int], int]


def _arithmetic(option: Option) -> Arithmetic:
    value, mask = _value_and_mask(option.value)
    if option.name == "--set-xmark":
        return lambda mark: (mark & ~mask & FULL) ^ value
    if option.name == "--set-mark":
        return lambda mark: (mark & ~(mask | value) & FULL) | value if mask != FULL else value
    if option.name == "--and-mark":
        return lambda mark: mark & value
    if option.name == "--or-mark":
        return lambda mark: mark | value
    if option.name == "--xor-mark":
        return lambda mark: mark ^ value
    raise ValueError(option.name)


def _mark(target: Extension, version: int) -> tuple[Item, ...]:  # noqa: ARG001 - one signature for all
    compute = _arithmetic(target.options[0]) if target.options else None
    if compute is None:
        raise ValueError(target.name)

    def apply(view: View) -> Packet:
        packet = view.packet
        if packet.mark is None:
            # A whole new value does not depend on the old one.
            fixed = compute(0) if compute(0) == compute(FULL) else None
            return replace(packet, mark=fixed)
        return replace(packet, mark=compute(packet.mark))

    return (Change(apply),)


def _connection_mark(target: Extension, version: int) -> tuple[Item, ...]:  # noqa: ARG001 - one signature for all
    names = {option.name: option for option in target.options}
    both = _number(names["--mask"].value) if "--mask" in names else FULL
    packet_mask = _number(names["--nfmask"].value) if "--nfmask" in names else both
    flow_mask = _number(names["--ctmask"].value) if "--ctmask" in names else both
    if "--save-mark" in names:
        return (Change(lambda view: _save_mark(view, packet_mask, flow_mask)),)
    if "--restore-mark" in names:
        return (Change(lambda view: _restore_mark(view, packet_mask, flow_mask)),)
    compute = _arithmetic(target.options[0]) if target.options else None
    if compute is None:
        raise ValueError(target.name)

    def apply(view: View) -> Packet:
        mark = view.connection_mark
        if isinstance(mark, int):
            return _with_flow_mark(view.packet, compute(mark))
        return _with_flow_mark(view.packet, None) if isinstance(mark, Unknown) else view.packet

    return (Change(apply),)


def _with_flow_mark(packet: Packet, mark: int | None) -> Packet:
    return replace(packet, connection=replace(packet.connection, mark=mark))


def _save_mark(view: View, packet_mask: int, flow_mask: int) -> Packet:
    flow, mark = view.connection_mark, view.mark
    if isinstance(flow, int) and isinstance(mark, int):
        return _with_flow_mark(view.packet, (flow & ~flow_mask & FULL) ^ (mark & packet_mask))
    if isinstance(flow, Unknown) and flow_mask == FULL and isinstance(mark, int):
        return _with_flow_mark(view.packet, mark & packet_mask)
    if isinstance(flow, Unknown) or (isinstance(flow, int) and isinstance(mark, Unknown)):
        return _with_flow_mark(view.packet, None)
    return view.packet


def _restore_mark(view: View, packet_mask: int, flow_mask: int) -> Packet:
    flow, mark = view.connection_mark, view.mark
    if isinstance(flow, int) and isinstance(mark, int):
        return replace(view.packet, mark=(mark & ~packet_mask & FULL) ^ (flow & flow_mask))
    if isinstance(flow, int) and packet_mask == FULL:
        return replace(view.packet, mark=flow & flow_mask)
    if isinstance(flow, int | Unknown):
        return replace(view.packet, mark=None)
    return view.packet


def _ports(text: str) -> PortRange:
    low, separator, high = text.partition("-")
    high = high.partition("/")[0]
    return PortRange(int(low), int(high) if separator else int(low))


def _keep_port(view: View) -> None:  # noqa: ARG001 - one signature for all
    return None


def _port_option(target: Extension) -> Callable[[View], PortRange | None]:
    option = target.option("--to-ports")
    return _chosen_port(target, _ports(option.value) if option is not None else None)


def _chosen_port(target: Extension, ports: PortRange | None) -> Callable[[View], PortRange | None]:
    """One of `ports`; without any a source's is kept unless it is to be random, a destination's always."""
    of_source = target.name in ("MASQUERADE", "SNAT")
    if ports is None and of_source and target.option("--random", "--random-fully") is not None:
        return lambda _: PortRange(*RANDOM_PORTS)
    return lambda _: ports


def _masquerade(target: Extension, version: Literal[4, 6]) -> tuple[Item, ...]:
    return (Nat("source", version, masquerade_address, _port_option(target)),)


def _redirect(target: Extension, version: Literal[4, 6]) -> tuple[Item, ...]:
    return (Nat("destination", version, redirect_address, _port_option(target)),)


def _translate(
    target: Extension, version: Literal[4, 6], manipulation: Literal["source", "destination"]
) -> tuple[Item, ...]:
    option = target.option("--to-source", "--to-destination")
    if option is None:
        raise ValueError(target.name)
    addresses, ports = _endpoint(option.value)
    address: IPAddress | Unknown | None
    if addresses is None:
        address = None
    elif addresses[0] == addresses[1]:
        address = addresses[0]
    else:
        address = Unknown(f"the rule chooses an address from {addresses[0]} to {addresses[1]}")
    return (Nat(manipulation, version, lambda _: address, _chosen_port(target, ports)),)


def _endpoint(text: str) -> tuple[tuple[IPAddress, IPAddress] | None, PortRange | None]:
    """Reads `ADDRESS[-ADDRESS][:PORT[-PORT]]`, IPv6 addresses with a port in brackets."""
    if text.startswith("["):
        addresses, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") > 1:
        addresses, port = text, ""
    else:
        addresses, _, port = text.partition(":")
    low, _, high = addresses.replace("[", "").replace("]", "").partition("-")
    span = (ip_address(low), ip_address(high or low)) if low else None
    return span, _ports(port) if port else None


def _map_network(target: Extension, version: Literal[4, 6]) -> tuple[Item, ...]:
    option = target.option("--to")
    if option is None:
        raise ValueError(target.name)
    network = ip_network(option.value, strict=False)

    def map_address(address: IPAddress) -> IPAddress:
        bits = int(network.network_address) | (int(address) & int(network.hostmask))
        return type(network.network_address)(bits)

    def at_destination(view: View) -> IPAddress | Unknown:
        address = view.destination
        return address if isinstance(address, Unknown) else map_address(address)

    def at_source(view: View) -> IPAddress | Unknown:
        address = view.source
        return address if isinstance(address, Unknown) else map_address(address)

    # Which of the two it is depends on the hook; the NAT core asks one hook's chains for one manipulation only.
    return (
        Nat("destination", version, at_destination, _keep_port, hooks=frozenset({"prerouting", "output"})),
        Nat("source", version, at_source, _keep_port, hooks=frozenset({"postrouting", "input"})),
    )


def _time_to_live(target: Extension, version: Literal[4, 6]) -> tuple[Item, ...]:
    (option,) = target.options
    number = int(option.value)
    kind = option.name.rpartition("-")[2]
    if kind not in ("set", "dec", "inc"):
        raise ValueError(option.name)

    def apply(view: View) -> Packet:
        old = view.packet.ttl
        if view.packet.family != version or (kind != "set" and old is None):
            return view.packet
        by = {"set": number, "dec": (old or 0) - number, "inc": (old or 0) + number}[kind]
        return replace(view.packet, ttl=min(max(by, 0), 255))

    return (Change(apply),)


def _set(target: Extension, version: int) -> tuple[Item, ...]:  # noqa: ARG001 - one signature for all
    names = [option.value for option in target.options if option.name in ("--add-set", "--del-set")]
    changes = [changing_set(f"ipset {name}") for name in names]
    if target.option("--map-mark") is not None:
        # What marks a set's members have is not read.
        changes.append(Change(lambda view: replace(view.packet, mark=None)))
    return tuple(changes)


def _no_track(target: Extension, version: int) -> tuple[Item, ...]:  # noqa: ARG001 - one signature for all
    return (NoTrack(),)


def _connection(target: Extension, version: int) -> tuple[Item, ...]:  # noqa: ARG001 - one signature for all
    if target.option("--notrack") is not None:
        return (NoTrack(),)
    if target.option("--zone", "--zone-orig", "--zone-reply") is not None:
        return (Verdict("unknown", reason="target CT: connection tracking zones are not followed"),)
    return ()


def _queue(target: Extension, version: int) -> tuple[Item, ...]:  # noqa: ARG001 - one signature for all
    numbers = target.option("--queue-num", "--queue-balance")
    first, _, last = numbers.value.partition(":") if numbers is not None else ("0", "", "")
    bypass = target.option("--queue-bypass") is not None
    return (queued("target NFQUEUE", _number(first), _number(last or first), bypass=bypass),)


def _transparent_proxy(target: Extension, version: int) -> tuple[Item, ...]:  # noqa: ARG001 - one signature for all
    told = target.option("--on-port")
    port = _number(told.value) if told is not None else 0
    unheard = nobody_listens(port or None)
    dropped = Verdict(
        "drop",
        reason=f"this rule hands it to a transparent proxy{f' on port {port}' if port else ''}, "
        "where nothing listens: the kernel drops it",
    )
    taken = Verdict("unknown", reason="target TPROXY: a local transparent proxy takes it")

    def choose(view: View) -> list[tuple[Truth, Verdict]]:
        return [(True, dropped if unheard(view) is True else taken)]

    return (Choice(choose),)


_RANDOM = ("--random", "--random-fully", "--persistent")
_ARITHMETIC = ("--set-xmark", "--set-mark", "--and-mark", "--or-mark", "--xor-mark")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "MARK": _ARITHMETIC,
    "CONNMARK": (*_ARITHMETIC, "--save-mark", "--restore-mark", "--mask", "--nfmask", "--ctmask"),
    "MASQUERADE": ("--to-ports", *_RANDOM),
    "REDIRECT": ("--to-ports", *_RANDOM),
    "SNAT": ("--to-source", *_RANDOM),
    "DNAT": ("--to-destination", *_RANDOM),
    "NETMAP": ("--to",),
    "NOTRACK": (),
    "CT": (
        "--notrack", "--helper", "--timeout", "--ctevents", "--expevents", "--zone", "--zone-orig", "--zone-reply"
    ),
    "TTL": ("--ttl-set", "--ttl-dec", "--ttl-inc"),
    "HL": ("--hl-set", "--hl-dec", "--hl-inc"),
    "TPROXY": ("--on-port", "--on-ip", "--tproxy-mark"),
    "NFQUEUE": ("--queue-num", "--queue-balance", "--queue-bypass", "--queue-cpu-fanout"),
    "SET": ("--add-set", "--del-set", "--map-set", "--map-mark", "--map-prio", "--map-queue", "--exist", "--timeout"),
}  # fmt: skip
_READERS: dict[str, Callable[[Extension, Literal[4, 6]], tuple[Item, ...]]] = {
    "MARK": _mark,
    "CONNMARK": _connection_mark,
    "MASQUERADE": _masquerade,
    "REDIRECT": _redirect,
    "SNAT": lambda target, version: _translate(target, version, "source"),
    "DNAT": lambda target, version: _translate(target, version, "destination"),
    "NETMAP": _map_network,
    "NOTRACK": _no_track,
    "CT": _connection,
    "TTL": _time_to_live,
    "HL": _time_to_live,
    "NFQUEUE": _queue,
    "TPROXY": _transparent_proxy,
    "SET": _set,
}
