"""Does a container's default route lead by one of its networks that leads nowhere, while another leads out?

## What it asks

Of a container on several networks, which one its default route goes by; and where nothing gets out by that one, for
what the network is, whether another of its networks would lead out.

## Why it breaks containers

One network gives the default route: engines before 28 take the first by name, later ones the highest `gw-priority`,
then the first by name. A second network that is not translated, or that is a macvlan without a gateway, takes the
container's whole way out as soon as it comes first; to be on `bridge` as well does not help.

## What is normal and not reported

- A default route by a network that leads out, whatever the others are.
- A container none of whose networks leads out: that is what the checks of each network tell.
- A network that would lead out and is kept from it by the host's rules or settings: those are told instead.

## Remedy

From engine 28 on, the network that leads out connected again with a higher `gw-priority`; before that, the container
taken off the network that leads nowhere. Both outlive a restart of the container, not its being made anew: in
compose, `gw_priority` belongs under the service's network.

## References

- [Docker: connecting to multiple networks](https://docs.docker.com/engine/network/#connecting-to-multiple-networks)
- moby/moby#20179
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from dockerdiag.case import MASQUERADE_OPTION, Case, Located, Traced, without_translation
from dockerdiag.dataclass import dataclass, replace
from dockerdiag.packet.flow import Source
from dockerdiag.registry import check
from dockerdiag.report import Disposition, Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Container, Endpoint, Network
from dockerdiag_checks.commands import sh
from dockerdiag_checks.wording import listed, retry

NEEDS = ("engine", "engine.containers", "engine.networks")

_GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv*"
_GW_PRIORITY_SINCE = (1, 48)
"""The API version of engine 28.0."""


@dataclass(frozen=True, slots=True)
class _Astray:
    """A container whose default route leads nowhere."""

    traced: Traced
    container: Container
    by: Network
    better: Network


@check(
    "default-gateway-network",
    title="Does a container's default route lead by one of its networks that leads nowhere, while another leads out?",
    group="Containers",
    place=15,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located]:  # noqa: N802 - a module's check is its constant
    """One finding for each network that takes containers' default routes."""
    found: dict[tuple[str, str], dict[str, _Astray]] = {}
    for traced in case.traced:
        for one in _astray(case, traced):
            found.setdefault((one.by.name, one.better.name), {}).setdefault(one.container.name, one)
    for members in found.values():
        yield Located(_finding(case, tuple(members.values())), 0)


def _astray(case: Case, traced: Traced) -> Iterator[_Astray]:
    halts, by = traced.journey.halts, case.network(traced.network)
    if traced.resolver or by is None or not halts or not halts[0].certain or _nature(by) is None:
        return
    if halts[0].packet.family == 6 and by.driver == "bridge":
        return
    for container in traced.journey.flow.source.members:
        for end in container.endpoints:
            network = case.network(end.network)
            six = halts[0].packet.family == 6
            has_gateway = end.gateway6 if six else end.gateway
            if network is None or network.name == by.name or network.internal or not has_gateway:
                continue
            if _leads_out(case, traced, network):
                yield _Astray(traced, container, by, network)
                break


def _nature(network: Network) -> Evidence | None:
    """What it is that keeps packets in a network, by its own options; None where nothing is."""
    asked = f"docker network inspect {network.name}"
    if network.internal:
        return Evidence(asked, "Internal: true")
    if without_translation(network):
        return Evidence(asked, f"{MASQUERADE_OPTION}={network.options[MASQUERADE_OPTION]}")
    if network.driver in ("macvlan", "ipvlan"):
        parent = network.options.get("parent")
        return Evidence(asked, f"Driver: {network.driver}{f', parent {parent}' if parent else ''}")
    for key, value in network.options.items():
        if fnmatchcase(key, _GATEWAY_MODE) and value in ("routed", "isolated"):
            return Evidence(asked, f"{key}={value}")
    return None


def _leads_out(case: Case, traced: Traced, network: Network) -> bool:
    """Whether the same packet gets out and back from that network."""
    if case.walker is None:
        return False
    flow = replace(traced.journey.flow, source=Source(network=network))
    return case.walker.walk(flow).disposition is Disposition.DELIVERED


def _finding(case: Case, members: tuple[_Astray, ...]) -> Finding:
    names = tuple(one.container.name for one in members)
    by, better = members[0].by, members[0].better
    halt = members[0].traced.journey.halts[0]
    route = next(
        (hop.text for hop in members[0].traced.journey.hops if hop.place == "container routes"), halt.at
    )
    nature = _nature(by)
    chosen = without_translation(by) and not case.asked_about(names)
    return Finding(
        code="default-gateway-network",
        status=Status.WARN if chosen else Status.FAIL,
        subject=f"container:{names[0]}",
        summary=(
            f"The default route of {listed(names, 'container')} leads by network {by.name}, by which nothing gets out; "
            f"by network {better.name} it would"
        ),
        count=len(names),
        explains=_explained(case, names, by),
        evidence=(
            Evidence(f"routes of {names[0]}", route),
            *((nature,) if nature is not None else ()),
            Evidence(halt.place, halt.reason),
        ),
        remedies=_remedies(case, members),
    )


def _explained(case: Case, names: tuple[str, ...], by: Network) -> tuple[str, ...]:
    """What is told of that network and of these containers, where nobody else meets it."""
    hits = [hit for hit in case.hits(lambda halt: halt.certain) if by.name in hit.networks]
    if any(not set(hit.of_network(by.name).containers) <= set(names) for hit in hits):
        return ()
    subjects = {f"container:{name}" for name in names} | {f"network:{by.name}"}
    subjects |= {
        f"link:{hit.halt.link}" for hit in hits if hit.halt.link and set(hit.containers) <= set(names)
    }
    return tuple(
        f"{code} {subject}"
        for subject in sorted(subjects)
        for code in ("network-masquerade-off", "masquerade-*", "path-*", "network-internal")
    )


def _remedies(case: Case, members: tuple[_Astray, ...]) -> tuple[Remedy, ...]:
    containers = tuple(one.container for one in members)
    by, better = members[0].by, members[0].better
    names = [one.name for one in containers]
    left = Remedy(
        summary=f"Take {listed(names, 'container')} off network {by.name}",
        now=tuple(sh("docker", "network", "disconnect", by.name, name) for name in names),
        verify=retry(case),
        undo=tuple(_connect(one, by.name, _endpoint(one, by.name).gateway_priority) for one in containers),
        risk=(
            f"It reaches nobody on network {by.name} any more. Made anew from the same file, it is connected again. By "
            "the undo lines it may get another address there."
        ),
    )
    if not _has_priorities(case):
        return (left,)
    first = Remedy(
        summary=f"Have network {better.name} give the default route",
        now=tuple(
            line
            for one in containers
            for line in (
                sh("docker", "network", "disconnect", better.name, one.name),
                _connect(one, better.name, max(end.gateway_priority for end in one.endpoints) + 1),
            )
        ),
        verify=retry(case),
        undo=tuple(
            line
            for one in containers
            for line in (
                sh("docker", "network", "disconnect", better.name, one.name),
                _connect(one, better.name, _endpoint(one, better.name).gateway_priority),
            )
        ),
        risk=(
            f"Interrupts what the container has open on network {better.name}, where it may get another address. Who "
            "makes it anew needs gw_priority in its compose file, or gw-priority on its command line."
        ),
    )
    return (first, left)


def _has_priorities(case: Case) -> bool:
    """Whether the engine knows gw-priority."""
    version = case.engine.api_version if case.engine is not None else ""
    numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
    return numbers >= _GW_PRIORITY_SINCE


def _endpoint(container: Container, network: str) -> Endpoint:
    return next(end for end in container.endpoints if end.network == network)


def _connect(container: Container, network: str, priority: int = 0) -> str:
    """The line that connects it as it was connected, but for its address."""
    own = (container.name, container.id[:12])
    aliases = [
        word
        for alias in _endpoint(container, network).aliases
        if alias not in own
        for word in ("--alias", alias)
    ]
    first = ["--gw-priority", str(priority)] if priority else []
    return sh("docker", "network", "connect", *first, *aliases, network, container.name)
