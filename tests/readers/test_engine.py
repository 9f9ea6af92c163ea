import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockerdiag.readers import endpoint as endpoints
from dockerdiag.readers import engine as engines
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.endpoint import EngineEndpoint, choose_endpoint
from dockerdiag.readers.engine import read_engine
from dockerdiag.readers.engine_socket import runs_here
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.snapshot import Container, Engine, IpamPool, PortBinding, Unread
from tests.readers.fake_engine import RECORDED, FakeEngine, serving

VERSIONS = sorted(file.stem for file in RECORDED.glob("*.json"))


@pytest.fixture(params=VERSIONS)
def fake(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeEngine]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with serving(tmp_path / "docker.sock", request.param) as engine:
        yield engine


def read(seconds: float = 20) -> Engine:
    return read_engine(Tree("/"), Deadline(seconds))


def container(engine: Engine, name: str) -> Container:
    assert not isinstance(engine.containers, Unread), engine.containers
    return next(one for one in engine.containers if one.name == name)


def test_what_real_engines_say(fake: FakeEngine) -> None:
    engine = read()
    version = fake.recorded["version"]["Version"]
    assert (engine.version, engine.name, engine.rootless, engine.swarm) == (version, "lab", False, "inactive")
    assert engine.endpoint.startswith("unix://")
    assert engine.firewall_driver == ("iptables" if version.startswith("28") else None)
    assert not isinstance(engine.networks, Unread)
    networks = {one.name: one for one in engine.networks}
    assert networks.keys() == {"bridge", "host", "none", "shop", "inner"}
    assert (networks["bridge"].bridge, networks["shop"].bridge, networks["host"].bridge) == (
        "docker0",
        "shop0",
        None,
    )
    assert (networks["inner"].internal, networks["shop"].internal) == (True, False)
    assert networks["shop"].compose_project == "shop"
    assert networks["shop"].options["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert (networks["shop"].pools[0].subnet, networks["shop"].pools[0].gateway) == (
        "172.31.0.0/24",
        "172.31.0.1",
    )
    assert networks["shop"].ipv4


@pytest.mark.usefixtures("fake")
def test_what_real_engines_say_of_containers() -> None:
    engine = read()
    web, shop = container(engine, "web"), container(engine, "shop-db-1")
    assert (web.network_mode, web.state, web.image) == ("bridge", "running", "lab")
    assert {(one.protocol, one.container_port, one.host_port) for one in web.ports} == {
        ("tcp", 80, 8080),
        ("udp", 53, 53),
    }
    assert PortBinding("tcp", 80, "127.0.0.1", 8080) in web.ports
    assert web.proxies == {"HTTP_PROXY": "http://***@proxy.example:3128", "no_proxy": "localhost"}
    assert (shop.compose_project, shop.compose_service, shop.dns) == ("shop", "db", ("9.9.9.9",))
    assert shop.extra_hosts == ("gateway:172.31.0.1",)
    addresses = {one.network: (one.address.rpartition(".")[0], one.prefix_length) for one in shop.endpoints}
    assert addresses == {"shop": ("172.31.0", 24), "inner": ("172.31.1", 24)}
    assert container(engine, "onhost").network_mode == "host"
    assert container(engine, "beside").network_mode == f"container:{web.id}"
    assert container(engine, "nowhere").network_mode == "none"
    stopped = container(engine, "stopped")
    assert (stopped.state, stopped.pid, stopped.namespace) == ("created", None, None)
    assert stopped.endpoints[0].address == "172.31.0.77"
    assert (
        stopped.endpoints[0].network_id
        == shop.endpoints[[one.network for one in shop.endpoints].index("shop")].network_id
    )


@pytest.mark.usefixtures("fake")
def test_an_engine_of_another_host_lends_it_no_process() -> None:
    engine = read()
    # The socket is this test's own: no dockerd made it.
    assert not engine.local
    assert all(one.namespace is None for one in engine.containers)
    assert container(engine, "web").resolv_conf == Unread("the engine runs on another host")


def test_nothing_is_asked_that_changes_anything(fake: FakeEngine) -> None:
    read()
    assert {one.partition(" ")[0] for one in fake.asked} == {"GET"}
    inspections = [
        one for one in fake.asked if "/containers/" in one and not one.endswith("/containers/json")
    ]
    assert len(inspections) == len(fake.recorded["containers"])


@pytest.mark.parametrize(("kind", "says"), [("hangs", "no answer within"), ("drips", "no answer within")])
def test_one_that_does_not_answer_in_time(fake: FakeEngine, kind: str, says: str) -> None:
    setattr(fake, kind, "/version")
    started = time.monotonic()
    with pytest.raises(ReadError, match=says):
        read(1)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("kind", ["closes", "lies"])
def test_one_that_is_no_engine(fake: FakeEngine, kind: str) -> None:
    setattr(fake, kind, "/version")
    with pytest.raises(ReadError, match=r"^unix://\S+: "):
        read(5)


@pytest.mark.parametrize("kind", ["hangs", "drips", "closes", "lies"])
def test_part_of_an_engine_is_better_than_none(fake: FakeEngine, kind: str) -> None:
    setattr(fake, kind, r"/containers/\w{20,}/json")
    engine = read(1.5)
    assert not isinstance(engine.networks, Unread)
    assert [one.name for one in engine.containers] == [
        one["Names"][0][1:] for one in fake.recorded["containers"]
    ]
    for one in engine.containers:
        assert isinstance(one.resolv_conf, Unread)
        assert one.resolv_conf.reason.startswith("the engine tells no more of it: ")


def test_what_the_list_has_of_one_that_is_not_told_of(fake: FakeEngine) -> None:
    whole = read().containers
    fake.closes = r"/containers/\w{20,}/json"
    listed = read().containers
    assert len(listed) == len(whole) > 0
    for one, told in zip(listed, whole, strict=True):
        same = ("id", "name", "image", "state", "network_mode", "compose_project", "compose_service", "ports")
        assert [getattr(one, name) for name in same] == [getattr(told, name) for name in same]
        for end, there in zip(one.endpoints, told.endpoints, strict=True):
            known = ("network", "network_id", "address", "gateway", "address6", "gateway6")
            assert [getattr(end, name) for name in known] == [getattr(there, name) for name in known]
        assert one.pid is None
        assert isinstance(one.restart_policy, Unread)


def test_one_that_goes_while_it_is_read_costs_only_itself(fake: FakeEngine) -> None:
    del fake.recorded["inspect"][next(iter(fake.recorded["inspect"]))]
    containers = read().containers
    assert len(containers) == len(fake.recorded["containers"]) - 1


def test_fields_of_an_unexpected_type_are_empty(fake: FakeEngine) -> None:
    fake.recorded["info"].update(
        Warnings="none", Swarm=None, SecurityOptions=[1, "name=rootless"], FirewallBackend=[]
    )
    for one in fake.recorded["networks"]:
        one.update(Options=None, Labels=None, IPAM=None)
    engine = read()
    assert (engine.warnings, engine.swarm, engine.rootless, engine.firewall_driver) == (
        (),
        "inactive",
        True,
        None,
    )
    assert all(one.pools == () for one in engine.networks)


def test_addresses_that_are_none_are_empty(fake: FakeEngine) -> None:
    for one in fake.recorded["networks"]:
        one["IPAM"] = {"Config": [{"Subnet": "10.0.0.0/33", "Gateway": "10.0.0.1/8", "IPRange": "a"}]}
    for one in fake.recorded["inspect"].values():
        one["NetworkSettings"] |= {"Ports": {"80/tcp": [{"HostIp": "everywhere", "HostPort": "80"}]}}
        for end in one["NetworkSettings"]["Networks"].values():
            end |= {"IPAddress": "256.0.0.1", "GlobalIPv6Address": ":", "Gateway": "x", "IPAMConfig": None}
    engine = read()
    assert isinstance(engine.networks, tuple)
    assert isinstance(engine.containers, tuple)
    assert {pool for one in engine.networks for pool in one.pools} == {IpamPool(None, "10.0.0.1")}
    assert {
        (end.address, end.address6, end.gateway) for one in engine.containers for end in one.endpoints
    } == {("", "", "")}
    assert not [port for one in engine.containers for port in one.ports]


def test_podman_and_desktop_are_told(fake: FakeEngine) -> None:
    fake.recorded["version"].update(Platform={"Name": ""}, Components=[{"Name": "Podman Engine"}])
    assert read().platform == "Podman Engine"
    fake.recorded["version"].update(Platform={"Name": "Docker Desktop 4.40"}, Components=[])
    assert read().platform == "Docker Desktop 4.40"


def test_no_engine_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(ReadError, match="no engine: the socket does not exist"):
        read()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/none.sock")
    with pytest.raises(ReadError, match="no engine: nobody listens"):
        read()
    monkeypatch.setenv("DOCKER_HOST", "tcp://user:hunter2@127.0.0.1:1")
    with pytest.raises(ReadError, match=r"^tcp://\*\*\*@127\.0\.0\.1:1: ") as refused:
        read()
    assert "hunter2" not in str(refused.value)


def test_an_engine_elsewhere_is_never_this_host() -> None:
    system = os.uname()
    for url in ("tcp://127.0.0.1:2375", "ssh://root@localhost", "unix:///nonexistent"):
        assert not runs_here(url, system.nodename, system.release)


def test_a_socket_of_another_program_is_not_this_hosts_engine(tmp_path: Path) -> None:
    system = os.uname()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/docker.sock")
        server.listen()
        assert not runs_here(f"unix://{tmp_path}/docker.sock", system.nodename, system.release)


def test_with_root_the_hosts_own_socket_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    with serving(tmp_path / "run/docker.sock", VERSIONS[0]):
        engine = read_engine(Tree(tmp_path), Deadline(20))
    assert (engine.name, engine.endpoint) == ("lab", "unix:///var/run/docker.sock")


# -- which engine ----------------------------------------------------------------------------------------------------


def make_context(directory: Path, name: str, host: str, *, tls: bool = False) -> None:
    digest = hashlib.sha256(name.encode()).hexdigest()
    (directory / "contexts/meta" / digest).mkdir(parents=True)
    metadata = {"Name": name, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (directory / "contexts/meta" / digest / "meta.json").write_text(json.dumps(metadata))
    if tls:
        (directory / "contexts/tls" / digest / "docker").mkdir(parents=True)


def test_the_choice_of_the_docker_command(tmp_path: Path) -> None:
    config = {"DOCKER_CONFIG": str(tmp_path)}
    assert choose_endpoint(config) == EngineEndpoint("unix:///var/run/docker.sock")
    make_context(tmp_path, "far", "ssh://far.example")
    make_context(tmp_path, "safe", "tcp://safe.example:2376", tls=True)
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    assert choose_endpoint(config) == EngineEndpoint("ssh://far.example", "far")
    safe = choose_endpoint({**config, "DOCKER_CONTEXT": "safe"})
    assert (safe.url, safe.context, safe.certificates is not None) == (
        "tcp://safe.example:2376",
        "safe",
        True,
    )
    assert choose_endpoint({**config, "DOCKER_CONTEXT": "default"}).url == "unix:///var/run/docker.sock"
    both = {**config, "DOCKER_HOST": "tcp://a:1", "DOCKER_CONTEXT": "safe"}
    assert choose_endpoint(both) == EngineEndpoint("tcp://a:1", verify=False)


@pytest.mark.parametrize("content", ["{", "[]", '{"currentContext": 1}', '{"currentContext": "none"}'])
def test_a_broken_configuration_is_no_crash(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    try:
        assert choose_endpoint({"DOCKER_CONFIG": str(tmp_path)}).url == "unix:///var/run/docker.sock"
    except ReadError as error:
        assert "config.json" in str(error) or "'none' does not exist" in str(error)  # noqa: PT017


def test_under_sudo_the_invoking_users_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"currentContext": "mine"}')
    make_context(tmp_path / ".docker", "mine", "unix:///run/user/1000/docker.sock")
    monkeypatch.setattr(endpoints, "invoking_user", lambda: "alice")
    monkeypatch.setattr(endpoints.pwd, "getpwnam", lambda _: type("User", (), {"pw_dir": str(tmp_path)}))
    chosen = choose_endpoint({"HOME": "/root"})
    assert chosen == EngineEndpoint("unix:///run/user/1000/docker.sock", "mine")


def test_below_another_root_the_hosts_choice(tmp_path: Path) -> None:
    own, host = tmp_path / "own/.docker", tmp_path / "host"
    for directory, name, url in (
        (own, "own", "tcp://own:1"),
        (host / "home/admin/.docker", "far", "tcp://far:1"),
    ):
        directory.mkdir(parents=True)
        (directory / "config.json").write_text(json.dumps({"currentContext": name}))
        make_context(directory, name, url)
    environment = {"HOME": str(own.parent)}
    assert choose_endpoint(environment, Tree("/")) == EngineEndpoint("tcp://own:1", "own")
    # Without its list of accounts the host's root is at home in /root, where nothing is.
    assert choose_endpoint(environment, Tree(host)) == EngineEndpoint("unix:///var/run/docker.sock")
    (host / "etc").mkdir()
    (host / "etc/passwd").write_text("root:x:0:0:root:/home/admin:/bin/bash\n")
    assert choose_endpoint(environment, Tree(host)) == EngineEndpoint("tcp://far:1", "far")
    assert choose_endpoint({**environment, "DOCKER_CONFIG": str(own)}, Tree(host)).context == "own"
    (host / "root").symlink_to("/home/admin")
    (host / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    assert choose_endpoint(environment, Tree(host)).context == "far"


def test_a_late_engine_leaves_no_thread_that_holds_the_process(fake: FakeEngine) -> None:
    fake.hangs = "/info"
    with pytest.raises(ReadError):
        read(0.5)
    assert all(one.daemon for one in threading.enumerate() if one is not threading.main_thread())


def test_slow_answers_are_bounded_by_the_readers_own_limit(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_ANSWER_SECONDS", 0.5)
    fake.hangs = "/networks"
    engine = read(20)
    assert engine.networks == Unread("no answer within 0.5 s")
    assert not isinstance(engine.containers, Unread)
