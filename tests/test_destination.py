"""What a name stands for, as the container that asks would have it resolved."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerdiag.destination import Destination, DestinationError
from dockerdiag.snapshot import TextFile
from dockerdiag.snapshot.model import Container, Endpoint, Engine, IpamPool, Network, Snapshot
from tests.packet.hosts import snapshot

DEFAULT = Network("b" * 64, "bridge", "bridge", pools=(IpamPool("172.17.0.0/16", "172.17.0.1"),))


def container(name: str, *endpoints: Endpoint, extra_hosts: tuple[str, ...] = ()) -> Container:
    return Container(name, name, "image", "running", 7, "lan", endpoints=endpoints, extra_hosts=extra_hosts)


def on(network: str, address: str, *aliases: str) -> Endpoint:
    return Endpoint(network, address=address, aliases=aliases)


def host(*containers: Container, daemon_json: str | None = None, hosts: str = "") -> Snapshot:
    base = snapshot()
    assert isinstance(base.engine, Engine)
    engine = replace(base.engine, containers=containers, networks=(DEFAULT,))
    file = None if daemon_json is None else TextFile("/etc/docker/daemon.json", daemon_json)
    return replace(base, engine=engine, daemon_json=file, hosts_file=TextFile("/etc/hosts", hosts))


def resolved(there: Snapshot, name: str, *asking: str) -> list[str]:
    return [str(address) for address in Destination.parse(name).addresses(there, asking)]


def test_a_name_is_looked_for_on_the_askers_own_networks_first() -> None:
    there = host(
        container("web", on("lan", "10.1.0.2")),
        container("db", on("lan", "10.1.0.3", "sql")),
        container("other", on("wan", "10.2.0.3", "sql")),
    )
    assert resolved(there, "db", "web") == ["10.1.0.3"]
    assert resolved(there, "sql", "web") == ["10.1.0.3"]
    assert resolved(there, "sql", "other") == ["10.2.0.3"]
    assert resolved(there, "sql") == ["10.1.0.3", "10.2.0.3"]
    assert resolved(there, "other", "web") == ["10.2.0.3"]


def test_extra_hosts_come_before_all_others() -> None:
    extra = ("db:192.0.2.7", "six:[fd00::7]", "host.docker.internal:host-gateway", "odd:nowhere")
    there = host(
        container("web", on("lan", "10.1.0.2"), extra_hosts=extra), container("db", on("lan", "10.1.0.3"))
    )
    assert resolved(there, "db", "web") == ["192.0.2.7"]
    assert resolved(there, "six", "web") == ["fd00::7"]
    assert resolved(there, "host.docker.internal", "web") == ["172.17.0.1"]
    assert resolved(there, "db", "db") == ["10.1.0.3"]
    for name, asking in (("host.docker.internal", "db"), ("odd", "web")):
        with pytest.raises(DestinationError):
            resolved(there, name, asking)


@pytest.mark.parametrize(
    ("daemon_json", "expected"),
    [
        ('{"host-gateway-ip": "192.0.2.9"}', ["192.0.2.9"]),
        ('{"host-gateway-ips": ["192.0.2.9", "fd00::9"]}', ["192.0.2.9", "fd00::9"]),
        ('{"debug": true}', ["172.17.0.1"]),
    ],
)
def test_the_daemon_may_be_told_what_host_gateway_is(daemon_json: str, expected: list[str]) -> None:
    asker = container("web", on("lan", "10.1.0.2"), extra_hosts=("host.docker.internal:host-gateway",))
    assert resolved(host(asker, daemon_json=daemon_json), "host.docker.internal", "web") == expected


def test_the_hosts_file_is_asked_last_and_an_address_is_itself() -> None:
    there = host(container("web", on("lan", "10.1.0.2")), hosts="192.0.2.1 mirror Mirror.lan # a remark\n")
    assert resolved(there, "mirror.LAN", "web") == ["192.0.2.1"]
    assert Destination.parse("[fd00::1]:80").addresses(there) == (ip_address("fd00::1"),)
