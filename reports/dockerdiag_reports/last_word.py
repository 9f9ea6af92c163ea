"""The verdict's reason in one line: the fullest words that fit, rather than the first ones of a long sentence."""

import re
from collections.abc import Iterator

from dockerdiag.report import Cause, Disposition, Status, Verdict, Walk
from dockerdiag_reports.layout import cells, cut
from dockerdiag_reports.outline import Outline, but_for, counted, ending, endings, worst_first

_SYSTEM_FOLDERS = re.compile(r"(?<!\S)/(?:etc|lib|run|usr)/(?:[^\s/:,;]+/)+(?=[^\s/:,;])")
"""What stands before the name of a system's file; who looks after the host knows the file by its name."""
_CLAUSE = re.compile(r": |; |(?<=\)), | \(")
"""A sentence of a check may end before each of these and still be one."""


def last_word(told: Outline, width: int) -> str:
    """What the verdict rests on, in at most `width` columns; cut only where no sentence is short enough."""
    whole = _sentences(told)
    sentences = [shorter for sentence in whole for shorter in _ever_shorter(sentence)]
    if told.cause is None and not told.report.results:
        # Of a trace each says the same in fewer words; of a cause the first clause says more than the next sentence.
        sentences = whole + sentences
    tails = _besides(told)
    for tail in tails:
        for sentence in sentences:
            if cells(sentence) + cells(tail) <= width:
                return sentence + tail
    return cut(sentences[-1], width - cells(tails[-1])) + tails[-1]


def _sentences(told: Outline) -> list[str]:
    """Ways to say it, the fullest first."""
    report = told.report
    if told.cause is not None:
        return [told.cause.summary, *_of_walk(told.cause, told.walk), _of_subject(told.cause)]
    if not report.results and report.walks:
        ends = endings(report)
        worst = worst_first(report.walks)[0]
        return ["; ".join(ends), ends[0], f"{worst.to} {ending(worst)}", ending(worst).removeprefix("is ")]
    if report.verdict is Verdict.OK and told.expected:
        return [f"{but_for(told.expected)}: {told.expected[0].finding.summary}", but_for(told.expected)]
    if report.verdict is Verdict.OK:
        return ["nothing was found that keeps containers from the internet"]
    if report.verdict is Verdict.UNKNOWN:
        unsure = sum(result.status is Status.UNKNOWN for result in report.results)
        unread = counted(len(report.unread), "part")
        return [*told.doubts[:1], f"{counted(unsure, 'check')} could not judge; {unread} could not be read"]
    return [f"{counted(len(told.others), 'finding')} to look at"]


def _of_walk(cause: Cause, walk: Walk | None) -> Iterator[str]:
    """How the packet ends of the container or network that the cause is about, or at the link that it is about."""
    if walk is None or walk.at is None or walk.disposition is Disposition.UNKNOWN:
        return
    kind, _, name = cause.subject.partition(":")
    if (kind == "network" and name == walk.network) or (kind == "container" and name in walk.containers):
        yield f"the packet from {kind} {name} {ending(walk)}"
    elif kind != "link" or name not in re.split(r"[\s.]", walk.at):
        return
    yield f"{ending(walk).removeprefix('is ')} ({kind} {name})"


def _of_subject(cause: Cause) -> str:
    kind, _, name = cause.subject.partition(":")
    hit = f", {counted(cause.count, 'container')}" if cause.count > 1 else ""
    return f"{cause.code} on {kind} {name.rpartition('/')[2] if kind == 'file' else name}{hit}"


def _besides(told: Outline) -> tuple[str, ...]:
    """What there is beside the cause, the fullest first."""
    unsure = sum(len(group.results) for group in told.undecided)
    if told.cause is None or not (told.others or unsure):
        return ("",)
    findings = f"; {len(told.others)} more to look at" if told.others else ""
    checks = f"; {counted(unsure, 'check')} could not judge" if unsure else ""
    return findings + checks, f"; {len(told.others) + unsure} more to look at"


def _ever_shorter(sentence: str) -> Iterator[str]:
    """The sentence, the same with file names for paths, then that without its last clause, its last two, and so on."""
    whole = sentence.rstrip(".!? ")
    yield whole
    short = _SYSTEM_FOLDERS.sub("", whole)
    yield short
    for clause in reversed(list(_CLAUSE.finditer(short))):
        if clause.start():
            yield short[: clause.start()]
