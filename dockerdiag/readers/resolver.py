"""Which resolvers the host and its containers have."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from dockerdiag.readers.deadline import Deadline, within
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.snapshot import TextFile, Unread

RESOLV_CONF = "/etc/resolv.conf"
_SECONDS = 3.0
_NAMESERVER = re.compile(r"^(?:nameserver\s+|#\s*ExtServers:.*?)(.*)$", re.MULTILINE)
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+")
_LONGEST_ADDRESS = 45


def read_container_resolv_conf(
    tree: Tree, pid: int | None, engine_path: str, deadline: Deadline, owner: int | None = None
) -> TextFile | Unread | None:
    """The file as the container's processes see it, or as the engine keeps it for one that does not run.

    Of the engine of a user other than root it must be that `owner`'s: by a mount of his own any user can have another
    file in its place.
    """

    def read() -> TextFile | None:
        if pid is not None:
            return Tree(f"/proc/{pid}/root").read(RESOLV_CONF, owner)
        return tree.read(engine_path, owner) if engine_path.startswith("/") else None

    try:
        # A container can put a file system of its own there, which answers when it likes.
        return within(deadline.at_most(_SECONDS), read)
    except ReadError as error:
        return Unread(str(error))


def nameservers(files: Iterable[TextFile | Unread | None]) -> Iterator[str]:
    """Addresses of the resolvers, also those that the engine's own asks; none on the loopback."""
    for file in files:
        if not isinstance(file, TextFile):
            continue
        for line in _NAMESERVER.finditer(file.text):
            for written in _ADDRESS.findall(line[0]):
                if len(written) > _LONGEST_ADDRESS or not {".", ":"} & set(written):
                    continue
                try:
                    address = ip_address(written)
                except ValueError:
                    continue
                if not address.is_loopback and not address.is_link_local:
                    yield str(address)
