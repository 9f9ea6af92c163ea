"""The commands that read a host, or a file, and judge it."""

from collections.abc import Callable
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dockerdiag.cli import delivery, sources
from dockerdiag.cli.application import app
from dockerdiag.cli.errors import EX_IOERR, fail_usage, say
from dockerdiag.cli.memory import remembering
from dockerdiag.cli.options import (
    Config,
    FailOnOption,
    FormatName,
    FromFile,
    NoPlugins,
    OnlyChecks,
    Outputs,
    Probe,
    Quiet,
    Redact,
    Root,
    SkippedChecks,
    State,
    Timeout,
    Verbose,
)
from dockerdiag.cli.preparation import prepare
from dockerdiag.dataclass import replace

if TYPE_CHECKING:
    from dockerdiag.asked import Asked
    from dockerdiag.cli.preparation import Prepared
    from dockerdiag.diagnosis import Doubted
    from dockerdiag.expectations import Expectations
    from dockerdiag.readers.beside import Reading
    from dockerdiag.report import Report
    from dockerdiag.snapshot import Snapshot
    from dockerdiag.snapshot.redact import RedactionMap
    from dockerdiag.time_limit import TimeLimit


@app.command("check", help="Find out what keeps containers from the internet (the default command).")
def check_host(
    context: typer.Context,
    container: Annotated[
        list[str],
        typer.Option(
            "--container", "-c", metavar="CONTAINER", help="Walk this container's packets (name or id)."
        ),
    ] = [],  # noqa: B006 - typer copies defaults
    network: Annotated[
        list[str], typer.Option("--network", "-n", metavar="NETWORK", help="Walk this network's containers.")
    ] = [],  # noqa: B006
    to: Annotated[
        list[str],
        typer.Option(
            "--to", metavar="HOST[:PORT][/PROTO]", help="Where to; nothing is sent there without --probe."
        ),
    ] = [],  # noqa: B006
    probe: Probe = False,
    format_name: FormatName = "text",
    output: Outputs = [],  # noqa: B006
    from_file: FromFile = None,
    only: OnlyChecks = [],  # noqa: B006
    skip: SkippedChecks = [],  # noqa: B006
    verbose: Verbose = False,
    quiet: Quiet = False,
    redacted: Redact = False,
    state: State = None,
    config: Config = None,
    fail_on: FailOnOption = "warn",
    timeout: Timeout = 60,
    root: Root = None,
    no_plugins: NoPlugins = False,
) -> int:
    """Judges this host, or what a file tells of one; ends with the verdict's code."""
    from dockerdiag.asked import AskedError  # noqa: PLC0415 - as all imports within commands: when used
    from dockerdiag.time_limit import TimeLimit  # noqa: PLC0415

    limit = TimeLimit(timeout)
    _asked_for_targets(probe=probe, to=to)
    if "probe" in only and not probe:
        fail_usage("the check probe asks about probes: say --probe")
    asked = _asked(containers=container, networks=network, destinations=to)
    # A run that keeps a state reads nothing before it knows that no other run does.
    begun = _begun(context, limit, asked, root, from_file, probe=probe) if state is None else None
    from dockerdiag.cli.expecting import Expecting  # noqa: PLC0415
    from dockerdiag.diagnosis import diagnose  # noqa: PLC0415

    checks = _checks(only, skip, limit, plugins=not no_plugins)
    prepared = prepare(
        format_name,
        output,
        limit=limit,
        from_file=from_file,
        root=root,
        plugins=not no_plugins,
        groups=_groups(plugins=not no_plugins),
        probe=probe,
    )
    expectations = _expectations(config)
    if state is not None and redacted:
        fail_usage("--state keeps this host's own names; it does not go with --redact")
    try:

        def judge(read: _Read, doubted: "Doubted | None" = None) -> "Report":
            expecting = Expecting(expectations, read.snapshot.taken_at, read.names)
            report = diagnose(
                read.snapshot,
                read.asked,
                *checks,
                expected=expecting.reason if expectations else None,
                doubted=doubted,
                limit=prepared.limit,
            )
            # Where only a part was asked for, what is expected elsewhere says nothing.
            return expecting.told(report, whole=not (only or skip or container or network or to))

        with remembering(state, limit) as memory:
            wanted = "--state and --config need a snapshot" if state or config else ""
            snapshot, report = _judged(prepared, asked, begun, judge, redacted=redacted, wanted=wanted)
            changes = None
            if memory is not None and snapshot is not None:
                report, changes = memory.compare(report, snapshot, lambda one: judge(_Read(one, asked)))
            return delivery.deliver(
                report,
                prepared,
                verbose=verbose,
                quiet=quiet,
                fail_on=fail_on,
                changes=changes,
                keep=memory.keep if memory is not None else None,
            )
    except AskedError as error:
        fail_usage(str(error))


@app.command(
    "trace",
    help="Show one packet's way and its answer's, hop by hop, with the rule or setting that decides each.",
)
def trace(
    context: typer.Context,
    container: Annotated[str, typer.Argument(metavar="CONTAINER", help="Whose packet (name or id).")],
    destination: Annotated[
        str,
        typer.Argument(metavar="HOST[:PORT][/PROTO]", help="Where to; with --inbound PORT[/PROTO]."),
    ],
    inbound: Annotated[
        bool, typer.Option("--inbound", help="From outside, to a port that the container publishes.")
    ] = False,
    probe: Probe = False,
    format_name: FormatName = "text",
    output: Outputs = [],  # noqa: B006
    from_file: FromFile = None,
    redacted: Redact = False,
    timeout: Timeout = 60,
    root: Root = None,
    no_plugins: NoPlugins = False,
) -> int:
    """Walks one packet; ends with the code of its disposition."""
    from dockerdiag.asked import Asked, AskedError, Inbound  # noqa: PLC0415
    from dockerdiag.time_limit import TimeLimit  # noqa: PLC0415

    limit = TimeLimit(timeout)
    if probe and inbound:
        fail_usage("--probe sends from here; a packet from outside must be sent there")
    try:
        asked = (
            Asked((container,), inbound=Inbound.parse(destination))
            if inbound
            else Asked.parse(containers=[container], destinations=[destination])
        )
    except AskedError as error:
        fail_usage(str(error))
    begun = _begun(context, limit, asked, root, from_file, probe=probe)
    from dockerdiag.diagnosis import traced  # noqa: PLC0415

    prepared = prepare(
        format_name,
        output,
        limit=limit,
        from_file=from_file,
        root=root,
        plugins=not no_plugins,
        probe=probe,
    )
    checks = _checks(["probe"], [], prepared.limit, plugins=False)[0] if probe else ()

    def judge(read: _Read, doubted: "Doubted | None") -> "Report":
        return traced(read.snapshot, read.asked, prepared.limit, checks=checks, doubted=doubted)

    try:
        _, report = _judged(
            prepared, asked, begun, judge, redacted=redacted, wanted="a walk needs a snapshot"
        )
    except AskedError as error:
        fail_usage(str(error))
    return delivery.deliver(report, prepared, verbose=True)


@app.command("demo", help="Show a report on a recorded host that is really broken; needs no Docker.")
def demo(
    format_name: FormatName = "text",
    output: Outputs = [],  # noqa: B006
    verbose: Verbose = False,
) -> int:
    """Judges the embedded snapshot; ends with its verdict's code."""
    from dockerdiag.asked import Asked  # noqa: PLC0415
    from dockerdiag.diagnosis import diagnose  # noqa: PLC0415
    from dockerdiag.snapshot.store import loads  # noqa: PLC0415

    prepared = prepare(format_name, output, groups=_groups(plugins=False))
    # By its name in the package, for that may lie in an archive.
    snapshot = loads(resources("dockerdiag").joinpath("demo.json.gz").read_bytes())
    report = diagnose(snapshot, Asked.parse(), *_checks([], [], prepared.limit, plugins=False))
    return delivery.deliver(report, prepared, verbose=verbose)


@app.command(
    "collect", help="Save what was read, to be judged elsewhere with --from. Credentials are left out."
)
def collect(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to; .gz compresses.")],
    to: Annotated[
        list[str],
        typer.Option("--to", metavar="HOST[:PORT][/PROTO]", help="Ask the kernel's route there as well."),
    ] = [],  # noqa: B006
    probe: Probe = False,
    redacted: Redact = False,
    timeout: Timeout = 60,
    root: Root = None,
) -> int:
    """Reads this host into a file, without a judgement."""
    from dockerdiag.snapshot.store import dump  # noqa: PLC0415
    from dockerdiag.time_limit import TimeLimit  # noqa: PLC0415

    _asked_for_targets(probe=probe, to=to)
    asked = _asked(destinations=to)
    limit = TimeLimit(timeout)
    snapshot = sources.read_host(limit, asked, root, probe=probe)
    if redacted:
        snapshot = _redacted(snapshot, asked, limit).snapshot
    return delivery.write(output, dump(snapshot, compress=output.name.endswith(".gz")))


def _asked_for_targets(*, probe: bool, to: list[str]) -> None:
    if probe and not to:
        fail_usage(
            "--probe sends packets to what --to names, and to nothing else: say --to HOST[:PORT][/PROTO]"
        )


def _asked(**parts: list[str]) -> "Asked":
    from dockerdiag.asked import Asked, AskedError  # noqa: PLC0415

    try:
        return Asked.parse(**parts)
    except AskedError as error:
        fail_usage(str(error))


def _begun(
    context: typer.Context,
    limit: "TimeLimit",
    asked: "Asked",
    root: Path | None,
    from_file: Path | None,
    *,
    probe: bool,
) -> "Reading | None":
    """This host as it is read from now on, until the command ends."""
    if probe and from_file is not None:
        fail_usage("--probe sends packets now; what --from reads was another moment")
    reading: Reading | None = context.with_resource(
        sources.reading(limit, asked, root, from_file, probe=probe)
    )
    return reading


def _expectations(config: Path | None) -> "Expectations":
    from dockerdiag.expectations import DEFAULT_PATH, ConfigurationError, load  # noqa: PLC0415

    if config is None and not DEFAULT_PATH.exists():
        return ()
    try:
        return load(config or DEFAULT_PATH)
    except ConfigurationError as error:
        fail_usage(str(error))


def _checks(only: list[str], skip: list[str], limit: "TimeLimit", *, plugins: bool) -> tuple[Any, Any]:
    from dockerdiag.registry import checks  # noqa: PLC0415

    known, broken = checks(plugins=plugins, limit=limit)
    names = {one.name for one in known}
    for name in (*only, *skip):
        if name not in names:
            fail_usage(f"there is no check {name!r}; `dockerdiag checks` lists them")
    wanted = tuple(one for one in known if (not only or one.name in only) and one.name not in skip)
    return wanted, tuple(one for one in broken if not only or one.name in only)


def _groups(*, plugins: bool) -> dict[str, str]:
    from dockerdiag.registry import checks  # noqa: PLC0415

    return {one.name: one.group for one in checks(plugins=plugins)[0]}


class _Read(NamedTuple):
    """What is judged: with other names in all of it where it is redacted."""

    snapshot: "Snapshot"
    asked: "Asked"
    names: "RedactionMap | None" = None


def _judged(
    prepared: "Prepared",
    asked: "Asked",
    begun: "Reading | None",
    judge: "Callable[[_Read, Doubted | None], Report]",
    *,
    redacted: bool,
    wanted: str = "",
) -> "tuple[Snapshot | None, Report]":
    """The report, with the snapshot that it judges; None where the file is a report, wrong where one is `wanted`."""
    from dockerdiag.settling import settled  # noqa: PLC0415
    from dockerdiag.snapshot import Snapshot  # noqa: PLC0415

    def as_asked(snapshot: Snapshot) -> _Read:
        return _redacted(snapshot, asked, prepared.limit) if redacted else _Read(snapshot, asked)

    def judged(read: _Read, doubted: "Doubted | None" = None) -> "Report":
        report = judge(read, doubted)
        told = read.snapshot.redaction
        if told is None:
            return report
        redaction = {"redacted": True, "kinds": dict(told.kinds), "kept": list(told.kept), "map": told.map}
        return replace(report, redaction={**report.redaction, **redaction})

    if prepared.from_file is None:
        before: list[Snapshot] = []

        def read() -> _Read:
            before[:] = [prepared.read(asked, begun, *before)]
            return as_asked(before[0])

        found, report = settled(read, judged, prepared.limit)
        return found.snapshot, report
    loaded = prepared.load(prepared.from_file)
    if isinstance(loaded, Snapshot):
        return loaded, judged(as_asked(loaded))
    if wanted:
        fail_usage(f"{prepared.from_file} is a report; {wanted}")
    if redacted and not loaded.redaction.get("redacted"):
        fail_usage("a report cannot be redacted; --redact the snapshot, or the run that makes it")
    return None, loaded


def _redacted(snapshot: "Snapshot", asked: "Asked", limit: "TimeLimit") -> _Read:
    """Both with names and addresses replaced; the map is kept on this host first. Nothing is told where time is up."""
    from dockerdiag.redaction_maps import RedactionMaps  # noqa: PLC0415
    from dockerdiag.snapshot.redact import redact  # noqa: PLC0415
    from dockerdiag.time_limit import TimeIsUp  # noqa: PLC0415

    if snapshot.redaction is not None:
        return _Read(snapshot, asked)
    place = ""
    try:
        maps = RedactionMaps()
        place = f" in {maps.folder}"
        with limit.interrupting():
            snapshot, redaction_map = redact(snapshot, maps.key())
        maps.save(redaction_map)
    except TimeIsUp:
        say(f"{limit.told} before names and addresses were replaced; --timeout gives more time")
        raise typer.Exit(EX_IOERR) from None
    except OSError as error:
        say(f"cannot keep the map of what --redact replaces{place}: {error.strerror}")
        raise typer.Exit(EX_IOERR) from None
    name = redaction_map.redacted_name
    asked = replace(
        asked,
        containers=tuple(name(one.removeprefix("/")) for one in asked.containers),
        networks=tuple(map(name, asked.networks)),
        destinations=tuple(replace(one, host=redaction_map.redacted(one.host)) for one in asked.destinations),
    )
    return _Read(snapshot, asked, redaction_map)
