"""The package's templates, set up alike: what a template asks for must be there."""

from collections.abc import MutableMapping
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

import jinja2
from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined, Template

_PACKAGE = "dockerdiag_reports"


@cache
def template(name: str, *, markup: bool = False) -> Template:
    """A template of this package; with `markup` it escapes for HTML whatever it is given.

    The others are plain text and Markdown, whose escaping is `untrusted` and `markdown_text`.
    """
    return _environment(markup).get_template(name)


@cache
def asset(name: str) -> str:
    """A file that stands beside the templates, as it is."""
    return files(_PACKAGE).joinpath("templates", name).read_text(encoding="utf-8")


def compiled(name: str, source: str, *, markup: bool) -> str:
    """A template as the module that `template` takes instead: the build puts it into the wheel.

    To compile one takes longer than to render it.
    """
    code: str = _environment(markup).compile(source, name, raw=True, defer_init=True)
    return f"{code}\nJINJA = {jinja2.__version__!r}\n"


def module_of(name: str) -> str:
    """What the module of a template is called, within the package `compiled`."""
    return name.replace(".", "_")


class _Loader(BaseLoader):
    """Takes what the build compiled, where Jinja is the same version; else the source."""

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002
    ) -> Template:
        try:
            module = import_module(f"{_PACKAGE}.compiled.{module_of(name)}")
        except ImportError:
            module = None
        if module is None or jinja2.__version__ != module.JINJA:
            return PackageLoader(_PACKAGE).load(environment, name, globals)
        return Template.from_module_dict(environment, vars(module), globals if globals is not None else {})


def _environment(markup: bool) -> Environment:
    return Environment(
        loader=_Loader(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # A run renders once: to make the template's code better takes longer than it saves.
        optimized=False,
        # Not select_autoescape: it goes by the file's suffix and leaves report.html.j2 unescaped.
        autoescape=markup,  # noqa: S701 - `template` says what escapes the others
    )
