"""What a check yields and a format renders: finding, remedy, result, walk, report.

`schema_version` 1; the keys are the field names, with `from_` written as `from`. None is null, never absent.
Status and verdict words are closed sets: a reader may rely on knowing them all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from dockerdiag.dataclass import dataclass

SCHEMA_VERSION = 1


class Status(StrEnum):
    """How a finding, or a check as a whole, came out."""

    PASS = "pass"  # noqa: S105 - a status word, not a password
    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """How the host came out."""

    OK = "ok"
    DEGRADED = "degraded"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Disposition(StrEnum):
    """How a walk ended."""

    DELIVERED = "delivered"
    DROPPED = "dropped"
    REJECTED = "rejected"
    NO_ROUTE = "no-route"
    NOT_ANSWERED = "not-answered"
    LOOPED = "looped"
    UNKNOWN = "unknown"


EXIT_CODES: Mapping[Verdict, int] = {
    Verdict.OK: 0,
    Verdict.DEGRADED: 1,
    Verdict.BROKEN: 2,
    Verdict.UNKNOWN: 3,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen: where, and how it reads there."""

    source: str
    """A file with its line (`/etc/docker/daemon.json:3`), a sysctl, a command, a rule's place."""
    text: str


TO_FIND_OUT = "To find out"
"""How the summary of a remedy begins that only looks."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What mends a finding. Each command is one shell line, complete with this host's names, quoted."""

    summary: str
    now: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    risk: str = ""
    """What it opens or interrupts, in a sentence."""

    @property
    def only_looks(self) -> bool:
        """Whether it mends nothing, and finds out what is to be mended: its summary says so."""
        return self.summary.startswith(TO_FIND_OUT)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has to say about one subject."""

    code: str
    """A stable word for one cause (`ip-forward-off`); never reused for another."""
    status: Status
    subject: str
    """`kind:name`, kind one of host, engine, network, container, link, file, unit."""
    summary: str
    count: int = 1
    """How many containers it hits, where it hits containers; else 1."""
    explains: tuple[str, ...] = ()
    """Ids (`code subject`) of the findings that follow from this one."""
    expected: str | None = None
    """Why somebody expects it (configuration file), None where nobody does."""
    evidence: tuple[Evidence, ...] = ()
    remedies: tuple[Remedy, ...] = ()

    @property
    def id(self) -> str:
        """`code subject`: what `explains` refers to."""
        return f"{self.code} {self.subject}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause(Finding):
    """The finding that explains the rest, with the check that made it."""

    check: str

    @classmethod
    def of(cls, check: str, finding: Finding) -> "Cause":
        """The cause that `finding`, made by `check`, is."""
        told = {one.name: getattr(finding, one.name) for one in fields(finding)}
        return cls(**{**told, "check": check})


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found."""

    check: str
    title: str
    status: Status
    """The worst of its findings; pass where it has none."""
    reason: str | None
    """Why it is skip or unknown, None otherwise."""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleReference:
    """A rule as the kernel holds it. A chain's policy is a rule without handle and index."""

    backend: Literal["nft", "iptables-nft", "iptables-legacy"]
    family: str
    """`ip`, `ip6`, `inet`, `bridge`, `netdev`, `arp`."""
    table: str
    chain: str
    handle: int | None
    index: int | None
    """Counted from 1 within its chain."""
    text: str
    packets: int | None
    """Its packet counter, None where it has none."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a walk."""

    direction: Literal["out", "reply"]
    place: str
    """Where: `container routes`, `docker0`, `forward`, `postrouting`, `uplink eth0` …"""
    verdict: str
    """`pass`, `drop`, `reject`, `rewrite`, `unknown` …: one word."""
    stop: bool
    """Whether the packet ends here."""
    rule: RuleReference | None
    text: str


@dataclass(frozen=True, slots=True)
class Walk:
    """One packet's way out and its reply's way back."""

    # `from` is no name in Python.
    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"alias_generator": lambda name: name.rstrip("_")}

    containers: tuple[str, ...]
    """The containers that this walk stands for; empty for a hypothetical one."""
    network: str | None
    family: Literal["ipv4", "ipv6"]
    from_: str
    to: str
    """`address:port/proto`, IPv6 addresses in brackets."""
    disposition: Disposition
    at: str | None
    """The object that ends it: rule, route, sysctl, link or neighbour; None where it is delivered."""
    hops: tuple[Hop, ...]


@dataclass(frozen=True, slots=True)
class RuleCount:
    """A rule whose packet counter rose while a probe was under way."""

    rule: RuleReference
    within: Literal["host", "sender"]
    """Whose rule it is: the host's, or one in the sender's own namespace."""
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe, and how it compares with the walk of the same packet."""

    container: str | None
    """Who sent it; None for the host itself."""
    kind: Literal["tcp", "udp", "dns", "icmp", "path-mtu"]
    to: str
    """`address:port/proto`, IPv6 addresses in brackets; without port for ICMP and path MTU."""
    name: str | None
    """The name that was asked for (dns), or that gave the address."""
    outcome: Literal["answered", "refused", "unreachable", "unanswered", "not-made"]
    detail: str
    """What came back, in words."""
    sent: int | None
    """Packets; None where that is not known."""
    milliseconds: float | None
    addresses: tuple[str, ...]
    """What a DNS answer holds."""
    mtu: int | None
    """The largest IP packet that was answered, in bytes."""
    comparison: Literal["agrees", "settles", "contradicts", "beyond-host", "on-host", "none"]
    """With the walk: the same; more than it could tell; the contrary; lost behind this host; a loss on this host
    that walks do not judge; nothing to compare."""
    text: str
    """The comparison in a sentence; empty for none."""
    counters: tuple[RuleCount, ...]
    """Rules that can stop a packet and whose counter rose."""


@dataclass(frozen=True, slots=True)
class UnreadPart:
    """A part of the snapshot that could not be read."""

    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tool:
    """Who made the report."""

    name: str
    version: str


NOT_REDACTED: Mapping[str, Any] = MappingProxyType(
    {"redacted": False, "secrets_replaced": 0, "kinds": {}, "kept": [], "map": None}
)


@dataclass(frozen=True, slots=True)
class Report:
    """One judgement of one host."""

    tool: Tool
    host: Mapping[str, Any]
    """Facts about the host for a reader: hostname, kernel, os, engine version …; values are JSON scalars or lists."""
    taken_at: str
    verdict: Verdict
    cause: Cause | None
    results: tuple[Result, ...]
    walks: tuple[Walk, ...] = ()
    probes: tuple[Probe, ...] = ()
    unread: tuple[UnreadPart, ...] = ()
    changes: Mapping[str, Any] | None = None
    redaction: Mapping[str, Any] = field(default_factory=lambda: dict(NOT_REDACTED))
    """Whether names and addresses are replaced; how often each kind; what was kept; the map that restores them."""
    schema_version: int = SCHEMA_VERSION

    @property
    def exit_code(self) -> int:
        """The process exit code of the verdict, before `--fail-on`."""
        return EXIT_CODES[self.verdict]


_WORST_FIRST = (Status.FAIL, Status.UNKNOWN, Status.WARN, Status.NOTE, Status.PASS, Status.SKIP)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of some statuses; pass where there are none."""
    return min(statuses, key=_WORST_FIRST.index, default=Status.PASS)


def words(value: Any) -> str:
    """A JSON value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {words(item)}" for name, item in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(words, value))
    return "none" if value is None else str(value)
