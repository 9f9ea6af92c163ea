"""Loads the native modules of an archive from memory: no file is unpacked.

The dynamic loader takes no library out of an archive. It gets each as an anonymous file (memfd_create), which
has no name in any file system and goes with the process.
"""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType
from zipimport import zipimporter


class NativeModules:
    """Finds the native modules of one archive, for `sys.meta_path`."""

    def __init__(self, archive: str) -> None:
        self._archive = zipimporter(archive)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The module of that name where the archive has it as a library; None where it has not."""
        for suffix in EXTENSION_SUFFIXES:
            try:
                library = self._archive.get_data(name.replace(".", os.sep) + suffix)
            except OSError:
                continue
            place = _in_memory(name, library)
            return spec_from_file_location(name, place, loader=ExtensionFileLoader(name, place))
        return None


def _in_memory(name: str, library: bytes) -> str:
    # Never closed: the dynamic loader knows a library by its path, and the next one would get this number.
    # MFD_EXEC, unknown before Linux 6.3, is what a file without MFD_NOEXEC_SEAL gets anyway.
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    written = 0
    while written < len(library):
        written += os.write(descriptor, memoryview(library)[written:])
    return f"/proc/self/fd/{descriptor}"


def install() -> None:
    """Makes the archive that this module came from a place to find native modules."""
    loader = globals()["__loader__"]
    if isinstance(loader, zipimporter) and not any(isinstance(one, NativeModules) for one in sys.meta_path):
        sys.meta_path.append(NativeModules(loader.archive))
