from dataclasses import replace

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import BootSysctls, LinkOwner, NetworkManagers, Snapshot, TextFile, Unread
from dockerdiag_checks.commands import EditedFile
from tests.checks.hosts import cause_of, command_line, host, judged, sysctl_d, sysctls, told

OFF = {
    f"net/ipv4/{key}": "0"
    for key in ("ip_forward", "conf/all/forwarding", "conf/docker0/forwarding", "conf/eth0/forwarding")
}


def test_the_global_switch_is_named_once() -> None:
    report = judged(sysctls(OFF))
    assert cause_of(report) == ("ip-forwarding", "ip-forward-off", "host:lab")
    assert list(told(report)) == ["ip-forward-off"]
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("sysctl -w net.ipv4.ip_forward=1",)


def test_a_link_alone_is_turned_on_by_its_own_switch() -> None:
    report = judged(sysctls({"net/ipv4/conf/eth0/forwarding": "0"}))
    assert cause_of(report) == ("ip-forwarding", "link-forwarding-off", "link:eth0")
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("sysctl -w net.ipv4.conf.eth0.forwarding=1",)


def test_a_file_that_turns_it_off_is_named_and_mended_at_once() -> None:
    report = judged(sysctls(OFF), sysctl_d("/etc/sysctl.d/99-z.conf", "# cis\nnet.ipv4.ip_forward = 0\n"))
    assert report.cause is not None
    assert any(piece.source == "/etc/sysctl.d/99-z.conf:2" for piece in report.cause.evidence)
    (remedy,) = report.cause.remedies
    assert "sed -i --follow-symlinks '2s/^/# /' /etc/sysctl.d/99-z.conf" in remedy.now
    assert EditedFile("/etc/sysctl.d/99-z.conf").restore in remedy.undo


def test_a_file_that_will_turn_it_off_is_a_warning() -> None:
    report = judged(sysctl_d("/etc/sysctl.d/60-cis.conf", "net.ipv4.conf.all.forwarding=0\n"))
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report) == ("ip-forwarding", "ip-forward-off-at-boot", "host:lab")


def test_a_later_file_that_turns_it_on_silences_an_earlier_one() -> None:
    report = judged(
        sysctl_d("/etc/sysctl.d/60-cis.conf", "net.ipv4.ip_forward=0\n"),
        sysctl_d("/etc/sysctl.d/90-own.conf", "net.ipv4.ip_forward=1\n"),
    )
    assert report.verdict is Verdict.OK


def test_an_engine_that_leaves_forwarding_alone_needs_a_file() -> None:
    assert "ip-forward-not-persisted" in told(judged(command_line("--ip-forward=false")), Status.WARN)


def test_ufw_may_turn_forwarding_on_for_such_an_engine() -> None:
    by_ufw = sysctl_d("/etc/ufw/sysctl.conf", "net/ipv4/ip_forward=1\n")
    assert "ip-forward-not-persisted" not in told(judged(command_line("--ip-forward=false"), by_ufw))


def test_the_kernels_command_line_turns_nothing_off_that_the_engine_turns_on() -> None:
    def started(snapshot: Snapshot) -> Snapshot:
        return replace(
            snapshot,
            boot_sysctls=BootSysctls(files=(), kernel_command_line="quiet sysctl.net.ipv4.ip_forward=0"),
        )

    assert judged(started).verdict is Verdict.OK
    assert "ip-forward-not-persisted" in told(judged(started, command_line("--ip-forward=false")))


def test_of_both_families_each_is_told() -> None:
    report = judged(sysctls({"net/ipv6/conf/all/forwarding": "0"}), recorded=SIX)
    assert "no IPv6 packets" in told(report)["ipv6-forwarding-off"].summary


def test_ipv6_switches_of_links_decide_nothing() -> None:
    assert judged(sysctls({"net/ipv6/conf/docker0/forwarding": "0"})).verdict is Verdict.OK


SIX = "ipv6-translated-trixie"
SIX_OFF = "net.ipv6.conf.all.forwarding = 0\n"


def test_a_file_that_will_turn_ipv6_forwarding_off_is_a_warning_where_a_network_has_ipv6() -> None:
    report = judged(sysctl_d("/etc/sysctl.d/60-cis.conf", SIX_OFF), recorded=SIX)
    assert cause_of(report) == ("ip-forwarding", "ipv6-forwarding-off-at-boot", "host:lab")
    assert report.cause is not None
    assert report.cause.remedies[0].now[1] == "sed -i --follow-symlinks '1s/^/# /' /etc/sysctl.d/60-cis.conf"
    assert judged(sysctl_d("/etc/sysctl.d/60-cis.conf", SIX_OFF)).verdict is Verdict.OK


def test_a_later_file_that_turns_ipv6_forwarding_on_silences_an_earlier_one() -> None:
    report = judged(
        sysctl_d("/etc/sysctl.d/60-cis.conf", SIX_OFF),
        sysctl_d("/etc/sysctl.d/90-own.conf", SIX_OFF.replace("0", "1")),
        recorded=SIX,
    )
    assert report.verdict is Verdict.OK


def test_an_engine_that_leaves_forwarding_alone_needs_a_file_for_ipv6_too() -> None:
    persisted = sysctl_d("/etc/sysctl.d/90-own.conf", "net.ipv4.ip_forward = 1\n")
    report = judged(command_line("--ip-forward=false"), persisted, recorded=SIX)
    found = {code for code in told(report) if "forward" in code}
    assert found == {"ipv6-forwarding-not-persisted"}
    assert judged(recorded=SIX).verdict is Verdict.OK


def test_bridges_that_are_made_from_now_on() -> None:
    born_without = sysctls({"net/ipv4/conf/default/forwarding": "0"})
    report = judged(born_without)
    assert cause_of(report) == ("ip-forwarding", "new-links-without-forwarding", "host:lab")
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("sysctl -w net.ipv4.conf.default.forwarding=1",)
    file = sysctl_d("/etc/sysctl.d/60-cis.conf", "net.ipv4.conf.default.forwarding = 0\n")
    told_of_it = judged(born_without, file).cause
    assert told_of_it is not None
    assert any(piece.source == "/etc/sysctl.d/60-cis.conf:1" for piece in told_of_it.evidence)


def test_the_engine_turns_on_what_such_a_file_alone_turns_off_at_boot() -> None:
    file = sysctl_d("/etc/sysctl.d/60-cis.conf", "net.ipv4.conf.default.forwarding = 0\n")
    assert judged(file).verdict is Verdict.OK


def test_networkd_is_told_to_forward_where_it_turned_that_off() -> None:
    links = host().network.links
    assert not isinstance(links, Unread)
    index = next(link.index for link in links if link.name == "eth0")
    path = "/etc/systemd/network/10-uplink.network"
    off = {"net/ipv4/conf/eth0/forwarding": "0"}

    def lasting(setting: str, owner: str = "systemd-networkd") -> tuple[str, ...]:
        file = TextFile(path, f"[Match]\nName=eth0\n\n[Network]\n{setting}\n")
        owners = (LinkOwner(index, owner, managed=True, file=path),)
        managers = NetworkManagers((owner,), (), (file,), owners)
        report = judged(sysctls(off), lambda snapshot: replace(snapshot, network_managers=managers))
        assert report.cause is not None
        assert report.cause.code == "link-forwarding-off"
        blamed = [piece.source for piece in report.cause.evidence]
        assert (f"{path}:5" in blamed) is ((setting, owner) == ("IPv4Forwarding=no", "systemd-networkd"))
        return report.cause.remedies[0].lasting

    drop_in = "/etc/systemd/network/10-uplink.network.d/zz-dockerdiag-forwarding.conf"
    by_networkd = lasting("IPv4Forwarding=no")
    assert by_networkd[0].endswith(f"'[Network]' IPv4Forwarding=yes > {drop_in}")
    assert by_networkd[1] == "networkctl reload"
    for setting, owner in (("IPForward=no", "systemd-networkd"), ("IPv4Forwarding=no", "NetworkManager")):
        assert "/etc/sysctl.d/" in lasting(setting, owner)[0]
