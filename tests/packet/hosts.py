"""A healthy host written by hand: a bridge network, containers on it, an uplink, and the rules of an engine."""

from dataclasses import replace

from dockerdiag.snapshot.model import (
    Container,
    Endpoint,
    Engine,
    Firewall,
    Host,
    IpamPool,
    Network,
    NetworkNamespace,
    Snapshot,
    TextFile,
    Unread,
)
from tests.packet.namespaces import address, forwarding_sysctls, link, local_route, namespace, route

GATEWAY, SUBNET, UPLINK_ADDRESS = "172.17.0.1", "172.17.0.0/16", "198.51.100.2"
NETWORK = Network(
    id="b" * 64,
    name="bridge",
    driver="bridge",
    pools=(IpamPool(SUBNET, GATEWAY),),
    options={"com.docker.network.bridge.name": "docker0"},
)
RULES = """*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 -j ACCEPT
COMMIT
"""


def container(number: int = 0, **parts: object) -> Container:
    """The container with address 172.17.0.(number + 2)."""
    own = f"172.17.0.{number + 2}"
    fields: dict[str, object] = {
        "id": f"{number:064x}",
        "name": f"web{number}",
        "image": "lab",
        "state": "running",
        "pid": 100 + number,
        "network_mode": "bridge",
        "endpoints": (Endpoint("bridge", NETWORK.id, own, 16, GATEWAY),),
        "namespace": f"net:[{number + 10}]",
        "resolv_conf": TextFile("/etc/resolv.conf", "nameserver 198.51.100.53\n"),
    }
    return Container(**{**fields, **parts})  # type: ignore[arg-type]


def container_namespace(number: int = 0, **parts: object) -> NetworkNamespace:
    own = f"172.17.0.{number + 2}"
    fields: dict[str, object] = {
        "links": (
            link(1, "lo", loopback=True),
            link(
                2, "eth0", "veth", peer=100 + number, peer_namespace=0, mac=f"02:42:ac:11:00:{number + 2:02x}"
            ),
        ),
        "addresses": (address(1, "127.0.0.1/8", scope="host"), address(2, f"{own}/16")),
        "routes": (
            route("0.0.0.0/0", 2, GATEWAY),
            route(SUBNET, 2, preferred_source=own),
            local_route(own, 2),
        ),
        "sysctls": forwarding_sysctls("eth0"),
    }
    return namespace(f"net:[{number + 10}]", **{**fields, **parts})


def host_namespace(containers: int = 1, **parts: object) -> NetworkNamespace:
    ports = [
        link(100 + n, f"veth{n:04x}", "veth", master=3, peer=2, peer_namespace=n, bridge_port_state=3)
        for n in range(containers)
    ]
    fields: dict[str, object] = {
        "links": (
            link(1, "lo", loopback=True),
            link(2, "eth0", mac="02:00:00:00:00:01"),
            link(3, "docker0", "bridge", mac="02:00:00:00:00:02"),
            *ports,
        ),
        "addresses": (
            address(1, "127.0.0.1/8", scope="host"),
            address(2, f"{UPLINK_ADDRESS}/24"),
            address(3, f"{GATEWAY}/16"),
        ),
        "routes": (
            route("0.0.0.0/0", 2, "198.51.100.1"),
            route("198.51.100.0/24", 2, preferred_source=UPLINK_ADDRESS),
            route(SUBNET, 3, preferred_source=GATEWAY),
            local_route(UPLINK_ADDRESS, 2),
            local_route(GATEWAY, 3),
        ),
        "sysctls": forwarding_sysctls("eth0", "docker0", *(port.name for port in ports)),
        "firewall": Firewall(nft="", iptables_legacy=RULES),
    }
    return namespace("net:[1]", **{**fields, **parts})


def snapshot(count: int = 1, host: NetworkNamespace | None = None, **parts: object) -> Snapshot:
    """The host with `count` like containers."""
    containers = tuple(container(n) for n in range(count))
    engine = Engine(
        endpoint="unix:///var/run/docker.sock",
        context=None,
        local=True,
        name="host",
        version="28.5.2",
        api_version="1.51",
        networks=(NETWORK,),
        containers=containers,
    )
    fields: dict[str, object] = {
        "taken_at": "2026-01-01T00:00:00Z",
        "tool_version": "0",
        "host": Host("host", "6.1.0", "x86_64", "Debian", root=True),
        "network": host or host_namespace(count),
        "namespaces": {f"net:[{n + 10}]": container_namespace(n) for n in range(count)},
        "engine": engine,
        "daemons": (),
        "service": None,
        "daemon_json": None,
        "boot_sysctls": Unread("not asked"),
        "resolv_conf": None,
        "hosts_file": None,
        "journal": (),
        "kernel_log": (),
    }
    return Snapshot(**{**fields, **parts})  # type: ignore[arg-type]


def with_engine(one: Snapshot, **parts: object) -> Snapshot:
    """The snapshot with some parts of its engine replaced."""
    assert isinstance(one.engine, Engine)
    return replace(one, engine=replace(one.engine, **parts))  # type: ignore[arg-type]
