"""The whole reading of the machine that runs the tests, whatever it is."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dockerdiag.readers import read_snapshot
from dockerdiag.snapshot import Snapshot, Unread
from dockerdiag.snapshot.store import dump, loads

CODE = """
import sys
sys.path[:] = {path!r}
from dockerdiag.readers import read_snapshot
from dockerdiag.snapshot.store import dump
sys.stdout.buffer.write(dump(read_snapshot(deadline={seconds}, destinations=["1.1.1.1"])))
"""


def in_a_process(seconds: float = 30, *, before: tuple[str, ...] = (), **options: object) -> Snapshot:
    code = CODE.format(path=sys.path, seconds=seconds)
    command = [*before, sys.executable, "-W", "error::ResourceWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False, **options)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return loads(done.stdout)


def unread_parts(part: object, name: str = "") -> dict[str, str]:
    if isinstance(part, Unread):
        return {name: part.reason}
    found: dict[str, str] = {}
    if dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            found |= unread_parts(getattr(part, field.name), f"{name}.{field.name}")
    elif isinstance(part, dict):
        for key, value in part.items():
            found |= unread_parts(value, f"{name}[{key}]")
    elif isinstance(part, tuple):
        for index, value in enumerate(part):
            found |= unread_parts(value, f"{name}[{index}]")
    return found


def test_the_import_costs_nothing() -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}; import dockerdiag.readers; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("pyroute2", "docker", "requests", "pydantic", "iptc"):
        assert f"'{heavy}'" not in loaded


def test_whatever_this_machine_is_it_can_be_read_and_saved() -> None:
    said: list[str] = []
    snapshot = read_snapshot(deadline=30, destinations=["1.1.1.1"], progress=said.append)
    assert loads(dump(snapshot)) == snapshot
    assert snapshot.host.hostname == os.uname().nodename
    assert not isinstance(snapshot.network.links, Unread)
    assert not isinstance(snapshot.network.sysctls, Unread)
    assert any(answer.destination == "1.1.1.1" for answer in snapshot.network.route_answers)
    assert "read network" in said


def test_what_cannot_be_read_says_why_without_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("already without root")
    before = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    code = f"import sys; sys.path[:] = {sys.path!r}; import collections.abc, pyroute2"
    probe = subprocess.run([*before, sys.executable, "-c", code], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("the interpreter is not for everybody")
    snapshot = in_a_process(before=before)
    assert not snapshot.host.root
    reasons = unread_parts(snapshot)
    assert reasons[".network.firewall.nft"] == "permission denied: run as root"
    assert all("Error" not in reason for reason in reasons.values()), reasons
    assert not isinstance(snapshot.network.routes, Unread)


def test_root_in_a_container_lacks_capabilities() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be without them")
    reasons = unread_parts(in_a_process(before=("setpriv", "--bounding-set=-all", "--inh-caps=-all")))
    assert reasons[".network.firewall.nft"] == "permission denied: CAP_NET_ADMIN is missing"
    assert all("Error" not in reason for reason in reasons.values()), reasons


def test_a_deadline_of_nothing_still_gives_a_snapshot() -> None:
    started = time.monotonic()
    snapshot = in_a_process(0.001)
    assert time.monotonic() - started < 10
    # A busy machine wakes the reader so late that a part is there in spite of it; never all of them.
    assert any(reason.endswith("not read within 0.001 s") for reason in unread_parts(snapshot).values())
    assert all(reason for reason in unread_parts(snapshot).values())


def test_files_come_from_the_given_root(tmp_path: Path) -> None:
    (tmp_path / "etc/docker").mkdir(parents=True)
    (tmp_path / "etc/docker/daemon.json").write_text('{"iptables": false}')
    (tmp_path / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    snapshot = read_snapshot(deadline=30, root=tmp_path)
    assert getattr(snapshot.daemon_json, "text", None) == '{"iptables": false}'
    assert getattr(snapshot.resolv_conf, "text", None) == "nameserver 192.0.2.1\n"
    assert snapshot.hosts_file is None
    assert snapshot.service is None


def test_a_hung_tool_costs_only_its_part(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("without root the tool is not even asked")
    (tmp_path / "nft").write_text("#!/bin/sh\nsleep 300\n")
    (tmp_path / "nft").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    started = time.monotonic()
    snapshot = in_a_process(3, env=environment)
    assert time.monotonic() - started < 15
    assert "nft: no answer within 1" in unread_parts(snapshot)[".network.firewall.nft"]
    assert not isinstance(snapshot.network.routes, Unread)


def test_a_reading_leaves_a_fresh_namespace_as_it_was(namespace) -> None:
    state = """
        cat /proc/modules /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null || true
        nft list ruleset; ip -d link; ip address; ip route show table all; ip -6 route show table all; ip rule
        cat /proc/sys/net/ipv4/ip_forward
    """
    before = namespace.run(state)
    code = CODE.format(path=sys.path, seconds=30)
    enter = ["nsenter", "--target", str(namespace.pid), "--net", sys.executable, "-c", code]
    document = json.loads(subprocess.run(enter, capture_output=True, check=True).stdout)
    assert document["network"]["name"] == namespace.name
    assert namespace.run(state) == before
