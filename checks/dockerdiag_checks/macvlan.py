"""Is the link there that a macvlan or ipvlan network's containers leave by?

## What it asks

For each macvlan or ipvlan network with running containers: whether the parent that its options name is a link of this
host, and up.

## Why it breaks containers

These containers send by the parent, past the host's rules and routes. A parent that is down takes their carrier away;
one that was deleted took their links along, and the containers are left with loopback alone.

## What is normal and not reported

- That the host itself and such containers do not reach each other: the kernel keeps a parent from its children.
- A network without a parent, which is made to lead nowhere.
- No address on the parent, or one of another subnet: they share a wire, not a router.
- Wireless parents and hypervisors, which often drop frames from further MAC addresses: not on this host.
- No rule and no translation for these networks: the engine makes none.

## Remedy

The parent up again. Where it was deleted, it must come back first, then the containers are started again.

## References

- [Docker: macvlan network driver](https://docs.docker.com/engine/network/drivers/macvlan/)
- moby/moby#21735
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Located
from dockerdiag.packet.links import Links
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Link, Network
from dockerdiag_checks.commands import sh
from dockerdiag_checks.wording import listed, retry

NEEDS = ("engine", "engine.networks", "engine.containers", "network.links")


@check(
    "macvlan",
    title="Is the link there that a macvlan or ipvlan network's containers leave by?",
    group="Networks",
    place=18,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located]:  # noqa: N802 - a module's check is its constant
    """One finding for each network whose parent is missing or down."""
    links = Links(case.snapshot.network)
    for network in case.networks:
        parent = network.options.get("parent", "")
        names = tuple(one.name for one, _ in case.ends.get(network.name, ()) if one.state == "running")
        if network.driver not in ("macvlan", "ipvlan") or not parent or not names:
            continue
        link = links.get(parent)
        fault = links.fault(link) if link is not None else None
        down = links.get(fault.link) if fault is not None else None
        if link is None or (down is not None and not down.up):
            yield Located(_without_parent(case, network, parent, names, down), 0)


def _without_parent(
    case: Case, network: Network, parent: str, names: tuple[str, ...], down: Link | None
) -> Finding:
    """`down` is what is to be set up, the parent or a link that carries it; None where the parent is missing."""
    missing = down is None
    name = parent if down is None else down.name
    carried = f" with {name}, which carries it" if name != parent else ""
    state = "does not exist" if missing else f"is down{carried}"
    again = tuple(sh("docker", "restart", name) for name in names)
    remedy = Remedy(
        summary=f"Make {parent} again, as this host's network configuration has it; then start the containers again"
        if missing
        else f"Set {name} up",
        now=() if missing else (sh("ip", "link", "set", name, "up"),),
        lasting=again if missing else (),
        verify=retry(case),
        undo=() if missing else (sh("ip", "link", "set", name, "down"),),
        risk="Interrupts the containers."
        if missing
        else "Carries traffic again. Whoever took it down may do so again: have it left unmanaged there.",
    )
    return Finding(
        code="macvlan-parent-missing" if missing else "macvlan-parent-down",
        status=Status.FAIL,
        subject=f"network:{network.name}",
        summary=f"{parent}, by which {listed(names, 'container')} on {network.driver} network {network.name} "
        f"{'leaves' if len(names) == 1 else 'leave'}, {state}",
        count=len(names),
        explains=(
            f"link-admin-down link:{name}",
            f"path-link link:{parent}",
            *(f"path-{kind} container:{name}" for name in names for kind in ("link", "no-route")),
        ),
        evidence=(
            Evidence(f"docker network inspect {network.name}", f"parent={parent}"),
            Evidence("ip link", f"{parent} {state}"),
        ),
        remedies=(remedy,),
    )
