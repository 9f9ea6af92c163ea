"""Does a connection from outside to a published port reach its container, and the answer the caller?

## What it asks

For each port that a running container publishes, the packet of somebody behind the uplink is walked to the host's
address: the rules that it meets, the engine's DNAT or its docker-proxy, the container, and the answer back.

## Why it breaks containers

The engine makes a DNAT rule and an accept for each published port, when the container starts and never again. Who
flushes a chain or restores saved rules takes them away or brings back those of containers that are gone; and a port
that only docker-proxy serves is dead with that process. The container itself goes on and reaches the internet.

## What is normal and not reported

- A port that a firewall closes, in DOCKER-USER or elsewhere: somebody's choice, and a note that names the rule.
- A port that is bound to a loopback address or to a bridge of the engine (a note): it is not meant for others.
- Nothing that listens on the container's port (a note): the program has not started, or listens on 127.0.0.1 alone.
- Ports without DNAT where docker-proxy serves them, as with `--iptables=false`.
- Packets straight to a container's address, which engines since 28 drop by a rule of their own (a note where that rule
  has counted some): publish the port, or make the network's gateway mode `routed` or `nat-unprotected`.
- What stops the container's own way out too: that is told there.
- Ports beyond the first 250 (a note): `-c` follows all of one container.
- Swarm's routing mesh, whose ports belong to services, and ports behind a rootless engine.

Entries of connection tracking that send an old UDP client to a container that is gone are not read; after
`conntrack -D -p udp --orig-port-dst PORT` such a client is translated anew.

## Remedy

Restart the container, and the engine makes the rules of its ports anew; where its chains are gone, restart the engine.
A rule of its own chain that leads to somebody else is deleted.

## References

- [Docker: port publishing](https://docs.docker.com/engine/network/port-publishing/)
- moby/moby#48664, moby/moby#51015, moby/moby#8795
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import field
from ipaddress import ip_address

from dockerdiag.case import Case
from dockerdiag.dataclass import dataclass
from dockerdiag.packet.flow import Halt, Journey, rule_name
from dockerdiag.packet.plan import inbound
from dockerdiag.packet.walk import Walker
from dockerdiag.registry import check
from dockerdiag.report import Disposition, Evidence, Finding, Remedy, RuleReference, Status
from dockerdiag.snapshot import Container, PortBinding
from dockerdiag_checks.commands import sh
from dockerdiag_checks.direct_access import blocked_access
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.native_rules import is_native, native_bases
from dockerdiag_checks.rule_commands import delete_rule
from dockerdiag_checks.wording import FOR_GOOD, listed, retry

NEEDS = ("engine", "engine.containers", "network.links", "network.addresses")
READS = ("network.firewall",)

_SIX = 6
_MOST = 250
"""Ports that are followed; a walk takes some milliseconds."""
_RUNNING = ("running", "paused", "restarting")


@dataclass(slots=True)
class _Met:
    """One thing that keeps connections from published ports, with all that meet it."""

    code: str
    status: Status
    what: str
    halt: Halt | None
    rule: RuleReference | None = None
    ports: list[tuple[Container, str]] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(container.name for container, _ in self.ports))


@check(
    "published-ports",
    title="Does a connection from outside to a published port reach its container, and the answer the caller?",
    group="Packets",
    place=80,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each thing that keeps connections from published ports."""
    if case.walker is None:
        return
    met: dict[tuple[str, str], _Met] = {}
    published = [
        (container, binding)
        for container in _asked(case)
        for binding in container.ports
        if binding.host_port and binding.protocol in ("tcp", "udp")
    ]
    for container, binding in published[:_MOST]:
        for one, at in _meets(case, case.walker, container, binding):
            met.setdefault((one.code, at), one).ports.append((container, _written(binding)))
    for one in met.values():
        yield _told(case, one)
    yield from blocked_access(case, tuple(_asked(case)))
    if len(published) > _MOST:
        yield Finding(
            code="published-ports-left-out",
            status=Status.NOTE,
            subject=case.host,
            summary=f"{len(published) - _MOST} of {len(published)} published ports were not followed: ask by -c",
        )


def _asked(case: Case) -> Iterator[Container]:
    for container in case.containers:
        if container.state in _RUNNING and (not case.asked_containers or case.asked_about([container.name])):
            yield container


def _written(binding: PortBinding) -> str:
    at = binding.host_address or "*"
    return f"{f'[{at}]' if ':' in at else at}:{binding.host_port}/{binding.protocol}"


def _meets(
    case: Case, walker: Walker, container: Container, binding: PortBinding
) -> Iterator[tuple[_Met, str]]:
    bound_to = ip_address(binding.host_address) if binding.host_address else None
    if bound_to is not None and bound_to.is_loopback:
        what = "bound to a loopback address, which nobody but this host reaches"
        yield _Met("published-on-loopback", Status.NOTE, what, None), ""
        return
    if bound_to is not None and not bound_to.is_unspecified:
        bearer = _bearer(walker, str(bound_to))
        if bearer is None:
            what = f"bound to {bound_to}, which no link of this host has"
            yield _Met("published-address-gone", Status.NOTE, what, None), str(bound_to)
            return
        if walker.world.network_by_bridge(bearer) is not None:
            what = f"bound to {bound_to} of the bridge {bearer}, which is for containers"
            yield _Met("published-on-bridge", Status.NOTE, what, None), bearer
            return
    proxy = case.presumed_value("userland-proxy")
    userland_proxy = proxy if isinstance(proxy, bool) else None
    for flow in inbound(walker.world, container, binding, userland_proxy=userland_proxy):
        journey = walker.walk(flow)
        found = _judged(case, container, journey)
        if found is not None:
            yield found, journey.halts[0].at if journey.halts else ""


def _bearer(walker: Walker, address: str) -> str | None:
    links = walker.world.host.links
    for name in links.by_name:
        for version in (4, 6):
            if any(own.address == address for own in links.addresses(name, version) or ()):
                return name
    return None


def _judged(case: Case, container: Container, journey: Journey) -> _Met | None:
    if journey.disposition is Disposition.DELIVERED:
        return None
    halt = journey.halts[0]
    if not halt.certain:
        return _Met(
            "published-port-undecided", Status.NOTE, f"cannot be told: {halt.reason}", halt, halt.rule
        )
    if halt.namespace is not None and halt.kind == "listener":
        return _Met("published-port-not-listened", Status.NOTE, halt.reason, halt)
    if any(other.certain and other.at == halt.at for one in case.traced for other in one.journey.halts):
        return None
    misled = _misled(container, journey)
    if misled is not None:
        what = f"{rule_name(misled)} leads it to {halt.packet.addresses.destination}, which is another"
        # Elsewhere than in the engine's own chain, somebody meant it so.
        return _Met("published-port-misled", _by(case, misled, ("DOCKER",)), what, halt, misled)
    if halt.kind == "listener":
        if (
            journey.flow.destination.version == _SIX
            and case.running_value("ip6tables") is False
            and case.running_value("userland-proxy") is False
        ):
            what = (
                "the engine makes no rules for IPv6 (ip6tables=false) and runs no userland proxy: it answers over IPv4 "
                "alone"
            )
            return _Met("published-port-ipv4-alone", Status.NOTE, what, halt)
        own = any(
            e.address if journey.flow.destination.version == 4 else e.address6 for e in container.endpoints
        )
        return _Met("published-port-unserved", Status.FAIL, halt.reason, halt) if own else None
    if halt.rule is None:
        return _Met("published-port-stopped", Status.NOTE, halt.reason, halt)
    if case.lacks_accepts(halt) or (
        halt.kind == "rule" and _by(case, halt.rule, ("DOCKER", "DOCKER-FORWARD")) is Status.FAIL
    ):
        status = Status.NOTE if case.running_value("iptables") is False else Status.FAIL
        what = f"the engine's accept is gone, and {rule_name(halt.rule)} drops it"
        return _Met("published-port-accept-missing", status, what, halt, halt.rule)
    verb = "rejects" if halt.disposition is Disposition.REJECTED else "drops"
    what = f"{rule_name(halt.rule)} {verb} it: a firewall's choice"
    return _Met("published-port-filtered", Status.NOTE, what, halt, halt.rule)


def _misled(container: Container, journey: Journey) -> RuleReference | None:
    """The rule that gives the packet a destination that is neither the container's nor the one that was asked."""
    halt, own = journey.halts[0], {text for e in container.endpoints for text in (e.address, e.address6)}
    led_to = halt.packet.addresses.destination
    if halt.direction != "out" or led_to == journey.flow.destination or str(led_to) in own:
        return None
    rules = [hop.rule for hop in journey.hops if hop.verdict == "rewrite" and hop.direction == "out"]
    return rules[-1] if rules else None


def _by(case: Case, rule: RuleReference, chains: Iterable[str]) -> Status:
    """Fail where the engine's own chain says it, a note where somebody else's does."""
    own = rule.table in ("nat", "filter") and rule.chain in chains and rule.backend == case.backend()
    return Status.FAIL if own or is_native(rule) else Status.NOTE


def _told(case: Case, met: _Met) -> Finding:
    ports = tuple(dict.fromkeys(f"{container.name} {port}" for container, port in met.ports))
    names = met.names
    return Finding(
        code=met.code,
        status=met.status,
        subject=f"container:{names[0]}" if len(names) == 1 else case.host,
        summary=f"From outside, {listed(ports, 'the published port')}: {met.what}",
        count=len(names),
        evidence=_evidence(met, ports),
        remedies=_remedies(case, met),
    )


def _evidence(met: _Met, ports: tuple[str, ...]) -> tuple[Evidence, ...]:
    found = [Evidence("docker port", ", ".join(ports[:10]))]
    if met.halt is not None:
        found.append(Evidence(met.halt.place, met.halt.at))
    if met.rule is not None:
        found.append(Evidence("rule", met.rule.text))
        found += [Evidence("its counter", f"{met.rule.packets} packets")] if met.rule.packets else []
    return tuple(found)


def _remedies(case: Case, met: _Met) -> tuple[Remedy, ...]:
    container = met.ports[0][0]
    port = met.ports[0][1].rpartition(":")[2].removesuffix("/tcp")
    verify = (*retry(case), sh("dockerdiag", "trace", container.name, "--inbound", port))
    if met.status is not Status.FAIL:
        if met.code == "published-port-undecided":
            return (Remedy(summary="See the whole way of such a packet", verify=verify[-1:]),)
        return ()
    deletion = delete_rule(met.rule) if met.code == "published-port-misled" and met.rule is not None else None
    if deletion is not None:
        return (
            Remedy(
                summary="Delete the rule, which is none of this container's",
                now=(deletion.do,),
                verify=verify,
                undo=deletion.undo,
                risk="Who restores saved rules at boot will restore it again: leave the engine's out of them. The "
                "engine makes its own anew at each start.",
            ),
        )
    restart = Remedy(
        summary="Restart the engine: it makes its rules anew",
        now=(sh("systemctl", "restart", "docker"),),
        verify=verify,
        risk=f"{restart_risk(case)} {FOR_GOOD} Nothing is to be made lasting: the engine makes these rules at each "
        "start.",
    )
    # In nftables the engine fills each chain that a container has a part in anew.
    accept_stays_away = met.code == "published-port-accept-missing" and case.backend() != "nft"
    if accept_stays_away or not _chains_are_there(case):
        return (restart,)
    again = Remedy(
        summary="Restart the container: the engine makes the rules and the proxy of its ports anew",
        now=tuple(sh("docker", "restart", name) for name in met.names),
        verify=verify,
        risk=f"Interrupts the container. {FOR_GOOD} Nothing is to be made lasting: the engine does the same at each "
        "start of the container.",
    )
    return (again, restart)


def _chains_are_there(case: Case) -> bool:
    """Whether the engine can add the rule of a port: its chain is there and is jumped to, or it makes no rules."""
    if case.running_value("iptables") is False:
        return True
    if case.backend() == "nft":
        return any(chain.rules for chain in native_bases(case, "ip") if chain.name == "nat-PREROUTING")
    firewall = case.snapshot.network.firewall
    saved = {"iptables-nft": firewall.iptables_nft, "iptables-legacy": firewall.iptables_legacy}
    text = saved.get(case.backend(), "")
    return isinstance(text, str) and bool(re.search(r"-A PREROUTING .*-j DOCKER$", text, re.MULTILINE))
