"""What is shipped beside the program: units, cron line, manual page, completions, and the page on regular runs."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dockerdiag import expectations
from tests.command_line import run

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
UNITS = [PACKAGING / "systemd" / f"dockerdiag.{kind}" for kind in ("service", "timer")]


def offers(option: str) -> bool:
    return option in run("check", "--help").stdout


def test_the_manual_page_is_the_command_lines() -> None:
    made = runpy.run_path(str(PACKAGING / "make.py"))["page"]()
    assert (PACKAGING / "man" / "dockerdiag.1").read_text() == made, "python packaging/make.py"


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_manual_page_is_sound() -> None:
    page = PACKAGING / "man" / "dockerdiag.1"
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
class TestUnits:
    def test_systemd_accepts_them(self, tmp_path: Path) -> None:
        program = tmp_path / "dockerdiag"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        for unit in UNITS:
            (tmp_path / unit.name).write_text(
                unit.read_text().replace("/usr/local/bin/dockerdiag", str(program))
            )
        ran = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *(tmp_path / unit.name for unit in UNITS)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")

    def test_the_service_is_exposed_little(self) -> None:
        ran = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=26", UNITS[0]],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-500:] + ran.stderr

    def test_the_page_tells_what_each_capability_is_for(self) -> None:
        granted = re.search(r"^CapabilityBoundingSet=(.*)$", UNITS[0].read_text(), re.MULTILINE)
        assert granted is not None
        told = re.findall(r"^\| (CAP_\w+) \|", (ROOT / "docs/cron.md").read_text(), re.MULTILINE)
        assert told == granted[1].split()


@pytest.mark.parametrize(
    "path", [UNITS[0], PACKAGING / "cron" / "dockerdiag", ROOT / "docs/cron.md"], ids=str
)
def test_options_that_are_shipped_exist(path: Path) -> None:
    commands = [line for line in path.read_text().splitlines() if re.search(r"\bdockerdiag -", line)]
    assert commands
    for option in re.findall(r"(?<=\s)(--[a-z-]+)", "\n".join(commands)):
        assert offers(option) or option == "--retry"


def test_the_example_of_a_configuration_is_understood(tmp_path: Path) -> None:
    example = (ROOT / "docs/cron.md").read_text().partition("```toml\n")[2].partition("```")[0]
    path = tmp_path / "dockerdiag.toml"
    path.write_text(example)
    assert [one.code for one in expectations.load(path)] == ["network-unmasqueraded"]


def test_bash_completes_by_the_shipped_file() -> None:
    program = Path(sys.executable).with_name("dockerdiag")
    script = f"""
        source {PACKAGING}/completions/dockerdiag.bash
        COMP_WORDS=(dockerdiag explain mas) COMP_CWORD=2
        _dockerdiag {program}
        echo "${{COMPREPLY[*]}}"
    """
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "masquerade", ran.stderr


ZSH = """
    # Without a terminal there is nobody to offer to: what the shell is given is printed.
    _arguments() { print -rl -- "$@" }
    words=(dockerdiag explain mas) CURRENT=3
    source %s
"""
FISH = """
    source %s
    complete --do-complete "dockerdiag explain mas"
"""


@pytest.mark.parametrize(
    ("shell", "name", "script"), [("zsh", "_dockerdiag", ZSH), ("fish", "dockerdiag.fish", FISH)]
)
def test_other_shells_complete_by_their_file(shell: str, name: str, script: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = PACKAGING / "completions" / name
    assert subprocess.run([shell, "-n", path], check=False).returncode == 0
    program = Path(sys.executable).with_name("dockerdiag")
    ran = subprocess.run(
        [shell, "-c", script % path],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    assert "masquerade" in ran.stdout, ran.stderr
    assert "engine" not in ran.stdout
