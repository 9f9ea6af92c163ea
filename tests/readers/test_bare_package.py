"""In processes of their own: this one has pyroute2 already."""

import subprocess
import sys

import pytest

BARE = """
import sys
from dockerdiag.readers.bare_package import bare_package
with bare_package("pyroute2"):
    from pyroute2.netlink.rtnl.rtmsg import rtmsg
assert "asyncio" not in sys.modules
"""


def assert_runs(program: str) -> None:
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_module_comes_without_what_its_package_imports() -> None:
    assert_runs(BARE)


def test_the_package_is_whole_for_whoever_asks_for_it_later() -> None:
    assert_runs(
        BARE
        + "from pyroute2 import IPRoute, IPSet\n"
        + "from pyroute2.nftables.main import NFTables\n"
        + "from pyroute2 import netlink\n"
        + "import pyroute2.netlink.rtnl.rtmsg\n"
        + "assert netlink.rtnl.rtmsg.rtmsg is rtmsg\n"
        + "with IPRoute() as route: assert route.get_links()\n"
    )


def test_threads_that_import_of_it_at_once_do_not_meet() -> None:
    assert_runs("""
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
names = [f"dockerdiag.readers.{name}" for name in ("ipsets", "netdev_hooks", "rtnetlink", "routing")]
with ThreadPoolExecutor(4) as pool:
    list(pool.map(import_module, names))
assert "pyroute2" not in sys.modules
from pyroute2 import IPRoute
""")


def test_a_package_that_is_there_already_is_left_alone() -> None:
    assert_runs(
        "import pyroute2\n"
        + BARE.replace('assert "asyncio"', "assert pyroute2 is sys.modules['pyroute2']\n#")
    )


def test_a_package_that_is_not_installed_is_missed_as_ever() -> None:
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        assert_runs(BARE.replace("pyroute2", "no_such_package"))
