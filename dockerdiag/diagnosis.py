"""Runs the checks over a snapshot, chooses the cause, and makes the report."""

import contextlib
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address

from dockerdiag.apart import ApartError, run_apart
from dockerdiag.asked import Asked, AskedError, Inbound
from dockerdiag.case import Case, Located, Traced
from dockerdiag.configuration.daemon import daemon_settings
from dockerdiag.dataclass import replace
from dockerdiag.destination import Destination, DestinationError
from dockerdiag.packet.plan import Errand, bindings, errands, inbound
from dockerdiag.packet.walk import Journey, Walker
from dockerdiag.packet.world import World
from dockerdiag.probed import Walked, compare, corrected
from dockerdiag.registry import OWN, Broken, Check
from dockerdiag.report import (
    NOT_REDACTED,
    Cause,
    Disposition,
    Finding,
    Report,
    Result,
    Status,
    Tool,
    UnreadPart,
    Verdict,
    Walk,
    worst,
)
from dockerdiag.snapshot import NOT_PROBED, PREDATED, Engine, Snapshot, Unread
from dockerdiag.snapshot.masking import credentials_in
from dockerdiag.snapshot.secrets import mask_text
from dockerdiag.time_limit import UNLIMITED, TimeIsUp, TimeLimit
from dockerdiag.unread import part_named, unread_parts
from dockerdiag.version import __version__
from dockerdiag.walking import walked

_MOST_SECONDS = 10.0
"""How long one check of another package may take."""
_NAMED = 8
"""So many containers are named to who asks about one that is not there."""

Expected = Callable[[Finding], str | None]
Doubted = Callable[[Finding | Walk], bool]
DOUBT = "what is read changes, and another reading a moment before did not show this"


def diagnose(
    snapshot: Snapshot,
    asked: Asked,
    checks: Sequence[Check],
    broken: Sequence[Broken] = (),
    *,
    expected: Expected | None = None,
    doubted: Doubted | None = None,
    limit: TimeLimit = UNLIMITED,
) -> Report:
    """Judges a snapshot.

    Args:
        snapshot: What was read.
        asked: What to look at.
        checks: What to ask.
        broken: What could not be loaded; each is an unknown result.
        expected: Why a finding is expected and does not count, None where it is not.
        doubted: Whether a fault, or a walk that is stopped, is unknown for the moment in which it was read.
        limit: When it passes, what is open then is unknown.

    Raises:
        AskedError: a container or network that was asked about is not there, or a name has no address.
    """
    case, missing = None, ""
    try:
        with limit.interrupting():
            case = _case(snapshot, asked)
    except TimeIsUp:
        missing = limit.reason
    except AskedError:
        raise
    except Exception as error:  # noqa: BLE001 - a stranger's snapshot may hold what no host has
        missing = f"an error in walking the packets: {type(error).__name__}: {error}"
    judged = _judged(checks, case, limit, missing)
    results = _explained([result for result, _ in judged] + [_not_loaded(one) for one in broken])
    results = tuple(_weighed(result, expected) for result in results) if expected else results
    walks = tuple(traced.journey.to_walk(traced.containers) for traced in case.traced) if case else ()
    if doubted is not None:
        results = tuple(_without_doubted(result, doubted) for result in results)
        walks = tuple(_undecided(walk) if is_stopped(walk) and doubted(walk) else walk for walk in walks)
    # By position, since several rules may stop one subject in the same way.
    places = [place for _, located in judged for place in located]
    verdict = _verdict(results)
    return Report(
        tool=Tool("dockerdiag", __version__),
        host=_host(snapshot),
        taken_at=snapshot.taken_at,
        verdict=verdict,
        cause=_cause(results, places, checks) if verdict in (Verdict.BROKEN, Verdict.DEGRADED) else None,
        results=results,
        probes=tuple(one.to_report() for one in case.probed) if case else (),
        walks=walks,
        unread=(
            *(UnreadPart(part, reason) for part, reason in unread_parts(snapshot)),
            *((UnreadPart("walks", missing),) if missing else ()),
        ),
        redaction={**NOT_REDACTED, "secrets_replaced": credentials_in(snapshot)},
    )


def traced(
    snapshot: Snapshot,
    asked: Asked,
    limit: TimeLimit = UNLIMITED,
    *,
    checks: Sequence[Check] = (),
    doubted: Doubted | None = None,
) -> Report:
    """A report on walks alone: ok where all arrive, broken where one is stopped, else unknown.

    Args:
        snapshot: What was read.
        asked: What to walk.
        limit: When it passes, what is open then is unknown.
        checks: What to ask beside the walks; what they find weighs as much.
        doubted: As `diagnose`.

    Raises:
        AskedError: as `diagnose`.
    """
    report = diagnose(snapshot, asked, checks, doubted=doubted, limit=limit)
    ends = {walk.disposition for walk in report.walks}
    unsure = not ends or Disposition.UNKNOWN in ends or report.verdict is Verdict.UNKNOWN
    stopped = any(map(is_stopped, report.walks)) or report.verdict is Verdict.BROKEN
    return replace(
        report,
        verdict=Verdict.BROKEN if stopped else Verdict.UNKNOWN if unsure else Verdict.OK,
        # A check that has nothing to say would speak of more than these walks.
        results=tuple(one for one in report.results if one.findings),
    )


def is_fault(finding: Finding) -> bool:
    """Whether a finding says that something is wrong, and nobody expects it."""
    return finding.status in (Status.FAIL, Status.WARN) and finding.expected is None


def is_stopped(walk: Walk) -> bool:
    """Whether a walk's packet does not arrive for sure."""
    return walk.disposition not in (Disposition.DELIVERED, Disposition.UNKNOWN)


def asked_case(snapshot: Snapshot, asked: Asked) -> Case:
    """The case without walks.

    Raises:
        AskedError: a container or network that was asked about is not there.
    """
    case = Case(snapshot, daemon_settings(snapshot), (), ())
    containers = tuple(_container_name(case, wanted) for wanted in asked.containers)
    for name in asked.networks:
        if case.networks and case.network(name) is None:
            raise AskedError(f"there is no network {name!r}")
    return replace(
        case,
        asked_containers=containers,
        asked_networks=asked.networks,
        asked_destinations=asked.destinations,
        asked_of_dns=_of_dns(snapshot, asked),
    )


def _of_dns(snapshot: Snapshot, asked: Asked) -> tuple[Destination, ...]:
    probes = () if isinstance(snapshot.probes, Unread) else snapshot.probes
    names = {one.name for one in probes if one.kind == "dns"}
    return tuple(one for one in asked.destinations if one.host in names)


def _case(snapshot: Snapshot, asked: Asked) -> Case:
    case = asked_case(snapshot, asked)
    containers = case.asked_containers
    if case.engine is None or case.engine_elsewhere() is not None:
        return replace(case, probed=compare(World(snapshot), ()))
    destinations = [
        (address, destination.protocol, destination.port)
        for destination in asked.destinations
        for address in _addresses(destination, snapshot, containers)
    ]
    walker = Walker(snapshot)
    if asked.inbound is not None:
        return replace(case, traced=_from_outside(case, walker, containers[0], asked.inbound))
    planned = errands(walker.world, containers, asked.networks, destinations, _named(case))
    traced = tuple(_traced(errand, journey) for errand, journey in walked(walker, planned))
    probed = compare(walker.world, [Walked(one.containers, one.journey) for one in traced])
    traced = tuple(replace(one, journey=corrected(one.journey, probed)) for one in traced)
    return replace(case, traced=traced, probed=probed, walker=walker)


def _named(case: Case) -> frozenset[IPv4Address | IPv6Address] | None:
    """The addresses that DNS gave for names that were asked about; None where no name was asked of it."""
    names = case.asked_of_dns
    if not names:
        return None
    return frozenset(
        address for one in names for address in _addresses(one, case.snapshot, case.asked_containers)
    )


def _from_outside(case: Case, walker: Walker, container: str, asked: Inbound) -> tuple[Traced, ...]:
    """The walks to a port, one for each address family that it is published on."""
    target = next((one for one in case.containers if one.name == container), None)
    if target is None:
        return ()
    proxy = case.presumed_value("userland-proxy")
    flows = [
        flow
        for binding in bindings(target, asked.port, asked.protocol) or (asked.port,)
        for flow in inbound(
            walker.world,
            target,
            binding,
            asked.protocol,
            userland_proxy=proxy if isinstance(proxy, bool) else None,
        )
    ]
    if not flows:
        raise AskedError(
            f"the host has no address on which port {asked.port} could be asked for from outside"
        )
    return tuple(Traced(walker.walk(flow), (target.name,), None, resolver=False) for flow in flows)


def _addresses(
    destination: Destination, snapshot: Snapshot, containers: Collection[str]
) -> tuple[IPv4Address | IPv6Address, ...]:
    try:
        return destination.addresses(snapshot, containers)
    except DestinationError as error:
        raise AskedError(str(error)) from None


def _container_name(case: Case, wanted: str) -> str:
    """The name of the container that was asked about, by name or by the start of its id."""
    found = [
        one.name
        for one in case.containers
        if one.name == wanted.removeprefix("/") or one.id.startswith(wanted)
    ]
    engine = case.snapshot.engine
    if not found and isinstance(engine, Engine) and not isinstance(engine.containers, Unread):
        there = sorted(one.name for one in engine.containers)
        known = f"; there are {', '.join(there[:_NAMED])}" if there else ""
        raise AskedError(f"there is no container {wanted!r}{known}{' …' if len(there) > _NAMED else ''}")
    return found[0] if found else wanted


def _traced(errand: Errand, journey: Journey) -> Traced:
    return Traced(
        journey=journey,
        containers=tuple(member.name for member in errand.flow.source.members),
        network=journey.network or (errand.flow.source.network.name if errand.flow.source.network else None),
        resolver=errand.resolver,
    )


# -- one check ---------------------------------------------------------------------------------------------------


def _judged(
    checks: Sequence[Check], case: Case | None, limit: TimeLimit, missing: str
) -> list[tuple[Result, list[int]]]:
    """Each check's result, in their order; this package's own are asked first, for others may use up the time."""
    order = sorted(range(len(checks)), key=lambda at: checks[at].distribution != OWN)
    found = {at: _judge(checks[at], case, limit, missing) for at in order}
    return [found[at] for at in range(len(checks))]


def _judge(check: Check, case: Case | None, limit: TimeLimit, missing: str) -> tuple[Result, list[int]]:
    """The result, and for each of its findings where the packet meets it; why it is `missing` where no case is."""
    if case is None:
        return Result(check.name, check.title, Status.UNKNOWN, missing), []
    for need in check.needs:
        part = part_named(case.snapshot, need)
        if isinstance(part, Unread):
            unread = f"{need.replace('.', ' ')}: {part.reason}"
            if part == NOT_PROBED:
                return Result(check.name, check.title, Status.SKIP, part.reason), []
            status = Status.SKIP if part == PREDATED else Status.UNKNOWN
            return Result(check.name, check.title, status, unread), []
    other = (None if check.anywhere else case.engine_elsewhere()) or case.engine_unlike()
    if check.needs and other is not None:
        return Result(check.name, check.title, Status.SKIP, f"the engine: {other}"), []
    try:
        if check.distribution != OWN:
            located = _located_apart(check, case, limit)
        else:
            # stdout carries the report and nothing else.
            with contextlib.redirect_stdout(io.StringIO()), limit.interrupting():
                located = [_located(one, check.place) for one in check.judge(case)]
    except TimeIsUp:
        return Result(check.name, check.title, Status.UNKNOWN, limit.reason), []
    except ApartError as error:
        told = mask_text(str(error)).text  # another package may read what it likes
        fault = f"an error in the check that the package {check.distribution} brings: {told}"
        return Result(check.name, check.title, Status.UNKNOWN, fault), []
    except Exception as error:  # noqa: BLE001 - one check's fault must not end the others
        fault = f"an error in the check itself: {type(error).__name__}: {error}"
        return Result(check.name, check.title, Status.UNKNOWN, fault), []
    findings = tuple(finding for finding, _ in located)
    places = [place for _, place in located]
    status = worst(finding.status for finding in findings)
    unknown = next((finding.summary for finding in findings if finding.status is Status.UNKNOWN), None)
    reason = unknown if status is Status.UNKNOWN else None
    return Result(check.name, check.title, status, reason, findings), places


def _located_apart(check: Check, case: Case, limit: TimeLimit) -> list[tuple[Finding, int]]:
    """What another package's check finds, in a child process.

    Raises:
        ApartError: it fails, takes too long, or gives something else than findings.
        TimeIsUp: nothing is left to ask it.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - most runs have no such check

    adapter = TypeAdapter(list[tuple[Finding, int]])
    remaining = limit.remaining
    # Half of what is left, so that one that hangs leaves time for the others.
    seconds = _MOST_SECONDS if remaining is None else min(_MOST_SECONDS, remaining / 2)
    if not seconds:
        raise TimeIsUp

    def judge() -> bytes:
        return adapter.dump_json([_located(one, check.place) for one in check.judge(case)], warnings="error")

    try:
        return adapter.validate_json(run_apart(judge, seconds).content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ApartError(f"what it found is no finding: {place}: {first['msg']}") from None


def _located(found: Finding | Located, place: int) -> tuple[Finding, int]:
    # What stops packets now comes before what does not, in the order in which the packet meets it.
    located = (found.finding, found.place) if isinstance(found, Located) else (found, 100 + place)
    if not isinstance(located[0], Finding):
        raise TypeError(f"it yields a {type(located[0]).__name__}, not a Finding")
    return located


def _not_loaded(broken: Broken) -> Result:
    told = mask_text(broken.reason).text
    reason = f"the package {broken.distribution} brings a check that cannot be loaded: {told}"
    return Result(broken.name, broken.name, Status.UNKNOWN, reason)


# -- all checks --------------------------------------------------------------------------------------------------


def _explained(results: Iterable[Result]) -> tuple[Result, ...]:
    """Replaces the patterns in `explains` by the ids of findings that are there, and of what follows from those."""
    results = tuple(results)
    told = {
        finding.id: finding.explains
        for result in results
        for finding in result.findings
        if finding.status in (Status.FAIL, Status.WARN)
    }

    def follow(patterns: Sequence[str], met: dict[str, None]) -> dict[str, None]:
        for one, explained in told.items():
            if one not in met and any(fnmatchcase(one, pattern) for pattern in patterns):
                met[one] = None
                follow(explained, met)
        return met

    def resolved(finding: Finding) -> Finding:
        met = follow(finding.explains, {})
        return replace(finding, explains=tuple(one for one in met if one != finding.id))

    return tuple(replace(result, findings=tuple(map(resolved, result.findings))) for result in results)


def _weighed(result: Result, expected: Expected) -> Result:
    findings = tuple(replace(finding, expected=expected(finding)) for finding in result.findings)
    return replace(result, findings=findings)


def _without_doubted(result: Result, doubted: Doubted) -> Result:
    """The result with what is doubted as unknown; nothing is offered against it."""
    if not any(is_fault(finding) and doubted(finding) for finding in result.findings):
        return result
    findings = tuple(
        replace(
            finding,
            status=Status.UNKNOWN,
            summary=f"{DOUBT[0].upper()}{DOUBT[1:]}: {finding.summary}",
            explains=(),
            remedies=(),
        )
        if is_fault(finding) and doubted(finding)
        else finding
        for finding in result.findings
    )
    status = worst(finding.status for finding in findings)
    return replace(
        result, status=status, reason=DOUBT if status is Status.UNKNOWN else None, findings=findings
    )


def _undecided(walk: Walk) -> Walk:
    stop = next((at for at, hop in enumerate(walk.hops) if hop.stop), len(walk.hops))
    hops = tuple(
        replace(hop, verdict="unknown", text=f"{DOUBT}: {hop.text}") if at == stop else hop
        for at, hop in enumerate(walk.hops)
    )
    return replace(walk, disposition=Disposition.UNKNOWN, hops=hops)


def _verdict(results: Iterable[Result]) -> Verdict:
    statuses = {result.status for result in results if not result.findings}
    statuses |= {
        finding.status for result in results for finding in result.findings if finding.expected is None
    }
    if Status.FAIL in statuses:
        return Verdict.BROKEN
    if Status.UNKNOWN in statuses:
        return Verdict.UNKNOWN
    return Verdict.DEGRADED if Status.WARN in statuses else Verdict.OK


def _cause(results: Sequence[Result], places: Sequence[int], checks: Sequence[Check]) -> Cause | None:
    """The worst finding that no other explains; of equals, the one that the packet meets first."""
    order = {check.name: check.place for check in checks}
    explained = {
        id_
        for result in results
        for finding in result.findings
        if finding.expected is None
        for id_ in finding.explains
    }
    candidates = [
        (
            finding.status is not Status.FAIL,
            places[at],
            -finding.count,
            order.get(result.check, 0),
            at,
        )
        for at, (result, finding) in enumerate(_pairs(results))
        if finding.status in (Status.FAIL, Status.WARN)
        and finding.expected is None
        and finding.id not in explained
    ]
    if not candidates:
        return None
    result, finding = list(_pairs(results))[min(candidates)[-1]]
    return Cause.of(result.check, finding)


def _pairs(results: Iterable[Result]) -> list[tuple[Result, Finding]]:
    return [(result, finding) for result in results for finding in result.findings]


def _host(snapshot: Snapshot) -> dict[str, object]:
    host, engine = snapshot.host, snapshot.engine
    facts: dict[str, object] = {
        "hostname": host.hostname,
        "kernel": host.kernel,
        "architecture": host.architecture,
        "os": host.os_name,
        "root": host.root,
        "engine": None,
        "endpoint": None,
        "context": None,
        "firewall": None,
        "containers": None,
        "networks": None,
    }
    if isinstance(engine, Engine):
        facts |= {
            "engine": f"{engine.platform or 'Docker Engine'} {engine.version}".strip(),
            "endpoint": engine.endpoint,
            "context": engine.context,
            "firewall": engine.firewall_driver,
            "containers": None if isinstance(engine.containers, Unread) else len(engine.containers),
            "networks": None if isinstance(engine.networks, Unread) else len(engine.networks),
        }
    return facts
