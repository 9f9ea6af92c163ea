"""How many subnets the engine has left for networks that name none."""

from ipaddress import IPv4Network, ip_network

from dockerdiag.case import Case
from dockerdiag.snapshot import IpamPool, Unread
from dockerdiag_checks.subnets import Subnet, subnets_in

_BUILT_IN = (
    *(IpamPool(f"172.{second}.0.0/16", size=16) for second in range(17, 32)),
    IpamPool("192.168.0.0/16", size=20),
)
"""What the engine takes subnets from where default-address-pools says nothing (moby, ipamutils)."""
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""RFC 1918's."""
_MOST = 4096
"""Subnets of a pool that are looked at one by one; so many are never all in use."""


def taking_routes(case: Case) -> tuple[Subnet, ...]:
    """The host's routes that leave the engine no pool, where its networks alone would leave it some."""
    if not free_pools(case, beside_routes=False):
        return ()
    areas = [IPv4Network(pool.subnet, strict=False) for pool in _pools(case) if pool.subnet]
    routes = [route for route in _of_links(case) if isinstance(route, IPv4Network)]
    return tuple(route for route in routes if any(area.subnet_of(route) for area in areas))


def area_beside_routes(case: Case) -> IPv4Network | None:
    """A private area that no route of the host covers, nor a network; None where none is left, or known."""
    engine, routes = case.engine, case.snapshot.network.routes
    if engine is None or isinstance(engine.networks, Unread) or isinstance(routes, Unread):
        return None
    used: list[Subnet] = [subnet for one in engine.networks for subnet in subnets_in(one)]
    used += [
        ip_network(one.destination) for one in routes if one.family == 4 and one.destination != "0.0.0.0/0"
    ]
    # From the end that fewer others use.
    areas = (
        area for one in _PRIVATE for area in sorted(IPv4Network(one).subnets(new_prefix=16), reverse=True)
    )
    return next((area for area in areas if _is_free(area, used)), None)


def _of_links(case: Case) -> list[Subnet]:
    """What the engine takes for used: destinations of routes that are reached without a gateway."""
    routes = case.snapshot.network.routes
    return [
        ip_network(route.destination)
        for route in (() if isinstance(routes, Unread) else routes)
        if route.family == 4 and route.scope == "link" and not route.destination.endswith("/0")
    ]


def _pools(case: Case) -> list[IpamPool]:
    pools = case.engine.default_address_pools if case.engine is not None else ()
    return [one for one in pools or _BUILT_IN if ":" not in (one.subnet or "")]


def free_pools(case: Case, *, beside_routes: bool = True) -> int | None:
    """How many IPv4 subnets are left; None where it is not known.

    `beside_routes`: of those that no route of the host covers.
    """
    engine, routes = case.engine, case.snapshot.network.routes
    if engine is None or isinstance(engine.networks, Unread) or isinstance(routes, Unread):
        return None
    pools = _pools(case)
    used = [subnet for one in engine.networks for subnet in subnets_in(one)]
    if beside_routes:
        used += _of_links(case)
    free = 0
    for pool in pools:
        if pool.subnet is None or pool.size is None:
            return None
        area = ip_network(pool.subnet, strict=False)
        if pool.size - area.prefixlen > _MOST.bit_length() - 1:
            return _MOST
        free += sum(
            _is_free(subnet, used) for subnet in area.subnets(new_prefix=max(pool.size, area.prefixlen))
        )
    return free


def _is_free(subnet: Subnet, used: list[Subnet]) -> bool:
    return not any(one.version == subnet.version and subnet.overlaps(one) for one in used)
