"""The commands that tell what can be asked."""

from typing import Annotated

import typer

from dockerdiag.cli.application import app
from dockerdiag.cli.errors import fail_usage, say
from dockerdiag.cli.options import complete_check


@app.command("checks", help="List what can be asked.")
def list_checks() -> int:
    """Prints every check by its group, and tells of those that could not be loaded."""
    from dockerdiag.registry import checks  # noqa: PLC0415

    known, broken = checks()
    width = max(len(one.name) for one in known)
    for heading in dict.fromkeys(one.group for one in known):
        typer.echo(heading)
        for one in known:
            if one.group == heading:
                typer.echo(f"  {one.name:<{width}}  {one.title}")
    for failed in broken:
        say(f"check {failed.name} of {failed.distribution} could not be loaded: {failed.reason}")
    return 0


@app.command(
    "explain", help="Show a check's page: what it asks, why it matters, what is normal, and what mends it."
)
def explain(
    check: Annotated[
        str, typer.Argument(metavar="CHECK", help="A check's name.", autocompletion=complete_check)
    ],
) -> int:
    """Prints the page of one check."""
    from dockerdiag.registry import checks  # noqa: PLC0415

    known = {one.name: one for one in checks()[0]}
    if check not in known:
        fail_usage(f"there is no check {check!r}; `dockerdiag checks` lists them")
    typer.echo(f"{check}\n{'=' * len(check)}\n\n{known[check].page.strip()}")
    return 0
