"""`--probe` on real hosts: agrees with the walk where all is well, and proves by counters what drops where it is not."""

import os
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.drive import set_up
from tests.lab.engines import chosen_suites
from tests.lab.fingerprint import fingerprint, settle
from tests.lab.host import LabHost
from tests.lab.scenarios import named

pytestmark = pytest.mark.lab

IN_CONTAINER = "nsenter -t $(docker inspect --format '{{.State.Pid}}' web) -n"
MASQUERADE = "POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"


@dataclass(frozen=True)
class Broken:
    """A host broken in one way, and what the probe must say of it."""

    name: str
    break_: tuple[str, ...]
    kind: str
    comparison: str
    mend: tuple[str, ...]
    rule: str | None = None
    """Part of the rule whose counter must have risen."""
    to: str = "203.0.113.10:443"
    verdict: str = "broken"
    cause: str | None = None
    behind: str = ""
    """Rules in the namespace behind the host."""


CASES = (
    Broken(
        "docker-user-drops",
        ("iptables -I DOCKER-USER -p tcp --dport 443 -j DROP",),
        "tcp",
        "agrees",
        ("iptables -D DOCKER-USER 1",),
        "DOCKER-USER -p tcp",
    ),
    Broken(
        "docker-user-rejects",
        ("iptables -I DOCKER-USER -p tcp --dport 443 -j REJECT",),
        "tcp",
        "agrees",
        ("iptables -D DOCKER-USER 1",),
        "-j REJECT",
    ),
    Broken(
        "masquerade-deleted",
        (f"iptables -t nat -D {MASQUERADE}",),
        "tcp",
        "agrees",
        (f"iptables -t nat -I {MASQUERADE}",),
    ),
    Broken(
        "container-firewall",
        (f"{IN_CONTAINER} iptables -A OUTPUT -p tcp --dport 443 -j DROP",),
        "tcp",
        "agrees",
        (f"{IN_CONTAINER} iptables -D OUTPUT 1",),
        "OUTPUT -p tcp",
    ),
    Broken(
        "dns-blocked",
        ("iptables -I DOCKER-USER -p udp --dport 53 -j DROP",),
        "dns",
        "agrees",
        ("iptables -D DOCKER-USER 1",),
        "DOCKER-USER -p udp",
        to="app.example:443",
    ),
    Broken(
        "mtu-black-hole",
        ("ip link set eth0 mtu 1400", "iptables -A OUTPUT -p icmp --icmp-type 3/4 -j DROP"),
        "path-mtu",
        "on-host",
        ("iptables -D OUTPUT 1", "ip link set eth0 mtu 1500", f"{IN_CONTAINER} ip route flush cache"),
        "OUTPUT -p icmp",
        # What is read tells it as well, with a remedy.
        cause="mtu-mismatch",
    ),
    Broken(
        "large-packets-dropped",
        ("iptables -I DOCKER-USER -i docker0 -m length --length 1401:65535 -j DROP",),
        "path-mtu",
        "on-host",
        ("iptables -D DOCKER-USER -i docker0 -m length --length 1401:65535 -j DROP",),
        "--length 1401:65535",
        cause="path-mtu-black-hole",
    ),
    Broken(
        "lost-behind-the-host",
        (),
        "tcp",
        "beyond-host",
        (),
        cause="lost-beyond-host",
        behind="table ip wall { chain in { type filter hook input priority 0; tcp dport 443 drop; }; }",
    ),
)


def suites() -> tuple[str, ...]:
    chosen = tuple(chosen_suites())
    return chosen if os.environ.get("DOCKERDIAG_LAB_MATRIX") else chosen[-1:]


def probed(host: LabHost, *arguments: str) -> tuple[int, Any]:
    ran = host.dockerdiag(*arguments, "--probe", "-f", "json")
    return ran.code, ran.json()


def of_container(report: Any, kind: str) -> Any:
    return next(one for one in report["probes"] if one["container"] == "web" and one["kind"] == kind)


@pytest.mark.parametrize("suite", suites())
def test_probes_prove_what_the_walk_says(suite: str) -> None:
    with LabHost(suite) as host:
        set_up(host, named("plain"))
        settle(host)
        before = fingerprint(host)
        targets = ("--to", "203.0.113.10:443", "--to", "app.example:80", "--to", "203.0.113.10/icmp")
        code, report = probed(host, *targets)
        assert (code, report["verdict"]) == (0, "ok"), report["probes"]
        assert {one["outcome"] for one in report["probes"]} == {"answered"}
        compared = [one["comparison"] for one in report["probes"] if one["container"] == "web"]
        assert set(compared) == {"agrees", "none"}
        assert len(compared) == 5
        after = fingerprint(host)
        assert {name: after[name] for name in before if before[name] != after[name]} == {}
        assert not host.run("pgrep -f dockerdiag.readers").stdout.split()[1:]
        for case in CASES:
            host.run_all(case.break_)
            if case.behind:
                enter = ("nsenter", f"--net={host.wires.internet_path}")
                subprocess.run((*enter, "nft", "-f", "-"), input=case.behind, text=True, check=True)
            assert_told(host, case)
            if case.cause == "path-mtu-black-hole":
                assert_smaller_packets_mend(host, case)
            host.run_all(case.mend)


def assert_smaller_packets_mend(host: LabHost, case: Broken) -> None:
    """Each remedy as printed, by itself: the link's size ends the loss, the announced one fits TCP's packets."""
    _, report = probed(host, "--to", case.to)
    link, clamp, delete = report["cause"]["remedies"][:3]
    for remedy in (link, clamp, delete):
        host.run_all(remedy["now"])
        if remedy is not clamp:
            code, after = probed(host, "--to", case.to)
            assert (code, after["verdict"]) == (0, "ok"), after["cause"]
        else:
            rules = host.run("iptables-save -t mangle").expect_success().stdout
            assert rules.count("--set-mss 1360") == 2
        host.run_all(remedy["undo"])


def assert_told(host: LabHost, case: Broken) -> None:
    code, report = probed(host, "--to", case.to)
    probe = of_container(report, case.kind)
    told = f"{case.name}: {probe}"
    assert (code, report["verdict"]) == (2, case.verdict), told
    assert probe["comparison"] == case.comparison, told
    if case.rule is not None:
        count = probe["counters"][0]
        assert case.rule in count["rule"]["text"], told
        assert count["after"] > count["before"], told
    if case.cause is not None:
        assert report["cause"]["code"] == case.cause, told
    trace_code, _ = probed(host, "trace", "web", case.to)
    assert trace_code == 2, told
