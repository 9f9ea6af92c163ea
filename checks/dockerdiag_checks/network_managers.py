"""Does a network manager of the host take the engine's links for its own?

## What it asks

Whether systemd-networkd, by its files, will take containers' veths off their bridge at its next start; and whether a
DHCP client has given addresses or routes to veths.

## Why it breaks containers

A network manager that configures every link it sees takes a veth off its bridge, for none of its files says that it
belongs there. A DHCP client gives a veth an address of 169.254.0.0/16 when nobody answers it, with a route that takes
a cloud's metadata and time servers away from the uplink, or even a default route.

## What is normal and not reported

- 169.254.0.0/16 on hardware: link-local addresses by avahi, dhcpcd or NetworkManager.
- A network manager that configures the uplink alone, or was told to leave the engine's links alone.
- A file whose match asks for more than name and kind: whether it applies cannot be told from here.

## Remedy

The engine's links are made unmanaged where the network manager is configured, and what it did is taken back.

## References

- [Docker: networks disappearing](https://docs.docker.com/engine/daemon/troubleshoot/#docker-networks-disappearing)
- systemd.network(5): `Unmanaged=`, `KeepMaster=`
- moby/moby#26492, NetworkConfiguration/dhcpcd#531, raspberrypi/linux#4092
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from dockerdiag.case import Case
from dockerdiag.configuration.networkd import file_for, joins_a_bridge, leaves_alone
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Link, NetworkManagers, Route, TextFile, Unread
from dockerdiag_checks.commands import EditedFile, sh
from dockerdiag_checks.link_remedies import left_alone
from dockerdiag_checks.wording import retry

NEEDS = ("engine", "network.links", "network.addresses", "network.routes", "network_managers")

_NETWORKD = "systemd-networkd"
_LINK_LOCAL = ip_network("169.254.0.0/16")
_DHCPCD = "/etc/dhcpcd.conf"
_ENGINES_VETH = re.compile(r"veth[0-9a-f]{7}")
_DENY = "denyinterfaces veth* docker* br-*"


@check(
    "network-managers",
    title="Does a network manager of the host take the engine's links for its own?",
    group="Host",
    place=25,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """What will be taken, and what was given to veths."""
    managers = case.snapshot.network_managers
    if case.engine_elsewhere() is not None or isinstance(managers, Unread):
        return
    veths = _ports_of_bridges(case)
    yield from _will_be_taken(case, managers, veths)
    yield from _addressed(case, managers, veths)


def _ports_of_bridges(case: Case) -> tuple[Link, ...]:
    """The host's ends of containers' veths, whether they are on a bridge now or were taken off it."""
    links = case.snapshot.network.links
    if isinstance(links, Unread):
        return ()
    return tuple(one for one in links if one.kind == "veth" and _ENGINES_VETH.fullmatch(one.name))


def _will_be_taken(case: Case, managers: NetworkManagers, veths: tuple[Link, ...]) -> Iterator[Finding]:
    if _NETWORKD not in managers.running and f"{_NETWORKD}.service" not in managers.enabled:
        return
    if not any(network.bridge for network in case.networks):
        return
    file = file_for(managers.files, "veth0a1b2c3", "veth")
    if file is None or leaves_alone(file) or joins_a_bridge(file) or _has_drop_in(managers, file):
        return
    taken = {one.link for one in managers.owners if one.manager == _NETWORKD and one.managed}
    if taken & {link.index for link in veths}:
        return  # it has them already: the walk says what that does
    lasting, undo = left_alone(case, _NETWORKD)
    yield Finding(
        code="networkd-takes-veths",
        status=Status.WARN,
        subject=f"file:{file.path}",
        summary=f"At its next start systemd-networkd takes containers' veths off their bridge, as {file.path} says",
        evidence=(*_match_of(file), Evidence("running", ", ".join(managers.running) or "none")),
        remedies=(
            Remedy(
                summary="Have systemd-networkd leave the engine's links alone",
                now=lasting if _NETWORKD in managers.running else lasting[:1],
                verify=(
                    "networkctl list" if _NETWORKD in managers.running else sh("cat", file.path),
                    *retry(case),
                ),
                undo=undo if _NETWORKD in managers.running else undo[:1],
                risk="None for other links: the file names the engine's own.",
            ),
        ),
    )


def _has_drop_in(managers: NetworkManagers, file: TextFile) -> bool:
    name = file.path.rpartition("/")[2]
    return any(f"/{name}.d/" in one.path for one in managers.files)


def _match_of(file: TextFile) -> Iterator[Evidence]:
    for number, line in enumerate(file.text.splitlines(), start=1):
        if line.strip().startswith(("Name=", "Kind=")):
            yield Evidence(f"{file.path}:{number}", line.strip())


def _addressed(case: Case, managers: NetworkManagers, veths: tuple[Link, ...]) -> Iterator[Finding]:
    host = case.snapshot.network
    if isinstance(host.addresses, Unread) or isinstance(host.routes, Unread):
        return
    names = {link.index: link.name for link in veths}
    addresses = [
        (names[one.link], f"{one.address}/{one.prefix_length}")
        for one in host.addresses
        if one.link in names and one.family == 4 and ip_address(one.address) in _LINK_LOCAL
    ]
    routes = [
        (names[hop.link or 0], one)
        for one in host.routes
        for hop in one.next_hops
        if hop.link in names and len(one.next_hops) == 1 and _misled(one)
    ]
    if not addresses and not routes:
        return
    links = sorted({name for name, _ in (*addresses, *routes)})
    default = any(route.destination == "0.0.0.0/0" for _, route in routes)
    yield Finding(
        code="dhcp-client-on-veth",
        status=Status.FAIL if default and not all(one.delivered for one in case.traced) else Status.WARN,
        subject=f"link:{links[0]}" if len(links) == 1 else case.host,
        summary=(
            f"A DHCP client configures {', '.join(links)}, the host's end of a container's veth: "
            + (
                "packets of the host itself go there"
                if default
                else "169.254.0.0/16 of the host is led there"
            )
        ),
        explains=tuple(f"{code} link:{name}" for name in links for code in ("path-route", "host-offline")),
        evidence=(
            *(Evidence(f"ip address show dev {name}", address) for name, address in addresses),
            *(Evidence("ip route", f"{route.destination} dev {name}") for name, route in routes),
            Evidence("running", ", ".join(managers.running) or "no network manager that is known by name"),
        ),
        remedies=(_taken_back(case, managers, addresses, routes),),
    )


def _misled(route: Route) -> bool:
    """Of the table that all ask: what leads into a veth though no container is meant."""
    return (
        route.table == 254
        and route.type == "unicast"
        and (route.destination == "0.0.0.0/0" or route.destination == str(_LINK_LOCAL))
    )


def _taken_back(
    case: Case,
    managers: NetworkManagers,
    addresses: list[tuple[str, str]],
    routes: list[tuple[str, Route]],
) -> Remedy:
    # The kernel's own route of an address goes with it.
    by_hand = [(name, one) for name, one in routes if one.protocol != "kernel"]
    lasting: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    if any(file.path == _DHCPCD for file in managers.files):
        # Options after the first `interface` block would belong to it.
        file = EditedFile(_DHCPCD)
        in_force = ("systemctl try-restart dhcpcd",) if "dhcpcd.service" in managers.enabled else ()
        lasting = (file.keep, file.sed(f"1i {_DENY}"), *in_force)
        # The copy is there only where the lasting lines were run.
        undo = (f"{sh('test', '!', '-e', file.copy)} || {{ {file.restore}; }}", *in_force)
    return Remedy(
        summary="Take the addresses and routes off the veths",
        now=(
            *(sh("ip", "route", "del", one.destination, "dev", name) for name, one in by_hand),
            *(sh("ip", "address", "del", address, "dev", name) for name, address in addresses),
        ),
        lasting=lasting,
        verify=("ip route show", *retry(case)),
        undo=(
            *(sh("ip", "address", "add", address, "dev", name) for name, address in addresses),
            *(sh("ip", "route", "add", one.destination, "dev", name) for name, one in by_hand),
            *undo,
        ),
        risk="None: a container's veth needs no address on the host. The client gives it again unless told not to.",
    )
