"""What the engine has given a container in its own namespace, and what somebody has added there."""

from ipaddress import ip_address, ip_interface, ip_network

from dockerdiag.case import Case, Hit
from dockerdiag.snapshot import Container, Endpoint, NetworkNamespace, Route, Unread
from dockerdiag_checks.commands import Change, sh

_MAIN = 254
_FALLBACK_TUNNELS = frozenset({"ipip", "sit", "gre", "gretap", "erspan", "ip6gre", "ip6tnl", "vti", "vti6"})
"""Links that the kernel puts into every new namespace where it knows such tunnels."""


def lacks_address(case: Case, hit: Hit) -> bool:
    """Whether a container has not the address that the engine gave it, without which it reaches no gateway."""
    return any(
        ours not in _addresses_in(case, one)
        for one in _members(case, hit)
        for end in one.endpoints
        if (ours := _address_of(end, hit.halt.packet.family)[0])
    )


def _members(case: Case, hit: Hit) -> list[Container]:
    return [one for one in case.containers if one.name in hit.containers]


def _inside(case: Case, container: Container) -> NetworkNamespace | None:
    """A container's namespace, None where it was not read."""
    inside = case.snapshot.namespaces.get(container.namespace or "")
    return inside if isinstance(inside, NetworkNamespace) else None


def _address_of(end: Endpoint, family: int) -> tuple[str, int | None]:
    return (end.address6, end.prefix_length6) if family == 6 else (end.address, end.prefix_length)


def _addresses_in(case: Case, container: Container) -> set[str]:
    inside = _inside(case, container)
    if inside is None or isinstance(inside.addresses, Unread):
        return set()
    return {one.address for one in inside.addresses}


def own_address(case: Case, hit: Hit) -> Change | None:
    """The address that the engine gave a container, where it is clear which link it belongs to."""
    members = _members(case, hit)
    ends = [end for one in members for end in one.endpoints]
    inside = _inside(case, members[0]) if len(members) == 1 else None
    if len(ends) != 1 or inside is None or isinstance(inside.links, Unread):
        return None
    links = [link.name for link in inside.links if not link.loopback and link.kind not in _FALLBACK_TUNNELS]
    address, length = _address_of(ends[0], hit.halt.packet.family)
    if len(links) != 1 or not address or not length:
        return None
    tool = ("ip", "-6", "address") if hit.halt.packet.family == 6 else ("ip", "address")
    way = (f"{address}/{length}", "dev", links[0])
    return Change(sh(*tool, "add", *way), sh(*tool, "del", *way), "")


def subnet_route(case: Case, hit: Hit, gateway: str) -> Change | None:
    """The route to its own subnet, where a container has its address and no route to its gateway is left."""
    members, family = _members(case, hit), hit.halt.packet.family
    inside = _inside(case, members[0]) if members else None
    if inside is None or isinstance(inside.routes, Unread) or isinstance(inside.addresses, Unread):
        return None
    if any(
        one.table == _MAIN and ip_address(gateway) in ip_network(one.destination)
        for one in inside.routes
        if one.family == family and ip_network(one.destination).prefixlen
    ):
        return None
    own = {_address_of(end, family)[0]: end for one in members for end in one.endpoints}
    for one in inside.addresses:
        subnet = ip_interface(f"{one.address}/{one.prefix_length}").network
        if one.address in own and ip_address(gateway) in subnet and (link := _name_of(inside, one.link)):
            tool = ("ip", "-6", "route") if family == 6 else ("ip", "route")
            way = (str(subnet), "dev", link)
            details = () if family == 6 else ("proto", "kernel", "scope", "link", "src", one.address)
            return Change(sh(*tool, "add", *way, *details), sh(*tool, "del", *way), "")
    return None


def _name_of(inside: NetworkNamespace, index: int | None) -> str | None:
    links = () if isinstance(inside.links, Unread) else inside.links
    return next((one.name for one in links if one.index == index), None)


def way_by(
    container: Container, case: Case, hit: Hit, gateway: str | None
) -> tuple[Route, tuple[str, ...]] | None:
    """A container's route that leads its packets to a gateway, or without one onto the link itself, and its way."""
    to = hit.halt.packet.addresses.destination
    inside = _inside(case, container)
    if inside is None or isinstance(inside.routes, Unread):
        return None
    leading = [
        route
        for route in inside.routes
        if [hop.gateway for hop in route.next_hops] == [gateway] and to in ip_network(route.destination)
    ]
    route = max(leading, key=lambda one: ip_network(one.destination).prefixlen, default=None)
    if route is None:
        return None
    if gateway is not None:
        return route, ("via", gateway)
    link = _name_of(inside, route.next_hops[0].link)
    return (route, ("dev", link)) if link is not None else None


def without_way(route: Route, way: tuple[str, ...]) -> Change | None:
    """Deletes a container's route that leads astray, unless it is the default one, which is replaced."""
    return None if ip_network(route.destination).prefixlen == 0 else _deleted(route, *way)


def refusing_route(container: Container, case: Case, hit: Hit) -> Change | None:
    """Deletes the route that refuses a container's packets, where another of its table then leads them on."""
    refusing, to, inside = hit.halt.route, hit.halt.packet.addresses.destination, _inside(case, container)
    if inside is None or isinstance(inside.routes, Unread) or refusing is None or refusing.type == "unicast":
        return None
    leads = any(
        (one.family, one.table, one.type) == (refusing.family, refusing.table, "unicast")
        and to in ip_network(one.destination)
        for one in inside.routes
    )
    return _deleted(refusing) if leads and refusing in inside.routes else None


def _deleted(route: Route, *by: str) -> Change:
    tool = ("ip", "-6", "route") if route.family == 6 else ("ip", "route")
    kind = () if route.type == "unicast" else (route.type,)
    metric = ("metric", str(route.metric)) if route.metric else ()
    way = (*kind, route.destination, *by, "table", str(route.table), *metric)
    return Change(sh(*tool, "del", *way), sh(*tool, "add", *way), "")
