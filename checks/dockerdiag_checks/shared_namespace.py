"""Does a container that shares another one's network still share it?

## What it asks

Whether each running container with `--network container:OTHER` (compose: `network_mode: service:OTHER`) is in the
network namespace that OTHER has now.

## Why it breaks containers

The engine joins it to OTHER's namespace when it starts, and never again. When OTHER is started anew or made anew (an
update of a VPN container, say), OTHER gets another namespace, and who stayed behind is left with nothing but
loopback, while `docker ps` shows both running.

## What is normal and not reported

- Both in the same namespace, whatever its links and rules are.
- A container that does not run, and one whose way out still works.
- Namespaces that only root may see: that is *unknown*.

## Remedy

Start OTHER, then who was left behind; where OTHER is gone, who named it by its id has to be made anew. In compose,
`depends_on: {OTHER: {restart: true}}` starts them together; it does not hold where something else than compose
starts OTHER.

## References

- [Docker: container networks](https://docs.docker.com/engine/network/#container-networks)
- qdm12/gluetun#641
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Located
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Container
from dockerdiag_checks.commands import sh
from dockerdiag_checks.next_steps import as_root
from dockerdiag_checks.wording import FOR_GOOD, listed, retry

NEEDS = ("engine", "engine.containers")

_MODE = "container:"
_UNSEEN = "/proc/"
"""How the name of a namespace begins that could not be asked for."""


@check(
    "shared-namespace",
    title="Does a container that shares another one's network still share it?",
    group="Containers",
    place=10,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located | Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each container whose network was left by others."""
    joined: dict[str, list[Container]] = {}
    for container in case.containers:
        if container.network_mode.startswith(_MODE) and container.namespace is not None:
            joined.setdefault(container.network_mode.removeprefix(_MODE), []).append(container)
    for named, members in joined.items():
        owner = next((one for one in case.containers if named in (one.id, one.name)), None)
        apart = [one for one in members if owner is None or one.namespace != owner.namespace]
        places = [one.namespace or "" for one in (*apart, *((owner,) if owner else ()))]
        if owner is not None and owner.namespace and any(place.startswith(_UNSEEN) for place in places):
            if apart:
                yield _unseen(case, owner, apart)
            continue
        behind = [one for one in apart if _stopped(case, one)]
        if behind:
            yield Located(_left_behind(case, named, owner, behind), 0)


def _stopped(case: Case, container: Container) -> bool:
    """Whether it gets nowhere: what is walked first of it is stopped for certain."""
    walks = [one.journey for one in case.traced if container.name in one.containers and not one.resolver]
    return any(journey.halts and journey.halts[0].certain for journey in walks)


def _unseen(case: Case, owner: Container, apart: list[Container]) -> Finding:
    return Finding(
        code="shared-namespace-unknown",
        status=Status.UNKNOWN,
        subject=f"container:{apart[0].name}",
        summary=(
            f"Whether {listed([one.name for one in apart], 'container')} still shares the network of {owner.name} "
            "cannot be told: only root may see their namespaces"
        ),
        count=len(apart),
        remedies=(as_root(case),),
    )


def _left_behind(case: Case, named: str, owner: Container | None, behind: list[Container]) -> Finding:
    names = tuple(one.name for one in behind)
    left = listed(names, "container")
    if owner is None:
        why = f"container {named[:12]} does not exist any more"
    elif owner.namespace is None:
        why = f"container {owner.name} does not run ({owner.state})"
    else:
        why = f"container {owner.name} was started anew, and has another network namespace"
    return Finding(
        code="shared-namespace-stale",
        status=Status.FAIL,
        subject=f"container:{names[0]}",
        summary=f"The network that {left} shares is gone: {why}",
        count=len(names),
        explains=(
            *(f"path-* container:{name}" for name in names),
            *(f"dns-* container:{name}" for name in names),
            *_same_subjects(case, names),
        ),
        evidence=(
            *(
                Evidence(f"{one.name}: network mode {_MODE}{named[:12]}", one.namespace or "")
                for one in behind
            ),
            Evidence(
                owner.name if owner is not None else f"container {named[:12]}",
                (owner.namespace or f"{owner.state}, no namespace")
                if owner is not None
                else "no such container",
            ),
        ),
        remedies=(_remedy(case, owner, behind),),
    )


def _same_subjects(case: Case, names: tuple[str, ...]) -> tuple[str, ...]:
    """The findings about their namespaces that are told of their first member alone."""
    hits = case.hits(lambda halt: halt.namespace is not None)
    return tuple(
        f"path-* container:{hit.containers[0]}"
        for hit in hits
        if hit.containers and set(hit.containers) <= {*names}
    )


def _remedy(case: Case, owner: Container | None, behind: list[Container]) -> Remedy:
    names = [one.name for one in behind]
    again = tuple(sh("docker", "restart", name) for name in names)
    left = listed(names, "container")
    if owner is None:
        composed = next((one for one in behind if one.compose_project), None)
        by_compose = (
            f", in the folder of compose project {composed.compose_project}: docker compose up -d --force-recreate "
            f"{composed.compose_service or ''}".rstrip()
            if composed is not None
            else ""
        )
        return Remedy(
            summary=f"Make {left} anew, to share the network of a container that is there{by_compose}",
            verify=retry(case),
            risk=f"Ends {left}; what it has not kept in a volume is lost.",
        )
    if owner.state == "restarting":
        return Remedy(
            summary=f"See why {owner.name} keeps ending, then start {left} again after it",
            verify=(sh("docker", "logs", "--tail", "20", owner.name), *retry(case)),
            risk="None by looking.",
        )
    if owner.namespace is None:
        return Remedy(
            summary=f"Start {owner.name}, then who was left behind in its network",
            now=(sh("docker", "start", owner.name), *again),
            verify=retry(case),
            undo=(sh("docker", "stop", owner.name),),
            risk=f"Interrupts {left}; {owner.name} may have been stopped on purpose.",
        )
    return Remedy(
        summary=f"Start {left} again: the engine joins it to the network that {owner.name} has now",
        now=again,
        verify=retry(case),
        risk=f"Interrupts {left}. It happens again when {owner.name} is started alone. {FOR_GOOD}",
    )
