"""Runs on a lab host, before the engine's socket: answers as an engine 29 does, where those of the real one differ.

Everything is handed to the real engine and back. Only version and firewall backend are told otherwise, and after a
container has started the rules are made again, as an engine 29 does with those of its ports. Systemd hands over the
socket; the only argument is the folder of the stand-in.
"""

import json
import re
import socket
import socketserver
import subprocess
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

REAL = "/run/docker-real.sock"
VERSION, API = "29.7.2", "1.55"
NEWEST_OF_THE_REAL_ONE = "1.51"
SYSTEMD_SOCKET = 3
NO_CONTENT = HTTPStatus.NO_CONTENT
MOST = 1 << 16
OF_ONE_WAY = ("content-length", "transfer-encoding", "connection")


def retold(path: str, answer: Any, backend: str) -> Any:
    """An answer of the real engine as an engine 29 gives it."""
    if path == "/version":
        answer |= {"Version": VERSION, "ApiVersion": API}
        for component in answer.get("Components") or ():
            if component["Name"] == "Engine":
                component["Version"] = VERSION
                component["Details"]["ApiVersion"] = API
    if path == "/info":
        proxy = [["EnableUserlandProxy", "true"], ["UserlandProxyPath", "/usr/bin/docker-proxy"]]
        answer |= {"ServerVersion": VERSION, "FirewallBackend": {"Driver": backend, "Info": proxy}}
    return answer


class RealEngine(HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(REAL)


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = Path(sys.argv[-1])

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_ONE_WAY}
        asked, path = re.match(r"(?:/v[\d.]+)?(([^?]*).*)", self.path).groups()  # type: ignore[union-attr]
        engine = RealEngine("engine")
        engine.request(self.command, f"/v{NEWEST_OF_THE_REAL_ONE}{asked}", body, headers)
        answer = engine.getresponse()
        if self.command == "POST" and re.search(r"/containers/[^/]+/(re)?start$", path):
            subprocess.run(("sh", str(self.folder / "rules.sh")), check=False)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in OF_ONE_WAY:
                self.send_header(name, API if name.lower() == "api-version" else value)
        if self.command == "GET" and path in ("/version", "/info"):
            backend = (self.folder / "backend").read_text()
            self.whole(json.dumps(retold(path, json.load(answer), backend)).encode())
        elif self.command == "HEAD" or answer.status == NO_CONTENT:
            self.end_headers()
        else:
            self.piece_by_piece(answer)

    def whole(self, body: bytes) -> None:
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def piece_by_piece(self, answer: HTTPResponse) -> None:
        """Who waits for a container's end is told at once that the engine has heard, and the rest later."""
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := answer.read1(MOST):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    server = Server("", Front, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=SYSTEMD_SOCKET)
    server.serve_forever()
