"""Rules that settle a packet before the right one, in tables where nobody looks; and rules that are all gone."""

from tests.lab.scenario import RESTART, Cause, Container, Fault, Traffic, write
from tests.lab.wires import DEFAULT_TARGET

REFUSES_AT_PREROUTING = """
table inet gate {
    set inside {
        type ifname . ipv4_addr
        flags interval
        elements = { "docker0" . 172.17.0.0/16 }
    }
    chain refuse {
        meta l4proto tcp reject with tcp reset
        reject
    }
    chain early {
        type filter hook prerouting priority mangle; policy accept;
        iifname . ip saddr @inside goto refuse
    }
}
"""
DROPS_ON_THE_BRIDGE = """
table bridge gate {
    chain early {
        type filter hook prerouting priority 0; policy accept;
        ip daddr 1.1.1.1 drop
        ip daddr 203.0.113.10 drop
    }
}
"""
NOBODY_PASSES = """
table inet gate {
    chain forward {
        type filter hook forward priority filter; policy drop;
    }
}
"""
FOREIGN = ("docker network create --subnet 172.31.7.0/24 --opt com.docker.network.host_ipv4=192.0.2.77 away",)
FIREWALLD_AFTER_DOCKER = (
    "systemctl start firewalld",
    "timeout 20 sh -c 'until firewall-cmd --state; do sleep 0.2; done'",
    # It takes a moment from its answering to its rules.
    "timeout 20 sh -c 'until nft list table inet firewalld | grep -q filter_FORWARD; do sleep 0.2; done'",
    "sleep 2",
)

SCENARIOS = (
    Fault(
        name="postrouting-accepts-first",
        break_=("iptables -t nat -I POSTROUTING -s 172.16.0.0/12 -j ACCEPT",),
        mend=("iptables -t nat -D POSTROUTING -s 172.16.0.0/12 -j ACCEPT",),
        cause=Cause("masquerade", "network:bridge", ("-s 172.16.0.0/12 -j ACCEPT", "MASQUERADE")),
    ),
    Fault(
        name="snat-to-nobody",
        setup=FOREIGN,
        containers=(Container(network="away"),),
        mend=("iptables -t nat -I POSTROUTING -s 172.31.7.0/24 -o eth0 -j MASQUERADE",),
        cause=Cause("masquerade", "network:away", ("host_ipv4=192.0.2.77",)),
    ),
    Fault(
        name="raw-notrack",
        break_=("iptables -t raw -I PREROUTING -s 172.17.0.0/16 -j CT --notrack",),
        mend=("iptables -t raw -D PREROUTING -s 172.17.0.0/16 -j CT --notrack",),
        cause=Cause("masquerade", "network:bridge", ("--notrack",)),
    ),
    Fault(
        name="raw-drops-answers",
        break_=(
            "iptables -t raw -I PREROUTING -i eth0 -p tcp --sport 443 -j DROP",
            "iptables -t raw -I PREROUTING -i eth0 -p udp --sport 53 -j DROP",
        ),
        mend=("iptables -t raw -F PREROUTING", RESTART),
        cause=Cause("forward-policy", "network:bridge", ("raw", "--sport")),
    ),
    Fault(
        name="mangle-drops-at-postrouting",
        break_=("iptables -t mangle -I POSTROUTING -o eth0 -s 172.17.0.0/16 -j DROP",),
        mend=("iptables -t mangle -F POSTROUTING",),
        cause=Cause("forward-policy", "network:bridge", ("mangle", "POSTROUTING")),
    ),
    Fault(
        name="redirected-to-a-dead-proxy",
        break_=("iptables -t nat -I PREROUTING -i docker0 -p tcp --dport 443 -j REDIRECT --to-ports 3129",),
        containers=(Container(traffic=(Traffic(DEFAULT_TARGET, 443),)),),
        mend=("iptables -t nat -D PREROUTING 1",),
        cause=Cause("packet-path", "network:bridge", ("REDIRECT", "3129")),
    ),
    Fault(
        name="nft-refuses-at-prerouting",
        break_=(write("/etc/gate.nft", REFUSES_AT_PREROUTING), "nft -f /etc/gate.nft"),
        mend=("nft delete table inet gate",),
        cause=Cause("forward-policy", "network:bridge", ("inet gate", "early → refuse")),
    ),
    Fault(
        name="nft-drops-on-the-bridge",
        break_=(write("/etc/gate.nft", DROPS_ON_THE_BRIDGE), "nft -f /etc/gate.nft"),
        mend=("nft delete table bridge gate",),
        cause=Cause("forward-policy", "network:bridge", ("bridge gate",)),
    ),
    Fault(
        name="nft-policy-drops-both-ways",
        break_=(write("/etc/gate.nft", NOBODY_PASSES), "nft -f /etc/gate.nft"),
        mend=("nft delete table inet gate",),
        cause=Cause("forward-policy", "network:bridge", ("inet gate", "policy drop")),
    ),
    Fault(
        name="ruleset-flushed",
        break_=("nft flush ruleset",),
        mend=(RESTART,),
        cause=Cause("iptables-flag", "engine:*", ("DOCKER",)),
    ),
    Fault(
        name="firewalld-after-docker",
        suites=("trixie", "sid"),
        break_=FIREWALLD_AFTER_DOCKER,
        mend=(RESTART,),
        cause=Cause("forward-policy", "network:bridge", ("inet firewalld", "reject")),
    ),
)
