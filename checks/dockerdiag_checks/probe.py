"""Do real packets meet what the walk foretells?

## What it asks

With `--probe`, `dockerdiag` sends a few packets to what `--to` names, from inside the containers' network namespaces
and from the host's: a TCP connection, a DNS question to the container's own resolvers, an ICMP echo request, and large
ones that may not be cut into fragments. This check compares what they met with the walk on paper. The kernel's counters
of every rule are read before and after, and its connection tracking after: an entry there means that the packet passed
every rule on its way out. [What is sent](../probe.md), and what never is, has a page of its own. Without `--probe` it
asks nothing.

## Why it breaks containers

A walk ends where the host ends. What drops packets behind it (a firewall of the network, a cloud's security group, the
target itself) is seen by a probe alone: they pass every rule of this host, and nothing comes back. And where walk and
probe contradict one another, one of them is wrong; neither is believed then.

## What is normal and not reported

- A refusal by the target is an answer: the packet arrived.
- A target that answers no echo request, or no empty datagram, where the host itself gets no answer either.
- Large echo requests that a target leaves unanswered, for the host as for the container.
- A probe that is lost where the walk says so; the finding about that rule tells it, and the probe's counter proves it.

## Remedy

Where large packets vanish on this host: a smaller MTU of the container's link, a smaller segment size that TCP
announces, or the rule that counted them deleted. None on this host for what is lost behind it. What is printed captures
the packets where they leave, to be shown to whoever runs the network behind; it changes nothing. For a contradiction it
marks the packet and lets the kernel tell every rule that it meets, in a table of its own that is deleted afterwards.

## References

- nft(8), `nft monitor trace`
- RFC 1191, RFC 8201: path MTU discovery
- https://docs.kernel.org/networking/nf_conntrack-sysctl.html
"""

from collections.abc import Iterator, Sequence

from dockerdiag.case import Case
from dockerdiag.probed import Compared
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Status
from dockerdiag_checks.next_steps import capture, trace
from dockerdiag_checks.packet_sizes import smaller_packets

NEEDS = ("probes",)


@check(
    "probe",
    title="Do real packets meet what the walk foretells?",
    group="Probes",
    place=90,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """Losses behind the host, losses on it that no walk explains, contradictions, and names without an address."""
    lost = [one for one in case.probed if one.comparison == "beyond-host"]
    if lost:
        yield _beyond(case, lost)
    for one in case.probed:
        if one.comparison == "contradicts":
            yield _contradiction(case, one)
        elif one.comparison == "on-host":
            yield _black_hole(case, one)
    yield from _unresolved(case)


def _beyond(case: Case, lost: Sequence[Compared]) -> Finding:
    targets = tuple(dict.fromkeys(one.probe.to for one in lost))
    senders = tuple(dict.fromkeys(one.probe.sender for one in lost))
    more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
    first = lost[0]
    host = first.by_host
    reaches = host is not None and host.outcome in ("answered", "refused")
    beside = "; the host's own get an answer" if reaches else ""
    told = "no answer comes back" if first.probe.outcome == "unanswered" else "they are refused there"
    return Finding(
        code="lost-beyond-host",
        status=Status.FAIL,
        subject=case.host,
        summary=f"Packets of {_words(senders)} to {targets[0]}{more} leave this host, and {told}: "
        f"they are lost behind it{beside}",
        count=max(len([name for name in senders if name is not None]), 1),
        evidence=tuple(_evidence(lost)),
        remedies=(capture(case, first),),
    )


def _contradiction(case: Case, one: Compared) -> Finding:
    return Finding(
        code="probe-contradicts-walk",
        status=Status.UNKNOWN,
        subject=f"container:{one.probe.sender}",
        summary=f"Walk and probe contradict one another on the packet to {one.probe.to}: {one.text}",
        evidence=tuple(_evidence([one])),
        remedies=tuple(trace(case, one.journey)) if one.journey is not None else (),
    )


def _black_hole(case: Case, one: Compared) -> Finding:
    counted = [f"{each.rule.text}: {each.before} to {each.after} packets" for each in one.counters]
    by_rule = f"; {counted[0]}" if counted else ""
    return Finding(
        code="path-mtu-black-hole",
        status=Status.FAIL,
        subject=f"container:{one.probe.sender}",
        summary=f"Packets of {one.probe.own_mtu} bytes from {one.probe.sender} to {one.probe.to} vanish on this "
        f"host and the sender is never told, those of {one.probe.mtu} arrive{by_rule}",
        evidence=tuple(_evidence([one])),
        remedies=(*smaller_packets(case, one), capture(case, one)),
    )


def _unresolved(case: Case) -> Iterator[Finding]:
    """Names that no resolver of any sender has an address for."""
    asked = [
        one.probe for one in case.probed if one.probe.kind == "dns" and one.probe.name not in (None, ".")
    ]
    for name in dict.fromkeys(one.name for one in asked):
        own = [one for one in asked if one.name == name]
        if any(one.addresses for one in own):
            continue
        if any(one.comparison != "none" for one in case.probed if one.probe in own):
            continue
        yield Finding(
            code="name-not-resolved",
            status=Status.UNKNOWN,
            subject=case.host,
            summary=f"No resolver that was asked has an address for {name}, so that its way cannot be judged",
            evidence=tuple(
                Evidence(
                    f"question from {one.sender or 'the host'} to {one.to}", f"{one.outcome}: {one.detail}"
                )
                for one in own
            ),
        )


def _evidence(compared: Sequence[Compared]) -> Iterator[Evidence]:
    for one in compared:
        probe = one.probe
        packets = f" ({probe.sent} sent)" if probe.sent is not None else ""
        yield Evidence(
            f"{probe.kind} probe from {probe.sender or 'the host'} to {probe.to}",
            f"{probe.outcome}: {probe.detail}{packets}\n{one.text}",
        )
        for each in one.counters:
            yield Evidence(
                f"counter, {each.rule.table} {each.rule.chain}",
                f"{each.rule.text}\nrose from {each.before} to {each.after} during the probe",
            )


def _words(senders: Sequence[str | None]) -> str:
    names = [name or "the host" for name in senders]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
