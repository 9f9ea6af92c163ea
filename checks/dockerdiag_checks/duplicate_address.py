"""Do two running containers have the same MAC or IP address on one network?

## What it asks

Whether a MAC address or an IP address is told twice among the running containers of one network.

## Why it breaks containers

A bridge remembers one port for each MAC address: where two containers have the same, answers go to whichever of them
sent last. Two with one IP address answer the same ARP question. Either way connections of both stall and come back
by turns.

## What is normal and not reported

- The same address on two networks of their own.
- Containers that share one network namespace, and ipvlan, whose containers all have their parent's MAC address.
- Containers that do not run.

## Remedy

One of the two made anew without the address that was asked for (`--mac-address`, `--ip`).

## References

- [Docker: docker container run, --mac-address](https://docs.docker.com/reference/cli/docker/container/run/)
- moby/moby#27404
"""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Container
from dockerdiag_checks.commands import sh
from dockerdiag_checks.wording import listed, retry

NEEDS = ("engine", "engine.containers", "engine.networks")

_ALIVE = ("running", "paused")


@check(
    "duplicate-address",
    title="Do two running containers have the same MAC or IP address on one network?",
    group="Containers",
    place=22,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each address that is there twice."""
    sharing_mac = {one.name for one in case.networks if one.driver == "ipvlan"}
    owners: dict[tuple[str, str, str], dict[str, Container]] = {}
    for container in case.containers:
        for end in container.endpoints if container.state in _ALIVE else ():
            for what, value in (("MAC", end.mac), ("IP", end.address), ("IP", end.address6)):
                if value and not (what == "MAC" and end.network in sharing_mac):
                    owners.setdefault((end.network, what, value.lower()), {})[container.id] = container
    for (network, what, value), members in owners.items():
        # One namespace has each of its addresses once.
        if len({one.namespace or one.id for one in members.values()}) > 1:
            yield _twice(case, network, what, value, tuple(members.values()))


def _twice(case: Case, network: str, what: str, value: str, members: tuple[Container, ...]) -> Finding:
    names = tuple(one.name for one in members)
    return Finding(
        code=f"duplicate-{what.lower()}-address",
        status=Status.WARN,
        subject=f"network:{network}",
        summary=(
            f"The {what} address {value} is that of {listed(names, 'container')} on network {network}: "
            "answers reach them by turns"
        ),
        count=len(members),
        evidence=tuple(Evidence(f"docker inspect {name}", f"network {network}: {value}") for name in names),
        remedies=(
            Remedy(
                summary=f"Make {listed(names[1:], 'container')} anew, without a {what} address of its own asking",
                verify=(sh("docker", "network", "inspect", network), *retry(case)),
                risk=f"Ends {listed(names[1:], 'container')}; what it has not kept in a volume is lost.",
            ),
        ),
    )
