"""IPsec policies: the walk against the kernel, where they discard what goes unprotected, and where they do not."""

import os
from collections.abc import Callable

import pytest

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.packet.ipsec import describe_policy
from dockerdiag.registry import checks
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Unread
from tests.kernel.test_walk_agreement import Case, box, compare, host, predict
from tests.kernel.walk_lab import HOST, ROUTER, SERVER, SERVER6, SERVICE, Lab, lab

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

_SUBNET, _INTERNET = "172.17.0.0/16", "203.0.113.0/24"
_ESP = f"tmpl src {HOST} dst {ROUTER} proto esp mode tunnel"


def _policy(words: str) -> Callable[[Lab], object]:
    return host(f"ip xfrm policy add {words}")


def _blocked(name: str, words: str, direction: str = "out", destination: str = SERVER) -> Case:
    named = f"IPsec policy {words.partition(' priority')[0]}"
    return Case(name, _policy(f"{words} action block"), named, direction, destination=destination)


_BLOCKED = [
    _blocked("what is sent out", f"src 0.0.0.0/0 dst {_INTERNET} dir out"),
    _blocked("what is sent out, IPv6", "src ::/0 dst fd00:203::/64 dir out", destination=SERVER6),
    _blocked("what is sent out, as NAT leaves it", f"src {HOST}/32 dst 0.0.0.0/0 dir out"),
    _blocked("what is forwarded", f"src {_SUBNET} dst 0.0.0.0/0 dir fwd"),
    _blocked("answers that are forwarded", f"src {_INTERNET} dst {HOST}/32 dir fwd", "reply"),
    _blocked("answers that are sent on", f"src {_INTERNET} dst {_SUBNET} dir out", "reply"),
    _blocked("one protocol", f"src 0.0.0.0/0 dst {_INTERNET} proto 17 dir out"),
]
_CLEAR_BIT = _blocked(
    "a mark's bit that is clear", f"src 0.0.0.0/0 dst {_INTERNET} dir out mark 0x0 mask 0x1"
)
_PASSING = [
    Case("another subnet", _policy("src 10.0.0.0/8 dst 10.0.0.0/8 dir out action block")),
    Case("another protocol", _policy(f"src 0.0.0.0/0 dst {_INTERNET} proto tcp dir out action block")),
    Case("another port", _policy(f"src 0.0.0.0/0 dst {_INTERNET} proto udp dport 53 dir out action block")),
    Case("another mark", _policy(f"src 0.0.0.0/0 dst {_INTERNET} dir out mark 1 mask 1 action block")),
    Case("a tunnel's link", _policy(f"src 0.0.0.0/0 dst {_INTERNET} dir out if_id 7 action block")),
    Case("another link", _policy(f"src 0.0.0.0/0 dst {_INTERNET} dev docker0 dir out action block")),
    Case("what the host takes in", _policy("src 0.0.0.0/0 dst 0.0.0.0/0 dir in action block")),
    Case(
        "answers forwarded, by the address that NAT gives them",
        _policy(f"src {_INTERNET} dst {_SUBNET} dir fwd action block"),
    ),
    Case(
        "one that lets pass comes first",
        host(
            f"ip xfrm policy add src 0.0.0.0/0 dst {_INTERNET} dir out action block priority 9",
            f"ip xfrm policy add src 0.0.0.0/0 dst {_INTERNET} proto udp dir out action allow priority 8",
        ),
    ),
    Case(
        "protection that may be missing",
        _policy(f"src {_INTERNET} dst {HOST}/32 dir fwd {_ESP} level use"),
    ),
]
_UNKNOWN = [
    Case(
        "what is sent is protected",
        _policy(f"src {_SUBNET} dst {_INTERNET} dir out {_ESP}"),
        f"IPsec policy src {_SUBNET} dst {_INTERNET} dir out",
        disposition=Disposition.UNKNOWN,
    ),
    Case(
        "what comes must be protected",
        _policy(f"src {_INTERNET} dst {HOST}/32 dir fwd {_ESP}"),
        f"IPsec policy src {_INTERNET} dst {HOST}/32 dir fwd",
        "reply",
        Disposition.UNKNOWN,
    ),
]
_INSIDE = [
    Case(
        "the container's own, out",
        box(f"ip xfrm policy add src 0.0.0.0/0 dst {_INTERNET} dir out action block"),
        f"IPsec policy src 0.0.0.0/0 dst {_INTERNET} dir out",
    ),
    Case(
        "the container's own, in",
        box(f"ip xfrm policy add src {_INTERNET} dst 0.0.0.0/0 dir in action block"),
        f"IPsec policy src {_INTERNET} dst 0.0.0.0/0 dir in",
        "reply",
    ),
]


@pytest.mark.parametrize(
    "case", [*_BLOCKED, _CLEAR_BIT, *_PASSING, *_UNKNOWN, *_INSIDE], ids=lambda case: case.name
)
def test_what_policies_make_of_packets_is_foretold(case: Case) -> None:
    compare(case)


@pytest.mark.parametrize("case", _BLOCKED, ids=lambda case: case.name)
def test_the_policy_is_deleted_and_comes_back(case: Case) -> None:
    to = f"[{case.destination}]" if case.destination == SERVER6 else case.destination
    with lab(f"ddi{os.getpid()}") as here:
        case.change(here)
        broken = here.snapshot()
        cause = diagnose(broken, Asked.parse(destinations=(f"{to}:{SERVICE}/udp",)), checks()[0]).cause
        assert cause is not None
        here.run("host", *cause.remedies[0].now)
        mended = predict(here, case.destination)
        answered = here.probe(case.destination)
        here.run("host", *cause.remedies[0].undo)
        undone = here.snapshot()
    assert cause.code == "ipsec-policy"
    assert mended.disposition is Disposition.DELIVERED
    assert answered == (True, True)
    assert undone.network.ipsec_policies == broken.network.ipsec_policies


def test_policies_are_read_as_the_kernel_has_them() -> None:
    lines = (
        "ip xfrm policy add src 10.0.0.0/8 dst 10.1.0.0/16 proto tcp sport 80 dport 443 dir in action block",
        f"ip xfrm policy add src ::/0 dst fd00::/8 dir fwd priority 5 mark 3 mask 7 if_id 9 {_ESP}",
    )
    with lab(f"ddi{os.getpid()}") as here:
        here.run("host", *lines)
        read = here.snapshot().network.ipsec_policies
    assert not isinstance(read, Unread)
    first, second = sorted(read, key=lambda one: one.family)
    assert (first.family, first.direction, first.blocks, first.protects) == (4, "in", True, False)
    assert (first.source, first.destination, first.protocol) == ("10.0.0.0/8", "10.1.0.0/16", 6)
    assert (first.source_port, first.destination_port) == ((80, 0xFFFF), (443, 0xFFFF))
    assert (second.priority, second.mark, second.mask, second.interface) == (5, 3, 7, 9)
    assert second.protects
    assert describe_policy(second) == "IPsec policy src ::/0 dst fd00::/8 dir fwd mark 0x3 mask 0x7 if_id 0x9"
