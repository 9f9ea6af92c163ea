"""`--root`: the host's files from elsewhere."""

import json
from pathlib import Path

from tests.command_line import OK, run


def test_files_are_read_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_text("nameserver 192.0.2.53\n")
    snapshot = tmp_path / "host.json"
    assert run("collect", "--root", tmp_path, "-o", snapshot).returncode == 0
    document = json.loads(snapshot.read_text())
    assert document["resolv_conf"]["text"] == "nameserver 192.0.2.53\n"
    assert document["hosts_file"] is None
    assert run("--root", tmp_path, "-f", "json").returncode == 3


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert run("--root", tmp_path / "none").returncode == 64
    assert run("--root", OK).returncode == 64
    assert run("--root", tmp_path, "--from", OK).returncode == 64
