from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerdiag.packet.links import Links
from dockerdiag.packet.walk import Flow, Journey, Source, walk
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import BridgeVlans, Firewall, IpsecPolicy, Link, NetworkNamespace, RoutingRule
from tests.packet.hosts import RULES, UPLINK_ADDRESS, container, host_namespace, snapshot
from tests.packet.namespaces import address, default_rules, forwarding_sysctls, link, local_route, route


def walked(host: NetworkNamespace) -> Journey:
    one = container()
    return walk(snapshot(host=host), Flow(Source(one, members=(one,)), ip_address("1.1.1.1")))


def halts(host: NetworkNamespace) -> list[tuple[str, str]]:
    return [(halt.at, halt.reason) for halt in walked(host).halts]


def leaving_by(number: int, *links: Link) -> NetworkNamespace:
    """The host's address and default route on one of `links`, beside those of a healthy host."""
    healthy = host_namespace()
    assert isinstance(healthy.links, tuple)
    assert isinstance(healthy.addresses, tuple)
    assert isinstance(healthy.routes, tuple)
    replaced = {one.index for one in links}
    moved = tuple(one for one in healthy.routes if not one.next_hops or one.next_hops[0].link != 2)
    return replace(
        healthy,
        sysctls=forwarding_sysctls("docker0", "veth0000", *(one.name for one in links)),
        links=(*(one for one in healthy.links if one.index not in replaced), *links),
        addresses=(
            *(one for one in healthy.addresses if one.link != 2),
            address(number, f"{UPLINK_ADDRESS}/24"),
        ),
        routes=(
            *moved,
            route("0.0.0.0/0", number, "198.51.100.1"),
            route("198.51.100.0/24", number, preferred_source=UPLINK_ADDRESS),
            local_route(UPLINK_ADDRESS, number),
        ),
    )


def aware(own: BridgeVlans, port: BridgeVlans, above: int | None = None) -> NetworkNamespace:
    """A VLAN-aware bridge with the network card in it, and the host's address on it or on a VLAN above."""
    bridge = replace(link(8, "br0", "bridge"), vlan_filtering=True, bridge_vlans=own)
    card = replace(link(2, "eth0"), master=8, bridge_port_state=3, bridge_vlans=port)
    if above is None:
        return leaving_by(8, bridge, card)
    vlan = replace(link(9, f"br0.{above}", "vlan"), peer=8, vlan_id=above)
    return leaving_by(9, bridge, card, vlan)


_USUAL = BridgeVlans(((1, 1),), 1)


@pytest.mark.parametrize(
    ("own", "port", "above", "at"),
    [
        (_USUAL, _USUAL, None, None),
        (_USUAL, BridgeVlans(((1, 4094),), 1), None, None),
        (BridgeVlans(((7, 7),), 7), BridgeVlans(((1, 7),), 1), None, None),
        (BridgeVlans(((1, 1), (5, 5)), 1), BridgeVlans(((2, 4094),)), 5, None),
        (BridgeVlans(()), _USUAL, None, "link br0"),
        (_USUAL, BridgeVlans(((2, 4094),)), None, "link eth0"),
        (_USUAL, _USUAL, 5, "link br0"),
        (BridgeVlans(((1, 5),), 1), _USUAL, 5, "link eth0"),
    ],
)
def test_a_vlan_aware_bridge_and_its_port_are_in_the_vlan_that_is_sent_into(
    own: BridgeVlans, port: BridgeVlans, above: int | None, at: str | None
) -> None:
    found = walked(aware(own, port, above))
    assert [halt.at for halt in found.halts] == ([] if at is None else [at])


def test_a_bridge_that_is_not_aware_of_vlans_asks_for_none() -> None:
    host = aware(BridgeVlans(()), BridgeVlans(()))
    assert isinstance(host.links, tuple)
    links = tuple(replace(one, vlan_filtering=False) for one in host.links)
    assert not walked(replace(host, links=links)).halts


@pytest.mark.parametrize(
    ("ports", "at", "reason"),
    [
        ((), "link bond0", "bond0 has no port"),
        (
            (replace(link(2, "eth0"), up=False), replace(link(4, "eth1"), carrier=False)),
            "link eth0",
            "eth0 is down, and no port of bond0 has a carrier",
        ),
        (
            (replace(link(2, "eth0"), carrier=False), replace(link(4, "eth1"), carrier=False)),
            "link bond0",
            "bond0 has no carrier, for eth0 and eth1 have none",
        ),
        ((link(2, "eth0"),), "link bond0", "bond0 has no carrier"),
    ],
)
def test_a_bond_without_carrier_is_told_by_its_ports(ports: tuple[Link, ...], at: str, reason: str) -> None:
    bond = replace(link(8, "bond0", "bond"), carrier=False)
    assert halts(leaving_by(8, bond, *(replace(one, master=8) for one in ports))) == [(at, reason)]


@pytest.mark.parametrize("kind", ["vlan", "macvlan"])
def test_a_link_is_broken_by_what_carries_it(kind: str) -> None:
    above = replace(link(9, "up0", kind), peer=2)
    host = leaving_by(9, replace(link(2, "eth0"), up=False), above)
    assert halts(host) == [("link eth0", "eth0 is down")]
    assert Links(host).fault(replace(above, up=False)) == Links(host).fault(above)


def test_a_tunnel_is_not_broken_by_a_link_that_it_may_do_without() -> None:
    tunnel = replace(link(9, "gre1", "gre"), peer=2)
    assert not halts(leaving_by(9, replace(link(2, "eth0"), up=False), tunnel))


def test_addresses_of_a_vrfs_links_are_the_hosts_own() -> None:
    host = host_namespace()
    assert isinstance(host.links, tuple)
    assert isinstance(host.routes, tuple)
    links = tuple(replace(one, master=7) if one.name == "eth0" else one for one in host.links)
    vrf = replace(link(7, "vrf0", "vrf"), vrf_table=10)
    routes = tuple(
        replace(one, table=10) if one.destination.startswith("198.51.100.2/") else one for one in host.routes
    )
    found = walked(replace(host, links=(*links, vrf), routes=routes))
    assert not [halt for halt in found.halts if halt.kind == "unanswered"]


@pytest.mark.parametrize(
    ("read", "disposition"),
    [
        (IpsecPolicy(4, "out", True, "0.0.0.0/0", "1.1.1.0/24"), Disposition.DROPPED),
        (IpsecPolicy(4, "out", True, "0.0.0.0/0", "1.1.1.0/24", mask=1, mark=1), Disposition.DELIVERED),
        (IpsecPolicy(4, "out", True, "0.0.0.0/0", "1.1.1.0/24", protocol=17), Disposition.DELIVERED),
        (
            IpsecPolicy(4, "out", True, "0.0.0.0/0", "1.1.1.0/24", destination_port=(443, 0xFFFF)),
            Disposition.DROPPED,
        ),
        (
            IpsecPolicy(4, "out", True, "0.0.0.0/0", "1.1.1.0/24", source_port=(40000, 0xFFFF)),
            Disposition.UNKNOWN,
        ),
        (
            IpsecPolicy(4, "out", False, "0.0.0.0/0", "1.1.1.0/24", protects=True),
            Disposition.UNKNOWN,
        ),
        (IpsecPolicy(6, "out", True, "::/0", "::/0"), Disposition.DELIVERED),
    ],
)
def test_ipsec_policies(read: IpsecPolicy, disposition: Disposition) -> None:
    assert walked(host_namespace(ipsec_policies=(read,))).disposition is disposition


def test_filters_that_have_dropped_packets_are_a_doubt() -> None:
    host = host_namespace()
    assert isinstance(host.links, tuple)
    for drops, disposition in ((0, Disposition.DELIVERED), (3, Disposition.UNKNOWN)):
        links = tuple(replace(one, filter_drops=drops) if one.name == "eth0" else one for one in host.links)
        assert walked(replace(host, links=links)).disposition is disposition


def test_links_that_carry_each_other_end_somewhere() -> None:
    one, other = replace(link(2, "eth0", "vlan"), peer=9), replace(link(9, "up0", "vlan"), peer=2)
    assert Links(leaving_by(9, one, other)).fault(one) is None


BALANCED = """*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -j CONNMARK --restore-mark
-A PREROUTING -m mark --mark 0 -m statistic --mode nth --every 2 --packet 0 -j MARK --set-mark 2
-A PREROUTING -j CONNMARK --save-mark
COMMIT
"""


def balanced(*rules: RoutingRule, forward: str = "") -> NetworkNamespace:
    """A host that marks every other connection for a second uplink, with these policy rules before the mark's."""
    healthy = host_namespace()
    assert isinstance(healthy.links, tuple)
    assert isinstance(healthy.addresses, tuple)
    assert isinstance(healthy.routes, tuple)
    return replace(
        healthy,
        links=(*healthy.links, link(8, "eth1", mac="02:00:00:00:00:08")),
        addresses=(*healthy.addresses, address(8, "192.0.2.2/24")),
        routes=(
            *healthy.routes,
            local_route("192.0.2.2", 8),
            route("0.0.0.0/0", 8, "192.0.2.1", table=102),
        ),
        rules=(*default_rules(), *rules, RoutingRule(4, 100, "lookup", 102, mark=2)),
        sysctls=forwarding_sysctls("eth0", "eth1", "docker0", "veth0000"),
        firewall=Firewall(
            nft="", iptables_legacy=RULES.replace("-A FORWARD", f"{forward}-A FORWARD", 1) + BALANCED
        ),
    )


_MAIN_FIRST = RoutingRule(4, 90, "lookup", 254, suppress_prefix_length=0)


def test_two_uplinks_that_a_mark_chooses_between_by_turns() -> None:
    assert walked(balanced(_MAIN_FIRST)).disposition is Disposition.DELIVERED
    unlike = walked(balanced(_MAIN_FIRST, forward="-A FORWARD -o eth1 -j DROP\n"))
    assert (unlike.disposition, "what is not known of the packet" in unlike.halts[0].reason) == (
        Disposition.UNKNOWN,
        True,
    )
    # The mark may lead the answer out of the second uplink too.
    astray = walked(balanced())
    assert (astray.disposition, astray.halts[0].direction) == (Disposition.UNKNOWN, "reply")
