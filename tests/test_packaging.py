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
