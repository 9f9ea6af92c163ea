"""An engine on a Unix socket that answers what a real one once said, or misbehaves."""

import json
import re
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("engines")


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """Serves one recorded engine; `hangs`, `drips`, `closes` and `lies` name paths at which it does so."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, recorded: dict[str, Any]) -> None:
        self.recorded = recorded
        self.asked: list[str] = []
        self.hangs = self.drips = self.closes = self.lies = ""
        super().__init__(str(path), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that gives up closes the connection while it is answered: no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def answer(self, path: str) -> tuple[int, Any]:
        inspected = re.fullmatch(r"/containers/(\w+)/json", path)
        if inspected and inspected[1] != "json":
            found = self.recorded["inspect"].get(inspected[1])
            return (200, found) if found else (404, {"message": "No such container"})
        names = {
            "/version": "version",
            "/info": "info",
            "/networks": "networks",
            "/containers/json": "containers",
        }
        return (200, self.recorded[names[path]]) if path in names else (404, {"message": path})


class _Handler(BaseHTTPRequestHandler):
    server: FakeEngine

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = re.sub(r"^/v[\d.]+", "", self.path.partition("?")[0])
        engine = self.server
        engine.asked.append(f"{self.command} {path}")
        if engine.hangs and re.fullmatch(engine.hangs, path):
            time.sleep(60)
        if engine.closes and re.fullmatch(engine.closes, path):
            self.connection.close()
            return
        status, found = engine.answer(path)
        content = b"<html>" if engine.lies and re.fullmatch(engine.lies, path) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if engine.drips and re.fullmatch(engine.drips, path):
            for at in range(len(content)):
                self.wfile.write(content[at : at + 1])
                time.sleep(0.2)
        self.wfile.write(content)


@contextmanager
def serving(path: Path, name: str, kind: type[FakeEngine] = FakeEngine) -> Iterator[FakeEngine]:
    engine = kind(path, json.loads((RECORDED / f"{name}.json").read_text()))
    threading.Thread(target=engine.serve_forever, daemon=True).start()
    try:
        yield engine
    finally:
        engine.shutdown()
        engine.server_close()
