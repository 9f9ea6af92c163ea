"""Writes the manual page, made from the command line itself.

python packaging/make.py            writes it
python packaging/make.py --check    says whether it is out of date, and exits 1 then
"""

import sys
from pathlib import Path
from typing import Any

import typer.main

from dockerdiag.cli import running
from dockerdiag.version import __version__

PAGE = Path(__file__).parent / "man" / "dockerdiag.1"

EXIT_CODES = (
    ("0", "ok; for trace: delivered; for diff: the same"),
    ("1", "degraded: it works, and will not after a reboot, a restart or a reload; for diff: different"),
    ("2", "broken: traffic is stopped now"),
    ("3", "unknown: something that decides could not be read or judged, or another run holds the state file"),
    ("64", "wrong usage, or a configuration file that is not understood"),
    ("70", "an error of dockerdiag's own, or of another package's format"),
    ("74", "a file cannot be written"),
    ("128+n", "ended by signal n"),
)
FILES = (
    ("/etc/dockerdiag.toml", "findings that are expected; --config names another file"),
    (
        "/var/lib/dockerdiag/redaction",
        "what --redact replaced; in $XDG_STATE_HOME/dockerdiag, for users in ~/.local/state/dockerdiag",
    ),
)
ENVIRONMENT = (
    ("DOCKER_HOST, DOCKER_CONTEXT", "which engine is asked, as the docker command takes them"),
    ("DOCKERDIAG_ROOT", "what --root says, where that is not given; an empty one says nothing"),
    ("NO_COLOR", "no colours, where it is not empty"),
    ("DOCKERDIAG_DEBUG", "where it is not empty, an error of its own is shown with its traceback"),
)


def page() -> str:
    """The manual page, in roff's man macros."""
    application: Any = typer.main.get_command(running.app)
    commands = {name: application.commands[name] for name in application.list_commands(None)}
    lines = [
        f'.TH DOCKERDIAG 1 "" "dockerdiag {__version__}" "User Commands"',
        ".SH NAME",
        r"dockerdiag \- says why a Docker container cannot reach the internet",
        ".SH SYNOPSIS",
    ]
    for name, command in commands.items():
        lines += [".B dockerdiag", *([] if name == "check" else [_bold(name)]), _arguments(command), ".br"]
    lines += [".SH DESCRIPTION", _text(application.help or "")]
    lines += [".SH COMMANDS"]
    for name, command in commands.items():
        lines += [f".SS {name}{_upper(command)}", _text(command.help or "")]
        for parameter in command.params:
            lines += _parameter(parameter)
    lines += [".SH EXIT STATUS", *_table(EXIT_CODES)]
    lines += [".SH FILES", *_table(FILES), ".SH ENVIRONMENT", *_table(ENVIRONMENT)]
    return "\n".join(line for line in lines if line) + "\n"


def _upper(command: Any) -> str:
    words = [one.metavar for one in command.params if one.param_type_name == "argument"]
    return "".join(f" {_text(word)}" for word in words)


def _arguments(command: Any) -> str:
    return f"[\\fIoptions\\fR]{_upper(command)}"


def _parameter(parameter: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        return [".TP", f".I {_text(parameter.metavar)}", _text(parameter.help or "")]
    names = ", ".join(_bold_within(name) for name in parameter.opts)
    value = "" if parameter.is_flag else f" \\fI{_text(parameter.metavar)}\\fR"
    repeatable = " May be given several times." if parameter.multiple else ""
    default = (
        f" Default: {parameter.default}."
        if not parameter.is_flag and not parameter.multiple and parameter.default is not None
        else ""
    )
    return [".TP", f"{names}{value}", _text(f"{parameter.help or ''}{repeatable}{default}")]


def _table(rows: tuple[tuple[str, str], ...]) -> list[str]:
    return [line for name, meaning in rows for line in (".TP", _bold(name), _text(meaning))]


def _bold(word: str) -> str:
    return f".B {_text(word)}"


def _bold_within(word: str) -> str:
    return f"\\fB{_text(word)}\\fR"


def _text(text: str) -> str:
    """Text in which roff sees no escape and no request."""
    escaped = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main() -> int:
    """Writes or compares; returns the exit code."""
    if "--check" in sys.argv[1:]:
        stale = not PAGE.exists() or PAGE.read_text() != page()
        print(f"out of date: {PAGE}" if stale else "the manual page is up to date")
        return int(stale)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
