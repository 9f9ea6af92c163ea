"""What real firewalls and routes do to a packet, for `dockerdiag trace` to name: each a healthy twin, and its fault."""

from dataclasses import dataclass

from tests.lab.scenario import DAEMON_JSON, write

IN_CONTAINER = "nsenter -t $(docker inspect --format '{{.State.Pid}}' web) -n"
OWN_NAT = """
table ip own {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 172.16.0.0/12 oifname "eth0" masquerade
    }
}
"""
ALLOWED_BRIDGES = """
table inet gate {
    set bridges { type ifname; elements = { "docker0", "br-lan" } }
    chain forward {
        type filter hook forward priority 5; policy accept;
        ct state established,related accept
        iifname != @bridges counter drop
    }
}
"""


def nft(text: str) -> str:
    return f"nft -f - <<'END_OF_RULES'\n{text}\nEND_OF_RULES"


@dataclass(frozen=True)
class Traced:
    """A twin, the fault that it becomes, and the object that the walk must end at."""

    name: str
    twin: tuple[str, ...]
    fault: tuple[str, ...]
    disposition: str
    at: tuple[str, ...]
    """Each must occur in the walk's `at`."""
    rule: str = ""
    """What the rule at the stop must say, as the kernel's tools print it."""
    setup: tuple[str, ...] = ()
    reboot: bool = False
    tunnel: bool = False


CASES = (
    Traced(
        name="ufw-denies-routed-with-the-engines-iptables-off",
        setup=(
            write(DAEMON_JSON, '{"iptables": false}'),
            write("/etc/nftables.conf", f"flush ruleset\n{OWN_NAT}"),
            "systemctl enable nftables",
        ),
        reboot=True,
        twin=("ufw default allow routed", "ufw --force enable"),
        fault=("ufw default deny routed",),
        disposition="dropped",
        at=("ip filter FORWARD", "policy"),
        rule="policy drop",
    ),
    Traced(
        name="firewalld-without-dockers-zone",
        setup=(
            "systemctl stop docker docker.socket",
            "systemctl enable --now firewalld",
            "timeout 30 sh -c 'until firewall-cmd --state; do sleep 0.2; done'",
            "systemctl start docker",
        ),
        twin=("firewall-cmd --get-zone-of-interface=docker0",),
        fault=("firewall-cmd --zone=docker --remove-interface=docker0",),
        disposition="rejected",
        at=("nft inet firewalld filter_F",),
        rule="reject with icmpx",
    ),
    Traced(
        name="kill-switch-of-a-vpn",
        tunnel=True,
        twin=(
            "ip route add default via 10.8.0.1 dev tun0 table 51820",
            "ip rule add not fwmark 51820 table 51820",
            "ip rule add table main suppress_prefixlength 0",
        ),
        fault=("ip route replace blackhole default table 51820",),
        disposition="dropped",
        at=("route blackhole default table 51820",),
    ),
    Traced(
        name="set-of-an-inet-table",
        twin=(nft(ALLOWED_BRIDGES),),
        fault=("nft delete element inet gate bridges '{ \"docker0\" }'",),
        disposition="dropped",
        at=("nft inet gate forward handle ",),
        rule="iifname != @bridges",
    ),
    Traced(
        name="netdev-ingress",
        twin=(
            nft(
                "table netdev edge { chain in { type filter hook ingress device docker0 priority 0; "
                "ip saddr 172.31.0.0/16 drop; }; }"
            ),
        ),
        fault=("nft add rule netdev edge in ip saddr 172.17.0.0/16 tcp dport 443 drop",),
        disposition="dropped",
        at=("nft netdev edge in handle ",),
        rule="tcp dport 443 drop",
    ),
    Traced(
        name="bridge-family",
        twin=(
            nft(
                "table bridge ports { chain pre { type filter hook prerouting priority 0; "
                "ether type ip ip saddr 172.31.0.0/16 drop; }; }"
            ),
        ),
        fault=("nft add rule bridge ports pre ether type ip ip saddr 172.17.0.0/16 tcp dport 443 drop",),
        disposition="dropped",
        at=("nft bridge ports pre handle ",),
        rule="tcp dport 443 drop",
    ),
    Traced(
        name="notrack",
        twin=("iptables -t raw -A PREROUTING -i docker0 -p udp --dport 9999 -j CT --notrack",),
        fault=("iptables -t raw -A PREROUTING -i docker0 -p tcp --dport 443 -j CT --notrack",),
        disposition="not-answered",
        at=("iptables-nft ip raw PREROUTING rule ",),
        rule="-p tcp -m tcp --dport 443 -j CT --notrack",
    ),
    Traced(
        name="snat-to-an-address-of-nobody",
        twin=("iptables -t nat -I POSTROUTING -s 172.17.0.0/16 -o eth0 -j SNAT --to-source 198.51.100.2",),
        fault=("iptables -t nat -I POSTROUTING -s 172.17.0.0/16 -o eth0 -j SNAT --to-source 198.51.100.77",),
        disposition="not-answered",
        at=("iptables-nft ip nat POSTROUTING rule 1",),
        rule="-j SNAT --to-source 198.51.100.77",
    ),
    Traced(
        name="accept-before-masquerade",
        twin=("iptables -t nat -I POSTROUTING -s 172.17.0.0/16 -d 10.0.0.0/8 -j ACCEPT",),
        fault=("iptables -t nat -I POSTROUTING -s 172.17.0.0/16 -j ACCEPT",),
        disposition="not-answered",
        at=("iptables-nft ip nat POSTROUTING rule 1",),
        rule="-A POSTROUTING -s 172.17.0.0/16 -j ACCEPT",
    ),
    Traced(
        name="blackhole-in-another-table",
        twin=(
            "ip route add default via 198.51.100.1 table 100",
            "ip route add 172.17.0.0/16 dev docker0 table 100",
            "ip rule add from 172.17.0.0/16 lookup 100",
        ),
        fault=("ip route replace blackhole default table 100",),
        disposition="dropped",
        at=("route blackhole default table 100",),
    ),
    Traced(
        name="no-default-route-in-the-container",
        twin=(f"{IN_CONTAINER} ip route show default",),
        fault=(f"{IN_CONTAINER} ip route delete default",),
        disposition="no-route",
        at=("route",),
    ),
    Traced(
        name="output-drop-inside-the-container",
        twin=(f"{IN_CONTAINER} iptables -A OUTPUT -p tcp --dport 444 -j DROP",),
        fault=(f"{IN_CONTAINER} iptables -A OUTPUT -p tcp --dport 443 -j DROP",),
        disposition="dropped",
        at=("iptables-nft ip filter OUTPUT rule ",),
        rule="-A OUTPUT -p tcp -m tcp --dport 443 -j DROP",
    ),
)
