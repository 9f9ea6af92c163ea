"""A socket that systemd listens on is not connected to where nobody else would answer: that would start an engine."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockerdiag.readers import engine_socket
from dockerdiag.readers.engine_socket import _would_start_engine
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.processes import process_name

PLACES = ("/run/docker.sock", "/run/podman/podman.sock", "/run/user/1000/podman/podman.sock")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    for folder in ("systemd/system", "podman", "user/1000/podman"):
        (tmp_path / "run" / folder).mkdir(parents=True)
    # The name of a socket is short; the host's own are bound by their whole names.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        engine_socket,
        "read_kernel_file",
        lambda path, _: Path(path).read_text().replace(" run/", " /run/"),
    )
    return Tree(tmp_path)


@contextmanager
def held_by(tree: Tree, place: str, *names: str) -> Iterator[str]:
    """A socket that processes of these names have, and no other; its place."""
    processes = []
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(place.removeprefix("/"))
        one.listen()
        for name in names:
            program = shutil.copy("/usr/bin/sleep", Path(tree.root, name))
            processes.append(subprocess.Popen([program, "600"], pass_fds=[one.fileno()]))
            while process_name(processes[-1].pid) != name:
                time.sleep(0.01)
    try:
        yield f"{tree.root}{place}"
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("place", PLACES)
def test_one_that_systemd_alone_has_would_start_an_engine(tree: Tree, place: str) -> None:
    with held_by(tree, place, "systemd") as path:
        assert _would_start_engine(path, tree)


@pytest.mark.parametrize(
    "names", [("systemd", "dockerd"), ("systemd", "a-proxy"), ("dockerd",), ("a-proxy",)]
)
def test_one_that_somebody_else_has_would_not(tree: Tree, names: tuple[str, ...]) -> None:
    with held_by(tree, PLACES[0], *names) as path:
        assert not _would_start_engine(path, tree)


def test_a_link_to_one_is_as_the_socket(tree: Tree) -> None:
    Path(tree.root, "docker.sock").symlink_to(f"{tree.root}{PLACES[1]}")
    with held_by(tree, PLACES[1], "systemd"):
        assert _would_start_engine(f"{tree.root}/docker.sock", tree)


@pytest.mark.parametrize("place", PLACES)
def test_where_nothing_is_seen_of_who_has_it(tree: Tree, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_socket, "_holds", lambda *_: None)
    running: list[tuple[str, ...]] = []
    monkeypatch.setattr(engine_socket, "_engine_runs", lambda *names: names in running)
    with held_by(tree, place, "systemd") as path:
        assert _would_start_engine(path, tree) == (Path(path).stat().st_uid == 0)
        running.append(("podman",) if "podman" in place else ("dockerd",))
        assert not _would_start_engine(path, tree)
        monkeypatch.setattr(engine_socket, "_ANOTHERS", Path("/proc/none"))
        if Path(path).stat().st_uid == 0:
            with pytest.raises(ReadError, match="hidepid"):
                _would_start_engine(path, tree)
