"""A process that answers is ended whenever it is given up."""

import subprocess
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from dockerdiag.readers import worker
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.worker import Worker

MODULE = "dockerdiag.readers.namespace_worker"


def test_one_that_is_given_up_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    begun = threading.Event()
    popen = subprocess.Popen

    def slow(*arguments: Any, **options: Any) -> Any:
        started.append(popen(*arguments, **options))
        begun.set()
        time.sleep(0.5)
        return started[0]

    monkeypatch.setattr(worker.subprocess, "Popen", slow)
    one = Worker(MODULE, Deadline(30))

    def ask() -> None:
        with suppress(ReadError):
            one.ask({}, Deadline(30))

    thread = threading.Thread(target=ask)
    thread.start()
    begun.wait()
    one.close()
    assert started[0].poll() is not None
    thread.join(10)
    assert not thread.is_alive()


def test_one_that_was_given_up_is_not_started_again() -> None:
    one = Worker(MODULE, Deadline(7))
    one.close()
    with pytest.raises(ReadError, match="7 s"):
        one.ask({}, Deadline(7))
