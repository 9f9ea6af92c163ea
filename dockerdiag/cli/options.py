"""Options and arguments that several commands take."""

from pathlib import Path
from typing import Annotated, Literal

import typer

FailOn = Literal["warn", "fail", "unknown"]


def complete_check(incomplete: str) -> list[str]:
    """Names of checks that begin so."""
    from dockerdiag.registry import checks  # noqa: PLC0415 - as all imports in this file: only where used

    return [one.name for one in checks()[0] if one.name.startswith(incomplete)]


def _complete_format(incomplete: str) -> list[str]:
    from dockerdiag.registry import formats  # noqa: PLC0415

    return [name for name in formats()[0] if name.startswith(incomplete)]


def _number(value: float) -> float:
    if value != value:  # noqa: PLR0124 - what is no number (nan) is neither too small nor too large
        raise typer.BadParameter("it is no number")
    return value


_DAY = 86400
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="S",
        min=1,
        max=_DAY,
        callback=_number,
        help="End after S seconds; what is open then is unknown.",
    ),
]
OnlyChecks = Annotated[
    list[str],
    typer.Option("--only", metavar="CHECK", help="Ask this check only.", autocompletion=complete_check),
]
SkippedChecks = Annotated[
    list[str],
    typer.Option("--skip", metavar="CHECK", help="Leave this check out.", autocompletion=complete_check),
]
FormatName = Annotated[
    str,
    typer.Option(
        "--format", "-f", metavar="FORMAT", help="What stdout gets.", autocompletion=_complete_format
    ),
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
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no text when the verdict is ok.")]
FailOnOption = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        metavar="warn|fail|unknown",
        help="From which verdict on the exit code is not 0: fail makes 1 and 3 into 0, unknown 1.",
    ),
]


Probe = Annotated[
    bool,
    typer.Option(
        "--probe",
        help="Send real packets to what --to names, from the containers' namespaces and the host's.",
    ),
]
Redact = Annotated[
    bool,
    typer.Option("--redact", help="Replace addresses and names; the map that restores them stays here."),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="FILE", help="Keep this run there, and tell only what changed since the last one."
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Findings that are expected, instead of those in /etc/dockerdiag.toml.",
    ),
]
ROOT_VARIABLE = "DOCKERDIAG_ROOT"
"""Set by the container image, in which the host is not at /."""

Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        envvar=ROOT_VARIABLE,
        show_envvar=False,
        exists=True,
        file_okay=False,
        help="Read the host's files below DIR; the kernel is this one.",
    ),
]
NoPlugins = Annotated[
    bool, typer.Option("--no-plugins", help="Leave checks and formats of other packages out.")
]
