from dataclasses import replace

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import (
    PREDATED,
    Address,
    LinkOwner,
    NetworkManagers,
    Snapshot,
    TextFile,
)
from dockerdiag_checks.commands import EditedFile
from tests.checks.hosts import Change, by, cause_of, host, judged, links, network, route, told

VETH = next(link for link in host().network.links if link.name.startswith("veth"))  # type: ignore[union-attr]
CATCH_ALL = TextFile("/etc/systemd/network/50-all.network", "[Match]\nName=*\n[Network]\nDHCP=yes\n")
NETWORKD = "systemd-networkd"


def managed(*files: TextFile, running: tuple[str, ...] = (), owners: tuple[LinkOwner, ...] = ()) -> Change:
    parts = NetworkManagers(running, (), files, owners)
    return lambda snapshot: replace(snapshot, network_managers=parts)


def addressed(text: str, length: int) -> Change:
    def changed(snapshot: Snapshot) -> Snapshot:
        addresses = snapshot.network.addresses
        assert isinstance(addresses, tuple)
        return network(addresses=(*addresses, Address(VETH.index, 4, text, length)))(snapshot)

    return changed


def test_a_catch_all_is_a_time_bomb_only_where_networkd_runs_or_will() -> None:
    finding = told(judged(managed(CATCH_ALL, running=(NETWORKD,))))["networkd-takes-veths"]
    assert finding.status is Status.WARN
    assert finding.evidence[0].source == "/etc/systemd/network/50-all.network:2"
    assert finding.remedies[0].now[1] == "networkctl reload"
    assert judged(managed(CATCH_ALL)).verdict is Verdict.OK


def test_an_earlier_file_that_leaves_the_engines_links_alone() -> None:
    apart = TextFile("/etc/systemd/network/10-d.network", "[Match]\nName=veth*\n[Link]\nUnmanaged=yes\n")
    assert judged(managed(CATCH_ALL, apart, running=(NETWORKD,))).verdict is Verdict.OK


def test_who_took_the_veth_is_told_with_what_it_did() -> None:
    off = links(VETH.name, master=None, bridge_port_state=None)
    owner = LinkOwner(VETH.index, NETWORKD, managed=True, file=CATCH_ALL.path)
    report = judged(managed(CATCH_ALL, running=(NETWORKD,), owners=(owner,)), off)
    assert cause_of(report) == ("packet-path", "veth-not-enslaved", f"link:{VETH.name}")
    assert list(told(report)) == ["veth-not-enslaved"]
    assert report.cause is not None
    assert CATCH_ALL.path in report.cause.evidence[-1].text
    assert "Unmanaged=yes" in report.cause.remedies[0].now[0]


def test_a_link_local_address_on_a_containers_veth() -> None:
    given = addressed("169.254.7.9", 16)
    finding = told(judged(managed(running=("dhcpcd",)), given))["dhcp-client-on-veth"]
    assert finding.status is Status.WARN
    assert finding.remedies[0].now == (f"ip address del 169.254.7.9/16 dev {VETH.name}",)
    assert finding.remedies[0].lasting == ()


def test_dhcpcds_own_configuration_makes_it_last() -> None:
    conf = TextFile("/etc/dhcpcd.conf", "hostname\n")
    finding = told(judged(managed(conf, running=("dhcpcd",)), addressed("169.254.7.9", 16)))
    lasting = finding["dhcp-client-on-veth"].remedies[0].lasting
    assert lasting[1] == "sed -i --follow-symlinks '1i denyinterfaces veth* docker* br-*' /etc/dhcpcd.conf"
    undo = finding["dhcp-client-on-veth"].remedies[0].undo
    file = EditedFile("/etc/dhcpcd.conf")
    assert f"test '!' -e {file.copy} || {{ {file.restore}; }}" in undo


def test_link_local_addresses_of_hardware_and_routed_veths_are_fine() -> None:
    uplink = route("169.254.0.0/16", next_hops=by(2), scope="link")
    assert judged(managed(running=("dhcpcd",)), uplink).verdict is Verdict.OK
    assert judged(managed(), addressed("10.1.2.3", 32)).verdict is Verdict.OK


def test_an_older_snapshot_is_not_judged() -> None:
    old = judged(lambda snapshot: replace(snapshot, network_managers=PREDATED), addressed("169.254.7.9", 16))
    assert old.verdict is Verdict.OK
