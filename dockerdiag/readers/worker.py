"""A process of ours that answers one line for each line of JSON that it is asked; it can be given up at any time."""

import atexit
import json
import os
import select
import subprocess
from collections.abc import Mapping
from threading import Lock
from typing import IO, Any

from dockerdiag.readers.command import MAXIMUM_OUTPUT, end, python_module
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError

_SECONDS_TO_END = 1.0


class Worker:
    """A module of ours in a process of its own; started when it is first asked, and again once it hung or crashed."""

    def __init__(self, module: str, deadline: Deadline) -> None:
        self._module = module
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        # Who gives up may do so while the process is being started.
        self._starting = Lock()
        atexit.register(self.close)

    def ask(self, request: Mapping[str, Any], limit: Deadline) -> bytes:
        """Its answer to a request, one line.

        Raises:
            ReadError: where the process gives no answer until `limit`.
        """
        process = self._started()
        assert process.stdin is not None  # noqa: S101 - both were asked for as pipes
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            return _line(process.stdout, limit)
        except (OSError, ReadError) as error:
            self._end()
            raise error if isinstance(error, ReadError) else ReadError("its reader ended") from None

    def close(self) -> None:
        """Ends the process, and starts no other."""
        atexit.unregister(self.close)
        with self._starting:
            self._closed = True
        self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._closed:
                raise ReadError(self._deadline.passed)
            if self._process is None:
                command, environment = python_module(self._module)
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "LC_ALL": "C", **environment},
                    start_new_session=True,
                )
            return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # It ends the tools that it runs, which lead sessions of their own.
            process.terminate()
            try:
                process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                end(process)
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _line(pipe: IO[bytes], deadline: Deadline) -> bytes:
    descriptor = pipe.fileno()
    chunks: list[bytes] = []
    size = 0
    while True:
        if not select.select([descriptor], [], [], deadline.remaining)[0]:
            raise ReadError(deadline.late)
        chunk = os.read(descriptor, 1 << 20)
        if not chunk:
            raise ReadError("its reader ended")
        chunks.append(chunk)
        size += len(chunk)
        if size > MAXIMUM_OUTPUT:
            raise ReadError(f"it is larger than {MAXIMUM_OUTPUT // 1024**2} MiB")
        if chunk.endswith(b"\n"):
            return b"".join(chunks)
