"""The same answers from a virtual environment, from the single file and from the container image."""

from typing import Any

import pytest

from tests.lab.carried import RUN, build_image, put, single_file
from tests.lab.drive import break_host, set_up
from tests.lab.engines import chosen_suites
from tests.lab.fingerprint import differences, fingerprint, settle
from tests.lab.host import LabHost
from tests.lab.scenarios import named

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

BROKEN = named("ip-forward-off")
FILE = "/root/carried/dockerdiag"


def comparable(report: Any) -> Any:
    """The report without what moves on between two runs: the time, and counters of packets."""
    if isinstance(report, dict):
        return {key: comparable(value) for key, value in report.items() if key not in ("taken_at", "packets")}
    return [comparable(one) for one in report] if isinstance(report, list) else report


@pytest.mark.parametrize("suite", chosen_suites())
def test_one_host_three_ways(suite: str) -> None:
    with LabHost(suite) as host:
        set_up(host, BROKEN)
        break_host(host, BROKEN)
        file = single_file(suite)
        put(host, file, FILE)
        put(host, file.with_name(f"{file.name}.sha256"), f"{FILE}.sha256")
        host.run(f"cd /root/carried && sed 's/{file.name}/dockerdiag/' dockerdiag.sha256 | sha256sum --check")
        installed = host.dockerdiag("-f", "json")
        assert installed.code == BROKEN.exit_code, installed.stderr
        # By a relative path, from a place that is not its own, with no environment of ours.
        settle(host)
        before = fingerprint(host)
        carried = host.run("cd /root/carried && ./dockerdiag -f json")
        assert carried.code == BROKEN.exit_code, carried.stderr
        assert not differences(before, fingerprint(host))
        assert comparable(carried.json()) == comparable(installed.json())
        # Names of checks and formats come from the metadata in the archive.
        assert host.run(f"{FILE} checks").stdout == host.dockerdiag("checks").stdout
        assert host.run(f"{FILE} demo -o /tmp/demo.html >/dev/null").code == 2
        assert host.run(f"{FILE} --version").expect_success().stdout.startswith("dockerdiag ")

        build_image(host)
        contained = host.run(f"{RUN} dockerdiag -f json")
        if contained.code == 125 and "unable to apply caps" in contained.stderr:
            # Engine 20.10 gives a privileged container every capability it knows, whether the host has it or not.
            pytest.skip("this machine withholds a capability that the engine gives a privileged container")
        assert contained.code == BROKEN.exit_code, contained.stderr
        assert contained.json()["unread"] == []
        assert comparable(contained.json()) == comparable(host.dockerdiag("-f", "json").json())
        # A file of the container's own, not of the host.
        host.dockerdiag("collect", "-o", "/root/carried/host.json").expect_success()
        judged = host.run(f"{RUN} -v /root/carried:/data dockerdiag --from /data/host.json -f json")
        assert judged.json()["verdict"] == carried.json()["verdict"]


def test_another_python_says_so() -> None:
    with LabHost("bookworm", product=False) as host:
        put(host, single_file("trixie"), FILE)
        ran = host.run(f"python3 {FILE} --version")
        assert ran.code == 70
        assert "is for Python 3.13" in ran.stderr
        assert "this is Python 3.11" in ran.stderr
