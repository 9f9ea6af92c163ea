"""What is made of hosts that change while they are read."""

import os
import subprocess
from dataclasses import replace

from dockerdiag.readers.collect import _with_bridges_seen, _without_ended, _without_reader
from dockerdiag.snapshot import PODMAN, Container, Engine, IpamPool, Network, Unread
from tests.checks.hosts import host


def container(name: str, pid: int, namespace: str) -> Container:
    return Container(name, name, "lab", "running", pid, "bridge", namespace=namespace)


def engine(*containers: Container) -> Engine:
    return Engine("unix:///run/docker.sock", None, True, "lab", "28.5.2", "1.51", containers=containers)


def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_container_that_this_runs_in_is_left_out() -> None:
    told = replace(
        engine(container("here", os.getpid(), "net:[1]"), container("web", 1, "net:[2]")), local=True
    )
    found = _without_reader(told)
    assert isinstance(found, Engine)
    assert not isinstance(found.containers, Unread)
    assert [one.name for one in found.containers] == ["web"]
    assert _without_reader(replace(told, local=False)) == replace(told, local=False)


def test_container_that_ended_while_it_was_read_is_one_that_does_not_run() -> None:
    loops = container("loops", ended_process(), "net:[1]")
    lives = container("lives", os.getpid(), "net:[2]")
    unread = Unread("its process has gone")
    told, namespaces = _without_ended(engine(loops, lives), {"net:[1]": unread, "net:[2]": unread})
    assert told == engine(replace(loops, state="exited", pid=None, namespace=None), lives)
    assert namespaces == {"net:[2]": unread}


def test_container_that_ended_after_its_namespace_was_read_is_none_to_walk_from() -> None:
    removed = container("removed", ended_process(), "net:[1]")
    told, namespaces = _without_ended(engine(removed), {"net:[1]": host().network})
    assert told == engine(replace(removed, state="exited", pid=None, namespace=None))
    assert namespaces == {}


def test_namespace_that_another_container_shares_stays() -> None:
    loops = container("loops", ended_process(), "net:[1]")
    joined = container("joined", os.getpid(), "net:[1]")
    unread = Unread("its process has gone")
    _, namespaces = _without_ended(engine(loops, joined), {"net:[1]": unread})
    assert namespaces == {"net:[1]": unread}


def test_podmans_bridges_are_those_that_hold_the_gateways() -> None:
    used = Network("2f25" * 16, "podman", "bridge", pools=(IpamPool("172.17.0.0/16", "172.17.0.1"),))
    unused = Network("3f25" * 16, "unused", "bridge", pools=(IpamPool("10.89.0.0/24", "10.89.0.1"),))
    told = replace(engine(), networks=(used, unused))
    here = host().network
    seen = _with_bridges_seen(replace(told, platform=PODMAN), here)
    assert isinstance(seen, Engine)
    assert not isinstance(seen.networks, Unread)
    assert [one.bridge for one in seen.networks] == ["docker0", None]
    assert _with_bridges_seen(told, here) == told
