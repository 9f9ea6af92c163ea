"""Makes a large host of the lab host it runs on: real rules, links, namespaces, and an engine that answers for them.

`dockerd <made_host.py`, dockerd being a copy of Python: an engine is known by its process. What is asked for is in
ASKED, as JSON: how many networks, the rules for iptables-nft-restore, and what a real engine once answered. It answers on the
engine's socket until it is ended, and prints `ready` before.
"""

import copy
import json
import os
import re
import socketserver
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

ASKED = Path("/root/bench/asked")
SOCKET = "/run/docker.sock"
DNS_RULES = """*nat
:DOCKER_OUTPUT - [0:0]
:DOCKER_POSTROUTING - [0:0]
-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT
-A POSTROUTING -d 127.0.0.11/32 -j DOCKER_POSTROUTING
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 127.0.0.11:40001
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40002
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p tcp -m tcp --sport 40001 -j SNAT --to-source :53
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 40002 -j SNAT --to-source :53
COMMIT
"""


def bridge(network):
    return f"br-{network:09x}"


def subnet(network):
    return f"10.{network // 256}.{network % 256}"


def run(*command, text=""):
    subprocess.run(command, input=text, text=True, check=True)


def make_links(networks):
    """Bridges with their addresses; two containers' namespaces at each. Returns the containers' PIDs."""
    lines = []
    for n in range(networks):
        lines += [
            f"link add {bridge(n)} type bridge",
            f"addr add {subnet(n)}.1/24 dev {bridge(n)}",
            f"link set {bridge(n)} up",
        ]
    run("ip", "-batch", "-", text="\n".join(lines) + "\n")
    processes = [subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) for _ in range(2 * networks)]
    wait_for_own_namespaces(processes)
    lines = []
    for c, process in enumerate(processes):
        lines += [
            f"link add v{c:07x} mtu 1500 type veth peer name eth0 netns {process.pid}",
            f"link set v{c:07x} master {bridge(c // 2)}",
            f"link set v{c:07x} up",
        ]
    run("ip", "-batch", "-", text="\n".join(lines) + "\n")
    for c, process in enumerate(processes):
        enter = ("nsenter", "--target", str(process.pid), "--net")
        own = f"{subnet(c // 2)}.{2 + c % 2}/24"
        batch = f"link set lo up\naddr add {own} dev eth0\nlink set eth0 up\nroute add default via {subnet(c // 2)}.1\n"
        run(*enter, "ip", "-batch", "-", text=batch)
        run(*enter, "iptables-nft-restore", text=DNS_RULES)
    return [process.pid for process in processes]


def wait_for_own_namespaces(processes):
    own = Path("/proc/self/ns/net").readlink()
    while any(Path(f"/proc/{process.pid}/ns/net").readlink() == own for process in processes):
        pass


def answers(networks, template, pids):
    """What the engine says of it, by path."""
    told = {"/version": template["version"], "/info": template["info"]}
    shape = next(one for one in template["networks"] if one["Name"] == "shop")
    made = []
    for n in range(networks):
        one = copy.deepcopy(shape)
        one.update(Name=f"net{n}", Id=f"{n:064x}", EnableIPv6=False)
        one["IPAM"]["Config"] = [{"Subnet": f"{subnet(n)}.0/24", "Gateway": f"{subnet(n)}.1"}]
        one["Options"] = {"com.docker.network.bridge.name": bridge(n)}
        made.append(one)
    told["/networks"] = made
    model = next(one for one in template["inspect"].values() if "shop" in one["NetworkSettings"]["Networks"])
    listed = []
    for c, pid in enumerate(pids):
        n = c // 2
        one = copy.deepcopy(model)
        one.update(Id=f"{c:064x}", Name=f"/web{c}", ResolvConfPath="/etc/resolv.conf")
        one["State"].update(Status="running", Running=True, Pid=pid)
        one["HostConfig"].update(NetworkMode=f"net{n}", PortBindings={}, Dns=[], ExtraHosts=[])
        endpoint = copy.deepcopy(next(iter(one["NetworkSettings"]["Networks"].values())))
        endpoint.update(
            NetworkID=f"{n:064x}",
            IPAddress=f"{subnet(n)}.{2 + c % 2}",
            IPPrefixLen=24,
            Gateway=f"{subnet(n)}.1",
            GlobalIPv6Address="",
            IPv6Gateway="",
            GlobalIPv6PrefixLen=0,
        )
        one["NetworkSettings"].update(Networks={f"net{n}": endpoint}, Ports={})
        told[f"/containers/{c:064x}/json"] = one
        listed.append(
            {"Id": f"{c:064x}", "Names": [f"/web{c}"], "State": "running", "Status": "Up", "Image": "lab"}
        )
    told["/containers/json"] = listed
    for one in made:
        told[f"/networks/{one['Id']}"] = one
    return {path: json.dumps(one).encode() for path, one in told.items()}


class Engine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: ClassVar = {}

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Api-Version", json.loads(self.told["/version"])["ApiVersion"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        path = re.sub(r"^/v[\d.]+", "", self.path.partition("?")[0])
        if path == "/_ping":
            self.do_HEAD()
            return
        content = self.told.get(path, b"{}")
        self.send_response(200 if path in self.told else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main():
    asked = json.loads(ASKED.read_text())
    networks, template = asked["networks"], asked["engine"]
    pids = make_links(networks)
    run("iptables-nft-restore", text=asked["rules"])
    template["info"].update(Name=os.uname().nodename, KernelVersion=os.uname().release)
    Handler.told = answers(networks, template, pids)
    Path(SOCKET).unlink(missing_ok=True)
    with Engine(SOCKET, Handler) as engine:
        print("ready", flush=True)
        engine.serve_forever()


if __name__ == "__main__":
    main()
