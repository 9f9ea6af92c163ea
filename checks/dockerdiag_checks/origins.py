"""Who brought a file, in words for evidence."""

from dockerdiag.case import Case
from dockerdiag.report import Evidence
from dockerdiag.snapshot import Unread


def package_of(case: Case, path: str) -> tuple[Evidence, ...]:
    """The package that brought a file; nothing where it is of none, or where that was not asked."""
    packages = case.snapshot.packages
    package = None if isinstance(packages, Unread) else packages.get(path)
    return (Evidence(f"dpkg-query --search {path}", f"package {package}"),) if package is not None else ()
