"""Imports of a few modules of a large package, without what the package itself imports for everybody."""

import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.RLock()


@contextmanager
def bare_package(name: str) -> Iterator[None]:
    """While it lasts, modules of package `name` are imported without the package's own code.

    Whoever imports the package afterwards gets it whole, and the modules that are there already. Every thread that
    imports of it while others may is to use this.
    """
    with _LOCK:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is None:
            yield
            return
        bare = importlib.util.module_from_spec(spec)
        sys.modules[name] = bare
        try:
            yield
        finally:
            del sys.modules[name]
