"""Snapshots of real hosts as fixtures: `python -m tests.lab.record NAME... --to FOLDER [--on SUITE]`.

Each scenario is set up and broken on a lab host, `dockerdiag collect` reads that host, and the snapshot
lands in FOLDER as NAME-SUITE.json.gz.
"""

import argparse
import gzip
import sys
from pathlib import Path

from tests.lab.drive import break_host, set_up
from tests.lab.engines import SUITES
from tests.lab.host import LabHost
from tests.lab.roots import progress
from tests.lab.scenario import Scenario
from tests.lab.scenarios import all_scenarios, named
from tests.lab.signals import terminate_in_order

ON_THE_HOST = "/tmp/snapshot.json"


def record(scenario: Scenario, suite: str, folder: Path) -> Path:
    with LabHost(suite) as host:
        set_up(host, scenario)
        break_host(host, scenario)
        host.dockerdiag("collect", "-o", ON_THE_HOST, user=scenario.user, sudo=scenario.sudo).expect_success()
        snapshot = host.run(f"cat {ON_THE_HOST}").expect_success().stdout
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{scenario.name}-{suite}.json.gz"
    file.write_bytes(gzip.compress(snapshot.encode(), mtime=0))
    return file


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.record")
    parser.add_argument("names", nargs="*", help="scenarios; all without any")
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--on", choices=SUITES, action="append", dest="suites")
    arguments = parser.parse_args()
    terminate_in_order()
    for scenario in [named(name) for name in arguments.names] or all_scenarios():
        for suite in arguments.suites or scenario.suites:
            progress(f"recorded {record(scenario, suite, arguments.to)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
