"""An engine that misbehaves: the report says what could not be read of it, in time."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.readers.fake_engine import FakeEngine, serving
from tests.unbreakable.running import Ended, check

ENGINE = "28.5.2"
TIMEOUT = 8


def ask(path: Path, timeout: float = TIMEOUT) -> Ended:
    return check(
        "-f",
        "json",
        timeout=timeout,
        namespaces=(),
        DOCKER_HOST=f"unix://{path}",
        DOCKER_CONFIG=str(path.parent),
    )


@contextmanager
def answering(path: Path, answer: Callable[[socket.socket], None], backlog: int = 16) -> Iterator[None]:
    """A socket at `path` on which each connection gets `answer`."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(backlog)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def hangs(connection: socket.socket) -> None:
    connection.recv(1)
    time.sleep(120)


def drips(connection: socket.socket) -> None:
    connection.recv(65536)
    for byte in HEAD + b"Content-Length: 100000\r\n\r\n" + b" " * 100_000:
        connection.send(bytes((byte,)))
        time.sleep(1)


def closes(connection: socket.socket) -> None:
    connection.recv(65536)


def closes_at_once(connection: socket.socket) -> None:
    connection.close()


def garbage(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"\x00\xff\x1b[31m SSH-2.0-OpenSSH\r\n" * 100)


def headers_without_end(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD)
    while True:
        connection.sendall(b"X: " + b"y" * 1000 + b"\r\n")


def gigabytes(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD + b"Content-Length: 99999999999\r\n\r\n[")
    while True:
        connection.sendall(b" " * 65536)


def gigabytes_in_chunks(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")


def answer_of(body: bytes, status: bytes = b"200 OK", header: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        connection.sendall(b"HTTP/1.1 " + status + b"\r\n" + header + length + body)

    return answer


REDIRECTS = answer_of(b"", b"307 Temporary Redirect", b"Location: http://127.0.0.1:9/\r\n")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (hangs, "no answer within"),
        (drips, "no answer within"),
        (closes, "closed the connection"),
        (closes_at_once, ""),
        (garbage, "no HTTP"),
        (headers_without_end, "no HTTP"),
        (gigabytes, "its answer is larger than"),
        (gigabytes_in_chunks, "its answer is larger than"),
        (answer_of(b'{"message":"oh"}', b"500 Internal Server Error"), "it answers with an error (500)"),
        (answer_of(b"<html>"), "no JSON"),
        (answer_of(b"[1, 2]"), "not what an engine gives"),
        (answer_of(b"[" * 100_000), ""),
        (answer_of(b"null"), "not what an engine gives"),
        (answer_of(b'"\xff\xfe"'), ""),
        (REDIRECTS, "redirection"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_what_is_no_engine(tmp_path: Path, answer: Callable[[socket.socket], None], says: str) -> None:
    with answering(tmp_path / "docker.sock", answer):
        ran = ask(tmp_path / "docker.sock").in_good_order(3)
    reason = ran.unread["engine"]
    assert reason.startswith("unix://")
    assert says in reason, reason
    assert "Error" not in reason, reason
    assert "Exception" not in reason, reason


def test_an_object_that_says_nothing_is_an_engine_without_parts(tmp_path: Path) -> None:
    said = answer_of(b'{"Name": NaN, "Swarm": 1e999, "ApiVersion": 5}')
    with answering(tmp_path / "docker.sock", said):
        ran = ask(tmp_path / "docker.sock").in_good_order(3)
    for part in ("engine.networks", "engine.containers"):
        assert ran.unread[part] == "its answer is not what an engine gives"


def test_a_redirection_is_not_followed(tmp_path: Path) -> None:
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.listen()
        elsewhere.settimeout(0.1)
        where = f"Location: http://127.0.0.1:{elsewhere.getsockname()[1]}/\r\n".encode()
        with answering(tmp_path / "docker.sock", answer_of(b"", b"301 Moved Permanently", where)):
            ask(tmp_path / "docker.sock").in_good_order(3)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_a_socket_whose_queue_is_full(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "docker.sock"))
        listening.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(str(tmp_path / "docker.sock"))
        ran = ask(tmp_path / "docker.sock").in_good_order(3)
        for one in waiting:
            one.close()
    assert "engine" in ran.unread


@pytest.mark.parametrize("place", ["fifo", "file", "folder", "loop"])
def test_no_socket_in_its_place(tmp_path: Path, place: str) -> None:
    path = tmp_path / "docker.sock"
    {
        "fifo": lambda: os.mkfifo(path),
        "file": path.touch,
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
    }[place]()
    assert "engine" in ask(path).in_good_order(3).unread


def test_it_dies_in_the_middle(tmp_path: Path) -> None:
    with serving(tmp_path / "docker.sock", ENGINE) as engine:
        asked = engine.answer

        def dies(path: str) -> tuple[int, object]:
            if path.startswith("/containers/"):
                (tmp_path / "docker.sock").unlink(missing_ok=True)
                engine.socket.close()
                raise ConnectionResetError
            return asked(path)

        engine.answer = dies  # type: ignore[method-assign]
        engine.handle_error = lambda *_: None  # type: ignore[method-assign]
        ran = ask(tmp_path / "docker.sock").in_good_order(3)
    assert "engine.containers" in ran.unread
    assert ran.report["host"]["networks"]


class Busy(FakeEngine):
    """Containers that come and go a hundred a second: what was listed is not what can be inspected."""

    def answer(self, path: str) -> tuple[int, object]:
        turn = int(time.monotonic() * 100)
        known = list(self.recorded["inspect"])
        if path == "/containers/json":
            names = [f"{(turn + n) % 10**6:064x}" for n in range(100)]
            return 200, [{"Id": one} for one in names] + self.recorded["containers"]
        if path.startswith("/containers/") and path.split("/")[2] not in known:
            number = int(path.split("/")[2], 16)
            if number < turn % 10**6:
                return (
                    (404, {"message": "No such container"})
                    if number % 2
                    else (200, self._gone(known[0], number))
                )
        return super().answer(path)

    def _gone(self, like: str, number: int) -> object:
        told = json.loads(json.dumps(self.recorded["inspect"][like]))
        told["Id"] = f"{number:064x}"
        told["Name"] = f"/job-{number}"
        told["State"] |= {"Pid": 4_000_000 + number % 1000, "Status": "running"}
        return told


def test_containers_that_come_and_go(tmp_path: Path) -> None:
    with serving(tmp_path / "docker.sock", ENGINE, Busy):
        ran = ask(tmp_path / "docker.sock", 20).in_good_order(0, 1, 2, 3)
    assert "engine" not in ran.unread
    assert "engine.containers" not in ran.unread
    assert ran.report["host"]["containers"] >= 5


class Odd(FakeEngine):
    """Alters what is told of containers and networks."""

    alter: Callable[[str, int, Any], tuple[int, Any]]

    def answer(self, path: str) -> tuple[int, Any]:
        status, told = super().answer(path)
        return type(self).alter(path, status, json.loads(json.dumps(told)))


def _fails_for_one(path: str, status: int, told: Any) -> tuple[int, Any]:  # noqa: ARG001
    return (
        (500, {"message": "oh"}) if isinstance(told, dict) and told.get("Name") == "/web" else (status, told)
    )


def _same_names(path: str, status: int, told: Any) -> tuple[int, Any]:
    for one in told if path == "/networks" else [told] if path.startswith("/containers/") else []:
        if isinstance(one, dict):
            one["Name"] = "/same"
    return status, told


def _same_ids(path: str, status: int, told: Any) -> tuple[int, Any]:
    for one in told if path == "/networks" else [told] if path.startswith("/containers/") else []:
        if isinstance(one, dict):
            one["Id"] = "f" * 64
    return status, told


def _listed_twice(path: str, status: int, told: Any) -> tuple[int, Any]:  # noqa: ARG001
    return status, told + told if isinstance(told, list) else told


def _nulls(path: str, status: int, told: Any) -> tuple[int, Any]:  # noqa: ARG001
    if isinstance(told, dict):
        told = {name: value if isinstance(value, str) else None for name, value in told.items()}
    return status, told


def _old_cgroups(path: str, status: int, told: Any) -> tuple[int, Any]:
    if path == "/info":
        told |= {"CgroupVersion": "1", "CgroupDriver": "cgroupfs", "SecurityOptions": None, "Warnings": None}
    return status, told


@pytest.mark.parametrize("alter", [_same_names, _same_ids, _listed_twice, _nulls, _old_cgroups])
def test_odd_answers(tmp_path: Path, alter: Callable[[str, int, Any], tuple[int, Any]]) -> None:
    kind = type("Altered", (Odd,), {"alter": staticmethod(alter)})
    with serving(tmp_path / "docker.sock", ENGINE, kind):
        ran = ask(tmp_path / "docker.sock").in_good_order(3)
    assert "engine.containers" not in ran.unread
    assert ran.report["host"]["containers"] >= 5
    assert all("an error in the check" not in (one["reason"] or "") for one in ran.report["results"])


def _hangs_for_one(path: str, status: int, told: Any) -> tuple[int, Any]:  # noqa: ARG001
    if isinstance(told, dict) and told.get("Name") == "/web":
        time.sleep(60)
    return status, told


@pytest.mark.parametrize(
    ("alter", "why"),
    [(_fails_for_one, "it answers with an error (500)"), (_hangs_for_one, "no answer within ")],
)
def test_one_container_that_cannot_be_asked_about_does_not_cost_the_others(
    tmp_path: Path, alter: Callable[[str, int, Any], tuple[int, Any]], why: str
) -> None:
    kind = type("Altered", (Odd,), {"alter": staticmethod(alter)})
    with serving(tmp_path / "docker.sock", ENGINE, kind) as engine:
        ran = ask(tmp_path / "docker.sock").in_good_order(3)
        every = len(engine.recorded["containers"])
    assert "engine.containers" not in ran.unread
    assert ran.report["host"]["containers"] == every
    assert ran.unread["engine.containers[web].resolv_conf"].startswith(
        f"the engine tells no more of it: {why}"
    )


@pytest.mark.parametrize(
    "content", [b"{", b"\xff\xfe\x00", b'{"currentContext": 7}', b"[" * 50_000, b"x" * 2_000_000]
)
def test_a_client_configuration_that_cannot_be_used_leaves_the_default(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "config.json").write_bytes(content)
    ran = check("-f", "json", namespaces=(), DOCKER_HOST="", DOCKER_CONFIG=str(tmp_path)).in_good_order(3)
    assert ran.unread["engine"].startswith("unix:///var/run/docker.sock: ")
    assert "CAP_" not in ran.unread["engine"]


def test_a_client_configuration_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("config.json")
    ran = check("-f", "json", namespaces=(), DOCKER_HOST="", DOCKER_CONFIG=str(tmp_path)).in_good_order(3)
    assert "config.json: too many symbolic links" in ran.unread["engine"]
