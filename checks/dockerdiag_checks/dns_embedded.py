"""Does the engine's own resolver answer in the containers that ask it?

## What it asks

Whether a query to 127.0.0.11 in a container's network namespace is led to the socket that the engine opened there:
by the nat rules of that namespace, to a port on which somebody listens.

## Why it breaks containers

Containers on networks of your own ask 127.0.0.11 for every name, also for each other. The engine listens there on a
port of its choice, and leads port 53 to it by nat rules inside the container's namespace. A firewall script in the
container that flushes its rules, or an engine that stopped while its containers went on, leaves them without names,
while packets to addresses arrive.

## What is normal and not reported

- No rule at all on the default bridge, with `--network host` or `none`: the engine's resolver is not there.
- A namespace whose rules were not read: that is *unknown* by the packet's walk.

## Remedy

The two nat rules again, for the port that is open; or the container started again, by which the engine sets its
namespace up anew.

## References

- [Docker: DNS services](https://docs.docker.com/engine/network/#dns-services)
- moby/libnetwork#1938, docker/for-linux#179, nestybox/sysbox#270
"""

from collections.abc import Iterable, Iterator, Sequence

from dockerdiag.case import Case
from dockerdiag.packet.flow import Halt
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Listener, NetworkNamespace, Unread
from dockerdiag.snapshot.resolv_conf import EMBEDDED
from dockerdiag_checks.commands import in_namespace, sh
from dockerdiag_checks.name_remedies import started_again
from dockerdiag_checks.name_resolution import DNS_PORT, Resolution, resolutions, subject_of
from dockerdiag_checks.rule_commands import MARK, iptables, own_nat_chain
from dockerdiag_checks.wording import listed, retry

NEEDS = ("engine", "engine.containers")
READS = ("resolv_conf", "service")


@check(
    "dns-embedded",
    title="Does the engine's own resolver answer in the containers that ask it?",
    group="DNS",
    place=48,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for rules that are missing, one for sockets that are."""
    without_rules: list[tuple[Resolution, Halt]] = []
    without_socket: list[tuple[Resolution, Halt]] = []
    for one in resolutions(case):
        halt = _silent(one)
        if halt is not None:
            (without_rules if _port(halt) == DNS_PORT else without_socket).append((one, halt))
    if without_rules:
        yield _rules_missing(case, without_rules)
    if without_socket:
        yield _socket_missing(case, without_socket)


def _silent(one: Resolution) -> Halt | None:
    halts = one.embedded.journey.halts if one.embedded is not None else ()
    return halts[0] if halts and halts[0].certain and halts[0].kind == "listener" else None


def _port(halt: Halt) -> int | None:
    port = halt.packet.addresses.destination_port
    return port.low if port is not None else None


def _rules_missing(case: Case, found: Sequence[tuple[Resolution, Halt]]) -> Finding:
    members = [one for one, _ in found]
    names = tuple(one.container.name for one in members)
    again = started_again(case, names, "the engine sets its namespace up anew")
    led = _led_again(case, members)
    return Finding(
        code="dns-rules-missing",
        status=Status.FAIL,
        subject=subject_of(case, [one.container for one in members]),
        summary=(
            f"The nat rules that lead 127.0.0.11:53 to the engine's resolver are gone in {listed(names, 'container')}"
        ),
        count=len(members),
        evidence=(
            Evidence(f"network namespace of {names[0]}", found[0][1].reason),
            *(
                Evidence("listens there", f"{one.address}:{one.port}/{one.protocol}")
                for one in _sockets(case, members[0])
            ),
        ),
        remedies=(*((led,) if led is not None else ()), again),
    )


def _led_again(case: Case, members: Sequence[Resolution]) -> Remedy | None:
    """The rules as the engine makes them; None where its ports cannot be told."""
    make = _by_nft if case.backend() == "nft" else _by_iptables
    do, undo = [], []
    for one in members:
        sockets = _sockets(case, one)
        if {socket.protocol for socket in sockets} != {"udp", "tcp"} or len(sockets) != 2:
            return None
        made, taken_back = make(case, sockets)
        do += [in_namespace(one.container.name, line) for line in made]
        undo += [in_namespace(one.container.name, line) for line in taken_back]
    return Remedy(
        summary="Lead queries to the engine's sockets again",
        now=tuple(do),
        verify=retry(case),
        undo=tuple(undo),
        risk="Gone when the container starts again: then the engine makes its own. What flushed them may do so again.",
    )


def _by_iptables(case: Case, sockets: Iterable[Listener]) -> tuple[list[str], list[str]]:
    call = (iptables(case.backend(), 4), "-t", "nat")
    made, taken_back = [], []
    for socket in sockets:
        port = ("-p", socket.protocol, "-m", socket.protocol, "--dport", str(DNS_PORT))
        rule = ("-d", f"{EMBEDDED}/32", *port, "-j", "DNAT", "--to-destination", f"{EMBEDDED}:{socket.port}")
        made.append(sh(*call, "-A", "OUTPUT", *rule))
        taken_back.append(sh(*call, "-D", "OUTPUT", *rule))
    return made, taken_back


def _by_nft(_: Case, sockets: Iterable[Listener]) -> tuple[list[str], list[str]]:
    """A host whose engine has its rules in nftables need not have iptables."""
    chain = ("ip", MARK, "output")
    rules = (
        f"ip daddr {EMBEDDED} {socket.protocol} dport {DNS_PORT} dnat to {EMBEDDED}:{socket.port}"
        for socket in sockets
    )
    made = own_nat_chain(chain, -100, *(sh("nft", "add", "rule", *chain, *rule.split()) for rule in rules))
    return [made], [sh("nft", "delete", "table", *chain[:2])]


def _sockets(case: Case, one: Resolution) -> tuple[Listener, ...]:
    namespace = case.snapshot.namespaces.get(one.container.namespace or "")
    if not isinstance(namespace, NetworkNamespace) or isinstance(namespace.listeners, Unread):
        return ()
    return tuple(socket for socket in namespace.listeners if socket.address == str(EMBEDDED))


def _socket_missing(case: Case, found: Sequence[tuple[Resolution, Halt]]) -> Finding:
    members = [one for one, _ in found]
    names = tuple(one.container.name for one in members)
    return Finding(
        code="dns-resolver-gone",
        status=Status.FAIL,
        subject=subject_of(case, [one.container for one in members]),
        summary=f"The engine no longer listens for names in {listed(names, 'container')}",
        count=len(members),
        evidence=(Evidence(f"network namespace of {names[0]}", found[0][1].reason),),
        remedies=(started_again(case, names, "the engine sets its resolver up anew"),),
    )
