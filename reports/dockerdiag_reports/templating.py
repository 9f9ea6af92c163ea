"""The package's templates, set up alike: what a template asks for must be there."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@cache
def template(name: str, *, markup: bool = False) -> Template:
    """A template of this package; with `markup` it escapes for HTML whatever it is given.

    The others are plain text and Markdown, whose escaping is `untrusted` and `markdown_text`.
    """
    environment = Environment(
        loader=PackageLoader("dockerdiag_reports"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # A run renders once: to make the template's code better takes longer than it saves.
        optimized=False,
        # Not select_autoescape: it goes by the file's suffix and leaves report.html.j2 unescaped.
        autoescape=markup,  # noqa: S701 - the docstring says what escapes the others
    )
    return environment.get_template(name)


@cache
def asset(name: str) -> str:
    """A file that stands beside the templates, as it is."""
    return files("dockerdiag_reports").joinpath("templates", name).read_text(encoding="utf-8")
