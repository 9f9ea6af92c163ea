"""The command line. Each command imports what it needs when it runs."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

from dockerdiag.version import __version__

if TYPE_CHECKING:
    from dockerdiag.formatting import Format
    from dockerdiag.report import Report
    from dockerdiag.snapshot import Snapshot

EX_USAGE, EX_SOFTWARE, EX_IOERR = 64, 70, 74
"""sysexits.h: wrong usage, an error of our own, a file that cannot be written."""

MAXIMUM_REPORT = 64 * 1024 * 1024
"""Bytes of a report that are read back; one of a thousand containers has a few MB."""

_UsageError: Any = typer.BadParameter.__mro__[1]
_ClickException: Any = typer.BadParameter.__mro__[2]
"""Click's classes; typer 0.26 and later carry a click of their own, earlier ones use the package."""

FailOn = Literal["warn", "fail", "unknown"]


class DefaultToCheck(TyperGroup):
    """A group whose first word may be left out: it is `check` then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `check` before arguments that name no command and no option of the group itself."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        first_word_is_completed = ctx.resilient_parsing and not args
        if not first_word_is_completed and (
            not args or (args[0] not in self.commands and args[0] not in own)
        ):
            args = ["check", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Offers the commands, and the options of `check` beside those of the group."""
        items = super().shell_complete(ctx, incomplete)
        check = self.commands["check"]
        if incomplete.startswith("-"):
            context = check.make_context("check", [], parent=ctx, resilient_parsing=True)
            items += check.shell_complete(context, incomplete)
        return items


app = typer.Typer(
    cls=DefaultToCheck,
    help="Says why a Docker container cannot reach the internet: the rule or setting that stops its packet, "
    "and the command that mends it. Reads the host, changes nothing. Without a command: check.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code, and never raises."""
    signal.signal(signal.SIGTERM, _end_by_signal)
    try:
        code = app(args=arguments, standalone_mode=False)
    except _ClickException as error:
        error.show()
        return EX_USAGE if isinstance(error, _UsageError) else EX_IOERR
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else EX_SOFTWARE
    except Exception as error:  # noqa: BLE001 - whatever went wrong, an admin gets a sentence
        _say(f"an error of dockerdiag's own: {type(error).__name__}: {error}")
        if os.environ.get("DOCKERDIAG_DEBUG"):
            traceback.print_exc()
        else:
            _say("run it again with DOCKERDIAG_DEBUG=1 to see where")
        return EX_SOFTWARE
    return code if isinstance(code, int) else 0


def _end_by_signal(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - signal.signal's signature
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    print(f"dockerdiag: {text}", file=sys.stderr)  # noqa: T201 - stderr is where progress and errors go


def _fail_usage(text: str) -> NoReturn:
    raise typer.BadParameter(text)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dockerdiag {__version__}")
        raise typer.Exit


@app.callback()
def group(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Takes what belongs to no command."""


def _complete_check(incomplete: str) -> list[str]:
    from dockerdiag.registry import checks  # noqa: PLC0415 - as all imports in this file: only where used

    return [one.name for one in checks()[0] if one.name.startswith(incomplete)]


def _complete_format(incomplete: str) -> list[str]:
    from dockerdiag.registry import formats  # noqa: PLC0415

    return [name for name in formats()[0] if name.startswith(incomplete)]


Timeout = Annotated[
    float,
    typer.Option("--timeout", metavar="S", min=1, help="Stop reading after S seconds; the rest is unknown."),
]
OnlyChecks = Annotated[
    list[str],
    typer.Option("--only", metavar="CHECK", help="Ask this check only.", autocompletion=_complete_check),
]
SkippedChecks = Annotated[
    list[str],
    typer.Option("--skip", metavar="CHECK", help="Leave this check out.", autocompletion=_complete_check),
]
FormatName = Annotated[
    str, typer.Option("--format", "-f", help="What stdout gets.", autocompletion=_complete_format)
]
Outputs = Annotated[
    list[Path],
    typer.Option("--output", "-o", metavar="FILE", help="Write a file too, in the format of its suffix."),
]
FromFile = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Judge a snapshot again, or show a report again."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what passed, and every hop.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when the verdict is ok.")]
FailOnOption = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        help="From which verdict on the exit code is not 0: fail makes 1 and 3 into 0, unknown 1.",
    ),
]


@app.command("check")
def check_host(
    container: Annotated[
        list[str], typer.Option("--container", "-c", help="Walk this container's packets (name or id).")
    ] = [],  # noqa: B006 - typer copies defaults
    network: Annotated[
        list[str], typer.Option("--network", "-n", help="Walk this network's containers.")
    ] = [],  # noqa: B006
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="HOST[:PORT][/PROTO]", help="Where to; nothing is sent there."),
    ] = [],  # noqa: B006
    format_name: FormatName = "text",
    output: Outputs = [],  # noqa: B006
    from_file: FromFile = None,
    only: OnlyChecks = [],  # noqa: B006
    skip: SkippedChecks = [],  # noqa: B006
    verbose: Verbose = False,
    quiet: Quiet = False,
    fail_on: FailOnOption = "warn",
    timeout: Timeout = 60,
) -> int:
    """Find out what keeps containers from the internet (the default command)."""
    from dockerdiag.asked import Asked, AskedError  # noqa: PLC0415
    from dockerdiag.diagnosis import diagnose  # noqa: PLC0415
    from dockerdiag.registry import formats  # noqa: PLC0415
    from dockerdiag.snapshot import Snapshot  # noqa: PLC0415

    known, broken = formats()
    for one in broken:
        _say(f"format {one.name} of {one.distribution} could not be loaded: {one.reason}")
    chosen = _format_named(known, format_name)
    files = [(path, _format_of(known, path)) for path in output]
    checks = _checks(only, skip)
    try:
        asked = Asked.parse(containers=container, networks=network, destinations=to)
        loaded = _load(from_file, known) if from_file is not None else _read(timeout, asked)
        report = diagnose(loaded, asked, *checks) if isinstance(loaded, Snapshot) else loaded
    except AskedError as error:
        _fail_usage(str(error))
    return _deliver(report, chosen, files, verbose=verbose, quiet=quiet, fail_on=fail_on)


@app.command("trace")
def trace(
    container: Annotated[str, typer.Argument(metavar="CONTAINER", help="Whose packet (name or id).")],
    destination: Annotated[
        str, typer.Argument(metavar="HOST[:PORT][/PROTO]", help="Where to; nothing is sent.")
    ],
    format_name: FormatName = "text",
    output: Outputs = [],  # noqa: B006
    from_file: FromFile = None,
    timeout: Timeout = 60,
) -> int:
    """Show one packet's way and its answer's, hop by hop, with the rule or setting that decides each."""
    from dockerdiag.asked import Asked, AskedError  # noqa: PLC0415
    from dockerdiag.diagnosis import traced  # noqa: PLC0415
    from dockerdiag.registry import formats  # noqa: PLC0415
    from dockerdiag.snapshot import Snapshot  # noqa: PLC0415

    known = formats()[0]
    chosen = _format_named(known, format_name)
    files = [(path, _format_of(known, path)) for path in output]
    try:
        asked = Asked.parse(containers=[container], destinations=[destination])
        loaded = _load(from_file, known) if from_file is not None else _read(timeout, asked)
        if not isinstance(loaded, Snapshot):
            _fail_usage(f"{from_file} is a report; a walk needs a snapshot")
        report = traced(loaded, asked)
    except AskedError as error:
        _fail_usage(str(error))
    return _deliver(report, chosen, files, verbose=True, quiet=False, fail_on="warn")


@app.command("demo")
def demo(
    format_name: FormatName = "text",
    output: Outputs = [],  # noqa: B006
    verbose: Verbose = False,
) -> int:
    """Show a report on a recorded host that is really broken; needs no Docker."""
    from dockerdiag.asked import Asked  # noqa: PLC0415
    from dockerdiag.diagnosis import diagnose  # noqa: PLC0415
    from dockerdiag.registry import formats  # noqa: PLC0415
    from dockerdiag.snapshot.store import load  # noqa: PLC0415

    known = formats()[0]
    chosen = _format_named(known, format_name)
    files = [(path, _format_of(known, path)) for path in output]
    snapshot = load(Path(__file__).with_name("demo.json.gz"))
    report = diagnose(snapshot, Asked.parse(), *_checks([], []))
    return _deliver(report, chosen, files, verbose=verbose, quiet=False, fail_on="warn")


@app.command("collect")
def collect(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; .gz compresses.")],
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="HOST[:PORT][/PROTO]", help="Ask the kernel's route there as well."),
    ] = [],  # noqa: B006
    timeout: Timeout = 60,
) -> int:
    """Save what was read, to be judged elsewhere with --from. Credentials are left out."""
    from dockerdiag.asked import Asked, AskedError  # noqa: PLC0415
    from dockerdiag.snapshot.store import dump  # noqa: PLC0415

    try:
        asked = Asked.parse(destinations=to)
    except AskedError as error:
        _fail_usage(str(error))
    return _write(output, dump(_read(timeout, asked), compress=output.name.endswith(".gz")))


@app.command("checks")
def list_checks() -> int:
    """List what can be asked."""
    from dockerdiag.registry import checks  # noqa: PLC0415

    known, broken = checks()
    width = max(len(one.name) for one in known)
    for heading in dict.fromkeys(one.group for one in known):
        typer.echo(heading)
        for one in known:
            if one.group == heading:
                typer.echo(f"  {one.name:<{width}}  {one.title}")
    for failed in broken:
        _say(f"check {failed.name} of {failed.distribution} could not be loaded: {failed.reason}")
    return 0


@app.command("explain")
def explain(
    check: Annotated[str, typer.Argument(help="A check's name.", autocompletion=_complete_check)],
) -> int:
    """Show a check's page: what it asks, why it matters, what is normal, and what mends it."""
    from dockerdiag.registry import checks  # noqa: PLC0415

    known = {one.name: one for one in checks()[0]}
    if check not in known:
        _fail_usage(f"there is no check {check!r}; `dockerdiag checks` lists them")
    typer.echo(f"{check}\n{'=' * len(check)}\n\n{known[check].page.strip()}")
    return 0


def _format_named(known: "dict[str, Format]", name: str) -> "Format":
    if name not in known:
        _fail_usage(f"there is no format {name!r}; there are {', '.join(sorted(known))}")
    return known[name]


def _format_of(known: "dict[str, Format]", path: Path) -> "Format":
    for one in known.values():
        if path.name.endswith(tuple(one.suffixes)):
            return one
    suffixes = ", ".join(suffix for one in known.values() for suffix in one.suffixes)
    _fail_usage(f"the suffix of {path} names no format; there are {suffixes}")


def _checks(only: list[str], skip: list[str]) -> tuple[Any, Any]:
    from dockerdiag.registry import checks  # noqa: PLC0415

    known, broken = checks()
    names = {one.name for one in known}
    for name in (*only, *skip):
        if name not in names:
            _fail_usage(f"there is no check {name!r}; `dockerdiag checks` lists them")
    wanted = tuple(one for one in known if (not only or one.name in only) and one.name not in skip)
    return wanted, tuple(one for one in broken if not only or one.name in only)


def _read(timeout: float, asked: Any) -> "Snapshot":
    from dockerdiag.readers import read_snapshot  # noqa: PLC0415

    with _progress() as progress:
        return read_snapshot(deadline=timeout, destinations=asked.addresses, progress=progress)


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Console(stderr=True).status("reading the host") as status:
        yield lambda text: status.update(Text(text))


def _load(path: Path, known: "dict[str, Format]") -> "Snapshot | Report":
    """Reads a snapshot, or a report in a format that can be read back."""
    from dockerdiag.asked import AskedError  # noqa: PLC0415
    from dockerdiag.snapshot.store import SnapshotError, load  # noqa: PLC0415

    reasons: list[str] = []
    for one in known.values():
        if one.read is not None and path.name.endswith(tuple(one.suffixes)):
            try:
                return one.read(_bounded_text(path))
            except (OSError, ValueError) as error:
                reasons.append(f"as a report: {error}")
    try:
        return load(path)
    except SnapshotError as error:
        raise AskedError(f"{path} cannot be read: {'; '.join((*reasons, str(error)))}") from None


def _bounded_text(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > MAXIMUM_REPORT:
        raise ValueError(f"it is not a file of at most {MAXIMUM_REPORT // 1024**2} MiB")
    return path.read_text(encoding="utf-8")


def _deliver(
    report: "Report",
    chosen: "Format",
    files: "list[tuple[Path, Format]]",
    *,
    verbose: bool,
    quiet: bool,
    fail_on: FailOn,
) -> int:
    from dockerdiag.formatting import RenderOptions  # noqa: PLC0415
    from dockerdiag.report import Verdict  # noqa: PLC0415

    code = report.exit_code
    if (fail_on == "fail" and code in (1, 3)) or (fail_on == "unknown" and code == 1):
        code = 0
    for path, one in files:
        written = _write(path, one.render(report, RenderOptions(verbose=True)).encode())
        code = written or code
    if not (quiet and report.verdict is Verdict.OK):
        options = RenderOptions(verbose=verbose, colour=_colour(), width=_width())
        code = _print(chosen.render(report, options)) or code
    return code


def _print(text: str) -> int:
    try:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Click would end with 1, which is a verdict. What is left in the buffer must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_IOERR
    except OSError as error:
        _say(f"cannot write to stdout: {error.strerror}")
        return EX_IOERR
    return 0


def _colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width() -> int:
    return min(os.get_terminal_size(sys.stdout.fileno()).columns, 100) if sys.stdout.isatty() else 80


def _write(path: Path, content: bytes) -> int:
    """Writes a file as a whole or not at all; an old one stays until the new one is complete."""
    import tempfile  # noqa: PLC0415

    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return 0
        target = path.resolve()
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as temporary:
            try:
                temporary.write(content)
                temporary.flush()
                os.fsync(temporary.fileno())
                os.fchmod(temporary.fileno(), 0o600)
                Path(temporary.name).replace(target)
            except BaseException:
                Path(temporary.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        _say(f"cannot write {path}: {error.strerror}")
        return EX_IOERR
    return 0
