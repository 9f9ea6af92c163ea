"""The application that commands belong to. Without a command it is `check`."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dockerdiag.version import __version__

_ORDER = ("check", "trace", "collect", "diff", "reveal", "checks", "explain", "demo")
"""As commands are listed: first those that are needed most."""


class DefaultToCheck(TyperGroup):
    """A group whose first word may be left out: it is `check` then."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands' names."""
        return sorted(self.commands, key=_ORDER.index)

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
