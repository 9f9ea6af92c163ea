"""Names: whom containers ask, and what keeps a query from an answer."""

import json

from tests.lab.host import LabHost, Ran
from tests.lab.scenario import DAEMON_JSON, RESTART, Cause, Container, Fault, Scenario, Traffic, write
from tests.lab.wires import DEFAULT_TARGET, SERVER

NAME = Traffic("registry.lab.test", 53, "name")
INTERNET = Traffic(DEFAULT_TARGET, 443)
MESH = "docker network create mesh"

ON_BRIDGE = Container(traffic=(NAME,))
ON_MESH = Container(network="mesh", traffic=(NAME,))
BOTH = (ON_BRIDGE, Container(name="task", network="mesh", traffic=(NAME,)))

HOST_FILE = "/etc/resolv.conf"
STUB = "127.0.0.53"
BRIDGE = "172.17.0.1"
TUNNEL_SERVER = "10.8.0.1"

DNSMASQ = "no-resolv\nserver={server}\nbind-dynamic\nlisten-address={listen}"
START_DNSMASQ = "systemctl enable dnsmasq && systemctl restart dnsmasq"
RESOLVED = (
    write("/etc/systemd/resolved.conf.d/lab.conf", f"[Resolve]\nDNS={SERVER}\nDNSSEC=no\nLLMNR=no"),
    "systemctl enable systemd-resolved && systemctl start systemd-resolved",
    f"rm {HOST_FILE} && ln -s ../run/systemd/resolve/stub-resolv.conf {HOST_FILE}",
    RESTART,
)


def dnsmasq(listen: str) -> tuple[str, ...]:
    return write("/etc/dnsmasq.d/lab.conf", DNSMASQ.format(server=SERVER, listen=listen)), START_DNSMASQ


def host_file(*servers: str) -> str:
    return write(HOST_FILE, "".join(f"nameserver {server}\n" for server in servers))


def daemon_dns(*servers: str) -> str:
    return f"{write(DAEMON_JSON, json.dumps({'dns': servers}))}\n{RESTART}"


def names_follow(_: LabHost, ran: Ran) -> None:
    """Lost names are told, and told to follow from the cause."""
    report = ran.json()
    lost = [
        f"{finding['code']} {finding['subject']}"
        for result in report["results"]
        for finding in result["findings"]
        if finding["code"] == "dns-unreachable"
    ]
    assert lost, "nothing says that names do not resolve"
    assert set(lost) <= set(report["cause"]["explains"]), f"{lost} do not follow from the cause"


FAULTS = (
    Fault(
        name="dns-host-link-dangles",
        setup=(MESH,),
        containers=BOTH,
        break_=(
            write(
                "/etc/tmpfiles.d/lab.conf",
                f"f+ /run/NetworkManager/resolv.conf - - - - nameserver {SERVER}\\n",
            ),
            "mkdir -p /run/NetworkManager && systemd-tmpfiles --create /etc/tmpfiles.d/lab.conf",
            f"rm {HOST_FILE} && ln -s ../run/systemd/resolve/stub-resolv.conf {HOST_FILE}",
            "docker restart web task",
        ),
        mend=(f"ln -sf ../run/NetworkManager/resolv.conf {HOST_FILE}", "docker restart web task"),
        cause=Cause("engine-egress", "host:lab", ("../run/systemd/resolve/stub-resolv.conf",)),
    ),
    Fault(
        name="dns-none-when-it-started",
        suites=("sid",),
        setup=(MESH,),
        containers=(ON_MESH,),
        break_=(f"mv {HOST_FILE} /root/kept", "docker restart web", f"mv /root/kept {HOST_FILE}"),
        mend=("docker restart web",),
        cause=Cause("dns-servers", "container:web", ("NO EXTERNAL NAMESERVERS DEFINED",)),
    ),
    Fault(
        name="dns-public-fallback",
        setup=(*dnsmasq("127.0.0.1"),),
        containers=(ON_BRIDGE,),
        break_=(host_file("127.0.0.1"), "docker restart web"),
        mend=(host_file(SERVER), "docker restart web"),
        verdict="degraded",
        exit_code=1,
        cause=Cause("dns-servers", "container:web", ("127.0.0.1",)),
        remedy=False,
    ),
    Fault(
        name="dns-daemon-json-loopback",
        setup=(MESH,),
        containers=BOTH,
        break_=(daemon_dns("127.0.0.1"),),
        mend=(f"rm {DAEMON_JSON}", RESTART),
        cause=Cause("dns-servers", ("host:lab", "container:*"), (DAEMON_JSON, "127.0.0.1")),
    ),
    Fault(
        name="dns-option-loopback",
        containers=(Container(options="--dns 127.0.0.1", traffic=(NAME,)),),
        mend=("docker rm -f web && docker run --detach --name web --restart always lab sleep infinity",),
        cause=Cause("dns-servers", "container:web", ("127.0.0.1",)),
        lasts=False,
    ),
    Fault(
        name="dns-embedded-rules-flushed",
        founding=True,
        setup=(MESH,),
        containers=(ON_MESH,),
        break_=(
            "nsenter --target $(docker inspect --format '{{.State.Pid}}' web) --net iptables -t nat --flush",
        ),
        mend=("docker restart web",),
        cause=Cause("dns-embedded", "container:web", ("127.0.0.11:53",)),
    ),
    Fault(
        name="dns-host-input-drops",
        setup=(*dnsmasq(f"127.0.0.1,{BRIDGE}"), daemon_dns(BRIDGE)),
        containers=(ON_BRIDGE,),
        break_=("iptables -A INPUT -i docker0 -p udp --dport 53 -j DROP",),
        mend=("iptables -D INPUT -i docker0 -p udp --dport 53 -j DROP",),
        cause=Cause("forward-policy", "network:bridge", ("--dport 53 -j DROP",)),
        also=names_follow,
    ),
    Fault(
        name="dns-forward-drops",
        containers=(ON_BRIDGE,),
        break_=("iptables -I DOCKER-USER -p udp --dport 53 -j DROP",),
        mend=("iptables -D DOCKER-USER -p udp --dport 53 -j DROP",),
        cause=Cause("forward-policy", "network:bridge", ("--dport 53 -j DROP",)),
        also=names_follow,
    ),
    Fault(
        name="dns-resolver-on-loopback-alone",
        setup=(*dnsmasq(f"127.0.0.1,{BRIDGE}"), daemon_dns(BRIDGE)),
        containers=(ON_BRIDGE,),
        break_=dnsmasq("127.0.0.1"),
        mend=dnsmasq(f"127.0.0.1,{BRIDGE}"),
        cause=Cause("dns-servers", "container:web", (f"nothing listens on {BRIDGE}:53",)),
    ),
    Fault(
        name="dns-stub-stopped",
        setup=(*RESOLVED, MESH),
        containers=(ON_MESH,),
        break_=("systemctl stop systemd-resolved",),
        mend=("systemctl start systemd-resolved",),
        cause=Cause("engine-egress", "host:lab", (STUB,)),
        also=names_follow,
    ),
    Fault(
        name="dns-stale-after-vpn",
        suites=("trixie", "sid"),
        tunnel=True,
        setup=(host_file(TUNNEL_SERVER), MESH),
        containers=BOTH,
        break_=("ip link delete tun0", host_file(SERVER)),
        mend=("docker restart web task",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("dns-stale", "host:lab", (TUNNEL_SERVER, SERVER)),
    ),
)

HEALTHY = (
    Scenario(name="dns-resolved-stub", setup=(*RESOLVED, MESH), containers=BOTH),
    Scenario(
        name="dns-dnsmasq-on-bridge",
        setup=(*dnsmasq(f"127.0.0.1,{BRIDGE}"), host_file("127.0.0.1"), daemon_dns(BRIDGE), MESH),
        containers=BOTH,
    ),
    Scenario(
        name="dns-loopback-behind-network",
        setup=(*dnsmasq("127.0.0.1"), host_file("127.0.0.1"), MESH),
        containers=(ON_MESH,),
    ),
    Scenario(
        name="dns-by-option",
        setup=(MESH,),
        containers=(
            Container(options=f"--dns {SERVER} --dns-search lab.test", traffic=(NAME,)),
            Container(name="task", network="mesh", options=f"--dns {SERVER}", traffic=(NAME,)),
        ),
    ),
    Scenario(
        name="dns-second-server-dead",
        setup=(host_file(SERVER, "192.0.2.99"),),
        containers=(
            ON_BRIDGE,
            Container(name="spare", options=f"--dns {SERVER} --dns 127.0.0.1", traffic=(NAME,)),
        ),
    ),
    Scenario(
        name="dns-host-link-dangles-and-daemon-has-dns",
        setup=(
            daemon_dns(SERVER),
            f"rm {HOST_FILE} && ln -s ../run/systemd/resolve/stub-resolv.conf {HOST_FILE}",
            MESH,
        ),
        containers=BOTH,
    ),
    Scenario(
        name="dns-container-without-network",
        setup=("docker network create --internal inside",),
        containers=(
            ON_BRIDGE,
            Container(name="alone", network="none", traffic=()),
            Container(name="inner", network="inside", traffic=()),
        ),
    ),
    Scenario(name="dns-host-network", containers=(Container(network="host", traffic=(NAME, INTERNET)),)),
)

SCENARIOS = (*FAULTS, *HEALTHY)
