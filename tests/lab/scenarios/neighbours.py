"""Containers of one network: what keeps them from each other, and what only looks so."""

from tests.lab.scenario import (
    DAEMON_JSON,
    RESTART,
    SERVES,
    Cause,
    Container,
    Fault,
    Hit,
    Scenario,
    Traffic,
    write,
)

# Addresses of their own, since a reboot may start containers in another order.
DUO = "docker network create --subnet 172.30.0.0/24 --opt com.docker.network.bridge.name=duo0 duo"
DB = Container(name="db", network="duo", options="--ip 172.30.0.10", command=SERVES)
TWO = (DB, Container(network="duo", peers=(Traffic("172.30.0.10", 80),)))
GUARD = """
table inet guard {
    chain passing {
        type filter hook forward priority 10; policy drop;
        ct state established,related accept
        iifname "duo0" oifname "eth0" accept
    }
}
"""
LEARN_BRIDGED_FRAMES = "modprobe br_netfilter; sysctl -w net.bridge.bridge-nf-call-iptables=1"

SCENARIOS = (
    Fault(
        name="bridged-frames-meet-policy",
        hits=Hit.PEERS,
        setup=(LEARN_BRIDGED_FRAMES, DUO),
        containers=TWO,
        break_=(write("/etc/guard.nft", GUARD), "nft -f /etc/guard.nft"),
        mend=('nft add rule inet guard passing iifname "duo0" oifname "duo0" accept',),
        cause=Cause("container-to-container", "network:duo", ("inet guard", "policy drop")),
    ),
    Fault(
        name="bridged-frames-meet-reject",
        hits=Hit.PEERS,
        setup=(LEARN_BRIDGED_FRAMES, DUO),
        containers=TWO,
        break_=("iptables -I DOCKER-USER ! -o eth0 -m conntrack --ctstate NEW -j REJECT",),
        mend=("iptables -D DOCKER-USER 1",),
        cause=Cause("container-to-container", "network:duo", ("DOCKER-USER", "-j REJECT")),
    ),
    Scenario(name="neighbours", setup=(LEARN_BRIDGED_FRAMES, DUO), containers=TWO),
    Scenario(
        name="neighbours-without-icc",
        setup=(LEARN_BRIDGED_FRAMES, write(DAEMON_JSON, '{"icc": false}'), RESTART),
        containers=(Container(name="db", command=SERVES), Container()),
    ),
    Scenario(
        name="neighbours-past-rules",
        setup=(DUO,),
        containers=TWO,
        break_=(
            "sysctl -w net.bridge.bridge-nf-call-iptables=0",
            write("/etc/guard.nft", GUARD),
            "nft -f /etc/guard.nft",
        ),
    ),
    Fault(
        name="macvlan-parent-down",
        tunnel=True,
        setup=(
            "docker network create --driver macvlan --subnet 10.8.0.0/24 --gateway 10.8.0.1 -o parent=tun0 lan",
        ),
        containers=(Container(hit=False), Container(name="lanny", network="lan", options="--ip 10.8.0.50")),
        break_=("ip link set tun0 down",),
        mend=("ip link set tun0 up",),
        cause=Cause("macvlan", "network:lan", ("parent=tun0",)),
        # The second way out is the lab's own, and not there again after a reboot.
        remedy=False,
    ),
)
