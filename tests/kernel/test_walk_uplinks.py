"""By what a host's containers leave: VLANs, bonds, bridges with a network card in them, VRFs, macvlan.

Where the kernel knows no links of a kind, its cases are left out.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from dockerdiag.asked import Asked
from dockerdiag.dataclass import replace
from dockerdiag.diagnosis import diagnose
from dockerdiag.packet.walk import Journey
from dockerdiag.registry import checks
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Endpoint, IpamPool, Network, Snapshot
from tests.kernel.test_walk_agreement import NO_ROUTE, Case, both, compare, host, predict
from tests.kernel.walk_lab import (
    HOST,
    HOST6,
    ROUTER,
    ROUTER6,
    SERVER,
    SERVER6,
    SERVICE,
    UPLINK,
    Lab,
    lab,
)

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

_UNKNOWN = Disposition.UNKNOWN
_LACKING = re.compile("Unknown device type|not supported|load TC action|classifier not found")
_BESIDE = "198.51.100.9"


def net(*lines: str) -> Callable[[Lab], object]:
    return lambda here: here.run("net", *lines)


def making(*lines: str) -> Callable[[Lab], object]:
    """What not every kernel can: the case is left out where this one cannot."""

    def make(here: Lab) -> None:
        done = subprocess.run(
            [*here.inside("host"), "sh", "-ec", "\n".join(lines)],
            capture_output=True,
            text=True,
            check=False,
        )
        if _LACKING.search(done.stderr):
            pytest.skip(f"this kernel cannot: {done.stderr.splitlines()[0]}")
        assert done.returncode == 0, done.stderr

    return make


_NOWHERE = both(
    host(f"ip address flush dev {UPLINK}", "ip -6 route flush default"), net("ip address flush dev eth0")
)


def leaving_by(link: str, beyond: str = "eth0") -> Callable[[Lab], object]:
    """The host's address and routes on another link, and the internet's router on one that takes its frames."""
    return both(
        net(
            f"ip link set {beyond} up",
            f"ip address add {ROUTER}/24 dev {beyond}",
            f"ip address add {ROUTER6}/64 dev {beyond} nodad",
        ),
        host(
            f"ip link set {link} up",
            f"ip address add {HOST}/24 dev {link}",
            f"ip address add {HOST6}/64 dev {link} nodad",
            f"ip route add default via {ROUTER}",
            f"ip route add default via {ROUTER6}",
        ),
    )


def under_bridge(*options: str) -> Callable[[Lab], object]:
    """A bridge with the network card in it has the host's address."""
    words = " ".join(options)
    return both(
        _NOWHERE,
        making(f"ip link add br0 type bridge {words}", f"ip link set {UPLINK} master br0"),
        leaving_by("br0"),
    )


_TAP = """
import fcntl, os, struct, sys, time
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH", b"vnet0", 0x1002))
print("ready", flush=True)
time.sleep(600)
"""


def guest(here: Lab) -> None:
    """A virtual machine's link, with somebody who takes its frames."""
    command = [*here.inside("host"), sys.executable, "-S", "-c", _TAP]
    machine = here._servers["guest"] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert machine.stdout is not None
    assert machine.stdout.readline() == "ready\n"
    here.run("host", "ip link set vnet0 up master br0")


def with_guest(change: Callable[[Lab], object]) -> Callable[[Lab], object]:
    return both(under_bridge(), guest, change)


def vlan(here: Lab) -> None:
    _NOWHERE(here)
    making(f"ip link add link {UPLINK} name {UPLINK}.5 type vlan id 5")(here)
    net("ip link add link eth0 name eth0.5 type vlan id 5")(here)
    leaving_by(f"{UPLINK}.5", "eth0.5")(here)


def bond(here: Lab) -> None:
    _NOWHERE(here)
    here.wire("net", "eth1", "eth1")
    making("ip link add bond0 type bond mode active-backup miimon 50")(here)
    net("ip link add br0 type bridge", *(f"ip link set {one} up master br0" for one in ("eth0", "eth1")))(
        here
    )
    host(*(f"ip link set {one} down\nip link set {one} master bond0" for one in (UPLINK, "eth1")))(here)
    leaving_by("bond0", "br0")(here)


def vlan_on_aware_bridge(here: Lab) -> None:
    _NOWHERE(here)
    making(
        "ip link add br0 type bridge vlan_filtering 1",
        f"ip link set {UPLINK} master br0",
        "ip link set br0 up",
        f"bridge vlan add dev {UPLINK} vid 5",
        "bridge vlan add dev br0 vid 5 self",
        "ip link add link br0 name br0.5 type vlan id 5",
    )(here)
    net("ip link add link eth0 name eth0.5 type vlan id 5")(here)
    leaving_by("br0.5", "eth0.5")(here)


def in_vrf(here: Lab) -> None:
    """The uplink in a VRF, and the main table leads into it."""
    making("ip link add vrf0 type vrf table 10", "ip link set vrf0 up")(here)
    host(
        "ip route flush default",
        f"ip link set {UPLINK} master vrf0",
        f"ip route add default via {ROUTER} dev {UPLINK} table 10",
    )(here)


def _no_carrier(*links: str) -> Callable[[Lab], object]:
    return net(*(f"ip link set {link} down" for link in links))


_TOLD = host("until ip link show bond0 | grep -q NO-CARRIER; do sleep 0.1; done")
"""A bond looks at its ports now and then."""

_HEALTHY = [
    Case("a bridge with the network card", under_bridge()),
    Case("a bridge with the network card, IPv6", under_bridge(), destination=SERVER6),
    Case("a bridge with the network card and a guest", with_guest(host("true"))),
    Case("a VLAN", vlan),
    Case("a VLAN, IPv6", vlan, destination=SERVER6),
    Case("a bond", bond),
    Case("a bond, one port down", both(bond, host(f"ip link set {UPLINK} down"))),
    Case("a bond, one port without carrier", both(bond, _no_carrier("eth0"))),
    Case("a VLAN-aware bridge", under_bridge("vlan_filtering 1")),
    Case("a VLAN on a VLAN-aware bridge", vlan_on_aware_bridge),
    Case(
        "a VRF for a link of its own",
        both(
            making("ip link add vrf0 type vrf table 10", "ip link set vrf0 up"),
            lambda here: here.wire("net", "eth1", "eth1"),
            host("ip link set eth1 master vrf0", "ip address add 192.0.2.2/24 dev eth1"),
            host("ip route add default via 192.0.2.1 table 10"),
        ),
    ),
]
_MENDED = [
    Case(
        "a bridge, the network card down",
        both(under_bridge(), host(f"ip link set {UPLINK} down")),
        f"link {UPLINK}",
    ),
    Case(
        "a VLAN that stays up, its parent down",
        both(vlan, host(f"ip link set {UPLINK}.5 type vlan loose_binding on", f"ip link set {UPLINK} down")),
        f"link {UPLINK}",
    ),
    Case(
        "a bridge with a VLAN in it, its parent down",
        both(
            _NOWHERE,
            making(f"ip link add link {UPLINK} name {UPLINK}.5 type vlan id 5"),
            net("ip link add link eth0 name eth0.5 type vlan id 5"),
            host("ip link add br0 type bridge", f"ip link set {UPLINK}.5 up master br0"),
            leaving_by("br0", "eth0.5"),
            host(f"ip link set {UPLINK} down"),
        ),
        f"link {UPLINK}",
    ),
    Case(
        "a bond, all ports down",
        both(bond, host(f"ip link set {UPLINK} down", "ip link set eth1 down"), _TOLD),
        f"link {UPLINK}",
    ),
    Case(
        "a VLAN-aware bridge, itself in no VLAN",
        both(under_bridge("vlan_filtering 1"), host("bridge vlan del dev br0 vid 1 self")),
        "link br0",
    ),
    Case(
        "a VLAN-aware bridge, its port in no VLAN",
        both(under_bridge("vlan_filtering 1"), host(f"bridge vlan del dev {UPLINK} vid 1")),
        f"link {UPLINK}",
    ),
    Case(
        "a VLAN on a VLAN-aware bridge, which is not in it",
        both(vlan_on_aware_bridge, host("bridge vlan del dev br0 vid 5 self")),
        "link br0",
    ),
    Case(
        "a VLAN on a VLAN-aware bridge, whose port is not in it",
        both(vlan_on_aware_bridge, host(f"bridge vlan del dev {UPLINK} vid 5")),
        f"link {UPLINK}",
    ),
]
_FAULTS = [
    *_MENDED,
    Case("a bridge whose spanning tree still listens", under_bridge("stp_state 1"), f"link {UPLINK}"),
    Case("a bridge, no carrier", both(under_bridge(), _no_carrier("eth0")), f"link {UPLINK}"),
    Case(
        "a bridge without a port",
        both(under_bridge(), host(f"ip link set {UPLINK} nomaster")),
        "link br0",
    ),
    Case(
        "a bridge, the network card in another",
        both(
            under_bridge(),
            host("ip link add br1 type bridge", "ip link set br1 up", f"ip link set {UPLINK} master br1"),
        ),
        "link br0",
    ),
    Case(
        "a bridge with a guest, the network card down",
        with_guest(host(f"ip link set {UPLINK} down")),
        f"link {UPLINK}",
        disposition=_UNKNOWN,
    ),
    Case(
        "a bond, no carrier",
        both(
            bond,
            _no_carrier("eth0", "eth1"),
            _TOLD,
        ),
        "link bond0",
    ),
    Case(
        "a bond without ports",
        both(bond, host(f"ip link set {UPLINK} nomaster", "ip link set eth1 nomaster")),
        "link bond0",
    ),
    Case(
        "a VLAN, its parent down",
        both(vlan, host(f"ip link set {UPLINK} down")),
        f"no route to {SERVER}",
        disposition=NO_ROUTE,
    ),
    Case(
        "a VRF that the main table does not lead into", in_vrf, f"no route to {SERVER}", disposition=NO_ROUTE
    ),
    Case(
        "a VRF that the main table leads into, and no way back",
        both(in_vrf, host(f"ip route add default via {ROUTER} dev {UPLINK}")),
        "routes",
        "reply",
        _UNKNOWN,
    ),
]


@pytest.mark.parametrize("case", [*_HEALTHY, *_FAULTS], ids=lambda case: case.name)
def test_what_leaves_by_an_uplink_is_foretold(case: Case) -> None:
    compare(case)


def _delivered_at_last(here: Lab) -> Journey:
    """The walk once links that were set up have a carrier, which a bond looks for now and then."""
    deadline = time.monotonic() + 5
    while (journey := predict(here, SERVER)).disposition is not Disposition.DELIVERED:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return journey


@pytest.mark.parametrize("case", _MENDED, ids=lambda case: case.name)
def test_the_first_remedy_mends_it_and_is_undone(case: Case) -> None:
    with lab(f"ddu{os.getpid()}") as here:
        case.change(here)
        broken = here.snapshot()
        cause = diagnose(broken, Asked.parse(destinations=(f"{SERVER}:{SERVICE}/udp",)), checks()[0]).cause
        assert cause is not None
        remedy = cause.remedies[0]
        assert remedy.now, cause
        here.run("host", *remedy.now)
        mended = _delivered_at_last(here)
        answered = here.probe(SERVER)
        here.run("host", *remedy.undo)
        undone = predict(here, SERVER)
    assert mended.disposition is Disposition.DELIVERED, (cause.code, mended.halts)
    assert answered == (True, True)
    assert undone.halts[0].at == case.at


def test_a_guest_that_is_known_to_answer_is_the_way_out() -> None:
    with lab(f"ddu{os.getpid()}") as here:
        with_guest(host(f"ip link set {UPLINK} down"))(here)
        here.run("host", f"ip neigh replace {ROUTER} lladdr 02:00:00:00:00:09 dev br0 nud reachable")
        journey = predict(here, SERVER)
    assert journey.disposition is Disposition.DELIVERED


def test_answers_that_a_vrf_takes_in_are_not_taken_for_lost() -> None:
    with lab(f"ddu{os.getpid()}") as here:
        in_vrf(here)
        here.run(
            "host",
            f"ip route add default via {ROUTER} dev {UPLINK}",
            "ip route add 172.17.0.0/16 dev docker0 table 10",
        )
        journey = predict(here, SERVER)
        answered = here.probe(SERVER)
    assert answered == (True, True)
    assert journey.disposition is _UNKNOWN
    assert [halt.reason for halt in journey.halts] == [
        "the packet's link belongs to a VRF, which is not followed"
    ]


def test_a_process_may_be_bound_to_a_vrf() -> None:
    with lab(f"ddu{os.getpid()}") as here:
        in_vrf(here)
        findings = _findings(here.snapshot())
    assert not [one for one in findings if one.startswith("egress") and "unknown" not in one]


# -- macvlan -----------------------------------------------------------------------------------------------------


def macvlan(here: Lab, parent: str = UPLINK) -> None:
    """A container beside the host on its uplink."""
    here.add("beside")
    here.run(
        "host", f"ip link add link {parent} name mv0 netns {here.name('beside')} type macvlan mode bridge"
    )
    here.run(
        "beside",
        "ip link set mv0 name eth0",
        f"ip address add {_BESIDE}/24 dev eth0",
        "ip link set eth0 up",
        f"ip route add default via {ROUTER}",
    )
    pools = (IpamPool("198.51.100.0/24", ROUTER),)
    lan = Network(id="l" * 64, name="lan", driver="macvlan", pools=pools, options={"parent": parent})
    here.networks.append(lan)
    web = here.containers[0]
    endpoint = Endpoint(lan.name, lan.id, _BESIDE, 24, ROUTER)
    here.containers.append(
        replace(
            web,
            id="l" * 64,
            name="beside",
            pid=here._holders["beside"].pid,
            network_mode=lan.name,
            endpoints=(endpoint,),
            namespace=here.namespace("beside"),
        )
    )


@pytest.mark.parametrize(
    ("change", "at"),
    [
        (host("true"), None),
        (host(f"ip address flush dev {UPLINK}"), None),
        (host(f"ip link set {UPLINK} down"), f"link {UPLINK}"),
        (net("ip link set eth0 down"), f"link {UPLINK}"),
    ],
    ids=["healthy", "no address on the parent", "parent down", "parent without carrier"],
)
def test_what_stops_a_macvlan_is_its_parent(change: Callable[[Lab], object], at: str | None) -> None:
    with lab(f"ddu{os.getpid()}") as here:
        macvlan(here)
        change(here)
        journey = predict(here, SERVER, container=1)
        answered = here.probe(SERVER, role="beside")
    assert answered == (at is None, at is None)
    assert [halt.at for halt in journey.halts] == ([] if at is None else [at])
    assert all(halt.namespace is None for halt in journey.halts)


@pytest.mark.parametrize("beside", [False, True], ids=["the parent alone", "a macvlan of the host too"])
def test_a_macvlan_reaches_the_host_by_another_macvlan_alone(beside: bool) -> None:
    with lab(f"ddu{os.getpid()}") as here:
        macvlan(here)
        here.serve("host")
        if beside:
            here.run(
                "host",
                f"ip link add link {UPLINK} name shim up type macvlan mode bridge",
                f"ip route add {_BESIDE} dev shim",
            )
        journey = predict(here, HOST, container=1)
        answered = here.probe(HOST, role="beside", server="host")
    assert answered == (beside, beside)
    assert [halt.at for halt in journey.halts] == ([] if beside else [f"link {UPLINK}"])


def _findings(snapshot: Snapshot) -> list[str]:
    asked = Asked.parse(destinations=(f"{SERVER}:{SERVICE}/udp",))
    report = diagnose(snapshot, asked, checks()[0])
    return [f"{one.code} {one.status}" for result in report.results for one in result.findings]


def test_a_vlans_parent_is_set_up_for_the_macvlan_on_it() -> None:
    with lab(f"ddu{os.getpid()}") as here:
        vlan(here)
        macvlan(here, f"{UPLINK}.5")
        here.run("host", f"ip link set {UPLINK} down")
        asked = Asked.parse(containers=("beside",), destinations=(f"{SERVER}:{SERVICE}/udp",))
        cause = diagnose(here.snapshot(), asked, checks()[0]).cause
        assert cause is not None
        here.run("host", *cause.remedies[0].now)
        time.sleep(0.3)
        answered = here.probe(SERVER, role="beside")
    assert cause.code == "macvlan-parent-down"
    assert answered == (True, True)
