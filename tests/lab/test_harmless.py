"""A run changes nothing on the host that it looks at, and asks for nothing that could."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.carried import PACKAGING, put
from tests.lab.drive import break_host, set_up
from tests.lab.engines import chosen_suites
from tests.lab.fingerprint import differences, fingerprint, settle
from tests.lab.host import LabHost
from tests.lab.roots import VENV
from tests.lab.scenario import Scenario
from tests.lab.scenarios import named
from tests.lab.syscalls import changes, traced

pytestmark = pytest.mark.lab

ENGINES = chosen_suites()
OUT = "/root/out"
PROBES = (
    "dockerdiag --probe --to 203.0.113.10:80",
    "dockerdiag trace web 203.0.113.10:80 --probe",
    f"dockerdiag collect --probe --to 203.0.113.10:80 -o {OUT}/probed.json",
)
"""They send packets, and leave nothing else."""
COMMANDS = (
    *(
        f"dockerdiag -f {name}"
        for name in ("html", "markdown", "json", "nagios", "checkmk", "prometheus", "junit")
    ),
    f"dockerdiag -v -o {OUT}/report.html -o {OUT}/report.json --state {OUT}/state.json",
    f"dockerdiag -q --state {OUT}/state.json",
    f"XDG_STATE_HOME={OUT} dockerdiag --redact -o {OUT}/redacted.html",
    f"XDG_STATE_HOME={OUT} dockerdiag reveal {OUT}/redacted.html",
    "dockerdiag trace web 203.0.113.10:80",
    "dockerdiag trace web 80 --inbound",
    f"dockerdiag collect -o {OUT}/host.json.gz",
    f"XDG_STATE_HOME={OUT} dockerdiag collect --redact -o {OUT}/redacted.json.gz",
    f"dockerdiag --from {OUT}/host.json.gz",
    "dockerdiag --root /",
    "mkdir -p /run/other/etc && dockerdiag --root /run/other; rm -r /run/other",
    f"echo > {OUT}/expected.toml && dockerdiag --config {OUT}/expected.toml",
    f"dockerdiag diff {OUT}/host.json.gz {OUT}/host.json.gz",
    "dockerdiag demo",
    "dockerdiag checks",
    "dockerdiag explain masquerade",
    "dockerdiag --version",
)
# With legacy tables registered, python-iptables is asked as well: the lab installs the extra.
LEGACY = named("legacy-forward-drop")


@contextmanager
def host_with(suite: str, scenario: Scenario) -> Iterator[LabHost]:
    with LabHost(suite) as host:
        set_up(host, scenario)
        break_host(host, scenario)
        host.run(f"mkdir -p {OUT}")
        settle(host)
        yield host


@pytest.mark.parametrize("suite", ENGINES)
@pytest.mark.parametrize("scenario", [named("plain"), LEGACY], ids=lambda each: each.name)
def test_no_command_changes_the_host(scenario: Scenario, suite: str) -> None:
    with host_with(suite, scenario) as host:
        before = fingerprint(host)
        judged = host.dockerdiag("-f", "json")
        assert judged.code == scenario.exit_code, judged.stderr
        for command in (*COMMANDS, *PROBES):
            ran = host.run(command)
            assert ran.code < 64, f"{command}: {ran.stderr}"
        after = {name: without_out(text) for name, text in fingerprint(host).items()}
    assert not differences({name: without_out(text) for name, text in before.items()}, after)


def without_out(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(OUT))


def test_the_comparison_would_see_a_change() -> None:
    with host_with(ENGINES[0], named("plain")) as host:
        before = fingerprint(host)
        pid = host.run("docker inspect --format '{{.State.Pid}}' web").stdout.strip()
        host.run_all(
            (
                "iptables-legacy -t mangle -nL",
                "iptables -I FORWARD -j ACCEPT",
                "ip route add 192.0.2.0/24 dev eth0",
                "ip neighbour add 198.51.100.77 lladdr 02:00:00:00:00:01 nud permanent dev eth0",
                "sysctl -q net.ipv4.conf.eth0.rp_filter=1",
                "mkdir -p /run/elsewhere && mount -t tmpfs none /run/elsewhere",
                "echo > /tmp/left-behind",
                f"nsenter --target {pid} --net ip address add 192.0.2.9/32 dev lo",
                "setsid sleep 60 >/dev/null 2>&1 </dev/null &",
            )
        )
        changed = differences(before, fingerprint(host))
    assert changed.keys() >= {
        "legacy tables", "nft rules", "iptables-nft rules", "routes", "permanent neighbours", "sysctls", "mounts",
        "changed files", "files", "addresses", "processes",
    }  # fmt: skip


TRACED = (
    ("-f", "checkmk"),
    ("-f", "html"),
    ("--root", "/"),
    ("trace", "web", "203.0.113.10:80"),
    ("trace", "web", "80", "--inbound"),
    ("demo",),
    ("checks",),
)
"""Commands that write no file."""


@pytest.mark.parametrize("suite", ENGINES)
@pytest.mark.parametrize("scenario", [named("plain"), LEGACY], ids=lambda each: each.name)
def test_no_system_call_changes_anything(scenario: Scenario, suite: str) -> None:
    with host_with(suite, scenario) as host:
        for arguments in (("-f", "json"), *TRACED):
            calls = traced(host, f"{VENV}/bin/dockerdiag", *arguments)
            assert not changes(calls), arguments


def test_the_system_calls_of_a_change_are_seen() -> None:
    with host_with(ENGINES[0], named("plain")) as host:
        lines = (
            "iptables-nft -A OUTPUT -j ACCEPT",
            "iptables-legacy -A OUTPUT -j ACCEPT",
            "ip route add 192.0.2.0/24 dev eth0",
            "echo > /root/file",
            "modprobe dummy",
            "ip netns add x",
            'timeout 1 python3 -c \'import socket; socket.socket(2, 2).sendto(b"x", ("203.0.113.10", 9))\'',
        )
        for line in lines:
            assert changes(traced(host, "/bin/sh", "-c", line)), line


CLAIM = """
import runpy, sys
from dockerdiag.readers import modules
modules.presence = lambda module: "absent" if module in ABSENT else "present"
from dockerdiag.readers import firewall
firewall.presence = modules.presence
sys.argv = ["dockerdiag", "-f", "json"]
sys.exit(runpy.run_module("dockerdiag", run_name="__main__"))
"""


def claim(*absent: str) -> str:
    return f"ABSENT = {absent!r}\n{CLAIM}"


NOTE_CALLS = """
mkdir -p /root/calls
for tool in nft iptables-nft-save ip6tables-nft-save iptables-legacy-save ip6tables-legacy-save ipset modprobe; do
    printf '#!/bin/sh\\necho "$0 $*" >> /root/calls/made\\nexec %s "$@"\\n' "$(command -v $tool)" > "/usr/local/sbin/$tool"
    chmod +x "/usr/local/sbin/$tool"
done
touch /root/calls/made
"""


def test_what_would_load_a_module_is_not_run() -> None:
    """This kernel's modules are built in, so a host without them can only be claimed."""
    with host_with(ENGINES[0], named("plain")) as host:
        host.run(NOTE_CALLS).expect_success()
        host.dockerdiag("-f", "json")
        assert "nft -j list ruleset" in host.run("cat /root/calls/made").stdout
        host.run("rm /root/calls/made; touch /root/calls/made")
        ran = host.run(f"{VENV}/bin/python -", stdin=claim("nf_tables", "ip_set", "nft_compat"))
        assert ran.json()["host"], ran.stderr
        assert host.run("cat /root/calls/made").stdout == ""


NATIVE = """
nft flush ruleset
nft add table ip filter
nft add chain ip filter FORWARD '{ type filter hook forward priority 0; }'
nft add rule ip filter FORWARD tcp dport 25 limit rate 5/second counter drop
"""


def test_rules_of_nfts_own_load_nothing_of_iptables() -> None:
    with host_with(ENGINES[0], named("no-engine")) as host:
        host.run_all(NATIVE.strip().splitlines())
        without = traced(host, f"{VENV}/bin/python", "-c", claim("nft_compat"))
        assert "nft" in "".join(without)
        assert not changes(without, compat=False)
        # Where it is there, it is asked.
        assert changes(traced(host, f"{VENV}/bin/dockerdiag", "-f", "json"), compat=False)


@pytest.mark.parametrize("suite", ENGINES)
def test_the_hardened_service_reads_as_much(suite: str) -> None:
    scenario = named("ip-forward-off")
    with host_with(suite, scenario) as host:
        for kind in ("service", "timer"):
            put(host, PACKAGING / "systemd" / f"dockerdiag.{kind}", f"/etc/systemd/system/dockerdiag.{kind}")
        direct = host.dockerdiag("-f", "json").json()
        host.run("systemctl daemon-reload && systemctl start dockerdiag.service")
        journal = host.run("journalctl --no-pager --output=cat --unit=dockerdiag.service").stdout
        ran = host.run(f"{VENV}/bin/dockerdiag --from /var/lib/dockerdiag/report.html -f json")
        assert ran.code == scenario.exit_code, ran.stderr + journal
        report = ran.json()
        status = host.run(
            "systemctl show --property=ExecMainStatus --value dockerdiag.service"
        ).stdout.strip()
        assert status == str(scenario.exit_code), journal
    for part in ("verdict", "unread", "results"):
        assert without_counters(report[part]) == without_counters(direct[part])


def without_counters(part: object) -> str:
    return re.sub(r"'packets': \d+", "", repr(part))
