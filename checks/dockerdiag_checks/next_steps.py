"""What to do where nothing can be told: the commands that settle it, and what they change on the host."""

from collections.abc import Iterator

from dockerdiag.case import Case, Hit
from dockerdiag.packet.flow import Journey
from dockerdiag.probed import Compared
from dockerdiag.report import Remedy
from dockerdiag_checks.commands import sh
from dockerdiag_checks.wording import retry

_TABLE = ("inet", "dockerdiag_trace")
_LINKS_SEEN = "any"
"""tcpdump's word for all links."""


def to_find_out(case: Case, hit: Hit) -> tuple[Remedy, ...]:
    """How to settle what a walk cannot: send its packet, and have the kernel tell its rules."""
    journey = hit.traced[0].journey
    names = hit.containers[:1]
    return (*_probe(names, journey), *_kernel_trace(case, names, journey))


def trace(case: Case, journey: Journey) -> tuple[Remedy, ...]:
    """How the kernel tells each rule that a walk's packet meets."""
    names = tuple(member.name for member in journey.flow.source.members[:1])
    return tuple(_kernel_trace(case, names, journey))


def reading(case: Case, what: str, *lines: str) -> Remedy:
    """What settles it by reading alone; where only root may read it, by asking again as root."""
    if not case.snapshot.host.root:
        return as_root(case)
    return Remedy(
        summary=f"To find out: {what}",
        now=lines,
        verify=retry(case),
        risk="Reads only; changes nothing on this host.",
    )


def as_root(case: Case) -> Remedy:
    """The same question as root."""
    # sudo's own PATH does not have the folder of a virtual environment.
    (again,) = retry(case)
    line = f'sudo "$(command -v dockerdiag)"{again.removeprefix("dockerdiag")}'
    return Remedy(
        summary="To find out: ask as root, who may read it",
        now=(line,),
        verify=(line,),
        risk="Reads only; changes nothing on this host.",
    )


def engine_asks(case: Case) -> Remedy:
    """Has dockerd itself send what a rule about programs, users or control groups may stop."""
    line = sh("docker", "search", "--limit", "1", "hello-world")
    return Remedy(
        summary="To find out: have dockerd itself ask Docker's registry for one name, and see whether an answer comes",
        now=(line,),
        verify=(line, *retry(case)),
        risk="dockerd sends a few real packets by its own way out. Counters rise and connection tracking notes them; "
        "no image, no rule and no setting changes.",
    )


def capture(case: Case, compared: Compared) -> Remedy:
    """How to see a probe's packets where they leave this host."""
    probe, journey = compared.probe, compared.journey
    uplink = journey.uplink if journey is not None else None
    address, _, rest = (
        probe.to.removeprefix("[").rpartition("/")[0].partition("]:" if "[" in probe.to else ":")
    )
    address = address.removesuffix("]")
    port, protocol = rest, probe.to.rpartition("/")[2]
    asked = f"host {address}" + (f" and {protocol} port {port}" if port else "")
    again = _probing(case, (probe.sender,) if probe.sender else (), probe.to)
    watch = sh("tcpdump", "-lni", uplink or _LINKS_SEEN, f"{asked} or icmp")
    return Remedy(
        summary="To find out where: see what leaves this host and what comes back, and show it to whoever runs the "
        "network behind it",
        now=(f"timeout 120 {watch} & sleep 2; {again}; sleep 1; kill $!",),
        verify=(again,),
        risk="Sends the probe's packets once more and puts the link into promiscuous mode meanwhile; changes "
        "nothing else.",
    )


def _probe(names: tuple[str, ...], journey: Journey) -> Iterator[Remedy]:
    if not names:
        return
    line = sh("dockerdiag", "trace", names[0], journey.flow.to, "--probe")
    yield Remedy(
        summary="To find out: send the packet, and see what it meets and which rule counts it",
        now=(line,),
        verify=(line,),
        risk=f"Sends a few real packets to {journey.flow.to}. On this host counters rise, and connection tracking and "
        "the neighbour table note them; no rule and no setting changes.",
    )


def _kernel_trace(case: Case, names: tuple[str, ...], journey: Journey) -> Iterator[Remedy]:
    """Nft's own trace; not where it would have to load nf_tables first, nor for packets that never reach the host."""
    nft = case.snapshot.network.firewall.nft
    if not names or not isinstance(nft, str) or not nft.strip() or journey.entry is None:
        return
    flow = journey.flow
    family = "ip6" if flow.destination.version == 6 else "ip"
    ports = f" {flow.protocol} dport {flow.port}" if flow.port is not None else ""
    back = f" {flow.protocol} sport {flow.port}" if flow.port is not None else ""
    source = f"{family} saddr {journey.sent_from} " if journey.sent_from is not None else ""
    chain = " ".join((*_TABLE, "marking"))
    lines = (
        f"add table {' '.join(_TABLE)}",
        f"add chain {chain} {{ type filter hook prerouting priority -350; }}",
        f"add rule {chain} {source}{family} daddr {flow.destination}{ports} meta nftrace set 1",
        f"add rule {chain} {family} saddr {flow.destination}{back} meta nftrace set 1",
    )
    again = sh("dockerdiag", "trace", names[0], flow.to, "--probe")
    yield Remedy(
        summary="To find out: have the kernel tell every nftables rule that the packet and its answer meet",
        now=(
            sh("nft", "; ".join(lines)),
            f"timeout 120 stdbuf -oL nft monitor trace & sleep 1; {again}; sleep 1; kill $!",
        ),
        verify=(again,),
        undo=(sh("nft", "delete", "table", *_TABLE),),
        risk="Adds a table that marks these packets and stops none, until the undo line deletes it. Sends a few real "
        f"packets to {flow.to}.",
    )


def _probing(case: Case, names: tuple[str, ...], to: str) -> str:
    containers = names or case.asked_containers
    if len(containers) == 1:
        return sh("dockerdiag", "trace", containers[0], to.replace("/icmpv6", "/icmp"), "--probe")
    return sh("dockerdiag", "--to", to.replace("/icmpv6", "/icmp"), "--probe")
