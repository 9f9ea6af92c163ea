"""docs/formats.md describes every format, with rules that Prometheus takes and pictures that exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dockerdiag.registry import formats

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "formats.md").read_text()
FORMATS = {name: one for name, one in formats()[0].items() if one.render.__module__.startswith("dockerdiag_")}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_described(name: str) -> None:
    suffixes = ", ".join(f"`{suffix}`" for suffix in FORMATS[name].suffixes)
    assert f"| [{name}](#{name}) | {suffixes} |" in PAGE
    assert f"\n## {name}\n" in PAGE


def test_nothing_else_is_described() -> None:
    assert set(re.findall(r"^## (.+)$", PAGE, re.MULTILINE)) == set(FORMATS)


def test_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)
    assert pictures == ["report-light.png", "report-dark.png"]
    for name in pictures:
        content = (DOCS / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 200_000


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: package prometheus)"
)
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(PAGE.partition("```yaml\n")[2].partition("```")[0])
    ran = subprocess.run(
        ["promtool", "check", "rules", rules], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 rules found" in ran.stdout
