"""Where the way out is narrower than the container's link."""

from dataclasses import replace

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import NetworkNamespace
from tests.checks.hosts import (
    Change,
    cause_of,
    container_namespace,
    first_in,
    judged,
    links,
    told,
    with_table,
)

MANGLE = "*mangle\n:FORWARD ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n[0:0] -A {}\nCOMMIT\n"
CLAMP = "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"
NARROW = links("eth0", mtu=1400)
MUTE = first_in("OUTPUT", "-p icmp -m icmp --icmp-type 3/4 -j DROP")


def clamp(rule: str) -> Change:
    return with_table(MANGLE.format(f"{rule} {CLAMP}"))


def test_an_mtu_above_the_uplinks() -> None:
    report = judged(NARROW)
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report) == ("mtu", "mtu-above-uplink", "network:bridge")
    assert judged(links("eth0", mtu=9000)).verdict is Verdict.OK


def test_a_clamp_on_the_path_silences_it() -> None:
    assert judged(NARROW, clamp("FORWARD")).verdict is Verdict.OK
    assert judged(NARROW, clamp("FORWARD -o eth0")).verdict is Verdict.OK
    assert judged(NARROW, clamp("POSTROUTING -o eth0")).verdict is Verdict.OK


def test_a_clamp_on_another_path_does_not() -> None:
    for rule in ("FORWARD -i wlan0", "FORWARD -s 10.9.0.0/16", "POSTROUTING -o ppp0"):
        assert "mtu-above-uplink" in told(judged(NARROW, clamp(rule)))


def test_a_message_that_the_host_drops() -> None:
    report = judged(NARROW, MUTE)
    assert cause_of(report) == ("mtu", "mtu-mismatch", "network:bridge")
    assert report.cause is not None
    assert report.cause.status is Status.FAIL
    # The rule is before the one that drops it, in the variant that holds that.
    assert report.cause.remedies[0].now[0] == (
        "iptables-legacy -I OUTPUT 1 -o docker0 -p icmp --icmp-type fragmentation-needed -j ACCEPT"
    )


def test_a_message_that_is_dropped_matters_not_where_both_ways_are_clamped() -> None:
    assert judged(NARROW, MUTE, clamp("FORWARD")).verdict is Verdict.OK
    # Only what comes back is made small: large uploads are still lost.
    assert "mtu-mismatch" in told(judged(NARROW, MUTE, clamp("FORWARD -o eth0")))


def test_icmp_drops_that_do_not_concern_it() -> None:
    for rule in ("-p icmp -m icmp --icmp-type 8 -j DROP", "-o eth0 -p icmp -j DROP"):
        assert told(judged(NARROW, first_in("OUTPUT", rule))).keys() == {"mtu-above-uplink"}
    assert judged(MUTE).verdict is Verdict.OK


def test_a_bridge_that_is_narrower_than_its_containers() -> None:
    report = judged(links("docker0", mtu=1400))
    assert cause_of(report) == ("mtu", "mtu-of-bridge", "link:docker0")
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("ip link set docker0 mtu 1500",)
    assert judged(links("docker0", mtu=1400), clamp("FORWARD")).verdict is Verdict.OK
    assert judged(links("docker0", mtu=9000)).verdict is Verdict.OK


def test_a_bridge_as_narrow_as_the_uplink_meets_no_larger_answer() -> None:
    report = judged(links("docker0", mtu=1400), links("eth0", mtu=1400))
    assert told(report).keys() == {"mtu-above-uplink"}


def test_a_container_whose_route_says_what_the_bridge_takes() -> None:
    """The segment size that it announces follows its route."""

    def by_route(namespace: NetworkNamespace) -> NetworkNamespace:
        assert isinstance(namespace.routes, tuple)
        narrow = (
            replace(one, mtu=1400 if one.destination == "0.0.0.0/0" else None) for one in namespace.routes
        )
        return replace(namespace, routes=tuple(narrow))

    assert judged(links("docker0", mtu=1400), container_namespace(by_route)).verdict is Verdict.OK
