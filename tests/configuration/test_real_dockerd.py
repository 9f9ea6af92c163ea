"""The same command lines and configuration files given to the real dockerd of each lab root, which must agree.

It is run as nobody: after it has taken its configuration it ends, for it wants to be root.
"""

import subprocess
from pathlib import Path

import pytest

from dockerdiag.configuration.dockerd_options import engine_version
from tests.configuration.dockerd_cases import COMMAND_LINES, CONFIGURATION_FILES
from tests.lab.conftest import why_not
from tests.lab.engines import chosen_suites
from tests.lab.roots import root

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

TAKEN = "needs to be started with root"
IN_ROOT = """
mount --bind "$FILES" "$ROOT/mnt" &&
exec chroot --userspec=65534:65534 "$ROOT" env -i HOME=/nonexistent PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""


def run(suite: str, files: Path, *command: str) -> str:
    ran = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_ROOT, "sh", *command],
        env={"ROOT": str(root(suite)), "FILES": str(files), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.stdout + ran.stderr


def version_of(suite: str, files: Path) -> tuple[int, int]:
    version = engine_version(run(suite, files, "dockerd", "--version").split()[2].rstrip(","))
    assert version is not None
    return version


@pytest.mark.parametrize("suite", chosen_suites())
def test_command_lines(suite: str, tmp_path: Path) -> None:
    version = version_of(suite, tmp_path)
    wrong = []
    for case in COMMAND_LINES:
        # An unknown flag at the end is what it complains of only if it has understood all before.
        said = run(suite, tmp_path, "dockerd", *case.arguments, "--no-such-flag")
        taken = "unknown flag: --no-such-flag" in said
        if taken:
            said = run(suite, tmp_path, "dockerd", "--config-file=/mnt/none", *case.arguments)
            taken = "Usage:" not in said and "accepts no argument" not in said
        if taken is not case.taken_by(version):
            wrong.append((case.arguments, said[-300:]))
    assert not wrong


@pytest.mark.parametrize("suite", chosen_suites())
def test_configuration_files(suite: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    version = version_of(suite, tmp_path)
    wrong = []
    for case in CONFIGURATION_FILES:
        (tmp_path / "daemon.json").write_text(case.text, encoding="utf-8")
        said = run(suite, tmp_path, "dockerd", "--config-file=/mnt/daemon.json", *case.arguments)
        if (TAKEN in said) is case.refused_by(version):
            wrong.append((case.text, case.arguments, said[-300:]))
    assert not wrong
