"""Other packages' checks and formats: their faults are theirs, and can be left out."""

import json
import os
import textwrap
from pathlib import Path

import pytest

from tests.command_line import OK, run


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `strange` as pip would install it, with checks and formats of every sort."""
    (tmp_path / "strange.py").write_text(
        textwrap.dedent('''
        """Strange things."""
        import sys
        from dockerdiag.formatting import Format
        from dockerdiag.registry import check

        def make(name, judge):
            return check(name, title=name, group="Strange", place=90, page=__doc__)(judge)

        def raises(case):
            raise RuntimeError("strange")

        RAISES = make("raises", raises)
        LEAVES = make("leaves", lambda case: sys.exit("strange"))
        YIELDS = make("yields", lambda case: ["no finding"])
        PRINTS = make("prints", lambda case: print("strange") or [])
        ENGINE = make("engine", lambda case: [])
        NO_CHECK = 7
        FORMAT = Format("strange", (".strange",), "text/plain", lambda report, options: 1 / 0)
        TEXT = Format("text", (".txt",), "text/plain", lambda report, options: "stolen")
        ''')
    )
    information = tmp_path / "strange-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[dockerdiag.checks]\n"
        "raises = strange:RAISES\nleaves = strange:LEAVES\nyields = strange:YIELDS\nprints = strange:PRINTS\n"
        "engine = strange:ENGINE\nseven = strange:NO_CHECK\nmissing = strange_and_gone:CHECK\n"
        "[dockerdiag.formats]\nstrange = strange:FORMAT\ntext = strange:TEXT\n"
    )
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    )
    return tmp_path


def test_a_plugins_faults_are_its_own() -> None:
    ran = run("--from", OK, "-f", "json")
    results = {result["check"]: result for result in json.loads(ran.stdout)["results"]}
    assert ran.returncode == 3
    for name, fault in (
        ("raises", "RuntimeError: strange"),
        ("leaves", "SystemExit: strange"),
        ("yields", "it yields a str, not a Finding"),
    ):
        assert results[name]["status"] == "unknown"
        assert "strange brings" in results[name]["reason"]
        assert fault in results[name]["reason"]
    for name in ("seven", "missing"):
        assert "the package strange" in results[name]["reason"]
    assert results["prints"]["status"] == "pass"
    assert "the name text is taken" in ran.stderr


def test_a_plugin_takes_no_name() -> None:
    ran = run("--from", OK)
    assert "stolen" not in ran.stdout
    ours = [
        one
        for one in json.loads(run("--from", OK, "-f", "json").stdout)["results"]
        if one["check"] == "engine"
    ]
    assert [one["status"] for one in ours] == ["pass", "unknown"]


def test_a_format_that_fails_is_named() -> None:
    ran = run("--from", OK, "-f", "strange")
    assert ran.returncode == 70
    assert "strange" in ran.stderr
    assert "an error of dockerdiag's own" not in ran.stderr


def test_without_plugins_they_are_not_even_loaded() -> None:
    ran = run("--from", OK, "--no-plugins", "-f", "json")
    assert ran.returncode == 0
    assert "strange" not in ran.stdout + ran.stderr
    assert run("--from", OK, "--no-plugins", "-f", "strange").returncode == 64
    assert run("--from", OK, "--no-plugins", "--only", "raises").returncode == 64
    assert run("trace", "--from", OK, "--no-plugins", "web", "1.1.1.1").stderr == ""
