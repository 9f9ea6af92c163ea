"""Measures whole runs against collecting the same by hand: `python -m tests.bench.whole`, as root.

On a lab host (tests/lab), in turns: A, a shell script that collects by hand what dockerdiag reads; B, `docker info`;
C, dockerdiag to a finished text report. Small and middle hosts have a real engine, the large ones real rules, links and
namespaces, and an engine that answers for them. It prints tables of ratios and writes them into
docs/performance.md.
"""

import argparse
import datetime as dt
import json
import math
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.rules import Size, iptables_rules
from tests.lab.carried import put, single_file
from tests.lab.host import LabHost
from tests.lab.roots import CHECKOUT, VENV
from tests.lab.signals import terminate_in_order

HERE = Path(__file__).parent
EMPTIED = (
    "systemctl stop docker.socket docker.service",
    "iptables-nft -F; iptables-nft -t nat -F; iptables-nft -X; iptables-nft -t nat -X; ip link delete docker0",
)
PAGE = CHECKOUT / "docs" / "performance.md"
HEADING = "## Whole runs"
TEMPLATE = CHECKOUT / "tests/readers/engines/28.5.2.json"
SUITE = "trixie"
COMMANDS = {"A": "sh /root/bench/by_hand.sh", "B": "docker info", "C": f"{VENV}/bin/dockerdiag --timeout 600"}
STARTS = {
    "version": f"{VENV}/bin/dockerdiag --version",
    "python": f"{VENV}/bin/python -c pass",
    "demo": f"{VENV}/bin/dockerdiag demo",
    "carried": "/root/bench/dockerdiag demo",
}

Costs = dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class Host:
    """What is measured: its name, what makes it, and what is asked of C."""

    name: str
    networks: int
    containers: int
    make: Callable[[LabHost, "Host"], None]
    ratio: float
    megabytes: float | None
    turns: int | None = None
    """At most so many: by hand the largest takes minutes."""


def real(host: LabHost, size: Host) -> None:
    """Networks and containers of the engine's own; the default bridge is the first of the networks."""
    host.run_all(f"docker network create net{n}" for n in range(1, size.networks))
    for c in range(size.containers):
        n = c % size.networks
        host.start_container(f"web{c}", f"net{n}" if n else "bridge")


def made(host: LabHost, size: Host) -> None:
    """Half as many networks as containers, and about fifty rules a container."""
    asked = {
        "networks": size.networks,
        "rules": iptables_rules(Size(size.networks)),
        "engine": json.loads(TEMPLATE.read_text()),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "asked")
        path.write_text(json.dumps(asked))
        put(host, path, "/root/bench/asked")
    host.run_all(EMPTIED)
    host.run(
        'cp "$(readlink -f /usr/bin/python3)" /root/bench/dockerd &&'
        " { setsid /root/bench/dockerd </root/bench/made_host.py >/root/bench/made 2>&1 & } &&"
        " timeout 900 sh -c 'until grep -q -e ready -e Error /root/bench/made; do sleep 0.5; done';"
        " grep -q ready /root/bench/made || { cat /root/bench/made; exit 1; }",
        timeout=1000,
    ).expect_success()


HOSTS = (
    Host("small", 3, 5, real, 2.5, None),
    Host("middle", 20, 40, real, 1.0, 150),
    Host("tenth of large", 50, 100, made, 1.0, None),
    Host("large", 500, 1000, made, 1.0, 500, turns=1),
)


def measure(size: Host, runs: int) -> Costs:
    with LabHost(SUITE) as host:
        for name in ("by_hand.sh", "turns.py", "made_host.py"):
            put(host, HERE / name, f"/root/bench/{name}")
        size.make(host, size)
        code = host.run(f"{COMMANDS['C']} -f json", timeout=900)
        report = code.json()
        doubts = [one for one in report["results"] if one["status"] not in ("pass", "note", "skip")]
        assert report["verdict"] == "ok", json.dumps(doubts)[:2000]
        return turns(host, COMMANDS, min(runs, size.turns or runs))


def starts(runs: int) -> Costs:
    with LabHost(SUITE) as host:
        put(host, HERE / "turns.py", "/root/bench/turns.py")
        put(host, single_file(SUITE), "/root/bench/dockerdiag")
        return turns(host, STARTS, runs)


def turns(host: LabHost, commands: dict[str, str], runs: int) -> Costs:
    quoted = " ".join(f"'{name}={command}'" for name, command in commands.items())
    ran = host.run(f"python3 /root/bench/turns.py {runs} {quoted}", timeout=3600)
    found: Costs = ran.expect_success().json()
    return found


def median(costs: Costs, name: str, part: str) -> float:
    return statistics.median(one[part] for one in costs[name])


def ratio(costs: Costs, one: str, other: str, part: str = "wall") -> float:
    """Of runs that followed each other, for the machine's speed drifts."""
    pairs = zip(costs[one], costs[other], strict=True)
    return statistics.median(first[part] / second[part] for first, second in pairs)


def table(found: dict[str, Costs]) -> list[str]:
    columns = (
        "host", "networks", "containers", "turns", "A", "B", "C", "C / A", "goal", "C / B", "C / A, processor time",
        "C, peak memory", "goal",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "| --- |" + " ---: |" * (len(columns) - 1)]
    for size in HOSTS:
        if size.name not in found:
            continue
        costs = found[size.name]
        seconds = (f"{median(costs, name, 'wall'):.2f} s" for name in "ABC")
        limit = f"{size.megabytes:.0f} MB" if size.megabytes else ""
        cells = (
            size.name, str(size.networks), str(size.containers), str(len(costs["C"])), *seconds, f"**{ratio(costs, 'C', 'A'):.2f}**",
            f"{size.ratio:.1f}", f"{ratio(costs, 'C', 'B'):.1f}", f"{ratio(costs, 'C', 'A', 'processor'):.2f}",
            f"{max(one['megabytes'] for one in costs['C']):.0f} MB", limit,
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def against_goals(found: dict[str, Costs]) -> str:
    told: dict[bool, list[str]] = {True: [], False: []}
    for size in HOSTS:
        if size.name in found:
            measured = ratio(found[size.name], "C", "A")
            told[measured <= size.ratio].append(f"{size.name} ({measured:.2f}, goal {size.ratio:.1f})")
    return f"- C / A: goal met on {', '.join(told[True]) or 'none'}; **missed** on {', '.join(told[False]) or 'none'}."


def notes(found: dict[str, Costs], begun: Costs) -> list[str]:
    lines = [
        against_goals(found),
        (
            "- Peak memory is that of all processes of C at one moment, pages that they share counted once, of a run by"
            " itself that was looked at every 50 ms."
        ),
        (
            "- C uses all processors at once, A one after the other: on a host without an idle processor C / A comes near"
            " the ratio of processor time."
        ),
        (
            "- Where the time goes: on middle as much into reading forty namespaces, beside which Python's imports run, as"
            " into judging; on the larger ones into walking each container that its own rules part from all others, and"
            " into starting `nft` and `iptables-nft-save` in each namespace."
        ),
    ]
    if {"large", "tenth of large"} <= found.keys():
        exponents = {}
        for name in "AC":
            growth = median(found["large"], name, "wall") / median(found["tenth of large"], name, "wall")
            exponents[name] = math.log10(growth)
        lines.append(
            f"- With ten times the containers and rules, C grows with the power **{exponents['C']:.2f}** of their number"
            f" (goal: at most 1.1 with either, so not more than that with both), A with {exponents['A']:.2f}."
        )
    lines += [
        (
            f"- `dockerdiag --version` takes **{ratio(begun, 'version', 'python'):.2f}** times as long as `python -c pass`"
            " (goal: at most 2.5)."
        ),
        (
            f"- The single file takes {ratio(begun, 'carried', 'demo'):.2f} times as long as the virtual environment to the"
            " end of `dockerdiag demo`."
        ),
    ]
    return lines


def section(found: dict[str, Costs], begun: Costs) -> str:
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return "\n".join(
        (
            HEADING,
            "",
            "How long a whole run takes, against collecting by hand what it reads. A is `tests/bench/by_hand.sh`: `docker info`,",
            "all networks and containers inspected, the rules of both variants, addresses, links, routes, rules, neighbours,",
            "sysctls, the unit and its files, and each running container's addresses, routes, rules and resolvers. B is",
            "`docker info` alone. C is `dockerdiag` to its finished text report. Small and middle hosts have a real engine; the",
            "larger ones have real rules (about fifty a container), links and namespaces, and an engine that answers for them.",
            "C reads more than A: of each container also IPv6 routes, policy rules, neighbours, sysctls and listening sockets.",
            "",
            f"- Command: `{shlex.join(command())}`, as root",
            f"- Date: {today}; medians of the turns (A, B, C, A, …) on a lab host ({SUITE}), ratios from neighbouring runs",
            (
                f"- Linux {os.uname().release}, Python of that host, {os.cpu_count()} processors, shared with other work: compare the"
                " ratios only"
            ),
            "",
            *table(found),
            "",
            *notes(found, begun),
            "",
        )
    )


def command() -> list[str]:
    """What was run, without where its results went."""
    given = iter(sys.argv[1:])
    shown = ["python", "-m", "tests.bench.whole"]
    for word in given:
        if word in ("--keep", "--to"):
            next(given, None)
        elif not word.startswith(("--keep=", "--to=")):
            shown.append(word)
    return shown


def write(text: str, page: Path) -> None:
    """In place of the section that is there; what others wrote stays."""
    before, _, rest = page.read_text(encoding="utf-8").partition(f"{HEADING}\n")
    following = rest.partition("\n## ")
    after = f"## {following[2]}" if following[2] else ""
    page.write_text(f"{before.rstrip()}\n\n{text}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hosts", nargs="*", default=[one.name for one in HOSTS], metavar="HOST")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--to", type=Path, help="the page to write; a part of the hosts is printed only")
    parser.add_argument("--keep", type=Path, help="where the figures go as JSON")
    options = parser.parse_args()
    terminate_in_order()
    found = {}
    for size in HOSTS:
        if size.name in options.hosts:
            found[size.name] = measure(size, options.runs)
            print("\n".join(table({size.name: found[size.name]})), file=sys.stderr, flush=True)
    begun = starts(max(options.runs, 5))
    if options.keep:
        options.keep.write_text(json.dumps({"hosts": found, "starts": begun}))
    if len(found) == len(HOSTS) or options.to:
        write(section(found, begun), options.to or PAGE)
    print("\n".join((*table(found), "", *notes(found, begun))))


if __name__ == "__main__":
    main()
