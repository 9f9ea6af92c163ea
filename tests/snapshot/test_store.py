import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from dockerdiag.snapshot import (
    BootSysctls,
    Firewall,
    Host,
    Link,
    NetworkNamespace,
    NextHop,
    Route,
    Snapshot,
    TextFile,
    Unread,
    store,
)
from dockerdiag.snapshot.store import SnapshotError, dump, json_schema, load, loads, save
from tests.recorded import FOLDER


@pytest.fixture
def snapshot() -> Snapshot:
    unread = Unread("permission denied: run as root")
    network = NetworkNamespace(
        name="net:[1]",
        links=(Link(1, "lo", None, True, "unknown", 65536, loopback=True),),
        addresses=(),
        routes=(Route(4, 254, "0.0.0.0/0", "unicast", (NextHop(2, "192.0.2.1", flags=("onlink",)),)),),
        rules=unread,
        neighbours=(),
        sysctls={"net/ipv4/conf/eth0.100/forwarding": "1"},
        firewall=Firewall(nft='{"nftables": []}', iptables_legacy=unread),
    )
    return Snapshot(
        taken_at="2026-01-02T03:04:05Z",
        tool_version="1",
        host=Host("h", "6.12", "x86_64", "Debian", root=True, modules=("bridge",)),
        network=network,
        namespaces={"net:[2]": unread, "net:[3]": network},
        engine=unread,
        daemons=(),
        service=None,
        daemon_json=TextFile("/etc/docker/daemon.json", "{}\n", 1.5),
        boot_sysctls=BootSysctls(()),
        resolv_conf=None,
        hosts_file=unread,
        journal=(),
        kernel_log=unread,
    )


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_what_is_saved_is_loaded_again(snapshot: Snapshot, tmp_path: Path, name: str) -> None:
    save(snapshot, tmp_path / name)
    assert load(tmp_path / name) == snapshot
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b" if name.endswith(".gz") else b"{")
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_unread_sysctls_are_not_loaded_as_sysctls(snapshot: Snapshot, tmp_path: Path) -> None:
    network = replace(snapshot.network, sysctls=Unread("not mounted"))
    save(replace(snapshot, network=network), tmp_path / "a.json")
    assert load(tmp_path / "a.json").network.sysctls == Unread("not mounted")


def test_nothing_read_and_nothing_there_stay_apart(snapshot: Snapshot) -> None:
    document = json.loads(dump(snapshot))
    assert document["engine"] == {"reason": "permission denied: run as root"}
    assert document["resolv_conf"] is None
    assert document["daemons"] == []


def test_the_schema_describes_what_is_written(snapshot: Snapshot) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(dump(snapshot)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"taken_at": 1}, schema)


def test_the_same_snapshot_gives_the_same_bytes(snapshot: Snapshot) -> None:
    assert dump(snapshot, compress=True) == dump(snapshot, compress=True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a snapshot"),
        (b'{"results": [], "taken_at": "x"}', "not a snapshot"),
        (
            b'{"taken_at": "x", "network": {}, "schema_version": 2}',
            "schema version 2, this dockerdiag reads 1",
        ),
        (b'{"taken_at": "x", "network": {}, "schema_version": true}', "schema version True"),
        (b'{"taken_at": "x", "network": {}}', "schema version None"),
        (b'{"taken_at": "x", "network": {}, "schema_version": 1}', "it is not a snapshot: "),
        (b"\x1f\x8b\x08\x00garbage", "compression is damaged"),
        (gzip.compress(b"{}", mtime=0)[:-4], "compression is damaged"),
    ],
)
def test_a_strangers_file_is_refused_in_a_sentence(content: bytes, says: str) -> None:
    with pytest.raises(SnapshotError, match=says):
        loads(content)


def test_a_type_that_does_not_fit_is_named(snapshot: Snapshot) -> None:
    document = json.loads(dump(snapshot))
    document["network"]["links"][0]["mtu"] = "wide"
    with pytest.raises(SnapshotError, match=r"network\.links.*mtu"):
        loads(json.dumps(document).encode())


@pytest.mark.parametrize(
    "where",
    [
        ("network", "addresses", 0, "address"),
        ("network", "listeners", 0, "address"),
        ("engine", "containers", 0, "endpoints", 0, "address"),
        ("engine", "networks", 2, "pools", 0, "gateway"),
    ],
    ids=str,
)
def test_what_is_no_address_is_refused(where: tuple[str | int, ...]) -> None:
    document = json.loads(dump(load(FOLDER / "plain-trixie.json.gz")))
    part = document
    for step in where[:-1]:
        part = part[step]
    loads(json.dumps(document).encode())
    part[where[-1]] = "4294967296.17.0.2"
    with pytest.raises(SnapshotError, match=r"it is not a snapshot: '4294967296\.17\.0\.2'"):
        loads(json.dumps(document).encode())


def test_no_more_is_read_or_unpacked_than_fits(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = replace(snapshot, tool_version="x" * 100_000)
    save(large, tmp_path / "a.json")
    save(large, tmp_path / "a.json.gz")
    monkeypatch.setattr(store, "MAXIMUM_SIZE", 50_000)
    assert (tmp_path / "a.json.gz").stat().st_size < 50_000
    for name in ("a.json", "a.json.gz"):
        with pytest.raises(SnapshotError, match="larger than"):
            load(tmp_path / name)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, says in (
        (tmp_path / "fifo", "not a regular file"),
        (tmp_path, "not a regular file|[Dd]irectory"),
        (tmp_path / "none", "No such file"),
        (Path("/dev/zero"), "not a regular file"),
    ):
        with pytest.raises(SnapshotError, match=says):
            load(path)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_numbers_that_are_none_are_refused(number: bytes) -> None:
    with pytest.raises(SnapshotError, match="it is not JSON"):
        loads(b'{"taken_at": %s, "network": {}, "schema_version": 1}' % number)


def test_lone_surrogates_are_refused_or_replaced(snapshot: Snapshot) -> None:
    content = dump(replace(snapshot, taken_at="when"))
    with pytest.raises(SnapshotError, match="it is not JSON"):
        loads(content.replace(b"when", b"\xed\xa0\x80"))
    one = loads(content.replace(b"when", b"\\ud800"))
    assert one.taken_at == "\ufffd"
    assert loads(dump(one)) == one
    assert loads(dump(replace(snapshot, taken_at="\udcff"))).taken_at == "\ufffd"
