"""The cache folder: what is built once, keyed by its recipe, and never used half-built."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    folder = Path(os.environ.get("DOCKERDIAG_LAB_CACHE") or "/var/cache/dockerdiag-lab")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def recipe_key(*ingredients: str) -> str:
    return hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:12]


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Holds `lock` against every other process and thread; freed when the holder dies, however it dies."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def build_once(name: str, key: str, build: Callable[[Path], None], keep: int = 2) -> Path:
    """The folder `name-key`, built by `build` if it is not there; older keys of the same name are removed."""
    cache = cache_folder()
    finished = cache / f"{name}-{key}"
    if finished.is_dir():
        os.utime(finished)
        return finished
    with exclusive(cache / f"{name}.lock"):
        if finished.is_dir():
            return finished
        unfinished = cache / f"{name}-{key}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            build(unfinished)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        unfinished.rename(finished)
        forget_all_but_newest(cache, name, key, keep)
    return finished


def forget_all_but_newest(cache: Path, name: str, key: str, keep: int) -> None:
    """Keeps the `keep` newest builds of `name`: another checkout may still be using the one before."""
    length = len(name) + 1 + len(key)
    builds = [path for path in cache.glob(f"{name}-*") if path.is_dir() and len(path.name) == length]
    for path in sorted(builds, key=lambda path: path.stat().st_mtime, reverse=True)[keep:]:
        shutil.rmtree(path, ignore_errors=True)
