"""The snapshot of a host with many networks and containers, its rules aside."""

from dockerdiag.snapshot.model import (
    Container,
    Endpoint,
    Engine,
    Firewall,
    Host,
    IpamPool,
    Link,
    Network,
    NetworkNamespace,
    Snapshot,
    Unread,
)
from tests.bench.rules import Size, address, bridge, gateway, subnet
from tests.packet.namespaces import address as link_address
from tests.packet.namespaces import forwarding_sysctls, link, local_route, namespace, route

_FIRST_BRIDGE, _FIRST_PORT = 10, 100_000


def snapshot(size: Size, firewall: Firewall) -> Snapshot:
    """A healthy host with these rules."""
    networks = tuple(
        Network(
            id=f"{n:064x}",
            name=f"net{n}",
            driver="bridge",
            pools=(IpamPool(subnet(n), gateway(n)),),
            options={"com.docker.network.bridge.name": bridge(n)},
        )
        for n in range(size.networks)
    )
    containers = tuple(_container(c, networks[c // 2]) for c in range(size.containers))
    engine = Engine(
        endpoint="unix:///var/run/docker.sock",
        context=None,
        local=True,
        name="host",
        version="29.0.0",
        api_version="1.52",
        networks=networks,
        containers=containers,
    )
    return Snapshot(
        taken_at="2026-01-01T00:00:00Z",
        tool_version="0",
        host=Host("host", "6.12.0", "x86_64", "Debian", root=True),
        network=_host_namespace(size, firewall),
        namespaces={f"net:[{c + 10}]": _container_namespace(c) for c in range(size.containers)},
        engine=engine,
        daemons=(),
        service=None,
        daemon_json=None,
        boot_sysctls=Unread("not asked"),
        resolv_conf=None,
        hosts_file=None,
        journal=(),
        kernel_log=(),
    )


def _container(number: int, network: Network) -> Container:
    pool = network.pools[0]
    return Container(
        id=f"{number:064x}",
        name=f"web{number}",
        image="web",
        state="running",
        pid=1000 + number,
        network_mode=network.name,
        endpoints=(Endpoint(network.name, network.id, address(number), 24, pool.gateway),),
        namespace=f"net:[{number + 10}]",
    )


def _container_namespace(number: int) -> NetworkNamespace:
    own, network = address(number), number // 2
    return namespace(
        f"net:[{number + 10}]",
        links=(
            link(1, "lo", loopback=True),
            link(2, "eth0", "veth", peer=_FIRST_PORT + number, peer_namespace=0),
        ),
        addresses=(link_address(1, "127.0.0.1/8", scope="host"), link_address(2, f"{own}/24")),
        routes=(
            route("0.0.0.0/0", 2, gateway(network)),
            route(subnet(network), 2, preferred_source=own),
            local_route(own, 2),
        ),
        sysctls=forwarding_sysctls("eth0"),
    )


def _host_namespace(size: Size, firewall: Firewall) -> NetworkNamespace:
    networks, containers = range(size.networks), range(size.containers)
    bridges = [link(_FIRST_BRIDGE + n, bridge(n), "bridge") for n in networks]
    ports: list[Link] = [
        link(
            _FIRST_PORT + c,
            f"veth{c:07x}",
            "veth",
            master=_FIRST_BRIDGE + c // 2,
            peer=2,
            peer_namespace=c,
            bridge_port_state=3,
        )
        for c in containers
    ]
    return namespace(
        "net:[1]",
        links=(link(1, "lo", loopback=True), link(2, "eth0"), *bridges, *ports),
        addresses=(
            link_address(1, "127.0.0.1/8", scope="host"),
            link_address(2, "198.51.100.2/24"),
            *(link_address(_FIRST_BRIDGE + n, f"{gateway(n)}/24") for n in networks),
        ),
        routes=(
            route("0.0.0.0/0", 2, "198.51.100.1"),
            route("198.51.100.0/24", 2, preferred_source="198.51.100.2"),
            local_route("198.51.100.2", 2),
            *(route(subnet(n), _FIRST_BRIDGE + n, preferred_source=gateway(n)) for n in networks),
            *(local_route(gateway(n), _FIRST_BRIDGE + n) for n in networks),
        ),
        sysctls=forwarding_sysctls("eth0", *(one.name for one in (*bridges, *ports))),
        firewall=firewall,
    )
