"""How the host comes to its nameservers: the link, the files it could lead to, the resolvers that run."""

from dockerdiag.readers.command import find_tool
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.manager import Manager
from dockerdiag.readers.resolver import RESOLV_CONF
from dockerdiag.snapshot import NameService, TextFile, Unread

_OTHERS = (
    "/run/systemd/resolve/stub-resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/resolvconf/resolv.conf",
)
RESOLVERS = (
    "systemd-resolved.service",
    "NetworkManager.service",
    "dnsmasq.service",
    "unbound.service",
    "named.service",
    "pdns-recursor.service",
    "dnscrypt-proxy.service",
    "stubby.service",
    "kresd@1.service",
    "pihole-FTL.service",
    "AdGuardHome.service",
)


def read_name_service(tree: Tree, manager: Manager | None) -> NameService:
    """Reads it; `manager` is None where systemd does not run.

    Raises:
        ReadError: where /etc may not be entered.
    """
    files = (tree.read_or_reason(path) for path in _OTHERS)
    return NameService(
        link=tree.link(RESOLV_CONF),
        others=tuple(file for file in files if isinstance(file, TextFile)),
        services=_services(manager) if manager is not None else Unread("systemd does not run"),
    )


def _services(manager: Manager) -> dict[str, str] | Unread:
    if find_tool("systemctl") is None:
        return Unread("systemctl is not installed")
    try:
        told = manager.shown_if_expected(RESOLVERS)
    except ReadError as error:
        return Unread(str(error))
    return {
        values["Id"].removesuffix(".service"): values.get("ActiveState", "")
        for values in told
        if values.get("LoadState") == "loaded"
    }
