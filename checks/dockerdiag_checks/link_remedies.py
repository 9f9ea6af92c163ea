"""Remedies for links and for what they answer to: a bridge that is gone, ARP, IPv6, and who must leave them alone."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_interface, ip_network

from dockerdiag.case import Case, Hit, is_default_bridge
from dockerdiag.packet.adjacency import OUTSIDE_VLAN
from dockerdiag.packet.flow import Halt
from dockerdiag.report import Remedy
from dockerdiag.snapshot import Link, Network, Unread
from dockerdiag_checks.commands import AtEngineStart, set_sysctl, sh, show_sysctl, write_file
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.path_causes import link_named, orphan, owner
from dockerdiag_checks.wording import FOR_GOOD, listed, retry

# "-" sorts before every digit: systemd-networkd takes the first file that matches.
_NETWORKD_FILE = "/etc/systemd/network/0-dockerdiag-unmanaged.network"
_NM_FILE = "/etc/NetworkManager/conf.d/99-dockerdiag-unmanaged.conf"


def left_alone(case: Case, manager: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lines that make a network manager leave the engine's links alone, and those that take them back."""
    bridges = tuple(dict.fromkeys(network.bridge for network in case.networks if network.bridge))
    if manager == "systemd-networkd":
        text = f"[Match]\nName=veth* {' '.join(bridges)}\n\n[Link]\nUnmanaged=yes"
        return (write_file(_NETWORKD_FILE, text), "networkctl reload"), (
            sh("rm", "-f", _NETWORKD_FILE),
            "networkctl reload",
        )
    if manager == "NetworkManager":
        names = ";".join(f"interface-name:{name}" for name in ("veth*", *bridges))
        return (
            write_file(_NM_FILE, f"[keyfile]\nunmanaged-devices+={names}"),
            "systemctl reload NetworkManager",
        ), (sh("rm", "-f", _NM_FILE), "systemctl reload NetworkManager")
    return (), ()


def keeping_off(case: Case, name: str | None) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """What keeps the manager of a link from doing it again, how that is undone, and a word of risk."""
    manager = owner(case, name)
    if manager is None:
        return (), (), "Whoever took it down may do so again: have it left unmanaged there."
    if name is not None and not name.startswith("veth") and all(one.bridge != name for one in case.networks):
        return (), (), f"{manager.manager} configures it: what it is to be is set there."
    kept_off, undo = left_alone(case, manager.manager)
    return kept_off, undo, f"The first lines have {manager.manager} leave the engine's links alone, for good."


def bridge_again(case: Case, hit: Hit) -> Remedy:
    """The engine makes its bridges when it starts."""
    bridge = hit.halt.link
    on_it = {network.name for network in case.networks if network.bridge == bridge}
    names = [
        one.name
        for one in case.containers
        if one.pid is not None and any(end.network in on_it for end in one.endpoints)
    ]
    return Remedy(
        summary=f"Have the engine make {bridge} again, and connect its containers to it",
        now=("systemctl restart docker", *(sh("docker", "restart", name) for name in names)),
        verify=(sh("ip", "link", "show", bridge or ""), *retry(case)),
        risk=f"{restart_risk(case)} Restarts {listed(names, 'container')}. Who deleted the bridge may do so again. "
        f"{FOR_GOOD}",
    )


def arp_on(case: Case, halt: Halt) -> Remedy:
    """A link asks and answers ARP again."""
    link = halt.link or ""
    return Remedy(
        summary=f"Have {link} ask for neighbours, and answer them, again",
        now=(sh("ip", "link", "set", link, "arp", "on"),),
        verify=(sh("ip", "link", "show", link), *retry(case)),
        undo=(sh("ip", "link", "set", link, "arp", "off"),),
        risk="None: a link does so unless it is told otherwise. Who turned it off may do so again.",
    )


def no_port(case: Case, halt: Halt) -> Remedy:
    """A link of the host that was made a port keeps its addresses, and has no use of them."""
    name = halt.link or ""
    link, links = link_named(case, name), case.snapshot.network.links
    read = () if isinstance(links, Unread) else links
    master = next((one for one in read if link is not None and one.index == link.master), None)
    verify = (sh("ip", "-d", "link", "show", name), *retry(case))
    to = master.name if master is not None else "the link that it is a port of"
    if master is None or master.kind != "bridge":
        # A bond takes its port down when it lets it go.
        return Remedy(
            summary=f"Move the addresses and routes of {name} to {to}, where the host's network is configured",
            verify=verify,
            risk="A mistake there cuts the host off.",
        )
    return Remedy(
        summary=f"Make {name} no port of {to}; or else move its addresses and routes to {to}",
        now=(sh("ip", "link", "set", name, "nomaster"),),
        verify=verify,
        undo=(sh("ip", "link", "set", name, "master", to),),
        risk=f"What hangs on {to} has no way out by {name} any more. Who made it a port may do so again.",
    )


def into_vlan(case: Case, halt: Halt) -> Remedy:
    """A VLAN-aware bridge, or its port, takes part in the VLAN that the host sends into."""
    name = halt.link or ""
    link, links = link_named(case, name), case.snapshot.network.links
    read = () if isinstance(links, Unread) else links
    own = link is not None and link.kind == "bridge"
    bridge = link if own else next((one for one in read if link and one.index == link.master), None)
    number, untagged = _vlan_meant(read, bridge, link, halt)
    there = sh("bridge", "vlan", "show")
    if number is None:
        return Remedy(
            summary=f"Set right which VLANs {name} is in, where the host's network is configured",
            verify=(there, *retry(case)),
            risk="A mistake there cuts the host off.",
        )
    way = ("dev", name, "vid", str(number), *(("pvid", "untagged") if untagged else ()))
    self = ("self",) if own else ()
    return Remedy(
        summary=f"Have {name} take part in VLAN {number}{' with what is untagged' if untagged else ''}",
        now=(sh("bridge", "vlan", "add", *way, *self),),
        verify=(there, *retry(case)),
        undo=(sh("bridge", "vlan", "del", "dev", name, "vid", str(number), *self),),
        risk=f"{name} takes in and sends what is in VLAN {number}. Who took it out may do so again.",
    )


def _vlan_meant(
    links: Iterable[Link], bridge: Link | None, link: Link | None, halt: Halt
) -> tuple[int | None, bool]:
    """The VLAN to be in, and whether untagged frames are to belong to it; none where that is a matter of choice."""
    number = halt.reason.rpartition(f"{OUTSIDE_VLAN} ")[2]
    if bridge is None or link is None or link.bridge_vlans is None:
        return None, False
    if not number.isdecimal():
        others = {one.bridge_vlans.pvid for one in links if one.master == bridge.index and one.bridge_vlans}
        return (others.pop(), True) if len(others) == 1 else (None, False)
    tagged = bridge.bridge_vlans is not None and bridge.bridge_vlans.pvid != int(number)
    if link is bridge or tagged:
        return int(number), False
    return (int(number), True) if link.bridge_vlans.pvid is None else (None, False)


def arp_answered(case: Case, halt: Halt) -> Remedy:
    """The larger of `all` and the link's own value counts: both are looked at."""
    sysctls = case.snapshot.network.sysctls
    read = {} if isinstance(sysctls, Unread) else sysctls
    switch = (halt.sysctl or "").rpartition("/")[2]
    harmless = 1 if switch == "arp_ignore" else 0
    keys = [f"net/ipv4/conf/{where}/{switch}" for where in (halt.link, "all")]
    changes = [set_sysctl(key, "0", read[key]) for key in keys if int(read.get(key, "0") or 0) > harmless]
    each_start = AtEngineStart(f"arp-{halt.link}", [change.do for change in changes])
    return Remedy(
        summary=f"Have the host answer ARP on {halt.link} again",
        now=tuple(change.do for change in changes),
        lasting=each_start.lines,
        verify=(*(show_sysctl(key) for key in keys), *retry(case)),
        undo=(*(change.undo for change in changes), *each_start.undo),
        risk="The host answers for all its addresses, on any link where a switch of `all` is changed.",
    )


def ipv6_on(case: Case, hit: Hit) -> Remedy | None:
    """Turning IPv6 off took the link's addresses away, so they come back with it."""
    halt = hit.halt
    if halt.sysctl is None or halt.link is None:
        return None
    change = set_sysctl(halt.sysctl, "0", "1")
    network = next((one for one in case.networks if one.bridge == halt.link), None)
    address = gateway_of(case, network, 6) if network is not None else None
    there = ("dev", halt.link)
    again = (sh("ip", "-6", "address", "replace", address, *there, "nodad"),) if address else ()
    each_start = AtEngineStart(f"ipv6-{halt.link}", [change.do, *again])
    return Remedy(
        summary=f"Turn IPv6 on for {halt.link}{', and give it its address again' if again else ''}",
        now=(change.do, *again),
        lasting=each_start.lines,
        verify=(sh("ip", "-6", "address", "show", *there), *retry(case)),
        undo=(change.undo, *each_start.undo),
        risk=f"What is on {halt.link} speaks IPv6 again, as the FORWARD rules allow.",
    )


def gateway_of(case: Case, network: Network, family: int) -> str | None:
    """The gateway's address of one family, with the subnet's prefix length."""
    for pool in network.pools:
        if not pool.subnet or (":" in pool.subnet) != (family == 6):
            continue
        # Where nobody chose a gateway, some engines tell it of the containers alone.
        told = [pool.gateway, *(gateway for gateway in gateways_of(case, network))]
        for gateway in filter(None, told):
            address = gateway.partition("/")[0]
            if ip_address(address) in ip_network(pool.subnet, strict=False):
                return f"{address}/{pool.subnet.partition('/')[2]}"
    return None


def gateways_of(case: Case, network: Network) -> tuple[str, ...]:
    """The gateways that a network's containers were given."""
    ends = [end for one in case.containers for end in one.endpoints if end.network_id == network.id]
    return tuple(dict.fromkeys(one for end in ends for one in (end.gateway, end.gateway6) if one))


def without_orphan(case: Case, hit: Hit) -> Remedy | None:
    """Deletes the bridge that a network left behind which is gone, where nothing hangs on it."""
    link = orphan(case, hit)
    links, addresses = case.snapshot.network.links, case.snapshot.network.addresses
    if link is None or isinstance(links, Unread) or isinstance(addresses, Unread):
        return None
    if any(one.master == link.index for one in links):
        return None
    name = link.name
    own = [
        ip_interface(f"{one.address}/{one.prefix_length}").with_prefixlen
        for one in addresses
        if one.link == link.index and one.scope != "link"
    ]
    return Remedy(
        summary=f"Delete {name}: no network of the engine has it, and nothing is connected to it",
        now=(sh("ip", "link", "delete", name),),
        verify=(sh("ip", "route", "show"), *retry(case)),
        undo=(
            sh("ip", "link", "add", "name", name, "type", "bridge"),
            *(sh("ip", "address", "add", address, "dev", name) for address in own),
            *((sh("ip", "link", "set", name, "up"),) if link.up else ()),
        ),
        risk=(
            "None for this engine; another engine on this host may have made it, and would have to make it again. "
            "The undo lines make the link again, but its route then comes after the network's own."
        ),
    )


def moved(case: Case, networks: Iterable[str]) -> tuple[str, str]:
    """How networks get another subnet, and the risk of it."""
    names = set(networks)
    if any(one.name in names and is_default_bridge(one) for one in case.networks):
        risk = f"Its containers get other addresses. {restart_risk(case)}"
        return "set bip in daemon.json and restart the engine", risk
    return "create the network again with --subnet", (
        "Its containers must be connected anew, and get other addresses."
    )


def another_subnet(case: Case, hit: Hit) -> Remedy:
    """A network's subnet is fixed when it is made: what can be done now depends on who needs the address."""
    how, risk = moved(case, hit.networks)
    return Remedy(
        summary=f"Give {listed(hit.networks, 'network')} another subnet ({how}), or that machine another address",
        verify=(sh("ip", "route", "get", str(hit.halt.packet.addresses.destination)), *retry(case)),
        risk=risk,
    )
