"""What a format is: a name, the file suffixes it answers to, and a function from report to text."""

from collections.abc import Callable, Mapping
from dataclasses import field

from dockerdiag.dataclass import dataclass
from dockerdiag.report import Report


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """How a report is to be shown; none of it changes what the report says."""

    verbose: bool = False
    """Also what is in order: passed and skipped checks, every walk, every remedy."""
    colour: bool = False
    """Whether the text may carry ANSI colours."""
    width: int = 80
    """Columns of the terminal, for formats that wrap."""
    command: str = ""
    """The command line that made the report, empty where it is not known."""
    duration: float | None = None
    """Seconds that the run took, None where it is not known."""
    exit_code: int | None = None
    """What the run ends with, None where it is the verdict's: `--fail-on` may let a verdict pass."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Under which heading each check is listed, by its name; a check that is missing stands under none."""


@dataclass(frozen=True, slots=True)
class Format:
    """One rendering of a report, found by its module's `FORMAT`."""

    name: str
    """What `-f` calls it."""
    suffixes: tuple[str, ...]
    """File suffixes with their dot, by which `-o` chooses it."""
    media_type: str
    render: Callable[[Report, RenderOptions], str]
    """The whole output, with its final newline. Pure: the same report and options give the same text."""
    read: Callable[[str], Report] | None = None
    """Reads its own output back, where it can; raises ValueError for any other text."""
    failure: Callable[[str], str] | None = None
    """For formats that a monitor reads: what stands for a report that there is none of, given the reason."""
    distribution: str = "dockerdiag"
    """The package that brings it."""
