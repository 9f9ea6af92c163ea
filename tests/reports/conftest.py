"""One browser, and one copy of axe-core, for all tests of a run that open reports."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NoReturn

import pytest

from tests.reports.browser import ARGUMENTS, CHROMIUM

AXE = "axe-core@4"


def without(reason: str) -> NoReturn:
    """Skips what cannot be tested here, but where everything has to be."""
    if os.environ.get("DOCKERDIAG_LAB_REQUIRED"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    try:
        api = import_module("playwright.sync_api")
    except ImportError:
        without("playwright is not installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, which npm fetches."""
    npm = shutil.which("npm")
    if npm is None:
        without("npm, which fetches axe-core, is not installed")
    folder = tmp_path_factory.mktemp("axe")
    packed = subprocess.run(
        [npm, "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    if packed.returncode != 0:
        without(f"axe-core cannot be fetched: {packed.stderr.strip()[-200:]}")
    with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()
