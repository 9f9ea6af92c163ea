"""What dockerd's last words in the journal are taken for."""

from dataclasses import replace

import pytest

from dockerdiag.report import Verdict
from dockerdiag.snapshot import LogLine, ModuleTree, Program, Shim, Snapshot, TextFile, Unread
from tests.checks.hosts import Change, cause_of, judged, service, told

START = "failed to start daemon: Error initializing network controller: "
LAST_WORDS = [
    (
        START + 'Error creating default "bridge" network: Failed to program NAT chain: '
        "ZONE_CONFLICT: 'docker0' already bound to 'trusted'",
        "firewalld-zone-conflict",
    ),
    (
        START + "error obtaining controller instance: failed to create NAT chain DOCKER: Iptables not found",
        "iptables-binary-problem",
    ),
    (
        START
        + "IPv4 forwarding is disabled: check your host's firewalling and set sysctl net.ipv4.ip_forward=1, "
        "or disable this check using daemon option --ip-forward=false",
        "nftables-backend-forwarding-required",
    ),
    (
        START + 'failed to register "bridge" driver: failed to create NAT chain DOCKER: iptables failed: '
        "iptables v1.8.7 (nf_tables): table `nat' is incompatible, use 'nft' tool.",
        "iptables-nft-incompatible-table",
    ),
    (
        START + "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist "
        "(do you need to insmod?)",
        "kernel-module-missing",
    ),
    (
        START + "Warning: Extension addrtype revision 0 not supported, missing kernel module?",
        "kernel-module-missing",
    ),
    (
        START
        + "list bridge addresses failed: could not find an available, non-overlapping IPv4 address pool among "
        "the defaults to assign to the network",
        "address-pools-exhausted",
    ),
    (
        "failed to start daemon: --firewall-backend=nftables is incompatible with swarm mode",
        "nftables-backend-in-swarm",
    ),
    (
        "failed to start daemon: ensure docker is not running: process with PID 812 is still running",
        "two-engines",
    ),
    ("failed to start daemon: something that nobody has seen before", "engine-failed"),
]


def failed(text: str, *changes: Change) -> tuple[Change, ...]:
    lines = (
        LogLine(1.0, "docker.service", 'time="x" level=info msg="Loading containers: start."'),
        LogLine(2.0, "docker.service", text),
        LogLine(3.0, "docker.service", "docker.service: Failed with result 'exit-code'."),
    )

    def down(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, engine=Unread("no answer"), daemons=(), journal=lines)

    state = service(active_state="failed", sub_state="failed", result="exit-code", main_pid=None)
    return (state, down, *changes)


@pytest.mark.parametrize(
    ("text", "code"), LAST_WORDS, ids=[f"{n}-{code}" for n, (_, code) in enumerate(LAST_WORDS)]
)
def test_last_words(text: str, code: str) -> None:
    report = judged(*failed(text))
    assert report.verdict is Verdict.BROKEN
    assert cause_of(report) == ("engine", code, "unit:docker.service")
    assert report.cause is not None
    assert text in [piece.text for piece in report.cause.evidence]
    assert report.cause.remedies[0].verify


def test_where_the_bridge_is_bound() -> None:
    zone = TextFile("/etc/firewalld/zones/trusted.xml", '<zone>\n  <interface name="docker0"/>\n</zone>\n')
    text = LAST_WORDS[0][0]
    report = judged(*failed(text, lambda snapshot: replace(snapshot, firewall_files=(zone,))))
    assert report.cause is not None
    assert ("/etc/firewalld/zones/trusted.xml:2", '<interface name="docker0"/>') in [
        (piece.source, piece.text) for piece in report.cause.evidence
    ]


def test_an_iptables_that_is_a_dangling_link_is_chosen_anew() -> None:
    programs = (
        Program("iptables", "/usr/sbin/iptables", None),
        Program("ip6tables", "/usr/sbin/ip6tables", "/x"),
    )
    report = judged(*failed(LAST_WORDS[1][0], lambda snapshot: replace(snapshot, programs=programs)))
    assert report.cause is not None
    assert report.cause.remedies[0].now[0] == "update-alternatives --auto iptables"


def test_modules_that_an_upgrade_took_away() -> None:
    tree = ModuleTree("/lib/modules/6.1", exists=False, others=("6.2",), absent=("xt_addrtype",))

    def upgraded(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, host=replace(snapshot.host, module_tree=tree))

    report = judged(*failed(LAST_WORDS[4][0], upgraded))
    assert report.cause is not None
    assert report.cause.remedies[0].lasting == ("systemctl reboot",)
    assert any("xt_addrtype" in piece.text for piece in report.cause.evidence)


def test_an_engine_that_is_stopped_without_containers_is_unknown() -> None:
    def stopped(*shims: Shim) -> tuple[Change, ...]:
        return (
            service(active_state="inactive", sub_state="dead", result="success", main_pid=None),
            lambda snapshot: replace(
                snapshot, engine=Unread("no answer"), daemons=(), journal=(), shims=shims
            ),
        )

    assert judged(*stopped()).verdict is Verdict.UNKNOWN
    own = Shim("a" * 64, TextFile("/etc/resolv.conf", "nameserver 127.0.0.11\n"))
    assert cause_of(judged(*stopped(own)))[1] == "daemon-down-containers-up"
    two = told(judged(*stopped(own, replace(own, container="b" * 64))))["daemon-down-containers-up"]
    assert two.summary.endswith("2 of them resolve no name, for the engine is their resolver")
    other = Shim("a" * 64, TextFile("/etc/resolv.conf", "nameserver 192.0.2.1\n"))
    assert judged(*stopped(other)).verdict is Verdict.UNKNOWN
