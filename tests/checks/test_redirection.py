"""The rule that sends packets to where nobody is, and no other, is named and deleted."""

from dataclasses import replace

from dockerdiag.snapshot import Neighbour, Snapshot, Unread
from tests.checks.hosts import cause_of, first_in, judged

GONE = "198.51.100.99"


def nobody_there(snapshot: Snapshot) -> Snapshot:
    network = snapshot.network
    assert not isinstance(network.links, Unread)
    assert not isinstance(network.neighbours, Unread)
    uplink = next(link.index for link in network.links if link.name == "eth0")
    silent = Neighbour(uplink, 4, GONE, None, "failed")
    return replace(snapshot, network=replace(network, neighbours=(*network.neighbours, silent)))


def test_a_proxy_that_does_not_listen() -> None:
    report = judged(recorded="redirected-to-a-dead-proxy-trixie")
    assert cause_of(report)[:2] == ("packet-path", "redirected-to-nobody")
    assert report.cause is not None
    rule = "-i docker0 -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 3129"
    assert report.cause.remedies[0].now == (f"iptables-nft -t nat -D PREROUTING {rule}",)
    assert report.cause.remedies[0].undo == (f"iptables-nft -t nat -I PREROUTING 1 {rule}",)


def test_the_rule_that_translates_is_not_taken_for_the_one_that_redirects() -> None:
    rule = f"-i docker0 -p tcp -m tcp --dport 443 -j DNAT --to-destination {GONE}:443"
    report = judged(first_in("nat:PREROUTING", rule), nobody_there)
    assert cause_of(report)[:2] == ("packet-path", "redirected-to-nobody")
    assert report.cause is not None
    assert "DNAT" in report.cause.evidence[0].text
    assert report.cause.remedies[0].now == (f"iptables-legacy -t nat -D PREROUTING {rule}",)


def test_a_port_forward_that_takes_the_containers_own_packets_to_themselves() -> None:
    rule = "-p tcp -m tcp --dport 443 -j DNAT --to-destination 172.17.0.2:443"
    report = judged(first_in("nat:PREROUTING", rule))
    assert cause_of(report)[:2] == ("packet-path", "redirected-to-nobody")
    assert report.cause is not None
    assert "hairpin is off" in report.cause.summary
    assert report.cause.remedies[0].now == (f"iptables-legacy -t nat -D PREROUTING {rule}",)
