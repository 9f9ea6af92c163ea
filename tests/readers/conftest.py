import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.namespaces import read_namespaces
from dockerdiag.readers.processes import namespace_of
from dockerdiag.snapshot import NetworkNamespace


class Namespace:
    """A network namespace that lives as long as a process of ours sleeps in it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "600"], stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        own = namespace_of("self")
        for _ in range(500):
            if namespace_of(self.pid) != own:
                break
            time.sleep(0.01)
        self.name = namespace_of(self.pid)
        assert self.name != own

    def run(self, script: str) -> str:
        command = ["nsenter", "--target", str(self.pid), "--net", "sh", "-ec", script]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self, *destinations: str) -> NetworkNamespace:
        found = read_namespaces({self.name: self.pid}, destinations, Deadline(30))[self.name]
        assert isinstance(found, NetworkNamespace), found
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    made = Namespace()
    yield made
    made.close()
