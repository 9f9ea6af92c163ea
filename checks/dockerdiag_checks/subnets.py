"""The subnets of one network."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from dockerdiag.snapshot import Network

Subnet = IPv4Network | IPv6Network


def subnets_in(network: Network) -> tuple[Subnet, ...]:
    """Those that the engine has given it, of both families."""
    return tuple(ip_network(pool.subnet, strict=False) for pool in network.pools if pool.subnet)
