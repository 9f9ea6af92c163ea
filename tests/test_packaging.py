"""The wheel: what is in it, and that it installs where there is no compiler."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT],
        check=True,
    )
    return next(folder.glob("*.whl"))


def test_wheel_holds_all_packages_with_their_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {
        path.relative_to(ROOT / base).as_posix()
        for base, package in (
            (".", "dockerdiag"),
            ("checks", "dockerdiag_checks"),
            ("reports", "dockerdiag_reports"),
        )
        for path in (ROOT / base / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= names
    assert {
        "dockerdiag/demo.json.gz",
        "dockerdiag/py.typed",
        "dockerdiag_reports/templates/report.txt.j2",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]


def test_installs_and_runs_without_a_compiler(wheel: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "env"):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    environment = {**os.environ, "PATH": str(tools)}
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], env=environment, check=True)
    ran = subprocess.run(
        [tmp_path / "venv" / "bin" / "dockerdiag", "demo"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr == ""


def test_the_wheel_carries_its_templates_compiled_and_renders_the_same(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        compiled = {name for name in archive.namelist() if name.startswith("dockerdiag_reports/compiled/")}
    templates = (ROOT / "reports/dockerdiag_reports/templates").glob("*.j2")
    assert compiled == {f"dockerdiag_reports/compiled/{path.name.replace('.', '_')}.py" for path in templates}
    shown = (
        "import sys; from dockerdiag_reports import html, markdown, templating, text; "
        "from dockerdiag.formatting import RenderOptions; from dockerdiag import report_json; "
        "report = report_json.loads(sys.stdin.buffer.read()); "
        "print(*(one.FORMAT.render(report, RenderOptions()) for one in (text, markdown, html))); "
        "print(sorted(name for name in sys.modules if '.compiled.' in name), file=sys.stderr)"
    )
    report = subprocess.run(
        [sys.executable, "-m", "dockerdiag", "demo", "-f", "json"], capture_output=True, check=False
    ).stdout
    from_wheel, from_source = (
        subprocess.run(
            [sys.executable, "-c", shown],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            input=report,
            capture_output=True,
            check=True,
        )
        for paths in ([tmp_path / "installed"], [ROOT, ROOT / "checks", ROOT / "reports"])
    )
    assert from_wheel.stdout == from_source.stdout
    assert from_wheel.stderr.count(b".compiled.") == len(compiled)
    assert from_source.stderr == b"[]\n"
