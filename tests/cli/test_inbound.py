"""`trace --inbound`: from outside to a published port."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dockerdiag.snapshot import PortBinding, Unread
from dockerdiag.snapshot.store import load, save
from tests.command_line import run
from tests.recorded import FOLDER


@pytest.fixture(name="published")
def _published(tmp_path: Path) -> Path:
    """A plain host whose engine says that web's port 80 is published, with no rule and no proxy that serves it."""
    snapshot = load(FOLDER / "plain-trixie.json.gz")
    assert not isinstance(snapshot.engine, Unread)
    assert not isinstance(snapshot.engine.containers, Unread)
    (web,) = snapshot.engine.containers
    ports = (PortBinding("tcp", 80, "0.0.0.0", 8080),)
    engine = replace(snapshot.engine, containers=(replace(web, ports=ports),))
    path = tmp_path / "host.json.gz"
    save(replace(snapshot, engine=engine), path)
    return path


@pytest.mark.parametrize("port", ["80", "8080/tcp"])
def test_walks_to_a_port_of_the_container_or_of_the_host(published: Path, port: str) -> None:
    ran = run("trace", "web", port, "--inbound", "--from", published, "-f", "json")
    (walk,) = json.loads(ran.stdout)["walks"]
    assert (walk["from"], walk["to"], walk["disposition"]) == ("1.1.1.1", "198.51.100.2:8080/tcp", "rejected")
    assert ran.returncode == 2
    shown = run("trace", "web", port, "--inbound", "--from", published).stdout
    assert "from outside (1.1.1.1), for web" in shown


@pytest.mark.parametrize("port", ["", "http", "0", "70000", "80/icmp"])
def test_what_is_no_port_is_a_usage_error(published: Path, port: str) -> None:
    ran = run("trace", "web", port, "--inbound", "--from", published)
    assert (ran.returncode, ran.stdout) == (64, "")
