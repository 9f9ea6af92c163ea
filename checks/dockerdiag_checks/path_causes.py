"""What it is about a link, an address, a route or a sysctl that stops packets: its name, and what it brings about."""

from ipaddress import ip_network

from dockerdiag.case import Case, Hit
from dockerdiag.configuration.networkd import file_for, leaves_alone
from dockerdiag.packet.adjacency import (
    APART_FROM_PARENT,
    HAIRPIN_OFF,
    HEARD_BY_MASTER,
    OUTSIDE_VLAN,
    WITHOUT_ARP,
    WITHOUT_PVID,
    WRONG_GATEWAY,
)
from dockerdiag.packet.fib import describe_rule
from dockerdiag.packet.flow import Halt
from dockerdiag.packet.routing import LOCAL_TABLE_LATE
from dockerdiag.report import Evidence
from dockerdiag.snapshot import Link, LinkOwner, Network, NetworkManagers, RoutingRule, Unread
from dockerdiag_checks.subnets import subnets_in

_NETWORKD = "systemd-networkd"
_MAIN_RULE = 32766
_FILTERED = "IPReversePathFilter"
_FORWARDING = 3
"""BR_STATE_FORWARDING of a bridge port."""
_BY_KIND = {
    "no-route": "no-default-route",
    "reverse-path": "rp-filter-drop",
    "loop": "routing-loop",
    "ipsec": "ipsec-policy",
}
_VPN_MARKS = {
    0xCA6C: "wg-quick (WireGuard) makes rules with this mark and table 51820",
    0x6D6F6C65: "the Mullvad VPN app makes rules with this mark",
}
_VPN_TABLES = {52: "Tailscale makes rules for table 52"}


ADDRESS_TAKEN = "container-address-taken"
"""The host has the container's address too."""


def named(case: Case, hit: Hit) -> str:
    """The stable word for what stops packets; `path-…` where it is of no kind that is known by name."""
    halt = hit.halt
    other = f"path-{halt.kind}"
    if halt.namespace is not None:
        return other
    if halt.kind == "link":
        return _of_link(case, halt)
    if halt.kind == "sysctl" and halt.sysctl is not None:
        return _of_sysctl(halt.sysctl)
    if halt.reason.endswith(LOCAL_TABLE_LATE):
        return "local-table-late"
    if _lost_route(case, hit):
        return "bridge-lost-route"
    if halt.kind == "route":
        return _of_route(case, hit)
    if halt.place == WRONG_GATEWAY:
        return "container-gateway-wrong"
    if halt.kind == "address" and halt.at in {f"address {one.journey.sent_from}" for one in hit.traced}:
        return ADDRESS_TAKEN
    if halt.kind == "address":
        missing = halt.place.startswith("bridge ") and _bridge(case, halt.link)
        return "bridge-lost-ip" if missing else other
    return _BY_KIND.get(halt.kind, other)


def _of_link(case: Case, halt: Halt) -> str:
    link = link_named(case, halt.link)
    bridge = _bridge(case, halt.link)
    if link is None:
        return "bridge-missing" if bridge else "path-link"
    if not link.up:
        return "bridge-admin-down" if bridge else "link-admin-down"
    if halt.reason.endswith(APART_FROM_PARENT):
        return "macvlan-parent-apart"
    if not link.arp and (bridge or halt.reason.startswith(WITHOUT_ARP)):
        return "arp-off"
    if link.bridge_port_state not in (None, _FORWARDING) and link.carrier is not False:
        return "bridge-port-blocked"
    if halt.reason.endswith(HAIRPIN_OFF):
        return "bridge-port-hairpin"
    if halt.reason.endswith("isolated bridge ports"):
        return "bridge-port-isolated"
    if halt.reason.endswith(HEARD_BY_MASTER):
        return "uplink-is-a-port"
    if OUTSIDE_VLAN in halt.reason or halt.reason.endswith(WITHOUT_PVID):
        return "bridge-vlan-missing"
    if link.kind == "veth" and link.carrier is not False:
        return "veth-not-enslaved"
    return "link-without-carrier" if link.carrier is False else "path-link"


def _of_sysctl(key: str) -> str:
    by_name = {
        "arp_filter": "arp-ignored",
        "arp_ignore": "arp-ignored",
        "disable_ipv6": "ipv6-disabled",
        "route_localnet": "loopback-martian",
    }
    return by_name.get(key.rpartition("/")[2], "path-sysctl")


def _of_route(case: Case, hit: Hit) -> str:
    halt = hit.halt
    rule = halt.routing_rule
    if rule is not None and (rule.priority, rule.table) != (_MAIN_RULE, 254) and rule.priority != 0:
        return "policy-routing"
    if halt.route is None:
        return "subnet-overlap" if _bridge(case, halt.link) else "path-route"
    if halt.route.type != "unicast":
        return "route-refuses"
    if halt.direction == "out" and _bridge(case, halt.link):
        return "path-route"
    return "duplicate-bridge-route" if orphan(case, hit) is not None else "route-takes-answers"


def network_of(case: Case, hit: Hit) -> Network | None:
    """The first of the networks that a hit is about."""
    return case.network(hit.networks[0]) if hit.networks else None


def _lost_route(case: Case, hit: Hit) -> bool:
    """Whether no route of the main table leads answers to the network any more."""
    halt = hit.halt
    rule, route = halt.routing_rule, halt.route
    network = network_of(case, hit)
    by_main = rule is None or (rule.priority, rule.table) == (_MAIN_RULE, 254)
    if halt.direction != "reply" or halt.kind not in ("route", "no-route") or not by_main or network is None:
        return False
    destination, bridge = halt.packet.addresses.destination, link_named(case, network.bridge)
    subnet = next((one for one in subnets_in(network) if destination in one), None)
    if subnet is None or bridge is None or not bridge.up or halt.namespace is not None:
        return False
    return route is None or ip_network(route.destination).prefixlen < subnet.prefixlen


def orphan(case: Case, hit: Hit) -> Link | None:
    """The bridge of a network that the engine no longer knows, which has the subnet's route."""
    link = link_named(case, hit.halt.link)
    if link is None or link.kind != "bridge" or _bridge(case, link.name) or not _engine_like(link.name):
        return None
    return link


def _engine_like(name: str) -> bool:
    """Whether the engine names bridges so: `br-` and the first twelve digits of the network's id."""
    digits = name.removeprefix("br-")
    return name.startswith("br-") and len(digits) == 12 and set(digits) <= set("0123456789abcdef")


def _bridge(case: Case, name: str | None) -> bool:
    return name is not None and any(network.bridge == name for network in case.networks)


def link_named(case: Case, name: str | None) -> Link | None:
    """The host's link of that name; None where there is none, or none was read."""
    links = case.snapshot.network.links
    return None if isinstance(links, Unread) else next((one for one in links if one.name == name), None)


# -- who did it --------------------------------------------------------------------------------------------------


def owner(case: Case, name: str | None) -> LinkOwner | None:
    """The network manager that configures a link: as it says itself, else as its files do where it runs."""
    managers, link = case.snapshot.network_managers, link_named(case, name)
    if not isinstance(managers, NetworkManagers) or link is None:
        return None
    told = [one for one in managers.owners if one.link == link.index]
    if told:
        return next((one for one in told if one.managed), None)
    file = file_for(managers.files, link.name, link.kind or "")
    if _NETWORKD not in managers.running or file is None or leaves_alone(file):
        return None
    return LinkOwner(link.index, _NETWORKD, managed=True, file=file.path)


def vpn_of(halt: Halt) -> tuple[str, ...]:
    """Which VPN makes policy rules like the one that leads the packet there."""
    rule = halt.routing_rule
    if rule is None:
        return ()
    marked = [text for mark, text in _VPN_MARKS.items() if rule.mark == mark]
    return (*marked, *(text for table, text in _VPN_TABLES.items() if rule.table == table))


def who(case: Case, halt: Halt) -> tuple[Evidence, ...]:
    """Who set it so, where that can be seen."""
    found: list[Evidence] = []
    if halt.namespace is not None:
        return ()
    manager = owner(case, halt.link) if halt.kind in ("link", "address") else None
    if manager is not None:
        by = f", as {manager.file} matches it" if manager.file else ""
        found.append(Evidence(manager.manager, f"it runs and configures {halt.link}{by}"))
    found += [Evidence("VPN", text) for text in vpn_of(halt)]
    counters = case.snapshot.network.ip_counters
    if halt.kind == "reverse-path" and not isinstance(counters, Unread) and counters.get(_FILTERED):
        found.append(
            Evidence("/proc/net/netstat", f"{_FILTERED} {counters[_FILTERED]}: packets so discarded")
        )
    if halt.kind == "no-route":
        found += [Evidence("ip rule", describe_rule(one)) for one in _selective(case, halt.packet.family)]
    return tuple(found)


def _selective(case: Case, family: int) -> tuple[RoutingRule, ...]:
    """The policy rules that hold for some packets only: why these find no route where others do."""
    rules = case.snapshot.network.rules
    return (
        ()
        if isinstance(rules, Unread)
        else tuple(
            one
            for one in rules
            if one.family == family
            and one != RoutingRule(family=one.family, priority=one.priority, action="lookup", table=one.table)
        )
    )


def values(case: Case, halt: Halt) -> tuple[Evidence, ...]:
    """What the sysctls read that decide together."""
    sysctls = case.snapshot.network.sysctls
    if isinstance(sysctls, Unread) or halt.sysctl is None or halt.namespace is not None:
        return ()
    parts = halt.sysctl.split("/")
    keys = [halt.sysctl]
    if parts[-1] in ("rp_filter", "arp_filter", "arp_ignore") and halt.link is not None:
        keys = [f"net/ipv4/conf/{where}/{parts[-1]}" for where in (halt.link, "all")]
    return tuple(Evidence("sysctl", f"{_name(key)} = {sysctls[key]}") for key in keys if key in sysctls)


def _name(key: str) -> str:
    return key if "." in key else key.replace("/", ".")
