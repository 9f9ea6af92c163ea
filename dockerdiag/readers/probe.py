"""Probes: real packets to the targets that somebody named, from containers' network namespaces and from the host's."""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from dockerdiag.dataclass import dataclass
from dockerdiag.destination import Destination
from dockerdiag.readers.deadline import Deadline, unread_on_error
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.probe_answers import parse_answer
from dockerdiag.readers.probe_counters import Counters, read_counters, risen
from dockerdiag.readers.probe_tracking import tracked
from dockerdiag.readers.worker import Worker
from dockerdiag.snapshot import Unread
from dockerdiag.snapshot.probes import Probe, ProbeKind, RisenCounter

_PROBE_SECONDS = 10.0
"""What one probe takes at most: a path MTU in a black hole has most to send."""
_COUNTING_SECONDS = 10.0
_DNS_PORT = 53
_RESOLVERS = 3
"""As many as the C library asks (MAXNS)."""

IPAddress = IPv4Address | IPv6Address
Progress = Callable[[str], None] | None


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: a container, or the host itself."""

    name: str | None
    """The container's; None for the host."""
    pid: int | None
    """A process in its network namespace; None for the one that this program is in."""
    namespace: str | None
    """That namespace's name, to see that it is still the same."""
    resolvers: tuple[str, ...]
    """Addresses that it asks for names."""


def probe(
    senders: Sequence[Sender],
    targets: Sequence[Destination],
    deadline: Deadline,
    progress: Progress = None,
) -> tuple[Probe, ...]:
    """Sends every probe, one after the other, so that each counter that rises belongs to one.

    Args:
        senders: Who sends.
        targets: Where to; names are asked of each sender's own resolvers.
        deadline: What is open when it passes is `not-made`.
        progress: Called with a few words whenever one begins.
    """
    return tuple(one for sender in senders for one in _Prober(sender, deadline, progress).run(targets))


class _Prober:
    """One sender at work."""

    def __init__(self, sender: Sender, deadline: Deadline, progress: Progress) -> None:
        self._sender = sender
        self._deadline = deadline
        self._progress = progress
        self._worker = Worker("dockerdiag.readers.probe_worker", deadline)

    def run(self, targets: Sequence[Destination]) -> Iterator[Probe]:
        try:
            yield from self._all(targets)
        finally:
            self._worker.close()

    def _all(self, targets: Sequence[Destination]) -> Iterator[Probe]:
        found: dict[str, list[IPAddress]] = {}
        for name in dict.fromkeys(target.host for target in targets):
            found[name] = [ip_address(name)] if _is_address(name) else []
            if found[name]:
                continue
            for server in self._sender.resolvers[:_RESOLVERS]:
                answer = self._send("dns", ip_address(server), _DNS_PORT, name)
                yield answer
                found[name] = found[name] or _one_of_each_family(answer.addresses)
        question: str = next((name for name in found if not _is_address(name)), ".")
        done: dict[tuple[ProbeKind, IPAddress, int | None], None] = {}
        for target in targets:
            given = None if _is_address(target.host) else target.host
            for address in found[target.host]:
                kind: ProbeKind = target.protocol
                asks = (target.protocol, target.port) == ("udp", _DNS_PORT)
                probes: tuple[tuple[ProbeKind, int | None], ...] = (
                    ("dns" if asks else kind, target.port),
                    ("path-mtu", None),
                )
                for one, port in probes:
                    if (one, address, port) not in done:
                        done[one, address, port] = None
                        asked_for = question if one == "dns" else given
                        yield self._send(one, address, port, asked_for)

    def _send(self, kind: ProbeKind, address: IPAddress, port: int | None, name: str | None) -> Probe:
        sender = self._sender
        protocol = {"dns": "udp", "path-mtu": "icmp"}.get(kind, kind)
        if protocol == "icmp" and address.version == 6:
            protocol = "icmpv6"
        host = f"[{address}]" if address.version == 6 else str(address)
        to = f"{host}:{port}/{protocol}" if port is not None else f"{host}/{protocol}"
        if not self._deadline.remaining:
            return Probe(sender.name, kind, to, name, "not-made", self._deadline.passed)
        if self._progress is not None:
            self._progress(f"probing {to} from {sender.name or 'the host'}")
        before = self._counters()
        limit = self._deadline.at_most(_PROBE_SECONDS + 2 * _COUNTING_SECONDS)
        request = {
            "pid": sender.pid,
            "namespace": sender.namespace,
            "kind": kind,
            "address": str(address),
            "port": port,
            "name": name,
            "seconds": min(_PROBE_SECONDS, limit.seconds * 0.8),
            "counting_seconds": min(_COUNTING_SECONDS, limit.seconds * 0.1),
        }
        try:
            told = parse_answer(self._worker.ask(request, limit))
        except ReadError as error:
            return Probe(sender.name, kind, to, name, "not-made", str(error))
        after = self._counters()
        met = told.met
        rose: tuple[RisenCounter, ...] = ()
        if not isinstance(before, Unread) and not isinstance(after, Unread):
            rose = risen(before, after, "host")
        reasons = (told.uncounted, *(one.reason for one in (before, after) if isinstance(one, Unread)))
        return Probe(
            sender=sender.name,
            kind=kind,
            to=to,
            name=name,
            outcome=met.outcome,
            offender=met.offender,
            detail=met.detail,
            sent=met.sent,
            milliseconds=met.milliseconds,
            addresses=tuple(met.addresses),
            mtu=met.mtu,
            own_mtu=met.own_mtu,
            tracked=tracked(protocol, str(address), port, met.port) if met.outcome == "unanswered" else None,
            counters=(*told.counters, *rose),
            uncounted=next((reason for reason in reasons if reason is not None), None),
        )

    def _counters(self) -> Counters | Unread:
        return unread_on_error(lambda: read_counters(self._deadline.at_most(_COUNTING_SECONDS)))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _one_of_each_family(addresses: Sequence[str]) -> list[IPAddress]:
    """The first of IPv4 and the first of IPv6, as a program would take them."""
    found: dict[int, IPAddress] = {}
    for text in addresses:
        address = ip_address(text)
        found.setdefault(address.version, address)
    return list(found.values())
