"""Links whose forwarding systemd-networkd turns off, and how it is told to leave it on."""

from dockerdiag.case import Case
from dockerdiag.configuration.networkd import turned_off
from dockerdiag.configuration.origin import Origin
from dockerdiag.snapshot import Unread
from dockerdiag_checks.commands import sh, write_file


def by_networkd(case: Case, key: str) -> Origin | None:
    """The line by which systemd-networkd (256 and later) turns it off for a link whenever it configures that."""
    managers, links = case.snapshot.network_managers, case.snapshot.network.links
    if isinstance(managers, Unread) or isinstance(links, Unread) or not key.startswith("net/ipv4/conf/"):
        return None
    index = next((one.index for one in links if one.name == key.split("/")[3]), None)
    applied = (
        one.file
        for one in managers.owners
        if one.link == index and one.managed and one.manager == "systemd-networkd"
    )
    path = next(applied, None)
    return turned_off(managers.files, path, "IPv4Forwarding") if path is not None else None


def told_to_networkd(off: Origin) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A drop-in of the .network file that has this line, and what takes it back."""
    # The line may stand in a drop-in itself: then its folder is the one that ours goes to.
    name = off.path.partition("/network/")[2].partition("/")[0].removesuffix(".d")
    path = f"/etc/systemd/network/{name}.d/zz-dockerdiag-forwarding.conf"
    again = sh("networkctl", "reload")
    return (write_file(path, "[Network]\nIPv4Forwarding=yes"), again), (sh("rm", "-f", path), again)
