"""Namespaces written by hand: the parts of a snapshot that a test speaks of, the rest empty and in order."""

from dockerdiag.snapshot.model import Address, Firewall, Link, NetworkNamespace, NextHop, Route, RoutingRule

NO_RULES = Firewall(nft="")


def link(index: int, name: str, kind: str | None = None, **parts: object) -> Link:
    fields: dict[str, object] = {"up": True, "operstate": "up", "mtu": 1500, "carrier": True}
    return Link(index=index, name=name, kind=kind, **{**fields, **parts})  # type: ignore[arg-type]


def address(link: int, cidr: str, **parts: object) -> Address:
    text, _, length = cidr.partition("/")
    return Address(link, 6 if ":" in text else 4, text, int(length), **parts)  # type: ignore[arg-type]


def route(destination: str, link: int | None, gateway: str | None = None, **parts: object) -> Route:
    fields: dict[str, object] = {"table": 254, "type": "unicast", **parts}
    fields.setdefault("next_hops", (NextHop(link, gateway),) if link is not None else ())
    return Route(6 if ":" in destination else 4, destination=destination, **fields)  # type: ignore[arg-type]


def local_route(cidr: str, link: int) -> Route:
    text = cidr.partition("/")[0]
    return route(f"{text}/{128 if ':' in text else 32}", link, table=255, type="local", scope="host")


def default_rules() -> tuple[RoutingRule, ...]:
    return tuple(
        RoutingRule(family, priority, "lookup", table)  # type: ignore[arg-type]
        for family, tables in ((4, ((0, 255), (32766, 254), (32767, 253))), (6, ((0, 255), (32766, 254))))
        for priority, table in tables
    )


def forwarding_sysctls(*names: str, **values: str) -> dict[str, str]:
    """The sysctls of a forwarding namespace with these links; `values` replaces some, `__` for each slash."""
    sysctls = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}
    for name in ("all", "default", "lo", *names):
        zeros = (
            "rp_filter",
            "accept_local",
            "route_localnet",
            "src_valid_mark",
            "ignore_routes_with_linkdown",
        )
        sysctls |= {f"net/ipv4/conf/{name}/{switch}": "0" for switch in (*zeros, "arp_ignore")}
        sysctls |= {f"net/ipv4/conf/{name}/forwarding": "1", f"net/ipv6/conf/{name}/disable_ipv6": "0"}
    return sysctls | {key.replace("__", "/"): value for key, value in values.items()}


def namespace(name: str = "net:[1]", **parts: object) -> NetworkNamespace:
    fields: dict[str, object] = {
        "links": (),
        "addresses": (),
        "routes": (),
        "rules": default_rules(),
        "neighbours": (),
        "sysctls": {},
        "firewall": NO_RULES,
    }
    return NetworkNamespace(name=name, **{**fields, **parts})  # type: ignore[arg-type]
