"""Remedies of hosts whose links somebody named to hurt whoever pastes a command that names them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.registry import checks
from dockerdiag.report import Report
from dockerdiag.snapshot.store import dump, load, loads
from tests.recorded import FOLDER

NAMES = ("e$(id)", "e;id;", "e`id`", "e'id'", 'e"$(id)"', "e&id&", "e|id", "e\\")
"""As the kernel takes them: up to fifteen characters, no blank, slash or colon."""
HOSTS = (
    "arp-ignored-by-hardening-sid",
    "beside-wireguard-trixie",
    "bridge-forwarding-off-trixie",
    "bridge-down-trixie",
    "docker-user-drops-replies-trixie",
    "vpn-half-routes-sid",
)
PLAYED = """
command_not_found_handle() {
    [ "$1" = nsenter ] && eval "${@: -1}"
    return 0
}
"""
"""Every program is there and says nothing; what is to run in a namespace runs."""


def judged(host: str, name: str) -> Report:
    """The host with that name for its links, in its rules as well."""
    text = dump(load(FOLDER / f"{host}.json.gz")).decode()
    once = json.dumps(name)[1:-1]
    twice = json.dumps(once)[1:-1]
    in_rule = json.dumps(name.replace("\\", "\\\\").replace('"', '\\"'))[1:-1]
    for link in ("eth0", "docker0"):
        text = text.replace(f'"{link}"', f'"{once}"').replace(f'\\"{link}\\"', f'\\"{twice}\\"')
        text = text.replace(f"/{link}/", f"/{once}/")
        text = re.sub(rf"(-[io] ){link}\b", lambda match: match[1] + in_rule, text)
    return diagnose(loads(text.encode()), Asked.parse(), *checks())


def commands(report: Report) -> set[str]:
    return {
        line
        for result in report.results
        for finding in result.findings
        for remedy in finding.remedies
        for line in (*remedy.now, *remedy.lasting, *remedy.verify, *remedy.undo)
    }


@pytest.mark.parametrize("name", NAMES)
def test_no_name_runs_when_a_command_is_pasted(name: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "id"
    program.write_text(f"#!/bin/sh\n: > {ran}\n")
    program.chmod(0o755)
    played = tmp_path / "played"
    played.write_text(PLAYED)
    named = 0
    for host in HOSTS:
        for line in sorted(commands(judged(host, name))):
            named += "id" in line or "e\\" in line
            # Restricted: no file is written and no program is called by its path, whatever the command is.
            shell = subprocess.run(
                ["/bin/bash", "--restricted", "-c", line],
                env={"PATH": str(tmp_path), "BASH_ENV": str(played)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=20,
            )
            assert not ran.exists(), line
            assert "syntax error" not in shell.stderr, line
            assert "unexpected EOF" not in shell.stderr, line
    assert named >= 5
