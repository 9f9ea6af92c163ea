"""Real namespaces, made, read by the worker that reads containers', and compared before and after."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockerdiag.packet.netfilter import parse
from dockerdiag.readers import firewall, listeners, namespaces, visit
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.legacy import same_rules
from dockerdiag.readers.namespace import read_namespace
from dockerdiag.readers.namespaces import read_namespaces
from dockerdiag.snapshot import (
    IpSet,
    Listener,
    NetdevHook,
    NetworkNamespace,
    NextHop,
    RouteAnswer,
    RoutingRule,
    TableFlags,
    Unread,
)

LINKS = """
ip link set lo up
ip link add name br0 type bridge stp_state 0 nf_call_iptables 1
ip link add name inside type veth peer name port
ip link set port master br0
bridge link set dev port isolated on hairpin on
ip link set port up
ip link set br0 up
ip link set inside up mtu 1400
ip address add 10.1.0.1/24 dev br0
ip address add fd00::1/64 dev br0 nodad
ip address add 10.2.0.1 peer 10.2.0.2 dev inside
ip route add default via 10.1.0.2
ip route add 10.5.0.0/24 nexthop via 10.1.0.3 weight 2 nexthop dev br0
ip route add blackhole 10.6.0.0/16 metric 5
ip route add prohibit 10.8.0.0/16 table 100
ip route add 10.7.0.0/16 via 10.1.0.9 dev br0 table 1000 mtu 1300 src 10.1.0.1
ip route add 10.9.0.0/16 via inet6 fe80::5 dev br0
ip -6 route add unreachable fd09::/64
ip rule add from 10.1.0.0/24 fwmark 0x1/0xff ipproto tcp dport 1-5 lookup 100 priority 10
ip rule add not iif br0 lookup main suppress_prefixlength 0 priority 11
ip -6 rule add to fd01::/64 unreachable priority 12
ip neighbour add 10.1.0.2 lladdr 02:00:00:00:00:01 dev br0 nud permanent
"""


def by_name(parts: object) -> dict[str, object]:
    assert isinstance(parts, tuple), parts
    return {part.name: part for part in parts}


def test_links_addresses_routes_rules_and_neighbours(namespace) -> None:
    namespace.run(LINKS)
    read = namespace.read()
    links = by_name(read.links)
    bridge, port, inside = links["br0"], links["port"], links["inside"]
    assert (bridge.kind, bridge.up, bridge.stp, bridge.bridge_nf_call_iptables) == (
        "bridge",
        True,
        False,
        True,
    )
    assert (port.kind, port.master, port.peer) == ("veth", bridge.index, inside.index)
    assert (port.bridge_port_state, port.bridge_port_isolated, port.bridge_port_hairpin) == (3, True, True)
    assert (inside.mtu, inside.master, links["lo"].loopback) == (1400, None, True)
    addresses = {(one.address, one.prefix_length, one.link, one.peer) for one in read.addresses}
    assert {("10.1.0.1", 24, bridge.index, None), ("fd00::1", 64, bridge.index, None)} <= addresses
    assert ("10.2.0.1", 32, inside.index, "10.2.0.2") in addresses
    routes = {(one.table, one.destination): one for one in read.routes}
    assert routes[254, "0.0.0.0/0"].next_hops == (NextHop(bridge.index, "10.1.0.2"),)
    assert [one.weight for one in routes[254, "10.5.0.0/24"].next_hops] == [2, 1]
    assert (routes[254, "10.6.0.0/16"].type, routes[254, "10.6.0.0/16"].metric) == ("blackhole", 5)
    assert routes[100, "10.8.0.0/16"].type == "prohibit"
    assert (routes[1000, "10.7.0.0/16"].mtu, routes[1000, "10.7.0.0/16"].preferred_source) == (
        1300,
        "10.1.0.1",
    )
    assert routes[254, "10.9.0.0/16"].next_hops[0].gateway == "fe80::5"
    assert routes[254, "fd09::/64"].type == "unreachable"
    rules = {one.priority: one for one in read.rules if one.priority in (10, 11, 12)}
    assert rules[10] == RoutingRule(
        4, 10, "lookup", 100, source="10.1.0.0/24", mark=1, mask=255, protocol=6, destination_ports=(1, 5)
    )
    assert rules[11] == RoutingRule(
        4, 11, "lookup", 254, invert=True, in_link="br0", suppress_prefix_length=0
    )
    assert (rules[12].family, rules[12].action, rules[12].destination) == (6, "unreachable", "fd01::/64")
    neighbours = {(one.address, one.mac, one.state) for one in read.neighbours}
    assert ("10.1.0.2", "02:00:00:00:00:01", "permanent") in neighbours


def test_the_kernel_is_asked_its_own_routes(namespace) -> None:
    namespace.run(LINKS + "ip rule delete priority 11")
    answers = {
        one.destination: one
        for one in namespace.read("10.1.0.7", "1.1.1.1", "10.6.0.1", "fd09::1").route_answers
    }
    assert answers["1.1.1.1"].out_link == "br0"
    assert answers["1.1.1.1"].gateway == "10.1.0.2"
    assert answers["10.1.0.7"] == RouteAnswer(
        "10.1.0.7", None, None, 0, None, "unicast", "br0", None, 254, "10.1.0.1"
    )
    assert answers["10.6.0.1"].error == "EINVAL"
    assert answers["fd09::1"].error == "EHOSTUNREACH"


def test_sysctls_are_those_of_the_namespace(namespace) -> None:
    namespace.run("ip link add eth0.100 type veth peer name other; echo 1 > /proc/sys/net/ipv4/ip_forward")
    namespace.run("echo 0 > /proc/sys/net/ipv4/conf/eth0.100/forwarding")
    sysctls = namespace.read().sysctls
    assert sysctls["net/ipv4/ip_forward"] == "1"
    assert sysctls["net/ipv4/conf/eth0.100/forwarding"] == "0"
    assert sysctls["net/ipv4/conf/other/forwarding"] == "1"
    assert sysctls["net/ipv4/ip_local_port_range"] == "32768 60999"
    assert "net/ipv6/conf/all/forwarding" in sysctls


@contextmanager
def listening(namespace, sockets: str) -> Iterator[None]:
    """Python code that makes a list `made` runs in the namespace meanwhile."""
    code = f"import socket, time\n{sockets}\nprint('ready', flush=True); time.sleep(60)\n"
    namespace.run("ip link set lo up")
    enter = ["nsenter", "--target", str(namespace.pid), "--net", sys.executable, "-c", code]
    with subprocess.Popen(enter, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout.readline() == b"ready\n"
            yield
        finally:
            server.kill()


@pytest.mark.parametrize("tcp_diag", ["present", "absent", "refused"])
def test_listeners_are_those_of_the_namespace(namespace, monkeypatch, tcp_diag: str) -> None:
    if tcp_diag == "refused":
        monkeypatch.setattr(listeners, "_NETLINK_SOCK_DIAG", 31)  # which no kernel has
        tcp_diag = "present"
    monkeypatch.setattr(listeners, "presence", lambda _: tcp_diag)
    sockets = """
made = []
for family, kind, address in ((2, 1, "127.0.0.1"), (2, 2, "0.0.0.0"), (10, 1, "::1"), (10, 2, "::1")):
    one = socket.socket(family, kind); one.bind((address, 5353)); made.append(one)
    kind == 1 and one.listen()
"""
    with listening(namespace, sockets):
        found = namespace.read().listeners
    assert set(found) == {
        Listener("tcp", "127.0.0.1", 5353),
        Listener("udp", "0.0.0.0", 5353),
        Listener("tcp", "::1", 5353),
        Listener("udp", "::1", 5353),
    }


@pytest.mark.parametrize("tcp_diag", ["present", "absent"])
@pytest.mark.parametrize("number", [25, 26, 27, 28, 100], ids=str)
def test_more_listeners_than_the_kernel_tells_at_once(
    namespace, monkeypatch, number: int, tcp_diag: str
) -> None:
    monkeypatch.setattr(listeners, "presence", lambda _: tcp_diag)
    with listening(
        namespace, f"made = [socket.create_server(('', port)) for port in range(2000, {2000 + number})]"
    ):
        found = namespace.read().listeners
    assert {one.port for one in found} == set(range(2000, 2000 + number))


RULES = """
iptables-nft -A FORWARD -s 10.0.0.0/8 -m conntrack --ctstate NEW -j DROP
ip6tables-nft -A FORWARD -p tcp -j ACCEPT
nft add table inet mine
nft add chain inet mine forward '{ type filter hook forward priority 5; policy drop; }'
"""


def test_connection_tracking_counts_in_the_namespace(namespace) -> None:
    namespace.run("ip link set lo up")
    namespace.run("nft add table ip t")
    namespace.run("nft 'add chain ip t in { type filter hook input priority 0; }'")
    namespace.run("nft add rule ip t in ct state invalid counter")
    assert not any(namespace.read().conntrack_counters.values())
    no_segment = "socket.socket(socket.AF_INET, socket.SOCK_RAW, 6).sendto(bytes(20), ('127.0.0.1', 0))"
    namespace.run(f'{sys.executable} -c "import socket; {no_segment}"')
    assert namespace.read().conntrack_counters["invalid"] > 0


FROM_NOWHERE = """
import socket, struct
header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20, 1, 0, 64, 17, 0, bytes((198, 51, 100, 1)), bytes((10, 9, 0, 1)))
total = sum(struct.unpack("!10H", header))
header = header[:10] + struct.pack("!H", 0xFFFF & ~((total & 0xFFFF) + (total >> 16))) + header[12:]
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind(("out0", 0))
for _ in range(7):
    sender.send(bytes.fromhex("020000000002" "020000000001" "0800") + header)
"""


def test_what_the_kernel_dropped_is_counted_in_the_namespace(namespace, tmp_path: Path) -> None:
    namespace.run(
        "ip link add out0 address 02:00:00:00:00:01 type veth peer name in0 address 02:00:00:00:00:02"
    )
    namespace.run("ip address add 10.9.0.1/24 dev in0; ip link set out0 up; ip link set in0 up")
    namespace.run("echo 1 > /proc/sys/net/ipv4/conf/in0/rp_filter")
    before = namespace.read().ip_counters["IPReversePathFilter"]
    (tmp_path / "send.py").write_text(FROM_NOWHERE)
    namespace.run(f"{sys.executable} {tmp_path}/send.py")
    assert namespace.read().ip_counters["IPReversePathFilter"] == before + 7


def test_rule_sets_are_read_and_left_alone(namespace) -> None:
    namespace.run(RULES)
    state = "nft --stateless list ruleset; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null || true"
    before = namespace.run(state)
    firewall = namespace.read().firewall
    assert namespace.run(state) == before
    assert '"policy": "drop"' in firewall.nft
    assert "-A FORWARD -s 10.0.0.0/8 -m conntrack --ctstate NEW -j DROP" in firewall.iptables_nft
    assert "-A FORWARD -p tcp -j ACCEPT" in firewall.ip6tables_nft
    assert (firewall.iptables_legacy, firewall.ip6tables_legacy) == ("", "")
    assert (firewall.ipsets, firewall.netdev_hooks) == ((), ())


NATIVE = """
nft add table ip filter
nft add chain ip filter FORWARD '{ type filter hook forward priority 0; }'
nft add rule ip filter FORWARD tcp dport 22 limit rate 5/second counter drop
"""


@pytest.mark.parametrize(
    ("rules", "compat", "printed"),
    [
        (NATIVE, "present", True),
        (NATIVE, "absent", False),
        (NATIVE, "unknown", False),
        (NATIVE.replace("ip filter", "ip mine"), "present", False),
        # An extension in the kernel is the proof that what tells about it is there.
        (RULES, "absent", True),
        (RULES, "unknown", True),
    ],
)
def test_the_save_program_is_run_where_it_loads_nothing(
    namespace, monkeypatch: pytest.MonkeyPatch, rules: str, compat: str, printed: bool
) -> None:
    namespace.run(rules)
    monkeypatch.setattr(firewall, "presence", lambda module: compat if module == "nft_compat" else "present")
    read = namespace.read().firewall
    assert ("-A FORWARD" in read.iptables_nft) is printed
    assert "FORWARD" in read.nft


@pytest.mark.parametrize("compat", ["absent", "unknown"])
def test_without_a_listing_the_save_program_is_not_run_where_it_could_load(
    namespace, monkeypatch: pytest.MonkeyPatch, compat: str
) -> None:
    namespace.run(RULES)
    monkeypatch.setattr(firewall, "_nft", lambda _: Unread("nft is not installed"))
    monkeypatch.setattr(firewall, "presence", lambda module: compat if module == "nft_compat" else "present")
    read = namespace.read().firewall.iptables_nft
    assert isinstance(read, Unread)
    assert "nft_compat" in read.reason


def test_a_fresh_namespace_stays_fresh(namespace) -> None:
    tables = "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null || true"
    sysctls = (
        "cd /proc/sys/net && find . -type f ! -name '*count*' ! -path '*stable_secret*' -exec grep -H . {} +"
        " 2>/dev/null || true"
    )
    before = namespace.run(
        f"{tables}; nft list ruleset; ip -d link; ip route show table all; ip rule; {sysctls}"
    )
    firewall = namespace.read("1.1.1.1", "2001:db8::1").firewall
    after = namespace.run(
        f"{tables}; nft list ruleset; ip -d link; ip route show table all; ip rule; {sysctls}"
    )
    assert after == before
    assert namespace.run(tables) == ""
    assert (firewall.iptables_nft, firewall.ip6tables_nft, firewall.iptables_legacy) == ("", "", "")


LEGACY = """
iptables-legacy -N X
iptables-legacy -P FORWARD DROP
iptables-legacy -A FORWARD -s 10.0.0.0/8 ! -d 10.1.0.0/16 -i br0 ! -o eth0 -p tcp -m tcp ! --dport 80 \
  -m comment --comment "it's a \\"test\\"" -j REJECT --reject-with tcp-reset
iptables-legacy -A FORWARD -g X
iptables-legacy -A X -s 10.0.0.0/255.0.255.0 -f -j RETURN
iptables-legacy -t nat -A POSTROUTING ! -o br0 -j MASQUERADE
ip6tables-legacy -A FORWARD -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
"""


def test_legacy_tables_are_read_and_none_is_registered(namespace) -> None:
    namespace.run(LEGACY)
    names = "sort /proc/net/ip_tables_names /proc/net/ip6_tables_names"
    assert namespace.run(names).split() == ["filter", "filter", "nat"]
    firewall = namespace.read().firewall
    assert namespace.run(names).split() == ["filter", "filter", "nat"]
    assert ":FORWARD DROP" in firewall.iptables_legacy
    assert "-A POSTROUTING ! -o br0 -j MASQUERADE" in firewall.iptables_legacy
    assert "--icmpv6-type 135 -j ACCEPT" in firewall.ip6tables_legacy


@pytest.mark.skipif(importlib.util.find_spec("iptc") is None, reason="python-iptables is not installed")
def test_python_iptables_reads_what_the_save_program_prints(namespace) -> None:
    namespace.run(LEGACY)
    for version, tool in ((4, "iptables-legacy-save"), (6, "ip6tables-legacy-save")):
        worker = f"{sys.executable} -P -m dockerdiag.readers.legacy_worker {version}"
        by_library = namespace.run(f"cd {sys.path[0]!r}; PYTHONPATH={':'.join(sys.path)!r} {worker}")
        assert same_rules(namespace.run(f"{tool} -c"), by_library), by_library


def test_devices_of_netdev_chains(namespace) -> None:
    namespace.run("""
        ip link set lo up; ip link add br0 type bridge
        nft add table netdev t
        nft 'add chain netdev t one { type filter hook ingress device lo priority 0; }'
        nft 'add chain netdev t two { type filter hook ingress devices = { lo, br0 } priority 1; }'
        nft add table inet i
        nft 'add chain inet i three { type filter hook ingress device br0 priority 1; }'
        nft 'add chain inet i four { type filter hook forward priority 1; }'
    """)
    hooks = {(one.chain): one for one in namespace.read().firewall.netdev_hooks}
    assert hooks.keys() == {"one", "two", "three"}
    assert hooks["one"] == NetdevHook("netdev", "t", "one", ("lo",))
    assert set(hooks["two"].devices) == {"lo", "br0"}
    assert hooks["three"] == NetdevHook("inet", "i", "three", ("br0",))


def test_a_dormant_table_is_told_from_one_that_is_not(namespace) -> None:
    namespace.run("""
        nft add table ip plain
        nft 'add chain ip plain c { type filter hook forward priority 0; policy drop; }'
    """)
    assert namespace.read().firewall.table_flags == ()
    namespace.run("""
        nft 'add table ip sleeps { flags dormant; }'
        nft 'add chain ip sleeps c { type filter hook forward priority 0; policy drop; }'
    """)
    read = namespace.read().firewall
    assert set(read.table_flags) == {TableFlags("ip", "plain", False), TableFlags("ip", "sleeps", True)}
    assert {table.name: table.dormant for table in parse(read).tables} == {"plain": False, "sleeps": True}


def test_members_of_ipsets_are_as_ipset_prints_them(namespace) -> None:
    namespace.run("""
        ipset create a hash:ip; ipset add a 1.2.3.4
        ipset create b hash:net; ipset add b 10.0.0.0/8; ipset add b 10.1.0.0/16 nomatch
        ipset create c hash:ip,port,net; ipset add c 1.1.1.1,udp:53,10.0.0.0/8
        ipset create d hash:net,iface; ipset add d 10.0.0.0/24,eth0
        ipset create e list:set; ipset add e a; ipset add e b
        ipset create f bitmap:port range 1-100; ipset add f 5
        ipset create g hash:net family inet6; ipset add g fd00::/64
        ipset create h bitmap:ip,mac range 10.0.0.0/24; ipset add h 10.0.0.3,02:00:00:00:00:0a
        ipset create i hash:ip family inet6; ipset add i ::1
        ipset create j hash:net,iface; ipset add j 10.0.0.0/24,eth wildcard; ipset add j 10.0.0.0/24,physdev:eth0
    """)
    printed: dict[str, list[str]] = {}
    for line in namespace.run("ipset list -sorted").splitlines():
        if line.startswith("Name: "):
            members = printed.setdefault(line.removeprefix("Name: "), [])
        elif line and ": " not in line and line != "Members:":
            members.append(line)
    sets = {one.name: one for one in namespace.read().firewall.ipsets}
    assert {name: sorted(one.members) for name, one in sets.items()} == {
        n: sorted(m) for n, m in printed.items()
    }
    assert sets["g"] == IpSet("g", "hash:net", "inet6", ("fd00::/64",))
    assert (sets["e"].type, sets["e"].family) == ("list:set", "")


def test_the_masks_of_ipsets_are_read(namespace) -> None:
    namespace.run("""
        ipset create a hash:ip netmask 24; ipset add a 192.0.2.7
        ipset create b hash:ip family inet6 netmask 64; ipset add b fd00:1::5
        ipset create c bitmap:ip range 10.0.0.0/16 netmask 24; ipset add c 10.0.5.0
        ipset create d hash:ip bitmask 255.0.0.255 && ipset add d 10.9.9.2 || true
    """)
    sets = {one.name: (one.members, one.mask) for one in namespace.read().firewall.ipsets}
    # Older tools and kernels know no bitmask.
    assert sets.pop("d", (("10.0.0.2",), 0xFF0000FF)) == (("10.0.0.2",), 0xFF0000FF)
    assert sets == {
        "a": (("192.0.2.0",), 0xFFFFFF00),
        "b": (("fd00:1::",), 0xFFFFFFFFFFFFFFFF << 64),
        "c": (("10.0.5.0",), 0xFFFFFF00),
    }


def test_a_large_ipset_is_read_whole(namespace) -> None:
    namespace.run("""
        ipset create big hash:ip
        for a in $(seq 0 19); do for b in $(seq 0 249); do echo add big 10.0.$a.$b; done; done | ipset restore
    """)
    (big,) = namespace.read().firewall.ipsets
    assert len(set(big.members)) == 5000


def test_one_that_is_gone_costs_only_itself(namespace) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    found = read_namespaces({"net:[1]": gone.pid, namespace.name: namespace.pid}, (), Deadline(30))
    assert found["net:[1]"] == Unread("the container stopped while the host was read")
    assert isinstance(found[namespace.name], NetworkNamespace)


def test_one_that_ends_while_it_is_read_is_not_believed(namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its engine takes the links away before it says that the container has ended."""
    command = ["nsenter", f"--net=/proc/{namespace.pid}/ns/net", "sleep", "60"]
    with subprocess.Popen(command) as container:
        while Path(f"/proc/{container.pid}/ns/net").readlink() != Path(namespace.name):
            time.sleep(0.01)

        def read_and_end(deadline: Deadline, *, one_by_one: bool) -> NetworkNamespace:
            found = read_namespace(deadline, one_by_one=one_by_one)
            container.kill()
            container.wait()
            return found

        monkeypatch.setattr(visit, "read_namespace", read_and_end)
        found = read_namespaces({namespace.name: container.pid}, (), Deadline(30))
    assert found[namespace.name] == Unread("the container stopped while the host was read")


def test_a_pid_that_changed_hands_is_not_read(namespace) -> None:
    found = read_namespaces({"net:[1]": namespace.pid}, (), Deadline(30))
    assert found["net:[1]"] == Unread("the container was restarted while the host was read")


def test_processes_read_what_threads_read(namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace.run(LINKS)
    namespace.run(RULES)
    by_thread = namespace.read("10.1.0.2")
    monkeypatch.setattr(namespaces, "_FEW", 0)
    by_process = namespace.read("10.1.0.2")
    assert by_process.sysctls.keys() == by_thread.sysctls.keys()  # one counts connections
    # The kernel adds IPv6 routes in its own time, once duplicate address detection is over.
    by_thread_4, by_process_4 = (
        [one for one in read.routes if one.family == 4] for read in (by_thread, by_process)
    )
    assert by_process_4 == by_thread_4
    assert by_process.rules == by_thread.rules
    assert by_process.route_answers == by_thread.route_answers
    assert by_process.firewall.nft == by_thread.firewall.nft


def test_a_hung_tool_is_ended_with_its_worker(
    namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its sleep is found again by the odd number.
    (tmp_path / "nft").write_text("#!/bin/sh\nexec sleep 300.0625\n")
    (tmp_path / "nft").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    started = time.monotonic()
    found = read_namespaces({namespace.name: namespace.pid}, (), Deadline(3))
    assert time.monotonic() - started < 6
    assert namespace.name in found
    time.sleep(0.3)
    commands = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists()]
    assert b"sleep\x00300.0625\x00" not in commands


def test_the_deadline_is_kept(namespace) -> None:
    deadline = Deadline(0.01)
    time.sleep(0.02)
    found = read_namespaces({namespace.name: namespace.pid}, (), deadline)
    assert isinstance(found[namespace.name], Unread)
    assert "0.01 s" in found[namespace.name].reason


def test_queues_without_a_program_are_none(namespace) -> None:
    assert namespace.read().packet_queues == ()
