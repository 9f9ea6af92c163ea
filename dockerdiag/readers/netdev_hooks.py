"""What `nft -j` 1.0.6 does not tell: devices of chains that hook into links, and flags of tables."""

from typing import Any

from dockerdiag.readers.bare_package import bare_package
from dockerdiag.snapshot import NetdevHook, TableFlags

with bare_package("pyroute2"):
    from pyroute2.nftables.main import NFTables

_DORMANT = 1
"""NFT_TABLE_F_DORMANT."""
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}


def read_netdev_hooks() -> tuple[NetdevHook, ...]:
    """Every base chain that names devices, to be asked only where nf_tables is loaded.

    Raises:
        pyroute2.netlink.exceptions.NetlinkError: where the kernel refuses.
    """
    # Family 0 asks for all; pyroute2's own default is ip alone.
    with NFTables(nfgen_family=0) as nftables:
        return tuple(
            NetdevHook(
                family=_family(message),
                table=message.get_attr("NFTA_CHAIN_TABLE"),
                chain=message.get_attr("NFTA_CHAIN_NAME"),
                devices=devices,
            )
            for message in nftables.get_chains()
            if (devices := _devices(message.get_attr("NFTA_CHAIN_HOOK")))
        )


def read_table_flags() -> tuple[TableFlags, ...]:
    """The flags of every table, to be asked only where nf_tables is loaded.

    Raises:
        pyroute2.netlink.exceptions.NetlinkError: where the kernel refuses.
    """
    with NFTables(nfgen_family=0) as nftables:
        return tuple(
            TableFlags(
                family=_family(message),
                table=message.get_attr("NFTA_TABLE_NAME"),
                dormant=bool((message.get_attr("NFTA_TABLE_FLAGS") or 0) & _DORMANT),
            )
            for message in nftables.get_tables()
        )


def _family(message: Any) -> str:
    number = message["nfgen_family"]
    return _FAMILIES.get(number, str(number))


def _devices(hook: Any) -> tuple[str, ...]:
    if hook is None:
        return ()
    listed = hook.get_attr("NFTA_HOOK_DEVS")
    if listed is not None:
        return tuple(str(attribute[1]) for attribute in listed["attrs"])
    single = hook.get_attr("NFTA_HOOK_DEV")
    return (str(single),) if single else ()
