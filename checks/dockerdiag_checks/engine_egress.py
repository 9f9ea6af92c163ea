"""Does the engine itself get out, to pull images and to ask for names?

## What it asks

Whether packets of the host itself, as dockerd sends them, get to the internet, or to the proxy that the daemon uses,
and to the nameservers of the host: by its OUTPUT chains, its routes and its uplink, and the answers back; and whether
systemd lets docker.service send them at all.

## Why it breaks containers

`docker pull` and `docker build` go out by the daemon. An OUTPUT chain that drops, a host without nameservers, or
`IPAddressDeny=`, `PrivateNetwork=` and `RestrictAddressFamilies=` in a drop-in stop them while containers that run are
fine. The engine's resolver for containers sends from dockerd too: what stops dockerd's queries stops their names.

## What is normal and not reported

- A daemon behind a proxy: then only the way to the proxy counts. A proxy by a name that /etc/hosts does not know is
  not walked, since no DNS is asked.
- A host that lets out chosen destinations only (a note): whether the registry is among them is for its admin to say.
- No nameserver on a host whose daemon has a proxy, or is given `dns` for its containers (a note).
- IPv6.

## Remedy

The rule, the file or the unit's setting set right, narrowest first. Where the host has no way out at all, Docker is not
the cause.

## References

- [Docker: daemon proxy configuration](https://docs.docker.com/engine/daemon/proxy/)
- systemd.resource-control(5): `IPAddressAllow=`, `IPAddressDeny=`, `RestrictNetworkInterfaces=`
- systemd.exec(5): `PrivateNetwork=`, `RestrictAddressFamilies=`
"""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.packet.flow import Halt, Journey
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag_checks.confinement import Confinement, by_address, by_link, lifted, whole
from dockerdiag_checks.egress_targets import Target, targets
from dockerdiag_checks.host_names import nobody_asked, stopped_servers
from dockerdiag_checks.host_ways import for_want_of_default, mend_host_first, no_way_out
from dockerdiag_checks.next_steps import engine_asks
from dockerdiag_checks.output_rules import chosen_destinations_only, let_out
from dockerdiag_checks.rule_remedies import where
from dockerdiag_checks.wording import retry

NEEDS = ("engine",)
READS = ("name_service", "network.firewall", "resolv_conf", "service")


_CONTAINERS_TOO = (
    ". The same holds for containers whose cgroups are below that slice, where systemd is the cgroup driver"
)
"""The driver is not read: `docker info` tells."""


@check(
    "engine-egress",
    title="Does the engine itself get out, to pull images and to ask for names?",
    group="Engine",
    place=75,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
    anywhere=True,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """What keeps dockerd in, what stops its packets, what its names lack."""
    engine = case.engine
    if engine is None or not engine.local or engine.rootless:
        return
    confined = whole(case)
    if confined is not None:
        yield _confined(case, confined)
        return
    if case.engine_elsewhere() is not None:
        return
    told: set[str] = set()
    stopped: dict[str, list[tuple[Target, Halt]]] = {}
    for target in (*targets(case), *stopped_servers(case)):
        halt = target.journey.halts[0] if target.journey.halts else None
        confined = by_address(case, target.address) or by_link(case, target.journey.uplink)
        if confined is not None:
            finding = _confined(case, confined)
            if finding.id not in told:
                told.add(finding.id)
                yield finding
        # Nobody listening on a proxy of this host is what proxy-dropins asks.
        elif halt is not None and halt.kind != "listener" and not _told_of_containers(case, halt):
            at = "offline" if for_want_of_default(case, halt) else halt.at
            stopped.setdefault(at, []).append((target, halt))
    for at, met in stopped.items():
        yield _offline(case, met[0][1]) if at == "offline" else _stopped(case, met)
    yield from nobody_asked(case)


def _told_of_containers(case: Case, halt: Halt) -> bool:
    """Whether the same stops containers' packets too: it is told once, with them."""
    offline = halt.kind == "no-route"
    return any(
        other.namespace is None and (other.at == halt.at or (offline and other.kind == "no-route"))
        for hit in case.hits(lambda other: other.certain)
        for other in hit.halts
    )


def _confined(case: Case, confined: Confinement) -> Finding:
    return Finding(
        code="engine-confined",
        status=Status.NOTE if confined.selective else Status.FAIL,
        subject=f"unit:{confined.units[0]}",
        summary=(
            f"systemd keeps dockerd from the network by {confined.setting}: it cannot pull images"
            if not confined.selective
            else "systemd lets dockerd send to chosen addresses only; whether its registry is among them is not known"
        )
        + (_CONTAINERS_TOO if confined.of_a_slice else ""),
        explains=("dns-unreachable *",),
        evidence=confined.evidence,
        remedies=(lifted(case, confined, retry(case)),),
    )


def _offline(case: Case, halt: Halt) -> Finding:
    return Finding(
        code="host-offline",
        status=Status.FAIL,
        subject=case.host,
        summary=f"{no_way_out(case, halt.packet.family)}: {halt.reason.rstrip('.')} (the engine's own packets)",
        explains=("dns-unreachable *",),
        evidence=(Evidence(halt.place, halt.at),),
        remedies=(mend_host_first(case, halt.packet.family),),
    )


def _stopped(case: Case, met: list[tuple[Target, Halt]]) -> Finding:
    certain = [(target, halt) for target, halt in met if halt.certain]
    if not certain:
        target, halt = met[0]
        return Finding(
            code="egress-unknown",
            status=Status.UNKNOWN,
            subject=case.engine_subject,
            summary=f"Whether the engine's own packets to {target.name} get out cannot be told: {halt.reason}",
            evidence=_evidence(target.journey, halt),
            remedies=(engine_asks(case),),
        )
    target, halt = certain[0]
    names = " and ".join(dict.fromkeys(one.name for one, _ in certain))
    chosen = all(one.anywhere for one, _ in certain) and chosen_destinations_only(case, halt)
    at = f"by {where(halt.rule)}" if halt.rule is not None else f"at {halt.at}"
    return Finding(
        code="egress-stopped",
        status=Status.NOTE if chosen else Status.FAIL,
        subject=case.engine_subject,
        summary=(
            f"This host lets out chosen destinations only; the engine's packets to others are stopped {at}"
            if chosen
            else f"The engine's own packets to {names} are stopped {at}: it cannot pull images"
        ),
        explains=("dns-unreachable *",) if any(one.names for one, _ in certain) else (),
        evidence=tuple(dict.fromkeys(e for one, other in certain for e in _evidence(one.journey, other))),
        remedies=() if chosen else _remedies(case, certain),
    )


def _remedies(case: Case, met: list[tuple[Target, Halt]]) -> tuple[Remedy, ...]:
    found = let_out(case, [(halt, target.journey.flow) for target, halt in met])
    return (
        (found,)
        if found is not None
        else (
            Remedy(
                summary="Set right what is named here, where the host's network is configured",
                verify=("ip route show table all", *retry(case)),
                risk="None by looking.",
            ),
        )
    )


def _evidence(journey: Journey, halt: Halt) -> tuple[Evidence, ...]:
    found = [Evidence(f"packet of this host to {journey.flow.to}", f"{halt.place}: {halt.reason}")]
    if halt.rule is not None:
        index = f", rule {halt.rule.index}" if halt.rule.index is not None else ""
        found.append(Evidence(f"{where(halt.rule)}{index}", halt.rule.text))
    return tuple(found)
