"""Whether the host itself has a way out, by IPv4 and by IPv6, and what that means where only one of them leads out."""

from dockerdiag.case import Case, Hit
from dockerdiag.packet.flow import Halt
from dockerdiag.packet.packet import prefix
from dockerdiag.report import Remedy
from dockerdiag.snapshot import Route, Unread
from dockerdiag_checks.wording import retry

_MAIN = 254
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


def host_is_offline(case: Case, family: int) -> bool:
    """Whether the host's own packets have no way out either, as far as its kernel and its routes tell."""
    network = case.snapshot.network
    bridges = {one.bridge for one in case.networks}
    answers = [one for one in network.route_answers if one.source is None and one.in_link is None]
    own = [
        one
        for one in answers
        if (":" in one.destination) == (family == 6)
        and (one.error is not None or one.out_link not in bridges)
    ]
    if own:
        return all(one.error is not None for one in own)
    return not has_default(case, family)


def has_default(case: Case, family: int) -> bool:
    """Whether the main table has a default route of that family."""
    return bool(_defaults(case, family))


def for_want_of_default(case: Case, halt: Halt) -> bool:
    """Whether it stops packets since the host itself has no way out: what refuses them takes none away then."""
    family = halt.packet.family
    if halt.namespace is not None or not host_is_offline(case, family):
        return False
    refused = halt.kind == "route" and halt.route is not None and halt.route.type != "unicast"
    return halt.kind == "no-route" or (refused and not _leads_on(case, halt))


def _leads_on(case: Case, halt: Halt) -> bool:
    """Whether a route of the main table leads there that is not the one that refuses."""
    routes, to = case.snapshot.network.routes, halt.packet.addresses.destination
    found = () if isinstance(routes, Unread) else routes
    return any(
        one.table == _MAIN and one.type == "unicast" and to in prefix(one.destination)
        for one in found
        if one.family == halt.packet.family
    )


def no_way_out(case: Case, family: int) -> str:
    """In words, for a host that is offline by that family: not more than is true."""
    only = "" if host_is_offline(case, _other(family)) else f" over IPv{family}"
    return f"The host itself has no way out{only}"


def not_meant(case: Case, hit: Hit) -> bool:
    """Whether a host that is offline by one family is meant to be so, and the containers have the other."""
    networks = [case.network(name) for name in hit.networks]
    if hit.halt.packet.family == 6:
        return all(network is None or network.ipv4 for network in networks)
    return not _has_ipv4(case) and _get_out_by_ipv6(case, hit)


def mend_host_first(case: Case, family: int) -> Remedy:
    """Where the host has no way out, nothing of Docker is to be mended."""
    verify = ("ip route show default", "ip -6 route show default", *retry(case))
    if family == 4 and not host_is_offline(case, 6) and not _has_ipv4(case):
        return Remedy(
            summary=(
                "Create the containers' networks with --ipv6, as the host has nothing else; or give it IPv4 first: "
                "Docker is not the cause"
            ),
            verify=verify,
            risk="None by looking. With IPv6 alone, containers reach nothing that has IPv4 addresses only.",
        )
    return Remedy(
        summary="Mend the host's own network first: Docker is not the cause",
        verify=verify,
        risk="None.",
    )


def _other(family: int) -> int:
    return 4 if family == 6 else 6


def _defaults(case: Case, family: int) -> tuple[Route, ...]:
    routes = case.snapshot.network.routes
    wanted = (_DEFAULT[family], _MAIN, "unicast")
    return (
        ()
        if isinstance(routes, Unread)
        else tuple(one for one in routes if (one.destination, one.table, one.type) == wanted)
    )


def _has_ipv4(case: Case) -> bool:
    """Whether the links that lead out by IPv6 have an IPv4 address: then it lacks the route alone."""
    addresses = case.snapshot.network.addresses
    uplinks = {hop.link for route in _defaults(case, 6) for hop in route.next_hops}
    return isinstance(addresses, Unread) or any(
        one.family == 4 and one.scope == "global" and one.link in uplinks for one in addresses
    )


def _get_out_by_ipv6(case: Case, hit: Hit) -> bool:
    out = [
        one
        for one in case.traced
        if one.delivered
        and not one.resolver
        and one.journey.flow.destination.is_global
        and one.journey.flow.destination.version == 6
    ]
    if hit.hypothetical:
        return {one.network for one in out}.issuperset(hit.networks)
    return {name for one in out for name in one.containers}.issuperset(hit.containers)
