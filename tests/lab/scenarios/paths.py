"""What stops packets besides the host's rules: links, addresses, routes, and the container's own namespace."""

from tests.lab.scenario import Cause, Container, Fault, Hit, Scenario

VETH = "ip -o link show type veth | sed -n 's/.*: \\(veth[^@]*\\)@.*/\\1/p'"
IN_WEB = "nsenter --target $(docker inspect --format '{{.State.Pid}}' web) --net"

SCENARIOS = (
    Fault(
        name="bridge-down",
        break_=("ip link set docker0 down",),
        mend=("ip link set docker0 up",),
        cause=Cause("packet-path", "link:docker0", ("docker0",)),
    ),
    Fault(
        name="bridge-address-gone",
        break_=("ip address flush dev docker0",),
        mend=("ip address add 172.17.0.1/16 dev docker0",),
        cause=Cause("packet-path", "link:docker0", ("172.17.0.1",)),
    ),
    Fault(
        name="veth-off-bridge",
        break_=(f"ip link set $({VETH}) nomaster",),
        mend=(f"ip link set $({VETH}) master docker0",),
        cause=Cause("packet-path", "link:veth*"),
    ),
    Fault(
        name="policy-rule-refuses",
        break_=("ip rule add from 172.16.0.0/12 prohibit priority 60",),
        mend=("ip rule del priority 60",),
        cause=Cause("packet-path", "network:bridge", ("60: from 172.16.0.0/12 prohibit",)),
    ),
    Fault(
        name="policy-table-swallows-answers",
        break_=(
            "ip route add unreachable 172.17.0.0/16 table 88",
            "ip rule add to 172.17.0.0/16 lookup 88 priority 60",
        ),
        mend=("ip rule del priority 60",),
        cause=Cause("packet-path", "network:bridge", ("unreachable 172.17.0.0/16 table 88",)),
    ),
    Fault(
        name="route-takes-answers",
        break_=(
            "ip link add br9 type bridge && ip link set br9 up",
            "ip route add 172.17.0.0/17 dev br9",
            "sysctl -w net.ipv4.conf.docker0.rp_filter=1",
        ),
        mend=("ip route del 172.17.0.0/17 dev br9",),
        cause=Cause("packet-path", "link:br9", ("172.17.0.0/17",)),
    ),
    Fault(
        name="host-offline",
        break_=("ip route del default",),
        mend=("ip route add default via 198.51.100.1",),
        cause=Cause("packet-path", "host:*", ("no route",)),
        remedy=False,
    ),
    Fault(
        name="container-gateway-wrong",
        break_=(f"{IN_WEB} ip route replace default via 172.17.0.99",),
        mend=("docker restart web",),
        cause=Cause("packet-path", "container:web", ("172.17.0.99",)),
    ),
    Fault(
        name="container-route-gone",
        break_=(f"{IN_WEB} ip route del default",),
        mend=(f"{IN_WEB} ip route add default via 172.17.0.1",),
        cause=Cause("packet-path", "container:web"),
    ),
    Fault(
        name="container-firewall-shut",
        break_=(f"{IN_WEB} iptables -P OUTPUT DROP",),
        mend=(f"{IN_WEB} iptables -P OUTPUT ACCEPT",),
        cause=Cause("packet-path", "container:web", ("OUTPUT",)),
    ),
    Fault(
        name="subnet-on-the-lan-too",
        break_=("ip route add 172.17.128.0/24 via 198.51.100.1",),
        hits=Hit.NOTHING,
        mend=("ip route del 172.17.128.0/24",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("network-options", "network:bridge", ("172.17.128.0/24",)),
        remedy=False,
    ),
    Scenario(
        name="network-internal-in-use",
        setup=("docker network create --internal vault",),
        containers=(Container(), Container(name="db", network="vault", traffic=())),
    ),
    Scenario(
        name="container-kill-switch",
        break_=tuple(
            f"{IN_WEB} iptables {rule}"
            for rule in (
                "-P OUTPUT DROP",
                "-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
                "-A OUTPUT -d 1.1.1.1 -p tcp --dport 443 -j ACCEPT",
                "-A OUTPUT -d 203.0.113.0/24 -j ACCEPT",
            )
        ),
    ),
)
