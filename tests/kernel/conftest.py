"""One host of namespaces for all comparisons of a run."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.kernel import Kernel
from tests.kernel.namespaces import Namespaces
from tests.kernel.summary import Recorder, recorder

_TOOLS = ("ip", "nft", "ipset", "iptables-nft-restore", "ip6tables-nft-restore", "iptables-legacy-restore")


@pytest.fixture(scope="session")
def kernel() -> Iterator[Kernel]:
    """The kernel, ready to load rules and take packets."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    with Namespaces() as namespaces:
        kernel = Kernel(namespaces)
        try:
            kernel.open()
        except (OSError, RuntimeError) as error:
            pytest.skip(f"this kernel lacks what the comparison needs: {error}")
        yield kernel
        kernel.close()


@pytest.fixture
def record_agreement(record_property: Callable[[str, object], None]) -> Recorder:
    """Adds a tally to what is shown at the end."""
    return recorder(record_property)
