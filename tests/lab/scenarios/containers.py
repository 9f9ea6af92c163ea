"""What is wrong with one container alone: whose network it shares, which network leads it out, its proxy."""

from tests.lab.scenario import WALKED, Cause, Container, Fault, Hit, Scenario, Traffic, write
from tests.lab.wires import DEFAULT_TARGET

MESH = "docker network create mesh"
UNTRANSLATED = "docker network create --opt com.docker.network.bridge.enable_ip_masquerade=false {}"
MACVLAN = (
    "docker network create --driver macvlan --opt parent=eth0 --subnet 192.0.2.0/24 --gateway 192.0.2.1 attic"
)

PID_OF_WEB = "$(docker inspect --format '{{.State.Pid}}' web)"
PORT = 3128
BRIDGE = "172.17.0.1"
UNIT = """
[Unit]
After=docker.service
[Service]
ExecStart=/usr/bin/python3 -m http.server {port} --bind {address}
Restart=always
RestartSec=100ms
[Install]
WantedBy=multi-user.target
"""


def proxied(host: str) -> str:
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return " ".join(f"--env {name}=http://{host}:{PORT}" for name in names)


def proxy_on(address: str) -> tuple[str, ...]:
    """A server on the host where a proxy would be; its answers are all that is asked of it."""
    return (
        write("/etc/systemd/system/site-proxy.service", UNIT.format(port=PORT, address=address)),
        "systemctl daemon-reload && systemctl enable site-proxy && systemctl restart site-proxy",
        f"timeout 10 sh -c 'until ss -Hltn sport = {PORT} | grep -q .; do sleep 0.1; done'",
    )


CLIENT = "/root/.docker/config.json"


def client_proxies(host: str) -> str:
    url = f"http://{host}:{PORT}"
    return write(
        CLIENT,
        f'{{"proxies": {{"default": {{"httpProxy": "{url}", "httpsProxy": "{url}", "noProxy": "localhost"}}}}}}',
    )


VPN = Container(name="vpn")
BEHIND_VPN = Container(network="container:vpn")
IN_VPN = "nsenter --target $(docker inspect --format '{{.State.Pid}}' vpn) --net"
SIDECAR = f"docker run --detach --name proxy --restart always --network container:web lab httpd -f -p 127.0.0.1:{PORT}"
TO_PROXY = (Traffic(BRIDGE, PORT),)

FAULTS = (
    Fault(
        name="host-has-the-containers-address",
        break_=("ip address add 172.17.0.2/32 dev lo",),
        mend=("ip address del 172.17.0.2/32 dev lo",),
        cause=Cause("packet-path", ("link:docker0", "network:bridge"), ("address 172.17.0.2",)),
        remedy=False,
    ),
    Fault(
        name="container-sends-with-a-time-to-live-of-one",
        containers=(Container(options="--sysctl net.ipv4.ip_default_ttl=1"),),
        mend=(f"nsenter --target {PID_OF_WEB} --net sysctl -w net.ipv4.ip_default_ttl=64",),
        cause=Cause("packet-path", "container:web", ("net.ipv4.ip_default_ttl",)),
        lasts=False,
    ),
    Fault(
        name="container-route-refuses",
        containers=(Container(traffic=(Traffic(DEFAULT_TARGET, 443),)),),
        break_=(f"nsenter --target {PID_OF_WEB} --net ip route add unreachable 1.1.1.0/24",),
        mend=(f"nsenter --target {PID_OF_WEB} --net ip route del unreachable 1.1.1.0/24",),
        cause=Cause("packet-path", "container:web", ("unreachable 1.1.1.0/24",)),
    ),
    Fault(
        name="shared-namespace-owner-restarted",
        containers=(Container(name="vpn", hit=False), BEHIND_VPN),
        break_=("docker restart vpn",),
        mend=("docker restart web",),
        cause=Cause("shared-namespace", "container:web", ("vpn", "container:")),
    ),
    Fault(
        name="shared-namespace-owner-stopped",
        containers=(VPN, BEHIND_VPN),
        break_=("docker stop vpn",),
        mend=("docker start vpn", "docker restart web"),
        cause=Cause("shared-namespace", "container:web", ("exited",)),
    ),
    Fault(
        name="shared-namespace-owner-gone",
        containers=(VPN, BEHIND_VPN),
        break_=("docker rm --force vpn",),
        mend=(
            "docker run --detach --name vpn --restart always lab sleep infinity",
            "docker rm --force web",
            "docker run --detach --name web --restart always --network container:vpn lab sleep infinity",
        ),
        cause=Cause("shared-namespace", "container:web", ("no such container",)),
        remedy=False,
    ),
    Fault(
        name="default-route-by-untranslated-network",
        setup=(MESH, UNTRANSLATED.format("attic")),
        containers=(Container(network="mesh"),),
        break_=("docker network connect attic web",),
        mend=("docker network disconnect attic web",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("default-gateway-network", "container:web", ("enable_ip_masquerade=false",)),
    ),
    Fault(
        name="default-route-by-macvlan",
        setup=(MESH, MACVLAN),
        containers=(Container(network="mesh"),),
        # Nobody knows of a gateway that is not there before somebody has asked for it.
        break_=("docker network connect attic web", "docker exec web ping -c 1 -W 5 1.1.1.1 || true"),
        mend=("docker network disconnect attic web",),
        cause=Cause("default-gateway-network", "container:web", ("macvlan", "192.0.2.1")),
    ),
    Fault(
        name="container-proxy-on-own-loopback",
        setup=proxy_on("127.0.0.1"),
        containers=(
            Container(options=proxied("127.0.0.1"), traffic=(Traffic("127.0.0.1", PORT),)),
            Container(name="direct", hit=False),
        ),
        mend=(SIDECAR,),
        verdict="degraded",
        exit_code=1,
        cause=Cause("container-proxies", "container:web", ("http_proxy=http://127.0.0.1:3128", "this host")),
        remedy=False,
    ),
    Fault(
        name="container-proxy-shut-out-by-input",
        setup=proxy_on("0.0.0.0"),
        containers=(Container(options=proxied(BRIDGE), traffic=TO_PROXY),),
        break_=(f"iptables -A INPUT -i docker0 -p tcp --dport {PORT} -j DROP",),
        mend=(f"iptables -D INPUT -i docker0 -p tcp --dport {PORT} -j DROP",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("container-proxies", "container:web", (f"--dport {PORT} -j DROP",)),
    ),
    Fault(
        name="container-proxy-listens-on-loopback-alone",
        setup=proxy_on("0.0.0.0"),
        containers=(Container(options=proxied(BRIDGE), traffic=TO_PROXY),),
        break_=proxy_on("127.0.0.1"),
        mend=proxy_on("0.0.0.0"),
        verdict="degraded",
        exit_code=1,
        cause=Cause(
            "container-proxies", "container:web", (f"nothing listens on {BRIDGE}:{PORT}", "127.0.0.1")
        ),
        remedy=False,
    ),
    Fault(
        name="client-proxies-on-loopback",
        setup=proxy_on("0.0.0.0"),
        break_=(client_proxies("127.0.0.1"),),
        hits=Hit.NOTHING,
        mend=(client_proxies(BRIDGE),),
        verdict="degraded",
        exit_code=1,
        cause=Cause("container-proxies", f"file:{CLIENT}", ("proxies.default.httpProxy", "127.0.0.1")),
    ),
    Fault(
        name="client-proxies-nobody-answers",
        setup=(client_proxies(BRIDGE),),
        hits=Hit.NOTHING,
        mend=(
            f"rm {CLIENT}",
            "docker rm --force web",
            "docker run --detach --name web --restart always lab sleep infinity",
        ),
        verdict="degraded",
        exit_code=1,
        cause=Cause("container-proxies", f"file:{CLIENT}", (f"nothing listens on {BRIDGE}:{PORT}",)),
        remedy=False,
    ),
    Fault(
        name="two-containers-of-one-mac-address",
        containers=(
            Container(options="--mac-address 02:42:ac:11:00:99"),
            Container(name="clone", options="--mac-address 02:42:ac:11:00:99"),
        ),
        hits=Hit.NOTHING,
        mend=(
            "docker rm --force clone && docker run --detach --name clone --restart always lab sleep infinity",
        ),
        verdict="degraded",
        exit_code=1,
        cause=Cause("duplicate-address", "network:bridge", ("02:42:ac:11:00:99",)),
        remedy=False,
    ),
)

HEALTHY = (
    Scenario(
        name="container-proxy-in-a-sidecar",
        containers=(Container(options=proxied("localhost")),),
        break_=(SIDECAR,),
    ),
    Scenario(
        name="container-proxy-of-a-host-network",
        setup=(MESH, *proxy_on("127.0.0.1")),
        containers=(
            Container(network="host", options=proxied("127.0.0.1")),
            Container(name="task", network="mesh", options=f"{proxied('127.0.0.1')} --env no_proxy=*"),
        ),
    ),
    Scenario(
        name="container-proxy-on-the-bridge",
        setup=proxy_on("0.0.0.0"),
        containers=(
            Container(options=proxied(BRIDGE), traffic=(*WALKED, *TO_PROXY)),
            Container(
                name="task",
                options=f"{proxied('host.docker.internal')} --add-host host.docker.internal:host-gateway",
            ),
        ),
    ),
    Scenario(
        name="client-proxies-on-the-bridge",
        setup=(*proxy_on("0.0.0.0"), client_proxies(BRIDGE)),
        containers=(Container(traffic=(*WALKED, *TO_PROXY)),),
    ),
    Scenario(
        name="container-behind-vpn-kill-switch",
        containers=(VPN, BEHIND_VPN),
        break_=tuple(
            f"{IN_VPN} iptables {rule}"
            for rule in (
                "-P INPUT DROP",
                "-P FORWARD DROP",
                "-P OUTPUT DROP",
                "-A INPUT -i lo -j ACCEPT",
                "-A OUTPUT -o lo -j ACCEPT",
                "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "-A OUTPUT -o eth0 -p udp -d 203.0.113.10 -j ACCEPT",
                "-A OUTPUT -o eth0 -p tcp -d 1.1.1.1 --dport 443 -j ACCEPT",
            )
        ),
    ),
    Scenario(
        name="container-with-internal-network-beside",
        setup=(MESH, "docker network create --internal attic"),
        containers=(Container(network="mesh"),),
        break_=("docker network connect attic web",),
    ),
    Scenario(
        name="container-with-untranslated-network-beside",
        setup=(MESH, UNTRANSLATED.format("vault")),
        containers=(Container(network="mesh"),),
        break_=("docker network connect vault web",),
    ),
    Scenario(
        name="container-that-may-not-ping",
        containers=(
            Container(options="--cap-drop NET_RAW"),
            Container(name="task", options="--cap-drop ALL --sysctl net.ipv4.ping_group_range='1 0'"),
        ),
    ),
    Scenario(
        name="stopped-container-of-a-network-that-is-gone",
        containers=(Container(),),
        break_=(
            "docker run --detach --name other lab sleep infinity",
            "docker run --detach --name side --stop-signal KILL --network container:other lab sleep infinity",
            "docker stop side && docker rm --force other",
        ),
    ),
)

SCENARIOS = (*FAULTS, *HEALTHY)
