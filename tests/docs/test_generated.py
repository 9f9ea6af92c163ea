"""The generated pages are the checks' docstrings, and the README shows what the program prints."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = runpy.run_path(str(ROOT / "docs" / "make.py"))["pages"]()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name], "python docs/make.py"


def test_no_page_without_its_check() -> None:
    there = {f"checks/{path.name}" for path in (ROOT / "docs" / "checks").iterdir()}
    assert there == {name for name in PAGES if name.startswith("checks/")}


def test_readme_shows_the_demo_as_it_is() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "dockerdiag", "demo"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2, ran.stderr
    readme = (ROOT / "README.md").read_text()
    shown = readme.partition("```console\n$ dockerdiag demo\n")[2].partition("```")[0]
    assert shown.rstrip("\n") == ran.stdout.rstrip("\n")


def test_readme_names_every_check_and_no_other() -> None:
    readme = (ROOT / "README.md").read_text()
    table = readme.partition("| check | asks |")[2].partition("\n\n")[0]
    named = {line.split("`")[1] for line in table.splitlines() if "`" in line}
    assert named == {Path(name).stem for name in PAGES if name.startswith("checks/")} - {"README"}
