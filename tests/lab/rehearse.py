"""Proves the scenarios without the product: `python -m tests.lab.rehearse [--on SUITE] [NAME]...`.

Each is set up, its traffic measured, broken, measured again, mended by hand, and measured once more.
"""

import argparse
import sys
import time
import traceback

from tests.lab.drive import assert_traffic_flows, assert_traffic_is_hit, break_host, set_up
from tests.lab.engines import SUITES
from tests.lab.host import LabHost
from tests.lab.scenario import Scenario
from tests.lab.scenarios import all_scenarios, named


def rehearse(scenario: Scenario, suite: str) -> None:
    with LabHost(suite, product=False) as host:
        set_up(host, scenario)
        if not scenario.broken_from_the_start and not scenario.reboot:
            assert_traffic_flows(host, scenario, "before the break")
        break_host(host, scenario)
        assert_traffic_is_hit(host, scenario)
        if scenario.mend:
            host.run_all(scenario.mend)
            assert_traffic_flows(host, scenario, "after mending by hand")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.rehearse")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--on", choices=SUITES, action="append", dest="suites")
    arguments = parser.parse_args()
    scenarios = [named(name) for name in arguments.names] or list(all_scenarios())
    failed = 0
    for scenario in scenarios:
        for suite in arguments.suites or scenario.suites:
            started = time.monotonic()
            try:
                rehearse(scenario, suite)
                verdict = "ok"
            except Exception:  # noqa: BLE001 (one bad scenario must not hide the others)
                failed += 1
                verdict = f"FAILED\n{traceback.format_exc(limit=1)}"
            print(f"{scenario.name:36} {suite:9} {time.monotonic() - started:5.1f} s  {verdict}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
