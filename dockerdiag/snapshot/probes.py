"""What probes met: real packets that somebody asked for with --probe, each with what the kernel says of it."""

from typing import Literal

from dockerdiag.dataclass import dataclass

ProbeKind = Literal["tcp", "udp", "dns", "icmp", "path-mtu"]

ProbeOutcome = Literal["answered", "refused", "unreachable", "unanswered", "not-made"]
"""`refused`: by the target itself. `unreachable`: somebody on the way, or the sender's own kernel, says no."""

Tracked = Literal["absent", "unreplied", "replied"]


@dataclass(frozen=True, slots=True)
class RisenCounter:
    """A rule whose packet counter rose while the probe was under way, or a chain's policy."""

    within: Literal["host", "sender"]
    """Whose rules: the host's, or those of the sender's own namespace."""
    backend: Literal["nft", "iptables-legacy"]
    """`nft` also for the rules of iptables-nft."""
    family: str
    table: str
    chain: str
    handle: int | None
    """nftables' own number, None for iptables-legacy."""
    index: int | None
    """Counted from 1 within its chain; None for the policy."""
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe from one sender."""

    sender: str | None
    """The container's name, None for the host itself."""
    kind: ProbeKind
    to: str
    """`address:port/proto`, an IPv6 address in brackets; without port for ICMP and path MTU."""
    name: str | None
    """The name that was asked for (dns), or that gave the address."""
    outcome: ProbeOutcome
    detail: str
    """What came back, in words."""
    offender: str | None = None
    """The address that said no by ICMP; None where nobody did."""
    sent: int | None = None
    """Packets that the sender's kernel was given; None where it cannot tell."""
    milliseconds: float | None = None
    """Until the answer; None without one."""
    addresses: tuple[str, ...] = ()
    """What a DNS answer holds."""
    mtu: int | None = None
    """The largest IP packet that was answered, in bytes; None where none was."""
    own_mtu: int | None = None
    """What the sender's link takes."""
    tracked: Tracked | None = None
    """What the host's connection tracking has of it: an entry is there once the packet passed all rules of its way
    out. None where that cannot be read."""
    counters: tuple[RisenCounter, ...] = ()
    uncounted: str | None = None
    """Why counters could not be compared, None where they were."""
