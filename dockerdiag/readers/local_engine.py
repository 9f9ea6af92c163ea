"""An engine on a Unix socket, asked without the docker library: its import takes longer than all the answers."""

import json
import socket
from http.client import HTTPConnection
from typing import Any

from dockerdiag.readers.errors import ReadError

MAXIMUM_ANSWER = 64 * 1024 * 1024
"""Bytes of one answer; that of an engine with ten thousand containers has about 20 MB."""
_NO_JSON = "its answer is no JSON: this is no engine"


class LocalEngine:
    """The few questions that are asked, by the names that the docker library gives them.

    Each has a connection of its own, for one may still wait for its answer when the next is asked. Each raises
    `OSError`, `http.client.HTTPException`, and `ReadError` where the answer is none that an engine gives.
    """

    def __init__(self, path: str, seconds: float) -> None:
        self._path = path
        self._seconds = seconds
        self._prefix = ""

    def close(self) -> None:
        """Nothing stays open."""

    def version(self) -> Any:
        """Who it is; what is asked after this is asked in its own version of the interface."""
        told = self._get("/version")
        version = told.get("ApiVersion") if isinstance(told, dict) else None
        if isinstance(version, str) and version.replace(".", "").isdecimal():
            self._prefix = f"/v{version}"
        return told

    def info(self) -> Any:
        """What `docker info` shows."""
        return self._get("/info")

    def networks(self) -> Any:
        """Every network."""
        return self._get("/networks")

    def containers(self, *, all: bool) -> Any:  # noqa: A002 - as the docker library names it
        """The list of containers; with `all` also of those that do not run."""
        return self._get(f"/containers/json?all={int(all)}")

    def inspect_container(self, identity: str) -> Any:
        """One container; None where there is none."""
        return self._get(f"/containers/{identity}/json", missing=True)

    def _get(self, path: str, *, missing: bool = False) -> Any:
        connection = _Connection(self._path, self._seconds)
        try:
            connection.request("GET", self._prefix + path, headers={"Connection": "close"})
            answer = connection.getresponse()
            if 300 <= answer.status < 400:
                raise ReadError("it answers with a redirection, which no engine does")
            if missing and answer.status == 404:
                return None
            if answer.status != 200:
                raise ReadError(f"it answers with an error ({answer.status})")
            content = answer.read(MAXIMUM_ANSWER + 1)
        finally:
            connection.close()
        if len(content) > MAXIMUM_ANSWER:
            raise ReadError(f"its answer is larger than {MAXIMUM_ANSWER // 1024**2} MiB")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise ReadError(_NO_JSON) from None


class _Connection(HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
