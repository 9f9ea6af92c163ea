"""Does IPv6 hold on this host that forwards, and are containers' addresses answered for?

## What it asks

Whether the host's own IPv6 route comes, or came, from router advertisements that the kernel no longer takes, since it
forwards; whether addresses that containers use on the uplink's own prefix are answered for there; and, for a container
that is asked about by `-c`, whether it has IPv6 at all.

## Why it breaks containers

The engine turns on IPv6 forwarding. From then on the kernel takes no router advertisement on a link whose `accept_ra`
is 1, and the default route that it had from one expires. Where a network has a part of the uplink's prefix and is not
translated, the router asks on the link who has a container's address, and nobody answers.

## What is normal and not reported

- `accept_ra` 0: systemd-networkd, NetworkManager and dhcpcd take router advertisements themselves.
- `accept_ra` 2, a link that does not forward itself, and a default route that somebody set.
- No IPv6 default route, where no link has an address of the internet's that the kernel made from an advertisement.
- A prefix that is routed to this host, a proxy for neighbour discovery (`proxy_ndp`, ndppd), and translated networks.
- A container without IPv6: the default (a note where it is asked about by `-c` and the host has IPv6).

## Remedy

`accept_ra` 2 on the uplink: advertisements are taken though the host forwards. For a part of the uplink's prefix a
proxy entry for each address, or a prefix of the network's own that is routed to this host.

## References

- Linux, Documentation/networking/ip-sysctl.rst: `accept_ra`, `proxy_ndp`
- docker/for-linux#844, moby/moby#43466, moby/moby#25407
"""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from dockerdiag.case import Case, Traced
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Address, NetworkManagers, Route, Unread
from dockerdiag_checks.commands import AtEngineStart, set_sysctl, sh, show_sysctl, write_file
from dockerdiag_checks.wording import listed, retry

NEEDS = ("engine", "engine.networks", "network.links", "network.routes", "network.sysctls")
READS = ("network_managers",)

_MAIN = 254
_SIX = 6
_DEFAULT = "::/0"
_GLOBAL = ip_network("2000::/3")


@check(
    "ipv6",
    title="Does IPv6 hold on this host that forwards, and are containers' addresses answered for?",
    group="Host",
    place=35,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """What the host loses, what nobody answers for, and who has no IPv6."""
    if case.engine_elsewhere() is not None:
        return
    yield from _advertisements(case)
    yield from _on_link(case)
    yield from _without(case)


def _sysctl(case: Case, key: str) -> str | None:
    sysctls = case.snapshot.network.sysctls
    return None if isinstance(sysctls, Unread) else sysctls.get(key)


def _names(case: Case) -> dict[int, str]:
    links = case.snapshot.network.links
    return {} if isinstance(links, Unread) else {link.index: link.name for link in links}


def _routes(case: Case) -> tuple[Route, ...]:
    routes = case.snapshot.network.routes
    return () if isinstance(routes, Unread) else tuple(one for one in routes if one.family == _SIX)


def _advertisements(case: Case) -> Iterator[Finding]:
    if _sysctl(case, "net/ipv6/conf/all/forwarding") != "1":
        return
    names = _names(case)
    wanted = (_DEFAULT, _MAIN, "unicast")
    defaults = [one for one in _routes(case) if (one.destination, one.table, one.type) == wanted]
    if any(one.protocol != "ra" for one in defaults):
        return
    if not defaults:
        yield from _expired(case)
    for route in defaults:
        link = next((names[hop.link] for hop in route.next_hops if hop.link in names), None)
        if link is not None and _ignores_advertisements(case, link):
            yield _lost(
                case,
                link,
                f"The host's IPv6 default route by {link} expires: it is from a router advertisement, and "
                "the kernel takes no more of them now that it forwards",
                Evidence("ip -6 route", f"default dev {link} proto ra"),
            )


def _expired(case: Case) -> Iterator[Finding]:
    """Links that still have the address that an advertisement gave them, which lives longer than its route."""
    names, addresses = _names(case), case.snapshot.network.addresses
    if isinstance(addresses, Unread):
        return
    told: set[str] = set()
    for one in addresses:
        link = names.get(one.link)
        if link is None or link in told or not _by_the_kernel(one) or not _ignores_advertisements(case, link):
            continue
        told.add(link)
        yield _lost(
            case,
            link,
            f"The host has no IPv6 default route: {link} has its address from a router advertisement, and the kernel "
            "takes no more of them now that it forwards",
            Evidence("ip -6 address", f"{one.address}/{one.prefix_length} dev {link} {' '.join(one.flags)}"),
            Evidence("ip -6 route", "no default route"),
        )


def _by_the_kernel(address: Address) -> bool:
    """Whether the kernel made it from an advertisement of a prefix of the internet's.

    A unique local prefix is often told by who is no router.
    """
    made = "mngtmpaddr" in address.flags and "noprefixroute" not in address.flags
    return made and address.family == _SIX and ip_address(address.address) in _GLOBAL


def _ignores_advertisements(case: Case, link: str) -> bool:
    """Whether the kernel would take advertisements there if the link did not forward."""
    there = f"net/ipv6/conf/{link}"
    return _sysctl(case, f"{there}/accept_ra") == "1" and _sysctl(case, f"{there}/forwarding") != "0"


def _lost(case: Case, link: str, summary: str, *evidence: Evidence) -> Finding:
    key = f"net/ipv6/conf/{link}/accept_ra"
    change = set_sysctl(key, "2", "1")
    path = f"/etc/sysctl.d/99-zz-dockerdiag-accept-ra-{link.replace('/', '-')}.conf"
    name = key if "." in key else key.replace("/", ".")
    return Finding(
        code="accept-ra-lost",
        status=Status.WARN,
        subject=f"link:{link}",
        summary=summary,
        evidence=(
            *evidence,
            Evidence("sysctl", f"{name} = 1"),
            Evidence("sysctl", "net.ipv6.conf.all.forwarding = 1"),
        ),
        remedies=(
            Remedy(
                summary=f"Take router advertisements on {link} though the host forwards",
                now=(change.do,),
                lasting=(write_file(path, f"{name} = 2"),),
                verify=(show_sysctl(key), "ip -6 route show default", *retry(case)),
                undo=(change.undo, sh("rm", "-f", path)),
                risk=(
                    "Who may send router advertisements on that link decides the host's IPv6 route, as before. A route "
                    "that is gone comes back with the router's next advertisement, some minutes at the most."
                ),
            ),
        ),
    )


def _on_link(case: Case) -> Iterator[Finding]:
    """Addresses of containers that others look for on the uplink itself, where nobody answers."""
    managers = case.snapshot.network_managers
    if isinstance(managers, NetworkManagers) and "ndppd" in managers.running:
        return
    said: set[str] = set()
    for traced in case.traced:
        journey = traced.journey
        network, source, uplink = traced.network, journey.sent_from, journey.uplink
        if network is None or network in said or source is None or source.version != _SIX or uplink is None:
            continue
        if not traced.delivered or (journey.translation is not None and journey.translation.source != source):
            continue
        prefix = _prefix_of_link(case, uplink, str(source))
        proxied = [_sysctl(case, f"net/ipv6/conf/{where}/proxy_ndp") for where in (uplink, "all")]
        if prefix is None or "1" in proxied or None in proxied:
            continue
        said.add(network)
        yield _unanswered(case, traced, prefix, uplink)


def _prefix_of_link(case: Case, link: str, address: str) -> str | None:
    names = _names(case)
    for route in _routes(case):
        on_it = any(names.get(hop.link or 0) == link and hop.gateway is None for hop in route.next_hops)
        if on_it and route.destination != _DEFAULT and ip_address(address) in ip_network(route.destination):
            return route.destination
    return None


def _unanswered(case: Case, traced: Traced, prefix: str, uplink: str) -> Finding:
    network, source = traced.network or "", str(traced.journey.sent_from)
    members = [
        end.address6
        for one in case.containers
        for end in one.endpoints
        if one.pid is not None and end.network == network and end.address6
    ] or [source]
    change = set_sysctl(f"net/ipv6/conf/{uplink}/proxy_ndp", "1", "0")
    entries = [sh("ip", "-6", "neigh", "replace", "proxy", address, "dev", uplink) for address in members]
    gone = [sh("ip", "-6", "neigh", "del", "proxy", address, "dev", uplink) for address in members]
    each_start = AtEngineStart(f"proxy-ndp-{network}", [change.do, *entries])
    return Finding(
        code="ipv6-prefix-on-link",
        status=Status.WARN,
        subject=f"network:{network}",
        summary=(
            f"{listed(traced.containers, 'container')} sends from {source}, which lies in {uplink}'s own prefix "
            f"{prefix}: unless a router knows better, it asks for it on {uplink}, where nobody answers"
        ),
        count=max(len(traced.containers), 1),
        evidence=(
            Evidence("ip -6 route", f"{prefix} dev {uplink}"),
            Evidence("sysctl", f"net.ipv6.conf.{uplink}.proxy_ndp = 0"),
        ),
        remedies=(
            Remedy(
                summary=f"Answer for the containers' addresses on {uplink}",
                now=(change.do, *entries),
                lasting=each_start.lines,
                verify=("ip -6 neigh show proxy", *retry(case)),
                undo=(*gone, change.undo, *each_start.undo),
                risk=(
                    "Holds for the addresses of today: new containers need entries of their own. After the undo "
                    "lines, neighbours still know for a while what was answered. "
                    "Better is a prefix of the network's own that is routed to this host."
                ),
            ),
        ),
    )


def _without(case: Case) -> Iterator[Finding]:
    """Only of who was asked about: no IPv6 is how the engine makes a network unless told otherwise."""
    if not any(one.destination == _DEFAULT and one.type == "unicast" for one in _routes(case)):
        return
    for one in case.containers:
        six = any(network.ipv6 for end in one.endpoints if (network := case.network(end.network)))
        if one.name not in case.asked_containers or six or not one.endpoints:
            continue
        networks = tuple(end.network for end in one.endpoints)
        yield Finding(
            code="container-has-no-ipv6",
            status=Status.NOTE,
            subject=f"container:{one.name}",
            summary=f"Container {one.name} has no IPv6, as its {listed(networks, 'network')} has none; the host does",
            evidence=(Evidence("docker network inspect", "EnableIPv6 is false"),),
        )
