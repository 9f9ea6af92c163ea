"""Files of iptables rules that a service loads at boot, and what they hold of Docker's."""

from collections.abc import Iterator

from dockerdiag.case import Case, without_translation
from dockerdiag.snapshot import TextFile
from dockerdiag_checks.subnets import subnets_in

SAVED = {
    "/etc/iptables/rules.v4": ("netfilter-persistent.service", 4),
    "/etc/iptables/rules.v6": ("netfilter-persistent.service", 6),
    "/etc/sysconfig/iptables": ("iptables.service", 4),
    "/etc/sysconfig/ip6tables": ("ip6tables.service", 6),
}
"""Who loads a file, and of which IP version its rules are."""
_UNTRANSLATED = ("routed", "isolated")
"""Gateway modes without translation."""


def masquerades(file: TextFile) -> Iterator[tuple[int, str]]:
    """The rules of Docker's make that translate, with their lines' numbers."""
    for number, line in enumerate(file.text.splitlines(), 1):
        if line.startswith("-A POSTROUTING ") and line.endswith("-j MASQUERADE") and " ! -o " in line:
            yield number, line


def source_of(line: str) -> str:
    """The subnet that a rule is for, as it is written; empty where it names none."""
    words = line.split()
    return words[words.index("-s") + 1] if "-s" in words else ""


def translated_subnets(case: Case, version: int) -> tuple[str, ...]:
    """The subnets whose packets the engine translates, where it makes rules."""
    return tuple(
        str(subnet)
        for network in case.networks
        if network.bridge is not None and not network.internal and not without_translation(network)
        if network.options.get(f"com.docker.network.bridge.gateway_mode_ipv{version}") not in _UNTRANSLATED
        for subnet in subnets_in(network)
        if subnet.version == version
    )


def untranslated_by(case: Case, file: TextFile) -> tuple[str, ...]:
    """The subnets of these that a file has no rule for."""
    saved = {source_of(line) for _, line in masquerades(file)}
    return tuple(subnet for subnet in translated_subnets(case, SAVED[file.path][1]) if subnet not in saved)
