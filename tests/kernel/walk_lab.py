"""A small host in namespaces: a container on a bridge, an uplink, an internet that answers; and its snapshot."""

import atexit
import json
import os
import pickle
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path
from threading import Lock
from time import monotonic

from dockerdiag.packet.links import NO_CARRIER
from dockerdiag.snapshot.model import (
    Container,
    Endpoint,
    Engine,
    Host,
    IpamPool,
    Network,
    NetworkNamespace,
    Snapshot,
    Unread,
)

BRIDGE, UPLINK, PORT = "docker0", "eth0", "veth1"
CONTAINER, GATEWAY = "172.17.0.2", "172.17.0.1"
CONTAINER6, GATEWAY6 = "fd00:17::2", "fd00:17::1"
HOST, ROUTER = "198.51.100.2", "198.51.100.1"
HOST6, ROUTER6 = "fd00:51::2", "fd00:51::1"
SERVER, SERVER6, SERVICE = "203.0.113.10", "fd00:203::10", 4433
MASQUERADE = f"""
table ip nat {{
  chain post {{
    type nat hook postrouting priority 100;
    ip saddr 172.16.0.0/12 oifname != "{BRIDGE}" masquerade
  }}
}}
table ip6 nat {{
  chain post {{
    type nat hook postrouting priority 100;
    ip6 saddr fd00:17::/64 oifname != "{BRIDGE}" masquerade
  }}
}}
"""

_SERVER = """
import select, socket, sys
sockets = []
for family, level, option in ((socket.AF_INET, socket.IPPROTO_IP, 8), (socket.AF_INET6, 41, socket.IPV6_RECVPKTINFO)):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.setsockopt(level, option, 1)
    s.bind(("" if family == socket.AF_INET else "::", int(sys.argv[1])))
    sockets.append(s)
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        data, about, _, peer = s.recvmsg(100, 200)
        print("got", data.decode(), flush=True)
        level, kind, told = about[0]
        # in_pktinfo: interface, then the address to answer from; in6_pktinfo: address, then interface.
        back = bytes(4) + told[4:8] + bytes(4) if level == socket.IPPROTO_IP else told[:16] + bytes(4)
        try:
            s.sendmsg([data], [(level, socket.IPV6_PKTINFO if level == 41 else kind, back)], 0, peer)
        except OSError as error:
            print("unsent", error, flush=True)
"""
_CLIENT = """
import socket, sys
address, port, word = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.4)
answer = "no"
for _ in range(3):
    try:
        s.connect((address, port))
        s.send(word.encode())
        s.recv(100)
        answer = "yes"
        break
    except OSError:
        continue
print(answer)
"""


@cache
def _worker() -> "subprocess.Popen[bytes]":
    """The product's own reader, started once: it takes a second to import what it needs."""
    command = [sys.executable, "-m", "dockerdiag.readers.namespace_worker"]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def end() -> None:
        worker.kill()
        worker.communicate()

    atexit.register(end)
    return worker


@dataclass
class Lab:
    """Namespaces by role: `host`, `box` (the container), `net` (the internet), and others that a test adds."""

    prefix: str
    networks: list[Network] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    _servers: "dict[str, subprocess.Popen[str]]" = field(default_factory=dict)
    _holders: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    _words: "count[int]" = field(default_factory=count)
    _heard: dict[str, set[str]] = field(default_factory=dict)
    """Lines that each server has printed; probes may run side by side."""
    _hearing: Lock = field(default_factory=Lock)

    def name(self, role: str) -> str:
        """The namespace's name as iproute2 has it."""
        return f"{self.prefix}-{role}"

    def add(self, role: str) -> None:
        """Makes a namespace with a process in it."""
        subprocess.run(["ip", "netns", "add", self.name(role)], check=True)
        holder = subprocess.Popen(
            [*self.inside(role), "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self._holders[role] = holder
        self.run(role, "ip link set lo up", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")

    def inside(self, role: str) -> list[str]:
        """The words before a command that runs in a namespace."""
        return ["nsenter", f"--net=/run/netns/{self.name(role)}"]

    def run(self, role: str, *lines: str) -> str:
        """Runs shell lines in a namespace."""
        command = [*self.inside(role), "sh", "-ec", "\n".join(lines)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"{lines}: {done.stderr}")
        return done.stdout

    def rules(self, role: str, text: str) -> None:
        """Loads nft rules into a namespace."""
        subprocess.run([*self.inside(role), "nft", "-f", "-"], input=text, text=True, check=True)

    def sysctl(self, key: str, value: object, role: str = "host") -> None:
        """Sets a sysctl below net/."""
        self.run(role, f"echo {value} > /proc/sys/net/{key}")

    def wire(self, role: str, port: str, inner: str = "eth0") -> None:
        """A veth from the host to a namespace."""
        self.run(
            "host",
            f"ip link add {port} type veth peer name {inner} netns {self.name(role)}",
            f"ip link set {port} up",
        )

    def attach(
        self, role: str, port: str, address: str, gateway: str, bridge: str = BRIDGE, name: str = "web"
    ) -> None:
        """A container on a bridge: its namespace, its link, its default route, and what the engine says of it."""
        self.add(role)
        self.wire(role, port)
        self.run("host", f"ip link set {port} master {bridge}")
        self.run(
            role,
            f"ip address add {address}/16 dev eth0",
            "ip link set eth0 up",
            f"ip route add default via {gateway}",
        )
        network = next(n for n in self.networks if n.bridge == bridge)
        endpoint = Endpoint(network.name, network.id, address, 16, gateway)
        self.containers.append(
            Container(
                id=role.ljust(64, "0"),
                name=name,
                image="lab",
                state="running",
                pid=self._holders[role].pid,
                network_mode=network.name,
                endpoints=(endpoint,),
                namespace=self.namespace(role),
            )
        )

    def knows_six(self) -> None:
        """Has the engine tell the first network's and container's IPv6 addresses too."""
        box, network = self.containers[0], self.networks[0]
        pools = (*network.pools, IpamPool("fd00:17::/64", GATEWAY6))
        self.networks[0] = replace(network, pools=pools, ipv6=True)
        endpoint = replace(box.endpoints[0], address6=CONTAINER6, prefix_length6=64, gateway6=GATEWAY6)
        self.containers[0] = replace(box, endpoints=(endpoint,))

    def namespace(self, role: str) -> str:
        """`net:[…]` of a namespace."""
        return str(Path(f"/proc/{self._holders[role].pid}/ns/net").readlink())

    def bridge(self, name: str, network: str, subnet: str, gateway: str) -> None:
        """A network and its bridge."""
        length = subnet.partition("/")[2]
        self.run(
            "host",
            f"ip link add {name} type bridge",
            f"ip address add {gateway}/{length} dev {name}",
            f"ip link set {name} up",
        )
        self.networks.append(
            Network(
                id=name.ljust(64, "0"),
                name=network,
                driver="bridge",
                pools=(IpamPool(subnet, gateway),),
                options={"com.docker.network.bridge.name": name},
            )
        )

    def probe(self, destination: str = SERVER, role: str = "box", server: str = "net") -> tuple[bool, bool]:
        """Whether a datagram arrives at a server, and whether an answer comes back."""
        stream = self._servers[server].stdout
        assert stream is not None
        word = f"word{next(self._words)}"
        command = [*self.inside(role), sys.executable, "-S", "-c", _CLIENT, destination, str(SERVICE), word]
        client = subprocess.run(command, capture_output=True, text=True, check=True)
        os.set_blocking(stream.fileno(), False)
        with self._hearing:
            heard = self._heard.setdefault(server, set())
            heard.update(iter(stream.readline, ""))
        return f"got {word}\n" in heard, client.stdout.strip() == "yes"

    def serve(self, role: str) -> None:
        """Starts a server that answers."""
        command = [*self.inside(role), sys.executable, "-S", "-c", _SERVER, str(SERVICE)]
        server = self._servers[role] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"

    def snapshot(self) -> Snapshot:
        """What the host holds now."""
        roles = ("host", *(role for role in self._holders if role not in ("host", "net")))
        read = {self.namespace(role): self._settled(role) for role in roles}
        host = read.pop(self.namespace("host"))
        return Snapshot(
            taken_at="2026-01-01T00:00:00Z",
            tool_version="0",
            host=Host("lab", "", "", "", root=True),
            network=host,
            namespaces=read,
            engine=Engine(
                endpoint="unix:///var/run/docker.sock",
                context=None,
                local=True,
                name="lab",
                version="28",
                api_version="1.48",
                networks=tuple(self.networks),
                containers=tuple(self.containers),
            ),
            daemons=(),
            service=None,
            daemon_json=None,
            boot_sysctls=Unread("not asked"),
            resolv_conf=None,
            hosts_file=None,
            journal=(),
            kernel_log=(),
        )

    def _settled(self, role: str) -> NetworkNamespace:
        """What a namespace holds once the kernel has told of every carrier (linkwatch), which bridges wait for."""
        deadline = monotonic() + 10
        while True:
            read = self._read(role)
            assert not isinstance(read.links, Unread)
            coming = [o.name for o in read.links if o.up and o.carrier and o.operstate in NO_CARRIER]
            if not coming:
                return read
            assert monotonic() < deadline, coming

    def _read(self, role: str) -> NetworkNamespace:
        request = {
            "pid": self._holders[role].pid,
            "name": self.namespace(role),
            "seconds": 60,
            "destinations": (SERVER,),
        }
        worker = _worker()
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(json.dumps(request).encode() + b"\n")
        worker.stdin.flush()
        read = pickle.loads(b64decode(worker.stdout.readline()))
        assert isinstance(read, NetworkNamespace), read
        return read

    def close(self) -> None:
        """Ends its processes and removes its namespaces."""
        for process in (*self._servers.values(), *self._holders.values()):
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        for path in Path("/run/netns").glob(f"{self.prefix}-*"):
            subprocess.run(["ip", "netns", "delete", path.name], check=False)


@contextmanager
def lab(prefix: str) -> Iterator[Lab]:
    """A healthy host, its container and the internet."""
    here = Lab(prefix)
    try:
        for role in ("host", "net"):
            here.add(role)
        here.sysctl("ipv4/ip_forward", 1)
        here.sysctl("ipv6/conf/all/forwarding", 1)
        here.bridge(BRIDGE, "bridge", "172.17.0.0/16", GATEWAY)
        here.attach("box", PORT, CONTAINER, GATEWAY)
        here.wire("net", UPLINK)
        here.run(
            "host",
            f"ip address add {GATEWAY6}/64 dev {BRIDGE} nodad",
            f"ip address add {HOST}/24 dev {UPLINK}",
            f"ip address add {HOST6}/64 dev {UPLINK} nodad",
            f"ip route add default via {ROUTER}",
            f"ip route add default via {ROUTER6}",
        )
        here.run(
            "box", f"ip address add {CONTAINER6}/64 dev eth0 nodad", f"ip route add default via {GATEWAY6}"
        )
        here.run(
            "net",
            f"ip address add {ROUTER}/24 dev eth0",
            f"ip address add {ROUTER6}/64 dev eth0 nodad",
            "ip link set eth0 up",
            f"ip address add {SERVER}/32 dev lo",
            f"ip address add {SERVER6}/128 dev lo nodad",
        )
        here.knows_six()
        here.rules("host", MASQUERADE)
        here.serve("net")
        yield here
    finally:
        here.close()
