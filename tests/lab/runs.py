"""One run of one lab host: its name, its folder, and the clearing away of runs whose owner was killed."""

import fcntl
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.lab import cgroups
from tests.lab.cache import cache_folder, exclusive
from tests.lab.wires import NAME_PREFIX, Wires


class Run:
    """Holds a lock for as long as its process lives: a run whose lock is free is a leftover."""

    def __init__(self) -> None:
        with exclusive(cache_folder() / "runs.lock"):
            clear_leftovers()
            self.name = secrets.token_hex(3)
            self.folder = runs_folder() / self.name
            self.folder.mkdir()
            self.lock: IO[str] = (self.folder / "lock").open("w")
            fcntl.flock(self.lock, fcntl.LOCK_EX)

    @property
    def group(self) -> str:
        return NAME_PREFIX + self.name

    def end(self) -> None:
        clear_away(self.folder)
        self.lock.close()


def runs_folder() -> Path:
    folder = cache_folder() / "runs"
    folder.mkdir(exist_ok=True)
    return folder


def clear_leftovers() -> None:
    for folder in runs_folder().iterdir():
        with suppress(OSError), (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear_away(folder)


def clear_away(folder: Path) -> None:
    cgroups.end(NAME_PREFIX + folder.name)
    Wires(folder.name).remove()
    shutil.rmtree(folder, ignore_errors=True)
