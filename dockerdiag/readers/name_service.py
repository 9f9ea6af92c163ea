"""How the host comes to its nameservers: the link, the files it could lead to, the resolvers that run."""

from dockerdiag.readers.command import find_tool
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.manager import Manager, worth_asking_for
from dockerdiag.readers.resolver import RESOLV_CONF
from dockerdiag.snapshot import NameService, TextFile, Unread

_OTHERS = (
    "/run/systemd/resolve/stub-resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
    "/run/resolvconf/resolv.conf",
)
_SERVICES = (
    "systemd-resolved",
    "NetworkManager",
    "dnsmasq",
    "unbound",
    "named",
    "pdns-recursor",
    "dnscrypt-proxy",
    "stubby",
    "kresd@1",
    "pihole-FTL",
    "AdGuardHome",
)


def expected_resolvers(tree: Tree) -> tuple[str, ...]:
    """The services among them that may be installed."""
    return worth_asking_for([f"{name}.service" for name in _SERVICES], tree)


def read_name_service(tree: Tree, manager: Manager | None) -> NameService:
    """Reads it; `manager` is None where systemd does not run.

    Raises:
        ReadError: where /etc may not be entered.
    """
    files = (tree.read_or_reason(path) for path in _OTHERS)
    return NameService(
        link=tree.link(RESOLV_CONF),
        others=tuple(file for file in files if isinstance(file, TextFile)),
        services=_services(tree, manager) if manager is not None else Unread("systemd does not run"),
    )


def _services(tree: Tree, manager: Manager) -> dict[str, str] | Unread:
    if find_tool("systemctl") is None:
        return Unread("systemctl is not installed")
    try:
        told = manager.shown(*expected_resolvers(tree))
    except ReadError as error:
        return Unread(str(error))
    return {
        values["Id"].removesuffix(".service"): values.get("ActiveState", "")
        for values in told
        if values.get("LoadState") == "loaded"
    }
