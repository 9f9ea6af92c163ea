"""Remedies where large packets vanish: a container that sends smaller ones, and TCP that announces smaller segments."""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.probed import Compared
from dockerdiag.report import Remedy
from dockerdiag.snapshot import NetworkNamespace, Unread
from dockerdiag_checks.commands import AtEngineStart, Change, in_namespace, sh
from dockerdiag_checks.rule_commands import delete_rule, iptables
from dockerdiag_checks.rule_remedies import where
from dockerdiag_checks.wording import retry

OPTION = "com.docker.network.driver.mtu"
_HEADERS = {4: 40, 6: 60}
"""Of IP and TCP, without options: what a packet holds beside its segment."""
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


def smaller_packets(case: Case, one: Compared) -> Iterator[Remedy]:
    """What mends a path on which a probe's packets above some size vanish, narrowest first."""
    probe = one.probe
    if probe.mtu is None or probe.own_mtu is None or probe.sender is None:
        return
    asked = f"{probe.to.removesuffix('/icmp').removesuffix('/icmpv6')}/icmp"
    verify = (sh("dockerdiag", "trace", probe.sender, asked, "--probe"), *retry(case))
    version = 6 if ":" in probe.to else 4
    link = _own_link(case, probe.sender, version)
    if link is not None:
        words = ("ip", "link", "set", link, "mtu")
        yield Remedy(
            summary=f"Have {probe.sender} send packets of at most {probe.mtu} bytes, and announce so to others",
            now=(in_namespace(probe.sender, sh(*words, str(probe.mtu))),),
            verify=verify,
            undo=(in_namespace(probe.sender, sh(*words, str(probe.own_mtu))),),
            risk=(
                f"Opens nothing. Gone when {probe.sender} starts again: what lasts is its network made anew with "
                f"--opt {OPTION}={probe.mtu}, or the next remedy for TCP."
            ),
        )
    bridge = _bridge(case, probe.sender, version)
    if bridge is not None:
        yield _clamped(case, version, bridge, probe.mtu, verify)
    for count in one.counters[:1]:
        deletion = delete_rule(count.rule) if count.within == "host" else None
        if deletion is not None:
            yield Remedy(
                summary=f"Or delete the rule that counted them, of {where(count.rule)}, where nobody needs it",
                now=(deletion.do,),
                verify=verify,
                undo=deletion.undo,
                risk=f"Opens all that the rule closed. {deletion.lasts}",
            )


def _own_link(case: Case, name: str, version: int) -> str | None:
    """The container's link that its default route leads out of; None where it shares the host's."""
    container = next((one for one in case.containers if one.name == name), None)
    namespace = case.snapshot.namespaces.get(container.namespace or "") if container is not None else None
    if not isinstance(namespace, NetworkNamespace):
        return None
    if isinstance(namespace.routes, Unread) or isinstance(namespace.links, Unread):
        return None
    out = {
        hop.link
        for route in namespace.routes
        if (route.destination, route.type) == (_DEFAULT[version], "unicast")
        for hop in route.next_hops
    }
    names = [link.name for link in namespace.links if link.index in out]
    return names[0] if len(names) == 1 else None


def _bridge(case: Case, name: str, version: int) -> str | None:
    """The host's link by which the container's packets come in; None where that is none of the engine's bridges."""
    entries = {
        one.journey.entry
        for one in case.traced
        if name in one.containers and one.journey.flow.destination.version == version
    }
    bridges = {network.bridge for network in case.networks} & entries - {None}
    return bridges.pop() if len(bridges) == 1 else None


def _clamped(case: Case, version: int, bridge: str, mtu: int, verify: tuple[str, ...]) -> Remedy:
    size = str(mtu - _HEADERS[version])
    tool = iptables(case.backend(), version)
    changes = []
    for words in (("-i", bridge), ("-o", bridge)):
        spec = (*words, "-p", "tcp", "--tcp-flags", "SYN,RST", "SYN", "-j", "TCPMSS", "--set-mss", size)
        do, undo = (sh(tool, "-t", "mangle", flag, "FORWARD", *spec) for flag in ("-A", "-D"))
        changes.append(Change(do, undo, f"{undo} 2>/dev/null; {do}"))
    each_start = AtEngineStart(f"segments-{bridge}", [change.again for change in changes])
    return Remedy(
        summary=f"Have TCP over {bridge} announce segments of at most {size} bytes, for all its containers",
        now=tuple(change.do for change in changes),
        lasting=each_start.lines,
        verify=verify,
        undo=(*(change.undo for change in changes), *each_start.undo),
        risk=(
            "Helps TCP alone: QUIC, other UDP and large echo requests, which the probe sends, are lost as before. "
            "Nothing is opened; a smaller size that is announced already stays. The lasting commands repeat it at "
            "each start of the engine."
        ),
    )
