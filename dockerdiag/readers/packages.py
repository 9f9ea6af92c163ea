"""Which package brought a file, as dpkg's database tells."""

from collections.abc import Iterable

from dockerdiag.readers.command import run
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.snapshot import (
    BootSysctls,
    ServiceUnit,
    TextFile,
    Unread,
)

_DATABASE = "/var/lib/dpkg"
_SECONDS = 5.0
_MOST = 500


def read_packages(
    tree: Tree, service: ServiceUnit | Unread | None, sysctls: BootSysctls | Unread, deadline: Deadline
) -> dict[str, str]:
    """Package by path, of the files that configure the engine or set sysctls; those of no package are left out.

    rpm is not asked: a query may write into its database's folder.

    Raises:
        ReadError: where the host has no dpkg, or it does not answer.
    """
    paths = sorted(set(_paths(service, sysctls)))[:_MOST]
    if not paths:
        return {}
    database = tree.resolve(_DATABASE)
    if database is None or tree.resolve(f"{database}/info") is None:
        raise ReadError("the host's packages are not dpkg's")
    place = f"{tree.root.rstrip('/')}{database}"
    # Its status is 1 where one of them belongs to no package: the others are told all the same.
    output = run(["dpkg-query", f"--admindir={place}", "--search", *paths], deadline.at_most(_SECONDS))
    owners: dict[str, str] = {}
    for line in output.text.splitlines():
        packages, _, path = line.partition(": ")
        if path in paths and not packages.startswith(("diversion by", "local diversion")):
            owners[path] = packages.partition(":")[0].partition(",")[0]
    return owners


def _paths(service: ServiceUnit | Unread | None, sysctls: BootSysctls | Unread) -> Iterable[str]:
    if isinstance(service, ServiceUnit):
        files: list[TextFile] = [*service.drop_ins, *([service.fragment] if service.fragment else [])]
        yield from (file.path for file in files)
        yield from (file.path for file in service.environment_files)
    if isinstance(sysctls, BootSysctls):
        yield from (file.path for file in sysctls.files)
