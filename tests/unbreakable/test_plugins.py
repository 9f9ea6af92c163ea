"""Whatever another package's check or format does, it is that package's fault alone, and the rest goes on."""

import json
import os
import textwrap
from pathlib import Path

import pytest

from tests.command_line import OK
from tests.unbreakable.running import Ended, check

MODULE = '''
"""Checks that misbehave."""
import os, re, signal, sys, threading, time
from dockerdiag.formatting import Format
from dockerdiag.registry import check
from dockerdiag.report import Finding, Status

def make(judge):
    name = judge.__name__.replace("_", "-")
    return check(name, title=name, group="Strange", place=-5, page=__doc__)(judge)

def loops(case):
    while True:
        try:
            while True: pass
        except BaseException: pass

def sleeps(case):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM})
    time.sleep(3600)

def computes(case):
    return [10 ** 10 ** 9]

def leaves(case): os._exit(0)
def crashes(case): os.kill(os.getpid(), signal.SIGSEGV)
def detaches(case):
    if os.fork() == 0: time.sleep(600)
    os._exit(0)
def writes(case):
    for _ in range(3000): os.write(1, b"noise" * 100); os.write(2, b"noise" * 100)
    return []
def closes(case):
    os.closerange(0, 100)
    return []
def garbage(case): return [Finding("x", 7, None, {}, evidence=object())]
def infinite(case):
    while True: yield Finding("x", Status.NOTE, "host:x", "x" * 100000)
def no_iterable(case): return 7
def surrogate(case): return [Finding("x", Status.NOTE, "host:x", "\\udcff")]
def alters(case):
    object.__setattr__(case.snapshot.host, "hostname", "stolen")
    import dockerdiag.report as report
    report.Status = None
    os.environ["HOME"] = "/stolen"; os.chdir("/"); sys.stdout = None
    return []
def good(case): return [Finding("strange-note", Status.NOTE, "host:x", "a note of a good plugin")]

CHECKS = {one.name: one for one in map(make, (loops, sleeps, computes, leaves, crashes, detaches, writes, closes,
    garbage, infinite, no_iterable, surrogate, alters, good))}
globals().update({name.replace("-", "_"): one for name, one in CHECKS.items()})

def strange_format(name, render): return Format(name, ("." + name,), "text/plain", render)
def hang(report, options): time.sleep(600)
def leave(report, options): os._exit(0)
hangs_format = strange_format("hangs", hang)
leaves_format = strange_format("leaving", leave)
bytes_format = strange_format("octets", lambda report, options: b"bytes")
good_format = strange_format("good", lambda report, options: "good " + report.verdict.value)
'''
CHECKS = (
    *(
        "loops",
        "sleeps",
        "computes",
        "leaves",
        "crashes",
        "detaches",
        "writes",
        "closes",
        "garbage",
        "infinite",
    ),
    *("no-iterable", "surrogate", "alters", "good"),
)
FORMATS = {
    "hangs": "hangs_format",
    "leaving": "leaves_format",
    "octets": "bytes_format",
    "good": "good_format",
}
AT_IMPORT = {
    "import-loops": "while True: pass",
    "import-sleeps": "import time; time.sleep(600)",
    "import-leaves": "import os; os._exit(0)",
    "import-prints": "print('noise'); CHECK = 7",
    "import-ends": "raise SystemExit(0)",
}


def install(
    folder: Path, checks: tuple[str, ...] = (), formats: tuple[str, ...] = (), modules: tuple[str, ...] = ()
) -> str:
    """A package `strange` as pip would install it; the PYTHONPATH that finds it."""
    (folder / "strange.py").write_text(textwrap.dedent(MODULE))
    for name in modules:
        (folder / f"{name.replace('-', '_')}.py").write_text(AT_IMPORT[name])
    information = folder / "strange-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1\n")
    points = "[dockerdiag.checks]\n" + "".join(
        f"{name} = strange:{name.replace('-', '_')}\n" for name in checks
    )
    points += "".join(f"{name} = {name.replace('-', '_')}:CHECK\n" for name in modules)
    points += "[dockerdiag.formats]\n" + "".join(f"{name} = strange:{FORMATS[name]}\n" for name in formats)
    (information / "entry_points.txt").write_text(points)
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def ask(path: str, *arguments: object, timeout: float = 30) -> Ended:
    return check("--from", OK, *arguments, namespaces=(), timeout=timeout, PYTHONPATH=path)


FAULTS = {
    "loops": "gave no answer within",
    "sleeps": "gave no answer within",
    "computes": "gave no answer within",
    "infinite": "",
    "leaves": "ended the process",
    "crashes": "ended the process",
    "detaches": "ended the process",
    "closes": "ended the process",
    "garbage": "Error",
    "no-iterable": "TypeError",
    "surrogate": "Error",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_check_that(tmp_path: Path, name: str) -> None:
    ran = ask(install(tmp_path, (name, "good")), "-f", "json", timeout=8).in_good_order(3)
    results = {one["check"]: one for one in ran.report["results"]}
    assert results[name]["status"] == "unknown"
    assert "the package strange brings" in results[name]["reason"]
    assert FAULTS[name] in results[name]["reason"]
    assert results["good"]["findings"][0]["summary"] == "a note of a good plugin"
    others = {one["status"] for key, one in results.items() if key not in (name, "good")}
    assert "unknown" not in others, "this package's own checks are asked first"


@pytest.mark.parametrize("name", ["writes", "alters"])
def test_what_a_check_does_beside_answering_changes_nothing(tmp_path: Path, name: str) -> None:
    with_it = ask(install(tmp_path, (name,)), "-f", "json").in_good_order(0).report
    without = ask("", "--no-plugins", "-f", "json").in_good_order(0).report
    with_it["results"] = [one for one in with_it["results"] if one["check"] != name]
    assert json.dumps(with_it) == json.dumps(without)


def test_packages_that_hang_when_they_are_imported_take_a_part_of_the_time(tmp_path: Path) -> None:
    names = ("import-loops", "import-sleeps")
    ran = ask(install(tmp_path, modules=names), "-f", "json", timeout=6).in_good_order(3)
    results = {one["check"]: one for one in ran.report["results"]}
    assert all("gave no answer within" in results[name]["reason"] for name in names)
    assert results["masquerade"]["status"] == "pass"


@pytest.mark.parametrize("name", AT_IMPORT)
def test_a_package_that_cannot_be_imported(tmp_path: Path, name: str) -> None:
    ran = ask(install(tmp_path, ("good",), modules=(name,)), "-f", "json", timeout=60).in_good_order(3)
    results = {one["check"]: one for one in ran.report["results"]}
    assert "the package strange brings a check that cannot be loaded" in results[name]["reason"]
    assert results["good"]["status"] == "note"
    assert "noise" not in ran.out


@pytest.mark.parametrize("name", ["hangs", "leaving", "octets"])
def test_a_format_that(tmp_path: Path, name: str) -> None:
    path = install(tmp_path, formats=(name, "good"))
    other = tmp_path / "report.good"
    ran = ask(path, "-o", tmp_path / f"report.{name}", "-o", other, timeout=30).in_good_order(70)
    assert f"format {name}, which the package strange brings, failed" in ran.errors
    assert other.read_text().strip() == "good ok"
    assert not (tmp_path / f"report.{name}").exists()
    assert ran.out.rstrip().splitlines()[-1].startswith("ok")
