"""Links and routes that take smaller packets than containers send; who says so, and who makes them fit."""

from tests.lab.host import LabHost, Ran
from tests.lab.scenario import DAEMON_JSON, RESTART, UPLINK, Cause, Container, Fault, Hit, Scenario, write
from tests.lab.wires import SERVER

NARROW_ROUTE = "ip route replace default via 198.51.100.1 mtu 1400"
NARROW_UPLINK = f"ip link set {UPLINK} mtu 1400"
PORT = "$(ip -o link show type veth | sed -n 's/.*: \\(veth[^@]*\\)@.*/\\1/p')"
CLAMP = "iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"
SILENT_HOST = """
table inet silent {
    chain output {
        type filter hook output priority filter; policy drop;
        ct state new,established accept
    }
}
"""
NFT_CLAMP = """
table inet clamp {
    chain forward {
        type filter hook forward priority mangle; policy accept;
        tcp flags syn tcp option maxseg size set rt mtu
    }
}
"""


def large_is_lost(host: LabHost, _: Ran) -> None:
    assert not large_passes(host), "large packets pass"


def large_arrives(host: LabHost, _: Ran) -> None:
    assert large_passes(host), "large packets are lost"


def large_passes(host: LabHost) -> bool:
    """Whether one of a few large pings is answered: the first may be what the route's MTU is learned by."""
    return host.run(f"docker exec web ping -c 3 -W 1 -s 1450 {SERVER}").code == 0


SCENARIOS = (
    Fault(
        name="mtu-announcement-dropped",
        break_=(NARROW_ROUTE, "iptables -I OUTPUT -p icmp --icmp-type fragmentation-needed -j DROP"),
        hits=Hit.NOTHING,
        mend=("iptables -D OUTPUT 1",),
        cause=Cause("mtu", "network:bridge", ("mtu 1500", "mtu 1400", "OUTPUT", "--icmp-type 3/4")),
        also=large_is_lost,
    ),
    Fault(
        name="mtu-announcement-dropped-by-policy",
        break_=(NARROW_ROUTE, write("/etc/silent.nft", SILENT_HOST), "nft -f /etc/silent.nft"),
        hits=Hit.NOTHING,
        mend=("nft delete table inet silent",),
        cause=Cause("mtu", "network:bridge", ("inet silent", "policy drop")),
        also=large_is_lost,
    ),
    Fault(
        name="port-narrower-than-container",
        break_=(f"ip link set {PORT} mtu 1280",),
        hits=Hit.NOTHING,
        mend=(f"ip link set {PORT} mtu 1500",),
        cause=Cause("mtu", "link:veth*", ("mtu 1500", "mtu 1280")),
        also=large_is_lost,
    ),
    Fault(
        name="mtu-above-uplink",
        break_=(NARROW_UPLINK,),
        hits=Hit.NOTHING,
        mend=(CLAMP,),
        verdict="degraded",
        exit_code=1,
        cause=Cause("mtu", "network:bridge", ("mtu 1500", f"link {UPLINK}", "mtu 1400")),
    ),
    Fault(
        name="daemon-mtu-for-default-bridge-alone",
        setup=(write(DAEMON_JSON, '{"mtu": 1400}'), RESTART, "docker network create own"),
        containers=(Container(network="own"),),
        break_=(NARROW_ROUTE,),
        hits=Hit.NOTHING,
        mend=(CLAMP,),
        verdict="degraded",
        exit_code=1,
        cause=Cause("mtu", "network:own", ("for the default bridge alone", "1400")),
        also=large_arrives,
    ),
    Scenario(
        name="uplink-and-networks-of-1400",
        setup=(
            write(DAEMON_JSON, '{"mtu": 1400}'),
            RESTART,
            "docker network create --opt com.docker.network.driver.mtu=1400 own",
            NARROW_ROUTE,
        ),
        containers=(Container(), Container(name="own", network="own")),
        also=large_arrives,
    ),
    Scenario(name="mtu-clamped", setup=(NARROW_UPLINK, CLAMP)),
    Scenario(
        name="mtu-clamped-by-nft",
        setup=(NARROW_UPLINK, write("/etc/clamp.nft", NFT_CLAMP), "nft -f /etc/clamp.nft"),
    ),
    Scenario(name="jumbo-uplink", setup=(f"ip link set {UPLINK} mtu 9000",)),
)
