"""Every match and action that is judged, one by one: the kernel's packet meets it or not, and so it was foretold.

Each rule drops what it matches. What is doubtful by design is doubtful only where it decides.
"""

from dataclasses import dataclass, replace

import pytest

from dockerdiag.packet.netfilter import Ruleset, parse
from dockerdiag.snapshot.model import NetdevHook
from tests.kernel.flows import flow
from tests.kernel.kernel import Kernel, Outcome, RuleTexts
from tests.kernel.namespaces import ENDPOINT_ADDRESSES, HOST_ADDRESSES, inside, run
from tests.kernel.prediction import Prediction, first_packet, predict, reply_packet

pytestmark = pytest.mark.kernel

INTERNET, INTERNET6 = ENDPOINT_ADDRESSES["internet"]
CONTAINER, CONTAINER6 = ENDPOINT_ADDRESSES["container"]
HOST = HOST_ADDRESSES["eth0"][0]
FLOWS = {
    "tcp": ("container", "tcp", INTERNET, 443, 4),
    "udp": ("container", "udp", INTERNET, 53, 4),
    "icmp": ("container", "icmp", INTERNET, 0, 4),
    "tcp6": ("container", "tcp", INTERNET6, 443, 6),
    "icmp6": ("container", "icmp", INTERNET6, 0, 6),
    "host": ("container", "tcp", HOST, 443, 4),
    "published": ("internet", "tcp", HOST, 8080, 4),
    "sibling": ("container", "tcp", ENDPOINT_ADDRESSES["sibling"][0], 443, 4),
    "sent": ("host", "tcp", INTERNET, 443, 4),
}
_PRIORITIES = {"prerouting": -150, "input": 0, "forward": 0, "output": 0, "postrouting": 150}


@dataclass(frozen=True)
class Asked:
    """One rule, in the words before its verdict, and whether the packet meets it."""

    words: str
    meets: bool
    way: str = "tcp"
    hook: str = "forward"
    family: str = "inet"
    before: str = ""
    """Rules in front of it, one a line; for iptables with their chain."""
    reply: bool = False
    """It is asked of the answer."""
    verdict: str = "drop"


def nft(case: Asked) -> RuleTexts:
    """The rule in a base chain."""
    device = ' device "port0"' if case.family == "netdev" else ""
    priority = -300 if case.family == "bridge" else _PRIORITIES.get(case.hook, 0)
    sets = "" if case.family == "netdev" else SETS
    text = f"""
table {case.family} asked {{
  {sets}
  chain c {{
    type filter hook {case.hook}{device} priority {priority}; policy accept;
    {case.before}
    {case.words} counter {case.verdict}
  }}
}}
"""
    hooks = (NetdevHook("netdev", "asked", "c", ("port0",)),) if device else ()
    return RuleTexts(nft=text, netdev_hooks=hooks)


SETS = f"""
  counter counted {{ }}
  set nets {{ type ipv4_addr; flags interval; elements = {{ 203.0.113.0/28, 192.0.2.0/24 }}; }}
  set pairs {{ type ipv4_addr . inet_service; flags interval; elements = {{ 203.0.113.0/24 . 400-500 }}; }}
  set links {{ type ifname; elements = {{ "br0", "wg0" }}; }}
  set seen {{ type ipv4_addr; flags dynamic,timeout; timeout 1m; }}
  map marks {{ type ipv4_addr : mark; elements = {{ {CONTAINER} : 0x5 }}; }}
  map ways {{ type ipv4_addr . inet_service : verdict; flags interval;
    elements = {{ 203.0.113.0/24 . 443 : drop, 192.0.2.0/24 . 1-65535 : accept }}; }}
  chain elsewhere {{
    return
  }}
"""
STEERED = "meta mark set 0x12"
NFT = (
    Asked('iifname "br0" oifname "eth0"', True),
    Asked("iifname @links", True),
    Asked('iifname "br*" oifname != "br*"', True),
    Asked("iif br0", True),
    Asked("oif br1", False),
    Asked("ip saddr @nets", False),
    Asked("ip daddr @nets", True),
    Asked("ip daddr . tcp dport @pairs", True),
    Asked("ip saddr . tcp dport @pairs", False),
    Asked("ip daddr . tcp dport { 203.0.113.0/24 . 400-500, 192.0.2.1 . 1 }", True),
    Asked("meta l4proto . th dport { tcp . 443, udp . 53 }", True),
    Asked("ip daddr & 255.255.255.0 == 203.0.113.0", True),
    Asked("ip daddr 203.0.113.1-203.0.113.20", True),
    Asked("ip daddr != 203.0.113.0/24", False),
    Asked("ip6 daddr fd00:ffff::/64", True, "tcp6"),
    Asked("ip6 daddr fd00:ffff::/64", False),
    Asked("ip6 saddr . ip6 daddr { fd00:1::2 . fd00:ffff::10 }", True, "tcp6"),
    Asked("icmpv6 type echo-request", True, "icmp6"),
    Asked("icmp type { echo-request, echo-reply } icmp code 0", True, "icmp"),
    Asked("icmp type destination-unreachable", False, "icmp"),
    Asked("tcp flags & (fin|syn|rst|ack) == syn", True),
    Asked("tcp flags syn / syn,ack", True),
    Asked("udp dport 1-1023", True, "udp"),
    Asked("th sport 1024-65535", True),
    Asked("ip dscp cs1", False),
    Asked("ip dscp cs0", True),
    Asked("ip6 dscp != ef", True, "tcp6"),
    Asked('meta iifkind "bridge"', True),
    Asked('meta oifkind != "veth"', False),
    Asked("ip ttl 63", True),
    Asked("ip ttl < 63", False),
    Asked("ip6 hoplimit 63", True, "tcp6"),
    Asked("ip length 40", True),
    Asked("meta length > 1400", False),
    Asked("ip version 4 ip protocol tcp", True),
    Asked("meta nfproto ipv6", False),
    Asked("meta protocol ip", True),
    Asked("ip frag-off & 0x1fff != 0", False),
    Asked("meta pkttype host", True, hook="prerouting"),
    Asked("meta pkttype { broadcast, multicast }", False, hook="prerouting"),
    Asked("ether saddr 02:00:00:00:01:02", True),
    Asked("iifgroup 0", True),
    Asked("meta skuid 0", False),
    Asked("meta ipsec exists", False, hook="prerouting"),
    Asked("tcp option maxseg size 1-1000", False),
    Asked("socket transparent 0", False, hook="prerouting"),
    Asked("socket wildcard != 1", False, "udp", "prerouting"),
    Asked("socket transparent 1", False, hook="prerouting", reply=True),
    Asked("@th,16,16 443", True, before="meta l4proto != tcp accept"),
    Asked("th sport 2048", True, "icmp"),
    Asked("th sport != 2048", False, "icmp"),
    Asked("meta l4proto . th dport { tcp . 443, udp . 53 }", False, "icmp"),
    Asked("ether type ip", True),
    Asked("ether type ip", True, hook="postrouting"),
    Asked("ether type ip", False, "sent", "output"),
    Asked("ether type ip", False, "sent", "postrouting"),
    Asked("ether saddr != 02:00:00:00:00:77", False, "sent", "postrouting"),
    Asked("ether saddr 02:00:00:00:01:02", True, hook="postrouting"),
    # the connection
    Asked("ct state new", True),
    Asked("ct state invalid", False),
    Asked("ct state established,related", True, reply=True),
    Asked("ct state vmap { new : continue, established : drop }", True, reply=True, verdict=""),
    Asked("ct direction original", True),
    Asked("ct direction reply", True, reply=True),
    Asked("ct original ip saddr 10.1.0.0/24", True),
    Asked("ct direction reply ct original ip saddr 10.1.0.0/24", True, reply=True),
    Asked("ct original ip daddr 192.0.2.1", False),
    Asked("meta l4proto tcp ct original proto-dst 443", True),
    Asked("ct reply ip saddr 203.0.113.10", True),
    Asked("meta l4proto tcp ct state established ct reply proto-src 443", True, reply=True),
    Asked("ct protocol tcp", True),
    Asked("ct l3proto ipv4", True),
    Asked("ct status snat", False),
    Asked("ct status seen-reply", True, reply=True),
    Asked("ct mark 0x12", True, before="ct mark set 0x12"),
    Asked("ct mark & 0xf == 0x1", False, before="ct mark set 0x12"),
    Asked("meta mark 0x12", True, before="ct mark set 0x12\nmeta mark set ct mark"),
    Asked("ct mark 0x12 ct direction reply", True, before="ct state new ct mark set 0x12", reply=True),
    # what rewrites a header asks for its protocol, and what a map leads to must be in the map
    *(
        Asked(words, way == met, way)
        for words, met, other in (
            ("ip dscp set cs1", "tcp", "tcp6"),
            ("ip ecn set 1", "tcp", "tcp6"),
            ("ip6 flowlabel set 1", "tcp6", "tcp"),
            ("ip6 dscp set cs1", "tcp6", "tcp"),
            ("ip saddr set 10.9.9.9", "tcp", "tcp6"),
            ("tcp option maxseg size set 1400", "tcp", "udp"),
        )
        for way in (met, other)
    ),
    Asked("tcp dport set 444", False, "udp"),
    Asked('counter name ip daddr map { 203.0.113.10 : "counted" }', True),
    Asked('counter name ip daddr map { 192.0.2.1 : "counted" }', False),
    Asked('counter name ip daddr map { 203.0.113.10 : "counted" }', False, "tcp6"),
    Asked("meta priority set ip daddr map { 192.0.2.1 : 1:1 }", False),
    Asked("meta priority set ip daddr map { 203.0.113.10 : 1:1 }", True),
    # marks
    Asked("meta mark 0x12", True, before=STEERED),
    Asked("meta mark 0x13", True, before=f"{STEERED}\nmeta mark set meta mark or 0x1"),
    Asked("meta mark 0x10", True, before=f"{STEERED}\nmeta mark set meta mark and 0xf0"),
    Asked("meta mark 0x11", True, before=f"{STEERED}\nmeta mark set meta mark xor 0x3"),
    Asked("meta mark & 0xff == 0x12", True, before=STEERED),
    Asked("meta mark 0x5", True, before="meta mark set ip saddr map @marks"),
    Asked("meta mark 0x5", False, before="meta mark set ip daddr map @marks"),
    Asked("meta mark { 0x10-0x1f }", True, before=STEERED),
    # maps of verdicts
    Asked("tcp dport vmap { 443 : drop, 80 : accept }", True, verdict=""),
    Asked("tcp dport vmap { 1-442 : drop, 8080 : accept }", False, verdict=""),
    Asked("ip daddr . tcp dport vmap @ways", True, verdict=""),
    Asked("ip saddr . tcp dport vmap @ways", False, verdict=""),
    Asked('iifname . oifname vmap { "br0" . "eth0" : drop }', True, verdict=""),
    Asked("meta nfproto vmap { ipv4 : jump elsewhere, ipv6 : accept }\n", True),
    Asked("tcp dport vmap { 443 : goto elsewhere }\n", False),
    # the routes
    Asked("fib daddr type local", False, hook="prerouting"),
    Asked("fib daddr type local", True, "host", "prerouting"),
    Asked("fib daddr . iif type local", False, "host", "prerouting"),
    Asked("fib saddr . iif oif missing", False, hook="prerouting"),
    Asked("fib saddr . mark . iif oif exists", True, hook="prerouting"),
    Asked("fib saddr . iif oif eq 0", False, hook="prerouting"),
    Asked("fib daddr . iif oif eq 0", True, hook="prerouting"),
    Asked("fib saddr oif != 0", True, hook="prerouting"),
    Asked("oif eq 0", True, hook="prerouting"),
    Asked("iif eq 0", True, "sent", "output"),
    Asked("iif eq 0", False),
    Asked('fib daddr oifname "eth0"', True),
    Asked("fib saddr type unicast", True, hook="postrouting"),
    # other hooks and families
    Asked("tcp dport 443", True, hook="postrouting"),
    Asked("tcp dport 443", True, "host", "input"),
    Asked("tcp dport 443", True, "sent", "output"),
    Asked("tcp dport 443", True, family="ip"),
    Asked("tcp dport 443", False, "tcp6", family="ip"),
    Asked("tcp dport 443", True, "tcp6", family="ip6"),
    Asked("ip daddr 203.0.113.10 tcp dport 443", True, family="bridge", hook="prerouting"),
    Asked('iifname "port0" ether type ip', True, family="bridge", hook="prerouting"),
    Asked('iifname "port0" oifname "port2"', True, "sibling", "forward", "bridge"),
    Asked("tcp dport 443", False, "sibling"),
    Asked("ip saddr 10.1.0.2 tcp dport 443", True, hook="ingress", family="netdev"),
    Asked("ip saddr 10.1.0.3", False, hook="ingress", family="netdev"),
    Asked("tcp sport 443", True, hook="egress", family="netdev", reply=True),
    Asked("tcp sport 444", False, hook="egress", family="netdev", reply=True),
    # what goes on
    Asked('limit rate 1/minute log prefix "x" accept\ntcp dport 444', False),
    Asked("tcp dport 443", True, before="limit rate 1/minute counter"),
    Asked(
        "tcp dport 443",
        True,
        before="meta priority set 1:1\nip dscp set cs1\ntcp option maxseg size set 1000",
    ),
    Asked("tcp dport 443", True, before="update @seen { ip saddr timeout 1m }"),
    Asked("tcp dport 443", True, before="goto elsewhere\n".replace("goto", "jump")),
)


def run_case(kernel: Kernel, texts: RuleTexts, case: Asked) -> tuple[Prediction, Outcome]:
    """What is foretold of the case's packet, and what the kernel does."""
    if texts.nft:
        # The kernel's loader leaves out what nft refuses.
        with inside(kernel.host):
            run("nft", "-c", "-f", "-", text=f"flush ruleset\n{texts.nft}")
    firewall = kernel.load(texts)
    ruleset = parse(firewall)
    source, frame = flow(*FLOWS[case.way])
    foretold = predict(ruleset, first_packet(frame), source)
    outcome = kernel.send(source, frame)
    if not case.reply:
        return foretold, outcome
    assert outcome.frame is not None
    assert outcome.arrived is not None
    assert foretold.verdict == "accept"
    answer = outcome.frame.reply()
    foretold = predict(ruleset, reply_packet(answer, foretold.packet), outcome.arrived)
    return foretold, kernel.send(outcome.arrived, answer)


def _name(case: Asked) -> str:
    return f"{case.family} {case.hook} {case.words} {case.way}{' reply' if case.reply else ''} {case.before}"


def assert_met(kernel: Kernel, texts: RuleTexts, case: Asked) -> None:
    """The kernel drops the packet where the case says so, by this very rule, and so it was foretold."""
    foretold, outcome = run_case(kernel, texts, case)
    shown = (foretold.stops, outcome)
    assert (outcome.arrived is None) == case.meets, shown
    assert foretold.verdict == ("drop" if case.meets else "accept"), shown


@pytest.mark.parametrize("case", NFT, ids=_name)
def test_nft(kernel: Kernel, case: Asked) -> None:
    assert_met(kernel, nft(case), case)


def iptables(case: Asked, variant: str) -> RuleTexts:
    """The rule in a built-in chain; `before` has whole rules, `TABLE: -A CHAIN …` each."""
    chain = case.hook.upper()
    table = case.family if case.family in ("mangle", "raw") else "filter"
    tables: dict[str, list[str]] = {table: []}
    for line in case.before.splitlines():
        name, _, rule = line.partition(": ")
        tables.setdefault(name, []).append(rule)
    tables[table].append(
        f"-A {chain} {case.words} -j {case.verdict.upper()}" if case.verdict else f"-A {chain} {case.words}"
    )
    text = "".join(f"*{name}\n" + "\n".join(rules) + "\nCOMMIT\n" for name, rules in tables.items())
    six = case.way.endswith("6")
    return RuleTexts(**{f"{'ip6tables' if six else 'iptables'}_{variant}": text})


RAW, MANGLE = "raw", "mangle"
IPTABLES = (
    Asked("-s 10.1.0.0/24 -d 203.0.113.10 -i br0 -o eth0 -p tcp -m tcp --dport 443", True),
    Asked("! -s 10.1.0.0/24", False),
    Asked("-s 10.0.0.2/255.0.0.255", True),
    Asked("-i br+", True),
    Asked("-m addrtype --dst-type LOCAL", False, hook="prerouting", family=MANGLE),
    Asked("-m addrtype --dst-type LOCAL", True, "host", "prerouting", MANGLE),
    Asked("-m addrtype --dst-type LOCAL --limit-iface-in", False, "host", "prerouting", MANGLE),
    Asked("-m addrtype --src-type UNICAST ! --dst-type LOCAL", True),
    Asked("-m addrtype --dst-type UNICAST", True, "tcp6"),
    Asked("-m conntrack --ctstate NEW", True),
    Asked("-m conntrack --ctstate RELATED,ESTABLISHED", True, reply=True),
    Asked("-m conntrack ! --ctstate NEW", True, reply=True),
    Asked("-m conntrack --ctdir REPLY", True, reply=True),
    Asked("-m conntrack --ctorigdst 203.0.113.10 --ctorigdstport 443", True),
    Asked("-m conntrack --ctstate DNAT", False),
    Asked("-m conntrack --ctstate INVALID", False),
    Asked("-m conntrack --ctstate UNTRACKED", True, before="raw: -A PREROUTING -j CT --notrack"),
    Asked("-m conntrack --ctstate UNTRACKED", False, before="raw: -A PREROUTING -p udp -j NOTRACK"),
    Asked("-m conntrack --ctproto 6 --ctstatus NONE", False),
    Asked("-m state --state NEW,RELATED", True),
    Asked("-m set --match-set ddk-ip src", True),
    Asked("-m set --match-set ddk-ip dst", True),
    Asked("-m set ! --match-set ddk-net src", False),
    Asked("-m set --match-set ddk-net dst", False),
    Asked("-m set --match-set ddk-port dst,dst", True),
    Asked("-m set --match-set ddk-link src,src", True),
    Asked("-m set --match-set ddk-net6 dst", True, "tcp6"),
    Asked("-m set --match-set ddk-net dst --return-nomatch", True),
    Asked("-m set --match-set ddk-net src --return-nomatch", False),
    Asked("-m set ! --match-set ddk-net src --return-nomatch", True),
    Asked("-m set --match-set ddk-ip src --return-nomatch", True),
    Asked("-m set --match-set ddk-list dst --return-nomatch", True),
    Asked("-m set --match-set ddk-list src,src", True),
    Asked("-m set --match-set ddk-list dst,dst", False),
    Asked("-m set --match-set ddk-ip src ! --update-counters", True),
    Asked("-m set --match-set ddk-ip src ! --update-subcounters", True),
    Asked("-m set --match-set ddk-port dst", False),
    Asked("-m set --match-set ddk-ip dst,dst", True),
    Asked("-m set --match-set ddk-port dst,dst", True, "icmp"),
    Asked("-m set --match-set ddk-masked dst", True),
    Asked("-m set --match-set ddk-masked src", False),
    Asked("-m set --match-set ddk-masked6 dst", True, "tcp6"),
    Asked("-m set --match-set ddk-bits src", True),
    Asked("-m set --match-set ddk-bits dst", False),
    Asked("-m set --match-set ddk-block src", True),
    Asked("-m set --match-set ddk-except dst,dst", True),
    Asked("-m set --match-set ddk-except dst,dst", False, "udp"),
    Asked("-m set --match-set ddk-links src,src", True),
    Asked("-m set --match-set ddk-links src,dst", False),
    Asked("-m set --match-set ddk-physical src,src", False),
    Asked("-m set --match-set ddk-number dst", True),
    Asked("-m set --match-set ddk-number dst", False, "icmp"),
    Asked("-m set ! --match-set ddk-number dst", True, "icmp"),
    Asked("-p tcp -m multiport --dports 80,443,8000:9000", True),
    Asked("-p tcp -m multiport ! --dports 80,443", False),
    Asked("-p tcp -m multiport --ports 443", True),
    Asked("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", True),
    Asked("-p tcp -m tcp ! --syn", False),
    Asked("-p icmp -m icmp --icmp-type 8", True, "icmp"),
    Asked("-p icmp -m icmp --icmp-type echo-request", True, "icmp"),
    Asked("-p icmp -m icmp --icmp-type 3/4", False, "icmp"),
    Asked("-p ipv6-icmp -m icmp6 --icmpv6-type 128", True, "icmp6"),
    Asked("-p udp -m udp --dport 53", True, "udp"),
    Asked("-m mark --mark 0x12", True, before="mangle: -A PREROUTING -j MARK --set-xmark 0x12/0xffffffff"),
    Asked("-m mark --mark 0x2/0xf", True, before="mangle: -A PREROUTING -j MARK --set-mark 0x12"),
    Asked(
        "-m mark --mark 0x13",
        True,
        before="mangle: -A PREROUTING -j MARK --set-mark 0x12\nmangle: -A PREROUTING -j MARK --or-mark 0x1",
    ),
    Asked(
        "-m mark --mark 0x10",
        True,
        before="mangle: -A PREROUTING -j MARK --set-mark 0x12\nmangle: -A PREROUTING -j MARK --and-mark 0xf0",
    ),
    Asked(
        "-m mark --mark 0x11",
        True,
        before="mangle: -A PREROUTING -j MARK --set-mark 0x12\nmangle: -A PREROUTING -j MARK --xor-mark 0x3",
    ),
    Asked("-m mark ! --mark 0x0", False),
    Asked("-m connmark --mark 0x12", True, before="mangle: -A PREROUTING -j CONNMARK --set-mark 0x12"),
    Asked(
        "-m connmark --mark 0x7",
        True,
        before="mangle: -A PREROUTING -j MARK --set-mark 0x7\nmangle: -A PREROUTING -j CONNMARK --save-mark",
    ),
    Asked(
        "-m mark --mark 0x7",
        True,
        before="mangle: -A PREROUTING -j CONNMARK --set-mark 0x7\nmangle: -A PREROUTING -j CONNMARK --restore-mark",
    ),
    Asked(
        "-m mark --mark 0x7",
        True,
        reply=True,
        before="mangle: -A PREROUTING -i br0 -j CONNMARK --set-mark 0x7\n"
        "mangle: -A PREROUTING -i eth0 -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff",
    ),
    Asked("-m iprange --src-range 10.1.0.1-10.1.0.9", True),
    Asked("-m iprange ! --dst-range 203.0.113.1-203.0.113.20", False),
    Asked("-m iprange --dst-range fd00:ffff::-fd00:ffff::ff", True, "tcp6"),
    Asked("-m mac --mac-source 02:00:00:00:01:02", True),
    Asked("-m mac ! --mac-source 02:00:00:00:01:02", False),
    Asked("-m physdev --physdev-is-bridged", False),
    Asked("-m owner --uid-owner 0", False, hook="postrouting", family=MANGLE),
    Asked("-m owner ! --uid-owner 0", True, hook="postrouting", family=MANGLE),
    Asked("-m policy --dir in --pol none", True),
    Asked("-m recent --name asked --update --seconds 30 --hitcount 6", False),
    Asked("-p tcp -m tcpmss --mss 1:1000", False),
    Asked("-m socket", False, hook="prerouting", family=MANGLE),
    Asked("-m socket --nowildcard", False, "udp", "prerouting", MANGLE),
    Asked("-m socket", False, "tcp6", "prerouting", MANGLE),
    Asked("-m socket --transparent", False, hook="prerouting", family=MANGLE, reply=True),
    Asked("-m dscp --dscp 0x2e", False),
    Asked("-m dscp ! --dscp 0x2e", True, "tcp6"),
    Asked("-m tos --tos 0x10/0xff", False),
    Asked("-m tos --tos 0x00/0x3f", True),
    Asked("-m ttl --ttl-eq 63", True),
    Asked("-m ttl --ttl-lt 63", False),
    Asked("-m hl --hl-gt 62", True, "tcp6"),
    Asked("-m length --length 40", True),
    Asked("-m length --length 1400:65535", False),
    Asked("-m rpfilter", True, hook="prerouting", family=RAW),
    Asked("-m rpfilter --invert", False, hook="prerouting", family=RAW),
    Asked("-m rpfilter --validmark --loose", True, "tcp6", "prerouting", RAW),
    Asked("-m pkttype --pkt-type unicast", True, hook="prerouting", family=MANGLE),
    Asked("-m pkttype --pkt-type multicast", False, hook="prerouting", family=MANGLE),
    Asked('-m comment --comment "a \\"b\\" -j ACCEPT"', True),
    Asked("-m devgroup --src-group 0x0", True),
    Asked("-p udp -m udp --sport 1024:65535", True, "udp"),
    Asked("-f", False),
    Asked("-p tcp", True, "sent", "output"),
    Asked("-p tcp", True, "host", "input"),
    # what goes on
    *(
        Asked("-p tcp -m tcp --dport 443", True, before=f"mangle: -A {chain} {target}")
        for chain, target in (
            ("PREROUTING", "-j TOS --set-tos 0x10/0xff"),
            ("PREROUTING", "-j DSCP --set-dscp 0x2e"),
            ("FORWARD", "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"),
            ("FORWARD", "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1300"),
            ("POSTROUTING", "-j CLASSIFY --set-class 0001:0001"),
            ("PREROUTING", "-j TTL --ttl-set 64"),
            ("PREROUTING", "-j TEE --gateway 10.1.0.77"),
            ("FORWARD", "-j NFLOG --nflog-group 5"),
            ("FORWARD", '-j LOG --log-prefix "-j DROP "'),
            ("POSTROUTING", "-j CHECKSUM --checksum-fill"),
            ("FORWARD", "-p tcp -j ECN --ecn-tcp-remove"),
            ("FORWARD", "-m limit --limit 1/sec"),
            ("FORWARD", "-m statistic --mode random --probability 0.5"),
            ("FORWARD", "-m recent --name asked --set"),
            ("FORWARD", "-j SET --add-set ddk-ip src --exist"),
            ("FORWARD", "-j RATEEST --rateest-name asked --rateest-interval 250ms --rateest-ewmalog 0.5s"),
        )
    ),
)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_no_rule_asks_a_set_for_ports_of_a_bridge(kernel: Kernel, variant: str) -> None:
    """Even where br_netfilter shows them, `physdev:` members meet nothing."""
    case = Asked("-m set --match-set ddk-physical src,src", meets=False)
    texts = replace(iptables(case, variant), bridge_netfilter=True)
    foretold, outcome = run_case(kernel, texts, case)
    assert (foretold.verdict, outcome.arrived) == ("accept", "internet")


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("case", IPTABLES, ids=_name)
def test_iptables(kernel: Kernel, case: Asked, variant: str) -> None:
    assert_met(kernel, iptables(case, variant), case)


NFT_DOUBTS = (
    "meta l4proto icmp th dport != 53",
    "meta l4proto icmp @th,16,16 != 53",
    "limit rate 1/minute burst 1 packets",
    "limit rate over 1/minute burst 1 packets",
    "ct count 100",
    "add @seen { ip saddr limit rate 1/minute }",
    "numgen random mod 2 0",
    "jhash ip saddr mod 2 0",
    "symhash mod 2 0",
    'meta hour "00:00"-"12:00"',
    "meta cpu 0",
    "ct bytes > 10",
    "ct packets > 10",
    "rt classid 7",
    "@nh,32,16 7",
    'osf name "Linux"',
    "add @seen { ip saddr timeout 1m } ip saddr @seen",
)
IPTABLES_DOUBTS = (
    "-m limit --limit 1/min --limit-burst 1",
    "-m hashlimit --hashlimit-upto 1/min --hashlimit-mode srcip --hashlimit-name asked",
    "-m connlimit --connlimit-upto 5",
    "-m statistic --mode random --probability 0.5",
    "-m statistic --mode nth --every 2 --packet 0",
    "-m string ! --string GET --algo bm",
    "-m u32 --u32 0>>22&0x3C@4=0x29",
    '-m bpf --bytecode "1,6 0 0 1"',
    "-m time --timestart 00:00 --timestop 12:00",
    "-m quota --quota 1000",
    "-p tcp -m ecn --ecn-tcp-cwr",
    "-m connbytes --connbytes 10 --connbytes-dir both --connbytes-mode packets",
    "-m helper --helper ftp",
    "-m realm --realm 7",
    "-m cpu --cpu 0",
    "-m recent --name asked --rcheck",
    "-m recent --name asked --update --seconds 30",
    "-m policy --dir in --pol ipsec",
    "-m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 7",
    "-p tcp -m osf --genre Linux",
    "-m set --match-set ddk-ip src --packets-gt 5",
    "-m connlabel --label 5",
)
IPTABLES_UNFORESEEN = ("raw: -A PREROUTING -p tcp -j CT --zone 5",)


def load(kernel: Kernel, texts: RuleTexts) -> Ruleset:
    """The rules as the kernel holds them; skips where it has no such match."""
    try:
        if texts.nft:
            with inside(kernel.host):
                run("nft", "-c", "-f", "-", text=f"flush ruleset\n{texts.nft}")
        return parse(kernel.load(texts))
    except RuntimeError as error:
        pytest.skip(f"this kernel or its tools have no such match: {error}")


def assert_doubted(kernel: Kernel, dropping: RuleTexts, accepting: RuleTexts, way: str = "tcp") -> None:
    """Unknown where the rule decides; nothing where the packet passes in either case."""
    source, frame = flow(*FLOWS[way])
    ruleset = load(kernel, dropping)
    foretold = predict(ruleset, first_packet(frame), source)
    assert foretold.verdict == "unknown", foretold.stops
    assert foretold.stops[0].reason
    ruleset = load(kernel, accepting)
    assert predict(ruleset, first_packet(frame), source).verdict == "accept"
    assert kernel.send(source, frame).arrived == "internet"


@pytest.mark.parametrize("words", NFT_DOUBTS)
def test_nft_doubts_matter_only_where_they_decide(kernel: Kernel, words: str) -> None:
    dropping, accepting = (
        nft(Asked(words, meets=True, family="ip", verdict=verdict)).nft.replace(
            f" counter {verdict}", f" {verdict}"
        )
        for verdict in ("drop", "accept")
    )
    way = "icmp" if "l4proto icmp" in words else "tcp"
    assert_doubted(kernel, RuleTexts(nft=dropping), RuleTexts(nft=accepting), way)


@pytest.mark.parametrize(
    "words",
    [
        "limit rate over 100/second burst 5 packets",
        "ct count over 100",
        "add @seen { ip saddr limit rate over 100/second }",
    ],
)
def test_a_limit_that_was_never_exceeded_stops_nothing(kernel: Kernel, words: str) -> None:
    assert_met(kernel, nft(Asked(words, meets=False, family="ip")), Asked(words, meets=False))


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize(
    "words",
    [
        "-m string --string GET --algo bm",
        "-m connlimit --connlimit-above 3",
        "-m hashlimit --hashlimit-above 100/second --hashlimit-name asked",
    ],
)
def test_what_iptables_never_counted_stops_nothing(kernel: Kernel, words: str, variant: str) -> None:
    case = Asked(words, meets=False)
    assert_met(kernel, iptables(case, variant), case)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("words", IPTABLES_DOUBTS)
def test_iptables_doubts_matter_only_where_they_decide(kernel: Kernel, words: str, variant: str) -> None:
    dropping, accepting = (
        iptables(Asked(words, meets=True, verdict=verdict), variant) for verdict in ("drop", "accept")
    )
    assert_doubted(kernel, dropping, accepting)


@pytest.mark.parametrize("variant", ["nft", "legacy"])
@pytest.mark.parametrize("rule", IPTABLES_UNFORESEEN)
def test_iptables_targets_that_are_not_foreseen(kernel: Kernel, rule: str, variant: str) -> None:
    table, _, line = rule.partition(": ")
    texts, elsewhere = (
        RuleTexts(**{f"iptables_{variant}": f"*{table}\n{text}\nCOMMIT\n"})
        for text in (line, line.replace("-p tcp", "-p tcp -s 192.0.2.1"))
    )
    assert_doubted(kernel, texts, elsewhere)


ADDED_BY_THE_REQUEST = (
    RuleTexts(
        nft="""
table ip asked {
  set ok { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
  chain c {
    type filter hook forward priority 0; policy accept;
    iifname "br0" update @ok { ip daddr }
    iifname "eth0" ip saddr != @ok drop
  }
}
"""
    ),
    *(
        RuleTexts(
            **{
                f"iptables_{variant}": "*filter\n-A FORWARD -i br0 -j SET --add-set ddk-seen dst --exist\n"
                "-A FORWARD -i eth0 -m set ! --match-set ddk-seen src -j DROP\nCOMMIT\n"
            }
        )
        for variant in ("nft", "legacy")
    ),
)


@pytest.mark.parametrize("texts", ADDED_BY_THE_REQUEST, ids=["nft", "iptables-nft", "iptables-legacy"])
def test_what_the_request_adds_to_a_set_is_in_doubt_for_the_answer(kernel: Kernel, texts: RuleTexts) -> None:
    foretold, outcome = run_case(kernel, texts, Asked("", meets=False, reply=True))
    assert outcome.arrived == "container"
    assert foretold.verdict == "unknown"
    assert "changes the" in foretold.stops[0].reason


def test_a_flowtable_decides_nothing_of_a_first_packet_and_its_answer(kernel: Kernel) -> None:
    """The kernel puts established flows alone into it."""
    text = """
table inet asked {
  flowtable fast {
    hook ingress priority 0; devices = { eth0 };
  }
  chain c {
    type filter hook forward priority 0; policy accept;
    meta l4proto { tcp, udp } flow add @fast
    ct direction reply counter drop
  }
}
"""
    load(kernel, RuleTexts(nft=text))
    case = Asked("ct direction reply", meets=True, reply=True)
    for way in ("tcp", "udp"):
        assert_met(kernel, RuleTexts(nft=text), replace(case, way=way))


QUEUES = (
    RuleTexts(
        nft="table ip asked { chain c { type filter hook forward priority 0; iifname br0 queue num 7 WORDS; }; }"
    ),
    *(
        RuleTexts(
            **{f"iptables_{variant}": "*filter\n-A FORWARD -i br0 -j NFQUEUE --queue-num 7 WORDS\nCOMMIT\n"}
        )
        for variant in ("nft", "legacy")
    ),
)


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize("texts", QUEUES, ids=["nft", "iptables-nft", "iptables-legacy"])
def test_what_is_queued_for_nobody_is_dropped_unless_told_to_pass(
    kernel: Kernel, texts: RuleTexts, bypass: bool
) -> None:
    words = {"nft": "bypass" if bypass else "", "iptables": "--queue-bypass" if bypass else ""}
    written = RuleTexts(
        nft=texts.nft.replace("WORDS", words["nft"]),
        iptables_nft=texts.iptables_nft.replace("WORDS", words["iptables"]),
        iptables_legacy=texts.iptables_legacy.replace("WORDS", words["iptables"]),
    )
    source, frame = flow(*FLOWS["tcp"])
    foretold = predict(load(kernel, written), first_packet(frame), source)
    outcome = kernel.send(source, frame)
    assert (foretold.verdict, outcome.arrived) == (("accept", "internet") if bypass else ("drop", None))


PROXIED = (
    RuleTexts(
        nft="""
table ip asked {
  chain c {
    type filter hook prerouting priority -150;
    iifname "br0" meta l4proto tcp tproxy to :9 drop
  }
}
"""
    ),
    *(
        RuleTexts(**{f"iptables_{variant}": "*mangle\n-A PREROUTING -p tcp -j TPROXY --on-port 9\nCOMMIT\n"})
        for variant in ("nft", "legacy")
    ),
)


@pytest.mark.parametrize(
    ("texts", "passes"),
    list(zip(PROXIED, (True, False, False), strict=True)),
    ids=["nft", "iptables-nft", "legacy"],
)
def test_a_transparent_proxy_that_is_not_there(kernel: Kernel, texts: RuleTexts, passes: bool) -> None:
    """iptables drops what it would have handed over; of nftables the rule ends."""
    source, frame = flow(*FLOWS["tcp"])
    foretold = predict(load(kernel, texts), first_packet(frame), source)
    outcome = kernel.send(source, frame)
    assert (foretold.verdict, outcome.arrived) == (("accept", "internet") if passes else ("drop", None))
