"""Links, bridges and what they answer to; routes and rules that lead containers' packets astray."""

from tests.lab.scenario import Cause, Container, Fault, Hit, Scenario, Traffic, write
from tests.lab.scenarios.paths import IN_WEB, VETH

NETWORKD = "/etc/systemd/network"
# Without udev, as in the lab, systemd-networkd waits for no device where /sys is read-only.
WITHOUT_UDEV = write(
    "/etc/systemd/system/systemd-networkd.service.d/lab.conf", "[Service]\nReadOnlyPaths=/sys"
)
SYS_READ_ONLY = write(
    "/etc/systemd/system/systemd-networkd.service.d/lab.conf",
    "[Service]\nExecStartPre=+/bin/mount -o remount,ro /sys",
)
"""What a networkd of later suites takes for a host without udev."""
UPLINK_FILE = write(
    f"{NETWORKD}/10-uplink.network",
    "[Match]\nName=eth0\n\n[Network]\nAddress=198.51.100.2/24\nGateway=198.51.100.1\n"
    "KeepConfiguration=yes\nIPv6AcceptRA=no",
)
CATCH_ALL = write(f"{NETWORKD}/50-dhcp.network", "[Match]\nName=veth* en*\n\n[Network]\nDHCP=yes")
START_NETWORKD = (
    "systemctl daemon-reload && systemctl enable systemd-networkd && systemctl start systemd-networkd"
)
FORGET = f"ip neigh flush dev docker0 && {IN_WEB} ip neigh flush dev eth0"
OFFICE = "docker network create --subnet 172.30.0.0/24 office"
OFFICE_BRIDGE = "br-$(docker network inspect --format '{{slice .Id 0 12}}' office)"

MARKED_UPLINK = (
    "ip route add default via 198.51.100.1 dev eth0 table 77 && ip rule add fwmark 77 lookup 77 priority 50",
    # Only what goes out is marked: answers are looked up without the mark.
    "iptables -t mangle -A PREROUTING -i docker0 -j MARK --set-mark 77",
    "ip route replace default via 10.8.0.1 dev tun0",
)
HARDENING = "/etc/sysctl.d/60-hardening.conf"

SCENARIOS = (
    Fault(
        name="networkd-takes-veths",
        # Later ones wait for udev even so.
        suites=("bookworm",),
        setup=(WITHOUT_UDEV, UPLINK_FILE),
        break_=(CATCH_ALL, START_NETWORKD, "sleep 3"),
        mend=(f"ip link set $({VETH}) master docker0",),
        cause=Cause("packet-path", "link:veth*", ("50-dhcp.network",)),
    ),
    Fault(
        name="bridge-deleted",
        break_=("ip link delete docker0",),
        mend=("systemctl restart docker && docker restart web",),
        cause=Cause("packet-path", "link:docker0", ("link docker0",)),
    ),
    Fault(
        name="network-bridge-deleted",
        setup=(OFFICE,),
        containers=(Container(hit=False), Container(name="desk", network="office")),
        break_=(f"ip link delete {OFFICE_BRIDGE}",),
        mend=("systemctl restart docker && docker restart web desk",),
        cause=Cause("packet-path", "link:br-*"),
    ),
    Fault(
        name="bridge-without-arp",
        break_=("ip link set docker0 arp off", FORGET),
        mend=("ip link set docker0 arp on",),
        cause=Cause("packet-path", "link:docker0", ("link docker0",)),
    ),
    Fault(
        name="arp-ignored-by-hardening",
        break_=("sysctl -w net.ipv4.conf.all.arp_ignore=8", FORGET),
        mend=("sysctl -w net.ipv4.conf.all.arp_ignore=0",),
        cause=Cause("packet-path", "link:docker0", ("net.ipv4.conf.all.arp_ignore = 8",)),
    ),
    Fault(
        name="bridge-port-disabled",
        break_=(f"bridge link set dev $({VETH}) state 0",),
        mend=(f"bridge link set dev $({VETH}) state 3",),
        cause=Cause("packet-path", "link:veth*"),
    ),
    Fault(
        name="veth-down",
        break_=(f"ip link set $({VETH}) down",),
        mend=(f"ip link set $({VETH}) up",),
        cause=Cause("packet-path", "link:veth*"),
    ),
    Fault(
        name="netdev-ingress-drops",
        break_=(
            "nft add table netdev guard",
            "nft 'add chain netdev guard in { type filter hook ingress device docker0 priority 0; }'",
            "nft add rule netdev guard in ip saddr 172.16.0.0/12 drop",
        ),
        mend=("nft delete table netdev guard",),
        cause=Cause("forward-policy", "network:bridge", ("ip saddr 172.16.0.0/12 drop",)),
    ),
    Fault(
        name="orphaned-bridge-has-the-route",
        break_=(
            "ip link add br-0123456789ab type bridge && ip link set br-0123456789ab up",
            "ip address add 172.17.0.1/16 dev br-0123456789ab",
            # As after a crash: the orphan was there first.
            "ip route del 172.17.0.0/16 dev docker0",
            "ip route append 172.17.0.0/16 dev docker0 src 172.17.0.1 proto kernel scope link",
        ),
        mend=("ip link delete br-0123456789ab",),
        # Made again, its route comes after the other.
        undone=False,
        cause=Cause("packet-path", "link:br-0123456789ab", ("172.17.0.0/16",)),
    ),
    Fault(
        name="resolver-inside-the-subnet",
        setup=(write("/etc/resolv.conf", "nameserver 172.17.44.53"),),
        containers=(Container(traffic=(Traffic("172.17.44.53", 53, "udp"),)),),
        mend=("ip address add 172.17.44.53/32 dev lo",),
        remedy=False,
        cause=Cause("packet-path", "link:docker0", ("172.17.44.53",)),
    ),
    Fault(
        name="vpn-kill-switch-route",
        tunnel=True,
        break_=(
            "ip rule add not fwmark 0xca6c lookup 51820 priority 200",
            "ip rule add lookup main suppress_prefixlength 0 priority 199",
            "ip route add unreachable default table 51820",
        ),
        mend=("ip route del unreachable default table 51820",),
        cause=Cause("packet-path", "network:bridge", ("fwmark 0xca6c", "wg-quick")),
    ),
    Fault(
        name="containers-table-without-default",
        break_=(
            "ip rule del lookup main",
            "ip rule add lookup main priority 32766 not from 172.17.0.0/16",
            "ip route add 172.17.0.0/16 dev docker0 table 90 && ip rule add from 172.17.0.0/16 lookup 90 priority 300",
        ),
        mend=("ip rule add from 172.17.0.0/16 lookup main priority 299",),
        cause=Cause("packet-path", "network:bridge", ("no route to 1.1.1.1",)),
    ),
    Fault(
        name="rp-filter-with-marked-uplink",
        tunnel=True,
        break_=(
            *MARKED_UPLINK,
            "sysctl -w net.ipv4.conf.eth0.rp_filter=1",
        ),
        mend=("sysctl -w net.ipv4.conf.eth0.rp_filter=2",),
        cause=Cause("packet-path", "link:eth0", ("net.ipv4.conf.eth0.rp_filter = 1",)),
    ),
    Fault(
        name="gateway-fixed-to-a-wrong-address",
        break_=(
            "ip neigh replace 198.51.100.1 lladdr $(cat /sys/class/net/docker0/address) dev eth0 nud permanent",
        ),
        mend=("ip neigh del 198.51.100.1 dev eth0",),
        cause=Cause("packet-path", "link:eth0", ("neighbour 198.51.100.1 dev eth0",)),
    ),
    Fault(
        name="rp-filter-strict-at-boot",
        tunnel=True,
        break_=(
            *MARKED_UPLINK,
            "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=2",
            f"install -D /dev/null {HARDENING} && echo net.ipv4.conf.eth0.rp_filter=1 > {HARDENING}",
        ),
        hits=Hit.NOTHING,
        mend=(f"rm {HARDENING}",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("packet-path", "link:eth0", (f"{HARDENING}:1", "net.ipv4.conf.eth0.rp_filter=1")),
        lasts=False,
    ),
    Fault(
        name="rp-filter-strict-on-the-bridge",
        break_=(
            "sysctl -w net.ipv4.conf.docker0.rp_filter=1",
            "ip route add 172.17.0.0/24 via 198.51.100.1",
        ),
        mend=("ip route del 172.17.0.0/24 via 198.51.100.1",),
        cause=Cause("packet-path", ("link:eth0", "network:bridge"), ("172.17.0.0/24",)),
    ),
    # Healthy, though odd
    Scenario(
        name="loose-reverse-path-filter",
        tunnel=True,
        break_=("sysctl -w net.ipv4.conf.all.rp_filter=2", "ip route add 192.0.2.0/24 via 10.8.0.1"),
    ),
    Scenario(
        name="strict-reverse-path-filter-at-boot",
        tunnel=True,
        break_=(
            "ip route add 192.0.2.0/24 via 10.8.0.1",
            "sysctl -w net.ipv4.conf.all.rp_filter=0",
            f"install -D /dev/null {HARDENING} && echo net.ipv4.conf.all.rp_filter=1 > {HARDENING}",
        ),
    ),
    Scenario(
        name="strict-reverse-path-filter",
        break_=tuple(f"sysctl -w net.ipv4.conf.{link}.rp_filter=1" for link in ("all", "eth0", "docker0")),
    ),
    Scenario(
        name="vpn-split-tunnel",
        tunnel=True,
        break_=(
            "ip route add 192.0.2.0/24 via 10.8.0.1 dev tun0",
            "ip route add 10.0.0.0/8 via 10.8.0.1 dev tun0",
        ),
    ),
    Scenario(
        name="vpn-full-tunnel",
        tunnel=True,
        break_=(
            "ip route add default via 10.8.0.1 dev tun0 table 51820",
            "ip rule add not fwmark 0xca6c lookup 51820 priority 200",
            "ip rule add lookup main suppress_prefixlength 0 priority 199",
        ),
    ),
    Scenario(
        name="second-uplink-policy-routed",
        tunnel=True,
        setup=(OFFICE,),
        containers=(Container(), Container(name="desk", network="office")),
        break_=(
            "ip route add default via 10.8.0.1 dev tun0 table 100",
            "ip route add 172.30.0.0/24 dev $(ip -o route show 172.30.0.0/24 | sed 's/.*dev \\([^ ]*\\).*/\\1/') table 100",
            "ip rule add from 172.30.0.0/24 lookup 100 priority 1000",
        ),
    ),
    Scenario(
        name="link-local-route-on-the-uplink",
        break_=("ip route add 169.254.0.0/16 dev eth0 metric 1000",),
    ),
    Scenario(
        name="isolated-ports",
        setup=("docker network create -o com.docker.network.bridge.enable_icc=false apart",),
        containers=(Container(network="apart"), Container(name="other", network="apart")),
        break_=(
            "for veth in $(ip -o link show type veth | sed -n 's/.*: \\(veth[^@]*\\)@.*/\\1/p'); do bridge link set dev $veth isolated on; done",
        ),
    ),
    Fault(
        name="networkd-turns-uplink-forwarding-off",
        # The first of the three whose networkd knows that switch of a link.
        suites=("trixie",),
        setup=(SYS_READ_ONLY, UPLINK_FILE, START_NETWORKD, "sleep 5"),
        break_=(
            write(f"{NETWORKD}/10-uplink.network.d/no.conf", "[Network]\nIPv4Forwarding=no"),
            "networkctl reload",
            "sleep 2",
        ),
        mend=("sysctl -w net.ipv4.conf.eth0.forwarding=1",),
        cause=Cause(
            "ip-forwarding", "link:eth0", (f"{NETWORKD}/10-uplink.network.d/no.conf:2", "IPv4Forwarding=no")
        ),
    ),
    Scenario(
        name="networkd-manages-the-uplink-alone",
        suites=("bookworm",),
        setup=(WITHOUT_UDEV, UPLINK_FILE),
        break_=(START_NETWORKD, "sleep 5"),
    ),
    Scenario(
        name="networkd-told-to-leave-docker-alone",
        suites=("bookworm",),
        setup=(WITHOUT_UDEV, UPLINK_FILE, CATCH_ALL),
        break_=(
            write(f"{NETWORKD}/10-docker.network", "[Match]\nName=veth* docker0\n\n[Link]\nUnmanaged=yes"),
            START_NETWORKD,
            "sleep 5",
        ),
    ),
    Scenario(
        name="bridge-of-an-unused-network-down",
        setup=(OFFICE,),
        break_=(f"ip link set {OFFICE_BRIDGE} down",),
    ),
    # What a network manager will do, or has done to veths
    Fault(
        name="networkd-will-take-veths",
        setup=(CATCH_ALL, UPLINK_FILE),
        break_=("systemctl enable systemd-networkd",),
        hits=Hit.NOTHING,
        mend=("systemctl disable systemd-networkd",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("network-managers", f"file:{NETWORKD}/50-dhcp.network", ("Name=veth* en*",)),
    ),
    Fault(
        name="dhcp-client-on-veth",
        setup=(write("/etc/dhcpcd.conf", "hostname\nclientid\npersistent\n"),),
        break_=(f"ip address add 169.254.77.9/16 dev $({VETH})",),
        hits=Hit.NOTHING,
        mend=(f"ip address del 169.254.77.9/16 dev $({VETH})",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("network-managers", "link:veth*", ("169.254.77.9/16",)),
    ),
    Fault(
        name="default-route-by-a-veth",
        break_=(
            "ip route del default && ip route add default via 198.51.100.1 dev eth0 metric 100",
            f"ip route add default dev $({VETH}) metric 50",
        ),
        mend=("ip route del default metric 50",),
        cause=Cause("network-managers", "link:veth*", ("0.0.0.0/0",)),
    ),
    # Forwarding of single links at the next boot
    Fault(
        name="uplink-forwarding-off-at-boot",
        setup=(
            write(
                "/etc/sysctl.d/60-router.conf",
                "net.ipv4.ip_forward = 1\nnet.ipv4.conf.eth0.forwarding = 0\n",
            ),
        ),
        break_=("true",),
        hits=Hit.NOTHING,
        mend=("rm /etc/sysctl.d/60-router.conf",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("ip-forwarding", "link:eth0", ("/etc/sysctl.d/60-router.conf:2",)),
    ),
    Fault(
        name="new-bridges-born-without-forwarding",
        setup=(
            write(
                "/etc/sysctl.d/60-hardening.conf",
                "net.ipv4.ip_forward = 1\nnet.ipv4.conf.default.forwarding = 0\n",
            ),
        ),
        break_=("true",),
        hits=Hit.NOTHING,
        mend=("rm /etc/sysctl.d/60-hardening.conf",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("ip-forwarding", "link:docker0", ("/etc/sysctl.d/60-hardening.conf:2",)),
    ),
    Scenario(
        name="forwarding-off-then-on-in-files",
        setup=(
            write(
                "/etc/sysctl.d/60-router.conf",
                "net.ipv4.conf.eth0.forwarding = 0\nnet.ipv4.ip_forward = 1\n",
            ),
        ),
    ),
)
