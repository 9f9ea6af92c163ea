"""Bridges of the engine's that firewalld's files keep in a zone of its own: the engine takes them into zone docker."""

import re
from collections.abc import Iterator

from dockerdiag.case import Case, is_default_bridge
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Network, Unread
from dockerdiag_checks.commands import sh
from dockerdiag_checks.other_services import in_use, service_state
from dockerdiag_checks.wording import retry

_ZONES = "/etc/firewalld/zones/"
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAKES_BRIDGES = (20, 10)
"""The first engine that has a zone of its own."""


def written_in_zone(case: Case, bridge: str) -> tuple[Evidence, ...]:
    """The lines of other zones than Docker's that hold a bridge."""
    files = case.snapshot.firewall_files
    if isinstance(files, Unread):
        return ()
    binding = re.compile(rf'<interface\s+name="{re.escape(bridge)}"\s*/>')
    return tuple(
        Evidence(f"{file.path}:{number}", line.strip())
        for file in files
        if file.path.startswith(_ZONES) and not file.path.endswith("/docker.xml")
        for number, line in enumerate(_COMMENT.sub(_emptied, file.text).splitlines(), 1)
        if binding.search(line)
    )


def _emptied(comment: re.Match[str]) -> str:
    return "\n" * comment[0].count("\n")


def conflicts_ahead(case: Case) -> Iterator[Finding]:
    """One finding for each bridge that the engine will not get when it starts again."""
    # With the nftables backend it is not known to fail.
    makes_zone = case.presumed_value("iptables") is True and case.backend() != "nft"
    version = case.settings.version
    state = service_state(case, "firewalld.service")
    if not makes_zone or version is None or version < _TAKES_BRIDGES or state is None or not in_use(state):
        return
    for network in case.networks:
        if network.bridge is None or not (written := written_in_zone(case, network.bridge)):
            continue
        zone = written[0].source.removeprefix(_ZONES).partition(".xml")[0]
        yield Finding(
            code="firewalld-zone-conflict-ahead",
            status=Status.WARN,
            subject=f"link:{network.bridge}",
            summary=(
                f"firewalld's files have {network.bridge} in zone {zone}, and the engine wants it in its own: "
                f"{_lost(network)}"
            ),
            evidence=(
                *written,
                Evidence(
                    "systemctl show firewalld.service",
                    f"{state.active_state}, {state.unit_file_state or 'not enabled'}",
                ),
            ),
            remedies=(_left_to_docker(case, network.bridge, zone, runs=state.active_state == "active"),),
        )


def _lost(network: Network) -> str:
    if is_default_bridge(network):
        return "once firewalld has loaded them, the engine does not start any more"
    return (
        f"once firewalld has loaded them, the engine starts without network {network.name} and its containers"
    )


def _left_to_docker(case: Case, bridge: str, zone: str, *, runs: bool) -> Remedy:
    tool = ("firewall-cmd", "--permanent") if runs else ("firewall-offline-cmd",)
    away, back = (sh(*tool, f"--zone={zone}", f"--{verb}-interface={bridge}") for verb in ("remove", "add"))
    # Of what firewalld has loaded the engine must find the bridge in its zone, or in none.
    loaded = (sh("firewall-cmd", "--zone=docker", f"--change-interface={bridge}"),) if runs else ()
    return Remedy(
        summary=f"Take {bridge} out of zone {zone}: the engine puts it into its own zone, docker",
        now=(away, *loaded),
        verify=(f"! {sh(*tool, f'--zone={zone}', f'--query-interface={bridge}')}", *retry(case)),
        undo=(back,),
        risk=f"What zone {zone} allowed for {bridge}, zone docker allows too: it accepts everything.",
    )
