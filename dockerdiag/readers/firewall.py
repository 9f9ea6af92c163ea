"""Rule sets, of the network namespace the reader is in.

To ask can change the host: a netlink family that is asked for loads its module, and a legacy table that is
opened gets registered. So each is asked only where it is known to be there.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

from dockerdiag.readers.command import checked, find_tool, run
from dockerdiag.readers.deadline import Deadline, unread_on_error
from dockerdiag.readers.errors import ReadError, denied
from dockerdiag.readers.files import read_kernel_file
from dockerdiag.readers.legacy import MAXIMUM_CHECKED_RULES, read_by_library, same_rules
from dockerdiag.readers.modules import presence
from dockerdiag.readers.processes import may_administer_network
from dockerdiag.snapshot import Firewall, IpSet, NetdevHook, TableFlags, Unread

_TOOL_SECONDS = 20.0
_ATTEMPTS = 2
"""To read twice: the rules may change between one reading and the other."""
_EXTENSION = re.compile(r'\{"xt":')
_IPTABLES_TABLE = {
    version: re.compile(
        rf'\{{"table":\s*\{{"family":\s*"{family}",\s*"name":\s*"(?:filter|nat|mangle|raw|security)"'
    )
    for version, family in ((4, "ip"), (6, "ip6"))
}
_TABLE_WITH_FLAGS = re.compile(r'"table":\s*\{[^{}]*"flags":')
_NETDEV_CHAIN = re.compile(r'"hook":\s*"(?:in|e)gress"')


def read_firewall(deadline: Deadline) -> Firewall:
    """Every rule set, each `Unread` by itself where it cannot be read."""
    nft = unread_on_error(partial(_nft, deadline))
    return Firewall(
        nft=nft,
        iptables_nft=unread_on_error(partial(_iptables_nft, nft, 4, deadline)),
        ip6tables_nft=unread_on_error(partial(_iptables_nft, nft, 6, deadline)),
        iptables_legacy=unread_on_error(partial(_legacy, 4, deadline)),
        ip6tables_legacy=unread_on_error(partial(_legacy, 6, deadline)),
        ipsets=unread_on_error(_ipsets),
        netdev_hooks=unread_on_error(partial(_netdev_hooks, nft)),
        table_flags=unread_on_error(partial(_table_flags, nft)),
    )


class CountedRules(NamedTuple):
    """The rule sets that count packets, as their tools print them with counters."""

    nft: str
    iptables_legacy: str
    ip6tables_legacy: str


def read_counted_rules(deadline: Deadline) -> CountedRules:
    """Every rule with its counter; those of iptables-nft are among nft's.

    Raises:
        ReadError: where one rule set cannot be read.
    """
    return CountedRules(_nft(deadline), _legacy(4, deadline), _legacy(6, deadline))


def _for_one_tool(deadline: Deadline) -> Deadline:
    # Half of what is left, so that one that hangs leaves time for the others.
    return deadline.at_most(min(_TOOL_SECONDS, deadline.remaining / 2))


def _there(module: str) -> bool:
    found = presence(module)
    if found == "unknown":
        raise ReadError(f"whether {module} is loaded cannot be told, and asking could load it")
    return found == "present"


def _nft(deadline: Deadline) -> str:
    if not _there("nf_tables"):
        return ""
    text = checked(["nft", "-j", "list", "ruleset"], _for_one_tool(deadline))
    if text.strip() and not text.rstrip().endswith("}"):
        raise ReadError("nft stopped in the middle of its listing")
    return text


def _iptables_nft(nft: str | Unread, version: Literal[4, 6], deadline: Deadline) -> str:
    if isinstance(nft, str) and not _wants_save(nft, version):
        return ""
    if isinstance(nft, Unread):
        if not _there("nf_tables"):
            return ""
        if not _there("nft_compat"):
            raise ReadError("nft_compat is not loaded, and asking could load it")
    within = _for_one_tool(deadline)
    return _save([_save_tool(version, "nft", "nf_tables", within), "-c"], within)


def _wants_save(nft: str, version: Literal[4, 6]) -> bool:
    """Whether a listing has what the save program tells better, and running that loads nothing.

    The program asks nft_compat about each extension of iptables' that a rule reads like, also a rule that nft made;
    where the kernel lists such an extension itself, nft_compat is there. Where neither is, nft's listing tells it all.
    """
    tables = _IPTABLES_TABLE[version].search(nft) is not None
    return tables and (_EXTENSION.search(nft) is not None or presence("nft_compat") == "present")


def _save(command: Sequence[str], deadline: Deadline) -> str:
    """What a save program prints, if that is whole: rules that are missing at its end would be taken for none."""
    text = f"\n{checked(command, deadline)}"
    if text.count("\n*") != text.count("\nCOMMIT\n"):
        raise ReadError(f"{command[0]} stopped in the middle of a table")
    return text[1:]


def _save_tool(version: Literal[4, 6], variant: str, says: str, deadline: Deadline) -> str:
    """The variant's own program, or the plain one where that is of this variant.

    Raises:
        ReadError: where neither is installed.
    """
    prefix = "iptables" if version == 4 else "ip6tables"
    own = f"{prefix}-{variant}-save"
    if find_tool(own):
        return own
    plain = f"{prefix}-save"
    if find_tool(plain):
        told = run([plain, "--version"], deadline).text
        # Before 1.8 there was no other variant than legacy, and the version said so by saying nothing.
        if f"({says})" in told or (says == "legacy" and "(" not in told):
            return plain
    raise ReadError(f"{own} is not installed")


# -- legacy -------------------------------------------------------------------------------------------------


def _legacy(version: Literal[4, 6], deadline: Deadline) -> str:
    if not _registered_tables(version):
        return ""
    within = _for_one_tool(deadline)
    by_library = partial(read_by_library, version, within)
    try:
        tool = _save_tool(version, "legacy", "legacy", within)
    except ReadError as error:
        text = by_library()
        if text is None:
            raise ReadError(f"{error}, nor is python-iptables (dockerdiag[legacy])") from None
        return text
    for _ in range(_ATTEMPTS):
        # Never with -t: that registers the table it names.
        text = _save([tool, "-c"], within)
        other = unread_on_error(by_library) if text.count("\n[") <= MAXIMUM_CHECKED_RULES else None
        # A library that fails or crashes is no witness against the program.
        if not isinstance(other, str) or same_rules(text, other):
            return text
    raise ReadError(f"{tool} and python-iptables disagree on the rules")


def _registered_tables(version: Literal[4, 6]) -> tuple[str, ...]:
    name = "ip_tables_names" if version == 4 else "ip6_tables_names"
    try:
        return tuple(read_kernel_file(f"/proc/thread-self/net/{name}").split())
    except FileNotFoundError:
        return ()  # neither loaded nor built in
    except PermissionError:
        raise ReadError(denied()) from None


# -- sets and hooks -----------------------------------------------------------------------------------------


def _ipsets() -> tuple[IpSet, ...]:
    if not _there("ip_set"):
        return ()
    if not may_administer_network():
        raise ReadError(denied())
    from dockerdiag.readers.ipsets import read_ipsets  # noqa: PLC0415 - few hosts have sets

    return read_ipsets()


def _lists(nft: str | Unread, what: re.Pattern[str]) -> bool:
    if isinstance(nft, Unread):
        raise ReadError(nft.reason)
    return what.search(nft) is not None


def _netdev_hooks(nft: str | Unread) -> tuple[NetdevHook, ...]:
    if not _lists(nft, _NETDEV_CHAIN):
        return ()
    from dockerdiag.readers.netdev_hooks import read_netdev_hooks  # noqa: PLC0415 - few hosts have such chains

    return read_netdev_hooks()


def _table_flags(nft: str | Unread) -> tuple[TableFlags, ...]:
    if not _lists(nft, _TABLE_WITH_FLAGS):
        return ()
    from dockerdiag.readers.netdev_hooks import read_table_flags  # noqa: PLC0415 - few hosts have such tables

    return read_table_flags()
