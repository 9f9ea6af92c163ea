"""How the host comes to its nameservers: the link, the files it could lead to, the resolvers that run."""

from dockerdiag.readers.command import checked, find_tool
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
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
_SECONDS = 10.0


def read_name_service(tree: Tree, deadline: Deadline, *, systemd: bool) -> NameService:
    """Reads it.

    Raises:
        ReadError: where /etc may not be entered.
    """
    files = (tree.read_or_reason(path) for path in _OTHERS)
    return NameService(
        link=tree.link(RESOLV_CONF),
        others=tuple(file for file in files if isinstance(file, TextFile)),
        services=_services(deadline) if systemd else Unread("systemd does not run"),
    )


def _services(deadline: Deadline) -> dict[str, str] | Unread:
    if find_tool("systemctl") is None:
        return Unread("systemctl is not installed")
    units = [f"{name}.service" for name in _SERVICES]
    command = ["systemctl", "show", "--no-pager", "--property=Id,LoadState,ActiveState", "--", *units]
    try:
        told = checked(command, deadline.at_most(_SECONDS))
    except ReadError as error:
        return Unread(str(error))
    found = {}
    for block in told.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("LoadState") == "loaded":
            found[values["Id"].removesuffix(".service")] = values.get("ActiveState", "")
    return found
