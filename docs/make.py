"""Writes the generated pages of this folder (one a check, their index, the report's JSON Schema), and README's demo.

python docs/make.py            writes them
python docs/make.py --check    says which are out of date, and exits 1 then
"""

import json
import subprocess
import sys
from pathlib import Path

from dockerdiag.registry import checks
from dockerdiag.report_json import schema

HERE = Path(__file__).parent
DEMO = "```console\n$ dockerdiag demo\n"


def pages() -> dict[str, str]:
    """Every generated file: its path below this folder, and its text."""
    known, _ = checks()
    index = ["# The checks", "", "Made from the checks' own docstrings by `docs/make.py`.", ""]
    made = {"report.schema.json": json.dumps(schema(), indent=2) + "\n"}
    for group in dict.fromkeys(one.group for one in known):
        index += [f"## {group}", ""]
        index += [f"- [{one.name}]({one.name}.md): {one.title}" for one in known if one.group == group]
        index += [""]
    for one in known:
        made[f"checks/{one.name}.md"] = f"# {one.name}\n\n{one.page.strip()}\n"
    made["checks/README.md"] = "\n".join(index)
    made["../README.md"] = _readme()
    return made


def _readme() -> str:
    """The README with what `dockerdiag demo` prints today."""
    before, demo, rest = (HERE.parent / "README.md").read_text().partition(DEMO)
    after = rest.partition("```")[2]
    shown = subprocess.run(
        [sys.executable, "-m", "dockerdiag", "demo"], stdout=subprocess.PIPE, text=True, check=False
    )
    return f"{before}{demo}{shown.stdout}```{after}"


def main() -> int:
    """Writes or compares; returns the exit code."""
    stale = [
        name
        for name, text in pages().items()
        if not (HERE / name).exists() or (HERE / name).read_text() != text
    ]
    if "--check" in sys.argv[1:]:
        print("\n".join(f"out of date: docs/{name}" for name in stale) or "docs are up to date")
        return 1 if stale else 0
    for name in stale:
        (HERE / name).parent.mkdir(parents=True, exist_ok=True)
        (HERE / name).write_text(pages()[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
