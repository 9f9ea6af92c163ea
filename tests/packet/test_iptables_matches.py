"""Each match of iptables: whether it holds for a container's packet, or cannot be judged."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dockerdiag.packet.packet import Packet
from dockerdiag.snapshot.model import Firewall, IpSet, Unread
from tests.packet.crossing import at, filter_table, forwarded, outgoing, reply_to

MATCHING = (
    "-s 172.17.0.0/16",
    "! -s 10.0.0.0/8",
    "-d 203.0.113.10/32",
    "-s 172.0.0.2/255.0.0.255",
    "-i docker0",
    "-i docker+",
    "! -o docker0",
    "-o eth+",
    "-p tcp",
    "! -p udp",
    "-p all",
    "! -f",
    "-p tcp -m tcp --dport 443",
    "-p tcp -m tcp --dport 440:450",
    "-p tcp -m tcp ! --dport 80",
    "-p tcp -m tcp --sport 1024:65535",
    "-p tcp -m tcp ! --sport 80",
    "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
    "-p tcp -m tcpmss --mss 536:65535",
    "-p tcp -m tcpmss ! --mss 1:100",
    "-p tcp -m multiport --dports 80,443",
    "-p tcp -m multiport --ports 400:500",
    "-p tcp -m multiport ! --sports 22",
    "-m conntrack --ctstate NEW",
    "-m conntrack ! --ctstate RELATED,ESTABLISHED",
    "-m state --state NEW",
    "-m conntrack --ctdir ORIGINAL",
    "-m conntrack --ctorigdst 203.0.113.0/24",
    "-m conntrack --ctrepldst 172.17.0.2",
    "-m conntrack ! --ctstatus SEEN_REPLY",
    "-m conntrack --ctproto 6",
    "-m conntrack ! --ctstate DNAT",
    "-m addrtype --src-type UNICAST",
    "-m addrtype ! --dst-type LOCAL",
    "-m mark --mark 0x0",
    "-m mark ! --mark 0x1/0xff",
    "-m connmark --mark 0x0",
    "-m iprange --dst-range 203.0.113.1-203.0.113.99",
    "-m set --match-set nets dst",
    "-m set ! --match-set nets src",
    "-m set --match-set services dst,dst",
    "-m set --match-set both dst",
    '-m comment --comment "it\\\'s -j \\"DROP\\""',
    "-m comment --comment -j",
    "-m pkttype --pkt-type unicast",
    "-m owner ! --uid-owner 0",
    "-m policy --dir in --pol none",
    "-m physdev ! --physdev-in veth0",
    "-m devgroup --src-group 0x0",
    "-m recent --set --name ssh --rsource",
    "-m nfacct --nfacct-name x",
)

UNMATCHING = (
    "-m socket --transparent",
    "-s 10.0.0.0/8",
    "-i eth0",
    "-o docker+",
    "-p udp",
    "-f",
    "-p tcp -m tcp --dport 80",
    "-p tcp -m tcp ! --dport 443",
    "-p tcp -m tcp --sport 22",
    "-p udp -m udp --dport 443",
    "-p icmp -m icmp --icmp-type 8",
    "-m conntrack --ctstate ESTABLISHED",
    "-m conntrack --ctdir REPLY",
    "-m conntrack --ctstatus SEEN_REPLY,ASSURED",
    "-m addrtype --dst-type LOCAL",
    "-m mark --mark 0x1",
    "-m iprange --src-range 10.0.0.1-10.0.0.9",
    "-m set --match-set exceptions dst",
    "-m owner --uid-owner 0",
    "-m policy ! --pol none --dir in",
    "-m physdev --physdev-in veth0",
    "-m set --match-set nets6 dst",
)

UNKNOWN = (
    "-m limit --limit 3/min",
    "-m hashlimit --hashlimit-upto 1/sec --hashlimit-name x",
    "-m recent --update --name ssh",
    "-m statistic --mode random --probability 0.5",
    "-m string --algo bm --string x",
    "-m time --timestart 10:00",
    "-m bpf --bytecode 4",
    "-m connlimit --connlimit-above 3",
    "-m mac --mac-source 02:00:00:00:00:01",
    "-m length --length 40",
    "-m ttl --ttl-lt 5",
    "-m nosuchmatch --some 3",
    "-p tcp -m tcp --tcp-option 3",
    "-p 300foo",
    "-s not-an-address",
    "-m set --match-set missing dst",
    "-p tcp -m tcp --sport 40000",
    "-p tcp -m multiport --sports 40000:41000",
    "-m policy --dir in --pol ipsec",
    "-m conntrack --ctexpire 30",
    "-m set --match-set nets dst --packets-gt 5",
    "-m addrtype --dst-type LOCAL --strange",
    "-m rpfilter --strange",
    "-m owner ! --uid-owner 0 --strange",
    "-m recent --set --strange",
    "-m policy --dir in --pol none --strange",
    "-m conntrack --ctstate NEW --strange",
    "-m multiport --strange 5",
    "-p tcp -m tcp --strange",
)

SETS = (
    IpSet("nets", "hash:net", "inet", ("203.0.113.0/24", "10.0.0.0/8 timeout 30")),
    IpSet("exceptions", "hash:net", "inet", ("203.0.113.0/24", "203.0.113.10 nomatch")),
    IpSet("services", "hash:ip,port", "inet", ("203.0.113.10,tcp:443",)),
    IpSet("both", "list:set", "", ("exceptions", "nets")),
    IpSet("nets6", "hash:net", "inet6", ("::/0",)),
    IpSet("marked", "hash:ip,mark", "inet", ("203.0.113.10,0x00000002",), mark_mask=0xF),
    IpSet("two", "hash:net,net", "inet", ("172.17.0.2,203.0.0.0/8 nomatch", "172.17.0.0/16,203.0.113.10")),
    IpSet("links", "hash:net,iface", "inet", ("0.0.0.0/0,docker wildcard", "0.0.0.0/0,eth0 nomatch")),
    IpSet("odd", "hash:ip,port", "inet", ("203.0.113.10,icmp:8/0", "203.0.113.10,gre:0")),
)


def translated(packet: Packet) -> Packet:
    return replace(packet, connection=replace(packet.connection, source_nat=True))


def sent_by_host() -> Packet:
    packet = outgoing()
    own = replace(packet.addresses, source=ip_address("198.51.100.2"))
    return replace(packet, addresses=own, connection=replace(packet.connection, original=own))


def _verdict(match: str, packet: Packet | None = None) -> str:
    """What a rule with this match does where it drops and all else passes."""
    firewall = Firewall(nft="", iptables_legacy=filter_table(f"FORWARD {match} -j DROP"), ipsets=SETS)
    return at(firewall, packet or outgoing()).verdict


@pytest.mark.parametrize("match", MATCHING)
def test_matches(match: str) -> None:
    assert _verdict(match) == "drop"


@pytest.mark.parametrize("match", UNMATCHING)
def test_does_not_match(match: str) -> None:
    assert _verdict(match) == "accept"


@pytest.mark.parametrize("match", UNKNOWN)
def test_cannot_be_judged(match: str) -> None:
    assert _verdict(match) == "unknown"


def test_members_of_ipsets_are_looked_up_as_the_kernel_does() -> None:
    marked = outgoing(mark=0x12)
    assert _verdict("-m set --match-set marked dst,dst", marked) == "drop"
    assert _verdict("-m set --match-set marked dst,dst", replace(marked, mark=0x21)) == "accept"
    assert _verdict("-m set --match-set marked dst,dst", replace(marked, mark=None)) == "unknown"
    # The longest first prefix decides, however long the second is.
    assert _verdict("-m set --match-set two src,dst") == "accept"
    assert _verdict("-m set --match-set two src,dst --return-nomatch") == "drop"
    # Members of one prefix lie in an order that is not listed.
    assert _verdict("-m set --match-set links src,src") == "unknown"
    assert _verdict("-m set --match-set odd dst,dst", outgoing("icmp")) == "drop"
    assert _verdict("-m set --match-set odd dst,dst") == "accept"
    assert _verdict("-m set --match-set odd dst,dst --strange") == "unknown"
    assert _verdict("-m set --match-set odd dst,dst --packets-gt 5", outgoing("icmp")) == "unknown"
    assert _verdict("-m set --match-set odd dst,dst --packets-gt 5") == "accept"


def test_unread_ipsets_make_set_matches_unknown() -> None:
    firewall = Firewall(
        nft="",
        iptables_legacy=filter_table("FORWARD -m set --match-set nets dst -j DROP"),
        ipsets=Unread("no netlink"),
    )
    crossing = at(firewall, outgoing())
    assert crossing.verdict == "unknown"
    assert "nets" in crossing.stops[0].reason
    assert "no netlink" in crossing.stops[0].reason


def test_mac_length_and_time_to_live_are_judged_where_known() -> None:
    packet = outgoing(mac_source="02:00:00:00:00:01", length=60, ttl=63)
    assert _verdict("-m mac --mac-source 02:00:00:00:00:01", packet) == "drop"
    assert _verdict("-m length --length 61:", packet) == "accept"
    assert _verdict("-m ttl --ttl-lt 64", packet) == "drop"


def test_reply_is_established_and_of_the_other_direction() -> None:
    reply = reply_to(outgoing())
    for match in (
        "--ctstate RELATED,ESTABLISHED",
        "--ctdir REPLY",
        "--ctstatus SEEN_REPLY",
        "--ctorigsrc 172.17.0.2",
    ):
        assert _verdict(f"-m conntrack {match}", reply) == "drop"


def test_icmp_types() -> None:
    echo = outgoing("icmp")
    assert _verdict("-p icmp -m icmp --icmp-type 8", echo) == "drop"
    assert _verdict("-p icmp -m icmp --icmp-type 8/0", echo) == "drop"
    assert _verdict("-p icmp -m icmp --icmp-type any", echo) == "drop"
    assert _verdict("-p icmp -m icmp ! --icmp-type 8", echo) == "accept"
    assert _verdict("-p tcp -m tcp --dport 443", echo) == "accept"
    # Conntrack keeps identifier, type and code in the place of ports, and the match looks there all the same.
    assert _verdict("-m conntrack ! --ctorigdstport 8080", echo) == "unknown"


def test_bridge_ports_show_only_with_br_netfilter() -> None:
    packet = outgoing(in_port="veth0")
    rule = "-m physdev --physdev-in veth0"
    assert _verdict(rule, replace(packet, bridge_netfilter=True)) == "drop"
    assert _verdict(rule, replace(packet, bridge_netfilter=False)) == "accept"
    assert _verdict(rule, packet) == "unknown"


def test_only_what_goes_from_port_to_port_is_bridged() -> None:
    rule = "-m physdev --physdev-is-bridged"
    routed = outgoing(in_port="veth0", bridge_netfilter=True)
    assert _verdict(rule, routed) == "accept"
    assert _verdict(rule, replace(routed, out_link="docker0")) == "accept"
    # At postrouting a bridged packet shows no input link.
    assert _verdict(rule, replace(routed, in_link=None, out_link="docker0", out_port="veth1")) == "drop"


def test_untracked_packet_has_no_connection_to_ask() -> None:
    packet = outgoing()
    packet = replace(packet, connection=replace(packet.connection, state="untracked"))
    assert _verdict("-m conntrack --ctstate UNTRACKED", packet) == "drop"
    assert _verdict("-m conntrack --ctdir ORIGINAL", packet) == "accept"
    assert _verdict("-m connmark ! --mark 0x1", packet) == "accept"


def test_raw_rules_see_no_state_yet() -> None:
    text = (
        "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        "-A PREROUTING -m conntrack --ctstate NEW -j DROP\n"
        "-A PREROUTING -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n"
    )
    crossing = at(Firewall(nft="", iptables_legacy=text), outgoing(), hook="prerouting")
    assert crossing.stops[0].rule.index == 2


def test_reverse_path_filter() -> None:
    text = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m rpfilter --invert -j DROP\nCOMMIT\n"
    firewall = Firewall(nft="", iptables_legacy=text)
    assert at(firewall, outgoing(), hook="prerouting").verdict == "accept"
    assert at(firewall, outgoing(in_link="eth0"), hook="prerouting").verdict == "drop"


def test_rule_text_and_counters_are_kept() -> None:
    crossing = forwarded('FORWARD -i docker0 -m comment --comment "a b" -j DROP')
    rule = crossing.stops[0].rule
    assert (rule.text, rule.packets, rule.index) == (
        '-A FORWARD -i docker0 -m comment --comment "a b" -j DROP',
        3,
        1,
    )


@pytest.mark.parametrize(
    "target",
    [
        "MARK --set-mark 1", "CONNMARK --save-mark", "MASQUERADE", "REDIRECT --to-ports 5", "SNAT --to-source 1.1.1.1",
        "DNAT --to-destination 1.1.1.1", "NETMAP --to 1.1.1.0/24", "NOTRACK", "CT --notrack", "TTL --ttl-set 5",
        "SET --add-set nets src", "HL --hl-set 5",
    ],
)  # fmt: skip
def test_an_option_of_a_target_that_is_not_known_is_told(target: str) -> None:
    crossing = forwarded(f"FORWARD -j {target} --strange")
    assert (crossing.verdict, crossing.stops[0].reason) == (
        "unknown",
        f"the option --strange of target {target.partition(' ')[0]} is not known to this program",
    )


@pytest.mark.parametrize(
    ("words", "packet", "verdict"),
    [
        ("--transparent", outgoing(port=9040), "accept"),
        ("--transparent --nowildcard", outgoing(port=9040), "unknown"),
        ("--nowildcard", outgoing("udp", port=9040), "accept"),
        ("--nowildcard", outgoing("icmp"), "accept"),
        ("--nowildcard --novelty", outgoing(), "unknown"),
        ("--transparent", translated(reply_to(outgoing())), "accept"),
        ("--transparent", translated(reply_to(outgoing(destination="fd00:9::1"))), "unknown"),
        ("--transparent", reply_to(outgoing(destination="fd00:9::1")), "accept"),
        # The host's own, whose socket is there.
        ("--transparent", reply_to(sent_by_host()), "unknown"),
    ],
)
def test_a_socket_is_looked_for_where_the_packet_is_sent_to(words: str, packet: Packet, verdict: str) -> None:
    rules = filter_table(f"FORWARD -m socket {words} -j DROP")
    firewall = Firewall(nft="", iptables_legacy=rules, ip6tables_legacy=rules)
    assert at(firewall, packet).verdict == verdict
