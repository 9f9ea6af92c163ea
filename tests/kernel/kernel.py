"""What the kernel does: loads rules, sends packets, tells where they end."""

import contextlib
import re
import select
import socket
import time
from dataclasses import dataclass, field

from dockerdiag.readers.ipsets import read_ipsets
from dockerdiag.snapshot.model import Firewall, NetdevHook
from tests.kernel import frames
from tests.kernel.frames import Frame
from tests.kernel.namespaces import MACS, PORTS, Namespaces, inside, next_hop, run, set_sysctl
from tests.kernel.tracing import Step, listen, read_steps

_PATIENCE = 2.0
"""Seconds after which a packet is lost that neither arrived nor was seen to be dropped."""

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_TRACE_TABLE = """
table netdev tracing {
  chain ingress {
    type filter hook ingress devices = { port0, port1, port2, eth0 } priority -2000; policy accept;
    meta nftrace set 1
  }
}
table inet tracing {
  chain output {
    type filter hook output priority -2000; policy accept;
    meta priority 1:7 meta nftrace set 1
  }
}
"""
_TRACED_PRIORITY = 0x10007
"""1:7, which no packet of the kernel itself has: what the host answers to refuse a packet is not traced, nor are the
packets that speak for IPv6 links, which have 0:7."""
TRACE_HOOK = NetdevHook("netdev", "tracing", "ingress", ("port0", "port1", "port2", "eth0"))
IPSETS = """
create ddk-net hash:net
add ddk-net 10.1.0.0/16
add ddk-net 203.0.113.0/28
add ddk-net 203.0.113.10 nomatch
create ddk-ip hash:ip
add ddk-ip 10.1.0.2
add ddk-ip 203.0.113.10
create ddk-port hash:ip,port
add ddk-port 203.0.113.10,tcp:443
add ddk-port 203.0.113.10,udp:53
add ddk-port 203.0.113.10,icmp:8/0
add ddk-port 10.1.0.2,tcp:80
create ddk-link hash:net,iface
add ddk-link 10.1.0.0/24,br0
create ddk-net6 hash:net family inet6
add ddk-net6 fd00:1::/64
add ddk-net6 fd00:ffff::10
create ddk-seen hash:ip
create ddk-masked hash:ip netmask 24
add ddk-masked 203.0.113.77
create ddk-masked6 hash:ip family inet6 netmask 64
add ddk-masked6 fd00:ffff::77
create ddk-bits hash:ip bitmask 255.0.0.255
add ddk-bits 10.77.77.2
create ddk-block bitmap:ip range 10.1.0.0/16 netmask 24
add ddk-block 10.1.0.0
create ddk-except hash:net,port
add ddk-except 203.0.0.0/8,tcp:443 nomatch
add ddk-except 203.0.113.0/24,tcp:443
add ddk-except 203.0.113.0/24,tcp:80
add ddk-except 203.0.113.10,tcp:80 nomatch
create ddk-links hash:net,iface
add ddk-links 10.1.0.0/24,br wildcard
create ddk-physical hash:net,iface
add ddk-physical 10.1.0.0/24,physdev:port0
create ddk-number bitmap:port range 0-65535
add ddk-number 443
add ddk-number 2048
create ddk-marked hash:net skbinfo
add ddk-marked 203.0.113.0/24 skbmark 0x7
create ddk-list list:set
add ddk-list ddk-link
add ddk-list ddk-net
"""


@dataclass(frozen=True, slots=True)
class RuleTexts:
    """Rule sets as their tools take them."""

    nft: str = ""
    iptables_nft: str = ""
    ip6tables_nft: str = ""
    iptables_legacy: str = ""
    ip6tables_legacy: str = ""
    netdev_hooks: tuple[NetdevHook, ...] = ()
    bridge_netfilter: bool = False
    """Whether br_netfilter hands bridged frames to the IP hooks."""

    @property
    def remembers(self) -> bool:
        """Whether its rules put into sets what they see of a packet."""
        texts = (self.nft, self.iptables_nft, self.iptables_legacy)
        return any(word in text for text in texts for word in ("--add-set", "add @", "update @", "delete @"))


@dataclass(frozen=True, slots=True)
class LegacyRule:
    """A rule, or a policy (no index), of iptables-legacy."""

    family: str
    table: str
    chain: str
    index: int | None
    rejects: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one packet."""

    arrived: str | None
    """The role where it arrived, None where it did not."""
    frame: Frame | None = None
    """As it arrived."""
    dropped_by: Step | LegacyRule | None = None
    beside: tuple[LegacyRule, ...] = ()
    """Other legacy rules that counted: what a rule answers that rejects meets rules in its turn."""


@dataclass(slots=True)
class Kernel:
    """The host of some namespaces, and the endpoints around it."""

    namespaces: Namespaces
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    local: list[socket.socket] = field(default_factory=list)
    senders: dict[int, socket.socket] = field(default_factory=dict)
    """The host's own, by IP version."""
    trace: socket.socket | None = None
    legacy_used: bool = False
    _counters: dict[LegacyRule, int] = field(default_factory=dict)
    has_legacy_rules: bool = False

    def open(self) -> None:
        """Opens the sockets, makes the ipsets."""
        for role in PORTS:
            with inside(self.namespaces.names[role]):
                endpoint = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
                endpoint.bind(("eth0", 0))
                endpoint.setblocking(False)
                self.sockets[role] = endpoint
        with inside(self.host):
            self.trace = listen()
            for family, protocols in ((socket.AF_INET, (1, 6, 17)), (socket.AF_INET6, (6, 17, 58))):
                for protocol in protocols:
                    raw = socket.socket(family, socket.SOCK_RAW, protocol)
                    raw.setblocking(False)
                    self.local.append(raw)
            for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
                sender = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _TRACED_PRIORITY)
                self.senders[version] = sender
            for one in IPSETS.strip().split("create ")[1:]:
                # Older tools and kernels do not know them all.
                with contextlib.suppress(RuntimeError):
                    run("ipset", "restore", text=f"create {one}")

    def close(self) -> None:
        """Closes the sockets."""
        traces = [self.trace] if self.trace else []
        for one in [*self.sockets.values(), *self.local, *self.senders.values(), *traces]:
            one.close()

    @property
    def host(self) -> str:
        return self.namespaces.names["host"]

    def load(self, texts: RuleTexts) -> Firewall:
        """Loads rules in place of the last, and reads them back as a snapshot holds them.

        Raises:
            RuntimeError: The tools refuse them.
        """
        with inside(self.host):
            run("nft", "-f", "-", text="flush ruleset\n")
            for switch in ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"):
                set_sysctl(f"bridge/{switch}", str(int(texts.bridge_netfilter)))
            for tool, text in (("iptables", texts.iptables_legacy), ("ip6tables", texts.ip6tables_legacy)):
                if text or self.legacy_used:
                    run(f"{tool}-legacy-restore", text=_EMPTY_LEGACY + text)
            self.has_legacy_rules = bool(texts.iptables_legacy or texts.ip6tables_legacy)
            self.legacy_used = self.legacy_used or self.has_legacy_rules
            for tool, text in (("iptables", texts.iptables_nft), ("ip6tables", texts.ip6tables_nft)):
                if text:
                    run(f"{tool}-nft-restore", text=text)
            _load_nft(_TRACE_TABLE + texts.nft)
            run("ipset", "flush", "ddk-seen")
        return self.read(texts)

    def read(self, texts: RuleTexts) -> Firewall:
        """Reads back what is loaded of `texts`, as a snapshot holds it."""
        with inside(self.host):
            return Firewall(
                nft=run("nft", "-j", "list", "ruleset"),
                iptables_nft=run("iptables-nft-save", "-c") if texts.iptables_nft else "",
                ip6tables_nft=run("ip6tables-nft-save", "-c") if texts.ip6tables_nft else "",
                iptables_legacy=run("iptables-legacy-save", "-c") if texts.iptables_legacy else "",
                ip6tables_legacy=run("ip6tables-legacy-save", "-c") if texts.ip6tables_legacy else "",
                ipsets=read_ipsets(),
                netdev_hooks=(TRACE_HOOK, *texts.netdev_hooks),
            )

    def send(self, source: str, frame: Frame) -> Outcome:
        """Sends one packet from an endpoint, or from the host itself, and tells where it ends."""
        self._drain()
        if self.has_legacy_rules:
            self._counters = self._read_counters()
        self._emit(source, frame)
        trace = self.trace
        if trace is None:
            raise RuntimeError("the sockets are not open")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            readable, _, _ = select.select([*self.sockets.values(), *self.local, trace], [], [], 0.02)
            if trace in readable:
                drop = next((step for step in read_steps(trace) if step.drops), None)
                if drop is not None:
                    return Outcome(None, dropped_by=drop)
            arrived = self._arrival(frame, readable)
            if arrived is not None:
                return arrived
            if not readable and self.has_legacy_rules:
                dropped = self._legacy_drops("ip" if frame.source.version == 4 else "ip6")
                if dropped:
                    return Outcome(None, dropped_by=dropped[0], beside=tuple(dropped[1:]))
        return Outcome(None)

    def _emit(self, source: str, frame: Frame) -> None:
        if source != "host":
            next_mac = MACS[next_hop(source, str(frame.destination))]
            self.sockets[source].send(frames.write(frame, MACS[source], next_mac))
            return
        # The output hook tells the sender of a drop.
        with contextlib.suppress(PermissionError, ConnectionError):
            address = (str(frame.destination), 0)
            self.senders[frame.source.version].sendto(frames.write_packet(frame), address)

    def _drain(self) -> None:
        for one in [*self.sockets.values(), *self.local]:
            while _receive(one) is not None:
                pass
        if self.trace is not None:
            read_steps(self.trace)

    def _arrival(self, sent: Frame, readable: list[socket.socket]) -> Outcome | None:
        for role, endpoint in self.sockets.items():
            while endpoint in readable and (received := _receive(endpoint)) is not None:
                data, address = received
                frame = frames.read(data) if address[2] != _PACKET_OUTGOING else None
                if frame is not None and _same(sent, frame):
                    return Outcome(role, frame)
        for raw in self.local:
            while raw in readable and (received := _receive(raw)) is not None:
                data, _ = received
                if raw.family == socket.AF_INET6:
                    if _is_payload_of(sent, raw.proto, data):
                        return Outcome("host")
                    continue
                frame = frames.read_packet(data)
                if frame is not None and _same(sent, frame):
                    return Outcome("host", frame)
        return None

    def _read_counters(self) -> dict[LegacyRule, int]:
        counters: dict[LegacyRule, int] = {}
        with inside(self.host):
            for family, tool in (("ip", "iptables"), ("ip6", "ip6tables")):
                counters |= _read_legacy_counters(family, run(f"{tool}-legacy-save", "-c"))
        return counters

    def _legacy_drops(self, family: str) -> list[LegacyRule]:
        counters = self._read_counters()
        # What the kernel sends on its own, such as neighbour discovery, is of the other family.
        changed = [
            rule
            for rule, count in counters.items()
            if rule.family == family and count != self._counters.get(rule)
        ]
        # A rule that rejects sends an answer, which may be dropped in its turn.
        changed.sort(key=lambda rule: (not rule.rejects, rule.chain == "OUTPUT"))
        return changed


_REFUSED_LINE = re.compile(r"/dev/stdin:(\d+):\d+-\d+: Error")


def _load_nft(text: str) -> None:
    """Loads a rule set without the rules that contradict themselves: nft names their lines."""
    lines = text.split("\n")
    for _ in range(8):
        try:
            run("nft", "-f", "-", text="\n".join(lines))
        except RuntimeError as error:
            refused = {int(number) - 1 for number in _REFUSED_LINE.findall(str(error))}
            if not refused:
                raise
            problem = error
            lines = ["" if position in refused else line for position, line in enumerate(lines)]
        else:
            return
    raise problem


_EMPTY_LEGACY = "".join(
    f"*{table}\n" + "".join(f":{chain} ACCEPT [0:0]\n" for chain in chains.split()) + "COMMIT\n"
    for table, chains in {
        "raw": "PREROUTING OUTPUT",
        "mangle": "PREROUTING INPUT FORWARD OUTPUT POSTROUTING",
        "nat": "PREROUTING INPUT OUTPUT POSTROUTING",
        "filter": "INPUT FORWARD OUTPUT",
    }.items()
)
_LEGACY_RULE = re.compile(r"\[(\d+):\d+\] -A (\S+).* -j (DROP|REJECT)\b")
_LEGACY_POLICY = re.compile(r":(\S+) DROP \[(\d+):")


def _read_legacy_counters(family: str, text: str) -> dict[LegacyRule, int]:
    """The packet counters of everything that drops."""
    counters: dict[LegacyRule, int] = {}
    table = ""
    positions: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table, positions = line[1:], {}
        elif line.startswith(":") and (policy := _LEGACY_POLICY.match(line)):
            counters[LegacyRule(family, table, policy[1], None)] = int(policy[2])
        elif line.startswith("["):
            chain = line.split()[2]
            positions[chain] = positions.get(chain, 0) + 1
            if rule := _LEGACY_RULE.match(line):
                place = LegacyRule(family, table, chain, positions[chain], rejects=rule[3] == "REJECT")
                counters[place] = int(rule[1])
    return counters


def _receive(one: socket.socket) -> tuple[bytes, tuple[object, ...]] | None:
    try:
        return one.recvfrom(4096)
    except BlockingIOError:
        return None


def _same(sent: Frame, seen: Frame) -> bool:
    if sent.protocol != seen.protocol:
        return False
    if sent.protocol == "tcp":
        return sent.sequence == seen.sequence and sent.flags == seen.flags
    return sent.protocol == "udp" or sent.flags == seen.flags


def _is_payload_of(sent: Frame, number: int, data: bytes) -> bool:
    """Whether what a raw IPv6 socket receives, which is no header, is what was sent."""
    if number != frames.NUMBERS[sent.protocol]:
        return False
    if sent.protocol == "tcp":
        return int.from_bytes(data[4:8], "big") == sent.sequence and data[13] == sent.flags
    return sent.protocol == "udp" or data[0] == sent.flags
