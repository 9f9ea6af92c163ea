"""Healthy hosts that run other things beside Docker, whose rules, routes and links look alarming."""

from tests.lab.scenario import Container, Scenario, write

FAIL2BAN = (
    "iptables -N f2b-sshd",
    "iptables -A f2b-sshd -s 192.0.2.5/32 -j REJECT --reject-with icmp-port-unreachable",
    "iptables -A f2b-sshd -j RETURN",
    "iptables -I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd",
    "iptables -N f2b-docker",
    "iptables -A f2b-docker -s 192.0.2.9 -j DROP",
    "iptables -A f2b-docker -j RETURN",
    "iptables -I DOCKER-USER -p tcp -m multiport --dports 80,443 -j f2b-docker",
)
KUBERNETES = (
    "iptables -t nat -N KUBE-POSTROUTING",
    "iptables -t nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
    "iptables -t nat -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
    "iptables -t nat -A KUBE-POSTROUTING -j MASQUERADE --random-fully",
    "iptables -t nat -I POSTROUTING -j KUBE-POSTROUTING",
    "iptables -N KUBE-FORWARD",
    "iptables -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
    "iptables -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
    "iptables -I FORWARD -j KUBE-FORWARD",
    "iptables -N KUBE-FIREWALL",
    "iptables -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP",
    "iptables -I OUTPUT -j KUBE-FIREWALL",
)
TAILSCALE = (
    "ip rule add priority 5210 fwmark 0x80000/0xff0000 lookup main",
    "ip rule add priority 5250 fwmark 0x80000/0xff0000 unreachable",
    "ip rule add priority 5270 lookup 52",
    "ip route add 100.64.0.9 dev tun0 table 52",
    "iptables -N ts-forward",
    "iptables -A ts-forward -i tun0 -j MARK --set-xmark 0x40000/0xff0000",
    "iptables -A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT",
    "iptables -A ts-forward -s 100.64.0.0/10 -o tun0 -j DROP",
    "iptables -A ts-forward -o tun0 -j ACCEPT",
    "iptables -I FORWARD -j ts-forward",
    "iptables -t nat -N ts-postrouting",
    "iptables -t nat -A ts-postrouting -m mark --mark 0x40000/0xff0000 -j MASQUERADE",
    "iptables -t nat -I POSTROUTING -j ts-postrouting",
)
LIBVIRT = (
    "ip link add virbr0 type bridge && ip link set virbr0 up",
    "ip address add 192.168.122.1/24 dev virbr0",
    "iptables -N LIBVIRT_FWO",
    "iptables -A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT",
    "iptables -A LIBVIRT_FWO -i virbr0 -j REJECT",
    "iptables -I FORWARD -j LIBVIRT_FWO",
    "iptables -N LIBVIRT_FWI",
    "iptables -A LIBVIRT_FWI -o virbr0 -j REJECT",
    "iptables -I FORWARD -j LIBVIRT_FWI",
    "iptables -t nat -I POSTROUTING -s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE",
)
WG_QUICK = """
table ip wg-quick-tun0 {
    chain preraw {
        type filter hook prerouting priority raw; policy accept;
        iifname != "tun0" ip daddr 10.8.0.2 fib saddr type != local drop
    }
    chain postmangle {
        type filter hook postrouting priority mangle; policy accept;
        meta l4proto udp meta mark 51820 ct mark set meta mark
    }
}
"""
WIREGUARD = (
    write("/etc/wg-quick.nft", WG_QUICK),
    "nft -f /etc/wg-quick.nft",
    "ip route add default via 10.8.0.1 dev tun0 table 51820",
    "ip rule add not fwmark 51820 table 51820",
    "ip rule add table main suppress_prefixlength 0",
    "sysctl -w net.ipv4.conf.all.src_valid_mark=1",
)

SCENARIOS = (
    Scenario(name="beside-fail2ban", setup=FAIL2BAN),
    Scenario(name="beside-kubernetes", setup=KUBERNETES),
    Scenario(name="beside-tailscale", tunnel=True, setup=TAILSCALE),
    Scenario(name="beside-libvirt", setup=LIBVIRT),
    Scenario(name="beside-wireguard", tunnel=True, setup=WIREGUARD),
    Scenario(
        name="swarm-of-one",
        setup=(
            "docker swarm init --advertise-addr 198.51.100.2",
            "docker network create --driver overlay --attachable mesh",
        ),
        containers=(Container(), Container(name="task", network="mesh")),
    ),
    Scenario(
        name="macvlan-beside-bridge",
        setup=(
            "docker network create --driver macvlan --subnet 198.51.100.0/24 --gateway 198.51.100.1 -o parent=eth0 lan",
        ),
        containers=(Container(), Container(name="lanny", network="lan", options="--ip 198.51.100.50")),
    ),
)
