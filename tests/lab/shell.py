"""A lab host to play with: `python -m tests.lab.shell SUITE [SCENARIO] [--healthy] [--bare] [-- COMMAND...]`.

Boots, sets up and breaks the scenario (without any: a plain host with one container), runs the command, or
each line of stdin, on the host as root, and throws the host away. The line `!reboot` reboots it, `!reach`
measures the containers' traffic.
"""

import argparse
import shlex
import sys

from tests.lab.drive import break_host, measured, set_up
from tests.lab.engines import SUITES
from tests.lab.host import LabHost
from tests.lab.scenario import Scenario
from tests.lab.scenarios import named
from tests.lab.signals import terminate_in_order


def play(host: LabHost, scenario: Scenario, line: str) -> int:
    if line == "!reboot":
        host.reboot()
        return 0
    if line == "!reach":
        for flow, _, flows in measured(host, scenario):
            print(f"{flow}: {'gets through' if flows else 'does not get through'}", flush=True)
        return 0
    ran = host.run(line, timeout=3600)
    sys.stdout.write(ran.stdout)
    sys.stdout.flush()
    sys.stderr.write(ran.stderr)
    return ran.code


def main() -> int:
    own, _, command = partition(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="python -m tests.lab.shell")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("scenario", nargs="?", default="plain")
    parser.add_argument("--healthy", action="store_true", help="set the scenario up, but do not break it")
    parser.add_argument("--bare", action="store_true", help="leave the product out")
    arguments = parser.parse_args(own)
    scenario = named(arguments.scenario)
    terminate_in_order()
    code = 0
    with LabHost(arguments.suite, product=not arguments.bare) as host:
        set_up(host, scenario)
        if not arguments.healthy:
            break_host(host, scenario)
        for line in [shlex.join(command)] if command else sys.stdin:
            if line.strip():
                code = play(host, scenario, line.strip())
    return code


def partition(arguments: list[str]) -> tuple[list[str], str, list[str]]:
    if "--" not in arguments:
        return arguments, "", []
    at = arguments.index("--")
    return arguments[:at], "--", arguments[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
