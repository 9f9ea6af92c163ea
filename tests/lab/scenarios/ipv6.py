"""IPv6 on the host and in containers: forwarding, advertisements, translation, prefixes."""

from tests.lab.scenario import (
    DAEMON_JSON,
    RESTART,
    WALKED,
    Cause,
    Container,
    Fault,
    Hit,
    Scenario,
    Traffic,
    write,
)
from tests.lab.wires import DEFAULT_TARGET6

SIX = (Traffic(DEFAULT_TARGET6, 443),)
UNIQUE_LOCAL = "docker network create --ipv6 --subnet fd00:dead:beef::/64 six"
TRANSLATED = (
    "ip6tables -t nat -C POSTROUTING -s fd00:dead:beef::/64 ! -o $(ip -o -6 route show fd00:dead:beef::/64 | "
    "sed 's/.*dev \\([^ ]*\\).*/\\1/') -j MASQUERADE || "
    "ip6tables -t nat -A POSTROUTING -s fd00:dead:beef::/64 -o eth0 -j MASQUERADE"
)
# Outlives a reboot, as a rule made by hand does not.
ENGINE_TRANSLATES = (write(DAEMON_JSON, '{"experimental": true, "ip6tables": true}'), RESTART)
BRIDGE = "br-$(docker network inspect --format '{{slice .Id 0 12}}' six)"
ROUTED = "-o com.docker.network.bridge.gateway_mode_ipv6=routed"
PART_OF_UPLINK = f"docker network create --ipv6 --subnet fd00:198::1:0/112 {ROUTED} six"
DUAL = (Container(network="six", traffic=(*WALKED, *SIX)),)
ONLY_SIX = (Container(network="six", traffic=SIX),)
BY_ADVERTISEMENT = (
    "ip -6 route del default && ip -6 route add default via fd00:198::1 dev eth0 proto ra expires 1800"
)

SCENARIOS = (
    Fault(
        name="ipv6-forwarding-off",
        setup=(*ENGINE_TRANSLATES, UNIQUE_LOCAL),
        containers=ONLY_SIX,
        break_=("sysctl -w net.ipv6.conf.all.forwarding=0",),
        mend=("sysctl -w net.ipv6.conf.all.forwarding=1",),
        cause=Cause("ip-forwarding", "host:*", ("net.ipv6.conf.all.forwarding",)),
    ),
    Fault(
        name="ipv6-off-on-the-bridge",
        setup=(*ENGINE_TRANSLATES, UNIQUE_LOCAL),
        containers=ONLY_SIX,
        break_=(f"sysctl -w net.ipv6.conf.{BRIDGE}.disable_ipv6=1",),
        mend=(
            f"sysctl -w net.ipv6.conf.{BRIDGE}.disable_ipv6=0",
            f"ip -6 address add fd00:dead:beef::1/64 dev {BRIDGE} nodad",
        ),
        cause=Cause("packet-path", "link:br-*", ("disable_ipv6 = 1",)),
    ),
    Fault(
        name="ipv6-bridge-address-gone",
        setup=(*ENGINE_TRANSLATES, UNIQUE_LOCAL),
        containers=ONLY_SIX,
        break_=(f"ip -6 address del fd00:dead:beef::1/64 dev {BRIDGE}",),
        mend=(f"ip -6 address add fd00:dead:beef::1/64 dev {BRIDGE} nodad",),
        cause=Cause("packet-path", "link:br-*", ("fd00:dead:beef::1",)),
    ),
    Fault(
        name="ip6tables-forward-drop",
        setup=(*ENGINE_TRANSLATES, UNIQUE_LOCAL),
        containers=ONLY_SIX,
        break_=("ip6tables -I FORWARD 1 -j DROP",),
        mend=("ip6tables -D FORWARD 1",),
        cause=Cause("forward-policy", "network:six", ("-A FORWARD -j DROP",)),
    ),
    Fault(
        name="ipv6-not-translated",
        # Later ones translate IPv6 unless told otherwise.
        suites=("bookworm", "trixie"),
        setup=(UNIQUE_LOCAL,),
        containers=ONLY_SIX,
        mend=("ip6tables -t nat -A POSTROUTING -s fd00:dead:beef::/64 -o eth0 -j MASQUERADE",),
        cause=Cause("masquerade", "network:six"),
    ),
    Fault(
        name="ipv6-rules-switched-off",
        suites=("sid",),
        setup=(write(DAEMON_JSON, '{"ip6tables": false, "userland-proxy": false}'), RESTART, UNIQUE_LOCAL),
        containers=(Container(network="six", options="--publish 8080:80", traffic=SIX),),
        mend=("ip6tables -t nat -A POSTROUTING -s fd00:dead:beef::/64 -o eth0 -j MASQUERADE",),
        cause=Cause("masquerade", "network:six", ("ip6tables",)),
        # The rules that the engine has made stay until the next boot.
        undone=False,
    ),
    Fault(
        name="ipv6-masquerade-deleted",
        suites=("sid",),
        setup=(UNIQUE_LOCAL,),
        containers=ONLY_SIX,
        break_=("ip6tables -t nat -F POSTROUTING",),
        mend=("ip6tables -t nat -A POSTROUTING -s fd00:dead:beef::/64 -o eth0 -j MASQUERADE",),
        cause=Cause("masquerade", "network:six"),
    ),
    Fault(
        name="ipv6-prefix-not-answered-for",
        suites=("sid",),
        setup=(PART_OF_UPLINK,),
        containers=ONLY_SIX,
        # The router has learned who has the address.
        undone=False,
        mend=(
            "sysctl -w net.ipv6.conf.eth0.proxy_ndp=1",
            "ip -6 neigh add proxy fd00:198::1:2 dev eth0",
        ),
        verdict="degraded",
        exit_code=1,
        cause=Cause("ipv6", "network:six", ("fd00:198::/64", "proxy_ndp = 0")),
    ),
    Fault(
        name="accept-ra-lost",
        setup=(*ENGINE_TRANSLATES, UNIQUE_LOCAL),
        containers=DUAL,
        break_=("sysctl -w net.ipv6.conf.all.forwarding=1", BY_ADVERTISEMENT),
        hits=Hit.NOTHING,
        mend=("sysctl -w net.ipv6.conf.eth0.accept_ra=2",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("ipv6", "link:eth0", ("net.ipv6.conf.eth0.accept_ra = 1",)),
    ),
    # Healthy, though odd
    Scenario(name="ipv6-translated", setup=(UNIQUE_LOCAL, TRANSLATED), containers=DUAL),
    Scenario(
        name="ipv6-prefix-by-proxy",
        suites=("sid",),
        setup=(
            PART_OF_UPLINK,
            "sysctl -w net.ipv6.conf.eth0.proxy_ndp=1 net.ipv6.neigh.eth0.proxy_delay=0",
            "ip -6 neigh add proxy fd00:198::1:2 dev eth0",
        ),
        containers=DUAL,
    ),
    Scenario(
        name="ipv6-routed-prefix",
        suites=("sid",),
        # Whether routers out there know the prefix is theirs to say.
        setup=(f"docker network create --ipv6 --subnet fd00:777::/64 {ROUTED} six",),
        containers=(Container(network="six"),),
    ),
    Scenario(
        name="advertisements-taken-in-userspace",
        setup=(UNIQUE_LOCAL, TRANSLATED),
        containers=DUAL,
        break_=("sysctl -w net.ipv6.conf.eth0.accept_ra=0", BY_ADVERTISEMENT),
    ),
    Scenario(
        name="ipv6-off-everywhere",
        setup=("sysctl -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",),
    ),
    Scenario(name="ipv4-only-container-asked-about", arguments=("-c", "web")),
)
