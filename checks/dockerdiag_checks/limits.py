"""Is a limit reached: of addresses, of a bridge's ports, of the neighbour table?

## What it asks

Whether the engine has a pool left for the next network, whether each network has an address left for the next
container, how many ports a bridge has, and whether the kernel's neighbour table overflowed within the last hour.

## Why it breaks containers

Each of them fails suddenly, and with words that name something else: a network cannot be created, a container does not
start, or, where the neighbour table is full, packets to machines that are there are lost now and then.

## What is normal and not reported

- Large numbers that are below the limits.
- A network whose addresses are all in use (a note), unless a container waits for one.
- A VPN whose routes by a link of its own leave no private address at all (a note), unless a network was refused.

## Remedy

Networks and containers that nobody uses are removed; smaller subnets from `default-address-pools` in daemon.json; a
larger neighbour table. Subnets of networks that are there do not change.

## References

- [Docker: default address pools](https://docs.docker.com/engine/network/#automatic-subnet-allocation)
- docker/for-linux#418, moby/moby#44973, moby/libnetwork#1522
- Linux, Documentation/networking/ip-sysctl.rst: `neigh/default/gc_thresh3`
"""

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Network, ip_address, ip_network
from itertools import chain
from typing import Final

from dockerdiag.case import Case
from dockerdiag.configuration.settings import Known, Unknown
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import LogLine, Network, NetworkNamespace, Unread
from dockerdiag_checks.address_pools import area_beside_routes, free_pools, taking_routes
from dockerdiag_checks.commands import set_sysctl, sh, write_file
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.link_remedies import gateways_of
from dockerdiag_checks.setting_files import with_key
from dockerdiag_checks.subnets import subnets_in
from dockerdiag_checks.wording import FOR_GOOD, listed, retry

NEEDS = ("engine", "engine.networks", "engine.containers", "network.links")
READS = ("daemon_json", "journal", "kernel_log", "network.routes")

_PORTS: Final = 1023
"""Of a Linux bridge (BR_MAX_PORTS less one)."""
_NEAR: Final = 1000
_NO_POOL = ("all predefined address pools have been fully subnetted", "non-overlapping IPv4 address pool")
_NO_ADDRESS = "no available IPv4 addresses on this network"
_OVERFLOW = "table overflow"


@check(
    "limits",
    title="Is a limit reached: of addresses, of a bridge's ports, of the neighbour table?",
    group="Host",
    place=80,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """What is used up, each once."""
    yield from _pools(case)
    for network in case.networks:
        yield from _addresses(case, network)
    yield from _ports(case)
    yield from _neighbours(case)


def _said(lines: tuple[LogLine, ...] | Unread, *phrases: str) -> tuple[Evidence, ...]:
    """The last line of a log that has one of the phrases."""
    found = [] if isinstance(lines, Unread) else [one for one in lines if any(p in one.text for p in phrases)]
    return tuple(Evidence(one.source, one.text) for one in found[-1:])


def _pools(case: Case) -> Iterator[Finding]:
    refused = _said(case.snapshot.journal, *_NO_POOL)
    free = free_pools(case)
    if free is None or free > 0:
        return
    used = [network.name for network in case.networks if network.bridge is not None]
    bridges = set(chain.from_iterable(subnets_in(network) for network in case.networks))
    if taking := [str(one) for one in taking_routes(case) if one not in bridges]:
        yield _covered(case, taking, refused)
        return
    yield Finding(
        code="address-pools-exhausted",
        status=Status.WARN,
        subject=case.engine_subject,
        summary="No address pool is left: the next network without a --subnet of its own cannot be created",
        evidence=(
            Evidence("networks", f"{len(used)} with a bridge, which use or overlap every pool"),
            *refused,
        ),
        remedies=(
            Remedy(
                summary="Remove the networks that no container uses",
                now=("docker network prune --force",),
                verify=("docker network ls", *retry(case)),
                risk=(
                    f"Networks without containers are gone, and must be created again where a stopped container needs "
                    f"one. {FOR_GOOD} What lasts are smaller pools: default-address-pools in daemon.json, with size 24."
                ),
            ),
        ),
    )


def _covered(case: Case, routes: list[str], refused: tuple[Evidence, ...]) -> Finding:
    area = area_beside_routes(case)
    elsewhere = _other_pools(case, area) if area is not None else None
    return Finding(
        code="address-pools-exhausted",
        # Where no pool would help, it is how the host is meant to be, until a network is refused.
        status=Status.WARN if area is not None or refused else Status.NOTE,
        subject=case.engine_subject,
        summary=(
            f"The host's {listed(routes, 'route')} of a link cover every address pool: the next network without a "
            "--subnet of its own cannot be created"
        ),
        evidence=(*(Evidence("ip route", f"{route} scope link") for route in routes), *refused),
        remedies=(
            *((elsewhere,) if elsewhere is not None else ()),
            Remedy(
                summary=(
                    "Create new networks with a --subnet of their own, which the engine takes all the same; or have "
                    "the VPN lead by a gateway or a table of its own"
                ),
                verify=("ip route show scope link", *retry(case)),
                risk="None: a network's own route is more specific than those.",
            ),
        ),
    )


def _other_pools(case: Case, area: IPv4Network) -> Remedy | None:
    """Pools beside those routes, where some private addresses are left."""
    setting = case.settings["default-address-pool"].next_start
    by_flag = (
        isinstance(setting, Known) and not setting.is_default and not setting.origin.path.endswith(".json")
    )
    if by_flag or isinstance(setting, Unknown):
        return None
    written = with_key(case, "default-address-pools", [{"base": str(area), "size": 24}])
    if written is None:
        return None
    do, undo = written
    return Remedy(
        summary=f"Have the engine take the subnets of new networks from {area}, which no route of this host covers",
        now=(*do, "systemctl restart docker"),
        verify=("docker info | grep -A 1 'Default Address Pools'", *retry(case)),
        undo=(*undo, "systemctl restart docker"),
        risk=(
            f"{restart_risk(case)} The default bridge gets a subnet from there, unless bip in daemon.json names one, "
            "and keeps it after the undo lines; networks that were created keep theirs. What others use of "
            f"{area}, and this host knows no route to, is then hidden from it."
        ),
    )


def _addresses(case: Case, network: Network) -> Iterator[Finding]:
    if network.bridge is None:
        return
    ends = case.ends.get(network.name, ())
    used = {ip_address(end.address) for _, end in ends if end.address}
    waiting = [one.name for one, end in ends if one.state == "created" and not end.address]
    for pool in network.pools:
        if not pool.subnet or ":" in pool.subnet:
            continue
        subnet = ip_network(pool.subnet, strict=False)
        area = ip_network(pool.ip_range, strict=False) if pool.ip_range else subnet
        told = [pool.gateway, *gateways_of(case, network)]
        gateway = {ip_address(one.partition("/")[0]) for one in told if one}
        reserved = {subnet.network_address, subnet.broadcast_address} | gateway
        room = area.num_addresses - len([one for one in reserved if one in area])
        if room <= len([one for one in used - gateway if one in area]):
            yield _full(case, network, str(area), room, waiting)


def _full(case: Case, network: Network, area: str, room: int, waiting: list[str]) -> Finding:
    refused = _said(case.snapshot.journal, _NO_ADDRESS)
    cannot = f"{listed(waiting, 'container')} cannot start" if waiting else "the next container cannot start"
    return Finding(
        code="network-addresses-exhausted",
        status=Status.WARN if waiting or refused else Status.NOTE,
        subject=f"network:{network.name}",
        summary=f"The addresses of network {network.name} are all in use ({room} for containers): {cannot}",
        count=max(len(waiting), 1),
        evidence=(Evidence(f"docker network inspect {network.name}", area), *refused),
        remedies=(
            Remedy(
                summary="Create a larger network and connect the containers to it",
                verify=(sh("docker", "network", "inspect", network.name), *retry(case)),
                risk="A network's subnet is fixed when it is made: its containers get other addresses.",
            ),
        ),
    )


def _ports(case: Case) -> Iterator[Finding]:
    links = case.snapshot.network.links
    if isinstance(links, Unread):
        return
    by_name = {one.name: one for one in links}
    ports_of = Counter(one.master for one in links)
    for network in case.networks:
        bridge = by_name.get(network.bridge or "")
        ports = ports_of[bridge.index] if bridge is not None else 0
        if bridge is None or ports < _NEAR:
            continue
        yield Finding(
            code="bridge-ports-exhausted",
            status=Status.WARN,
            subject=f"link:{bridge.name}",
            summary=f"{bridge.name} has {ports} ports, and a Linux bridge takes no more than {_PORTS}",
            evidence=(Evidence(f"bridge link show master {bridge.name}", f"{ports} ports"),),
            remedies=(
                Remedy(
                    summary="Put the next containers on another network",
                    verify=(sh("bridge", "link", "show", "master", bridge.name),),
                    risk="Containers of two networks reach each other only where one is connected to both.",
                ),
            ),
        )


def _neighbours(case: Case) -> Iterator[Finding]:
    said = _said(case.snapshot.kernel_log, _OVERFLOW)
    if not said:
        return
    six = "ndisc" in said[0].text
    folder = f"net/ipv{6 if six else 4}/neigh/default"
    sysctls = case.snapshot.network.sysctls
    limits = {} if isinstance(sysctls, Unread) else sysctls
    before = {n: limits[key] for n in (1, 2, 3) if (key := f"{folder}/gc_thresh{n}") in limits}
    entries = _entries(case, 6 if six else 4)
    changes = [
        set_sysctl(f"{folder}/gc_thresh{n}", str(8 * int(value)), value)
        for n, value in reversed(before.items())
    ]
    path = f"/etc/sysctl.d/99-dockerdiag-neighbours-ipv{6 if six else 4}.conf"
    kept = "\n".join(
        f"{folder.replace('/', '.')}.gc_thresh{n} = {8 * int(value)}" for n, value in before.items()
    )
    yield Finding(
        code="neighbour-table-overflow",
        status=Status.WARN,
        subject=case.host,
        summary="The neighbour table overflowed: packets to machines that were not in it were lost",
        evidence=(
            *said,
            Evidence("neighbours of the host and its containers", str(entries)),
            *(
                Evidence("sysctl", f"{folder.replace('/', '.')}.gc_thresh{n} = {v}")
                for n, v in before.items()
            ),
        ),
        remedies=(
            Remedy(
                summary="Make room for more neighbours",
                now=tuple(change.do for change in changes),
                lasting=(write_file(path, kept),) if kept else (),
                verify=("ip -s neigh show nud all", *retry(case)),
                undo=(*(change.undo for change in changes), sh("rm", "-f", path)),
                risk="Up to eight times as much kernel memory for the table. All namespaces share it.",
            ),
        ),
    )


def _entries(case: Case, family: int) -> int:
    """How many neighbours were seen: the kernel counts those of all namespaces together."""
    namespaces = [case.snapshot.network, *case.snapshot.namespaces.values()]
    tables = [one.neighbours for one in namespaces if isinstance(one, NetworkNamespace)]
    return sum(one.family == family for table in tables if not isinstance(table, Unread) for one in table)
