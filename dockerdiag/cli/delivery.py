"""Where reports go: stdout, and files."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dockerdiag.cli.changes_told import told
from dockerdiag.cli.errors import EX_IOERR, EX_SOFTWARE, fail_usage, give_up_stdout, say
from dockerdiag.cli.options import FailOn
from dockerdiag.dataclass import replace

if TYPE_CHECKING:
    from dockerdiag.changes import Changes
    from dockerdiag.cli.preparation import Prepared
    from dockerdiag.formatting import Format, RenderOptions
    from dockerdiag.report import Report


_MAXIMUM_LINKS = 40
RENDERING_SECONDS = 20.0
"""How long each format may take, also after the deadline: what was found must be told."""


def format_named(known: "Mapping[str, Format]", name: str) -> "Format":
    """The format of that name; wrong usage where there is none."""
    if name not in known:
        fail_usage(f"there is no format {name!r}; there are {', '.join(sorted(known))}")
    return known[name]


def format_of(known: "Mapping[str, Format]", path: Path) -> "Format":
    """The format that the suffix of a file names; wrong usage where it names none."""
    for one in known.values():
        if path.name.endswith(tuple(one.suffixes)):
            return one
    suffixes = ", ".join(suffix for one in known.values() for suffix in one.suffixes)
    raise typer.BadParameter(f"the suffix of {path} names no format; there are {suffixes}")


def deliver(
    report: "Report",
    prepared: "Prepared",
    *,
    verbose: bool = False,
    quiet: bool = False,
    fail_on: FailOn = "warn",
    changes: "Changes | None" = None,
    keep: Callable[[], int] | None = None,
) -> int:
    """Writes the files, keeps the run for the next one, shows the report, and returns the exit code.

    Text for people shows `changes` first, where they are given, and nothing at all where nothing changed, or with
    `quiet` where all is well; programs that read another format always get it. A monitor's format shows nothing where
    a file could not be written: its first line must not say OK then.
    """
    from dockerdiag.report import Verdict  # noqa: PLC0415

    code = report.exit_code
    if (fail_on == "fail" and code in (1, 3)) or (fail_on == "unknown" and code == 1):
        code = 0
    judged = code
    for path, one in prepared.files:
        whole = rendered(one, report, replace(prepared.options(report, verbose=True), exit_code=judged))
        code = (EX_SOFTWARE if whole is None else write(path, whole.encode(errors="replace"))) or code
    if keep is not None:
        code = keep() or code
    chosen = prepared.chosen
    if code == EX_IOERR and chosen.failure is not None:
        return code
    for_people = chosen.name == "text"
    nothing_new = changes is not None and not changes
    silent = for_people and (nothing_new or (quiet and report.verdict is Verdict.OK))
    if not silent:
        options = replace(
            prepared.options(report, verbose=verbose), colour=_colour(), width=_width(), exit_code=judged
        )
        if changes is not None and for_people:
            # In more words than the report keeps of them.
            shown = rendered(chosen, replace(report, changes=None), options)
            shown = None if shown is None else "\n".join((*told(changes), "", shown))
        else:
            shown = rendered(chosen, report, options)
        if shown is None:
            return EX_SOFTWARE
        code = print_result(shown) or code
    return code


def rendered(form: "Format", report: "Report", options: "RenderOptions") -> str | None:
    """The report in a format; None, and why on stderr, where another package's format fails, or it takes too long."""
    from dockerdiag.time_limit import TimeIsUp, TimeLimit  # noqa: PLC0415

    try:
        with TimeLimit(RENDERING_SECONDS).interrupting():
            return form.render(report, options)
    except TimeIsUp:
        say(f"the report in format {form.name} was not ready within {RENDERING_SECONDS:g} s")
        return None
    except Exception as error:
        if form.distribution == "dockerdiag":
            raise
        say(f"format {form.name}, which the package {form.distribution} brings, failed: {error}")
        return None


def print_result(text: str) -> int:
    """Prints to stdout; returns 0, or 74 where that cannot be."""
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except OSError as error:
        give_up_stdout(error)
        return EX_IOERR
    return 0


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width() -> int:
    return min(os.get_terminal_size(sys.stdout.fileno()).columns, 100) if sys.stdout.isatty() else 80


def write(path: Path, content: bytes) -> int:
    """Writes a file as a whole or not at all; an old one stays until the new one is complete."""
    try:
        with _opened(str(path.parent)) as folder:
            _write_in(folder, path.name, content)
    except OSError as error:
        say(f"cannot write {path}: {error.strerror}")
        return EX_IOERR
    return 0


@contextmanager
def _opened(folder: str, start: int | None = None) -> Iterator[int]:
    """A descriptor of a folder, which stays the same one whatever becomes of its name."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=start)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_in(folder: int, name: str, content: bytes, links: int = 0) -> None:
    found = _status(folder, name, follow=False)
    is_link = found is not None and stat.S_ISLNK(found.st_mode)
    # Another user's link is replaced: it could lead to any file, or appear only now.
    if found is None or (is_link and found.st_uid not in (0, os.geteuid())):
        _replace(folder, name, content)
        return
    leads_to = _status(folder, name, follow=True)
    if leads_to is not None and not stat.S_ISREG(leads_to.st_mode):
        _write_special(folder, name, content)
    elif not is_link:
        _replace(folder, name, content)
    elif links == _MAXIMUM_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    else:
        target = Path(os.readlink(name, dir_fd=folder))
        with _opened(str(target.parent), folder) as other:
            _write_in(other, target.name, content, links + 1)


def _status(folder: int, name: str, *, follow: bool) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=follow)
    except FileNotFoundError:
        return None


def _replace(folder: int, name: str, content: bytes) -> None:
    temporary = f".{name}.{os.urandom(8).hex()}"
    created = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with os.fdopen(created, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(created)
            # node_exporter reads its textfiles as a user of its own; they hold no name but networks'.
            os.fchmod(created, 0o644 if name.endswith(".prom") else 0o600)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(temporary, dir_fd=folder)
        raise


def _write_special(folder: int, name: str, content: bytes) -> None:
    """Writes to a device or a FIFO, never waiting for somebody who would read it."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=folder), "wb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was exchanged in the meantime
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.set_blocking(file.fileno(), True)
        file.write(content)
