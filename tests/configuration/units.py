"""Service units for tests: built from texts, written to a folder, and read by a real systemd in test mode."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dockerdiag.snapshot import EnvironmentFile, ServiceUnit, TextFile

SYSTEMD = "/usr/lib/systemd/systemd"
FRAGMENT = "/usr/lib/systemd/system/docker.service"
DROP_INS = "/etc/systemd/system/docker.service.d"
NOBODY = "65534"


def unit(
    fragment: str,
    drop_ins: Mapping[str, str] | None = None,
    environment_files: Mapping[str, str | None] | None = None,
    name: str = "docker.service",
) -> ServiceUnit:
    return ServiceUnit(
        name=name,
        fragment=TextFile(FRAGMENT, fragment),
        drop_ins=tuple(TextFile(f"{DROP_INS}/{file}", text) for file, text in (drop_ins or {}).items()),
        environment_files=tuple(
            EnvironmentFile(path, optional=True, file=None if text is None else TextFile(path, text))
            for path, text in (environment_files or {}).items()
        ),
    )


@dataclass(frozen=True)
class Loaded:
    """What systemd says that it loaded."""

    load_state: str
    environment: list[str]
    commands: list[list[str]]


def can_run_systemd() -> bool:
    return Path(SYSTEMD).is_file() and shutil.which("setpriv") is not None and os.geteuid() == 0


def load_with_systemd(folder: Path, units: Sequence[ServiceUnit]) -> list[Loaded]:
    """Loads units by a systemd that neither starts anything nor is PID 1; their names must differ."""
    shutil.rmtree(folder / "units", ignore_errors=True)
    (folder / "units").mkdir(parents=True)
    for each in units:
        assert each.fragment is not None
        (folder / "units" / each.name).write_text(each.fragment.text, errors="surrogateescape", newline="")
        drop_ins = folder / "units" / f"{each.name}.d"
        drop_ins.mkdir()
        for file in each.drop_ins:
            name = Path(file.path).name
            (drop_ins / name).write_text(file.text, errors="surrogateescape", newline="")
    wants = " ".join(each.name for each in units)
    target = f"[Unit]\nDefaultDependencies=no\nWants={wants}\n"
    (folder / "units/all.target").write_text(target)
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid() and path not in {Path("/"), Path("/tmp")}:
            path.chmod(path.stat().st_mode | 0o055)
    ran = subprocess.run(
        [
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
            "env", "-i", f"HOME={folder}", f"XDG_RUNTIME_DIR={folder}", f"SYSTEMD_UNIT_PATH={folder}/units",
            SYSTEMD, "--test", "--system", "--unit=all.target",
        ],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    blocks = dict(_blocks(ran.stdout.decode(errors="surrogateescape")))
    assert blocks, ran.stderr.decode(errors="replace")[-2000:]
    return [_loaded(blocks.get(each.name, "")) for each in units]


def _blocks(output: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\t?-> Unit (.*):\n", output, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _loaded(block: str) -> Loaded:
    state = re.search(r"^\t+Unit Load State: (.*)$", block, re.MULTILINE)
    environment = re.findall(r"^\t+Environment: (.*)$", block, re.MULTILINE)
    start = re.search(
        r"^\t+-> ExecStart:\n((?:\t+Command Line: .*\n(?:\t\t\t+ .*\n)*)+)", block, re.MULTILINE
    )
    commands = re.findall(r"^\t+Command Line: (.*)$", start[1], re.MULTILINE) if start else []
    return Loaded(state[1] if state else "none", environment, [_unquoted(line) for line in commands])


def _unquoted(line: str) -> list[str]:
    """The words of a command line as systemd quotes them for a shell."""
    words: list[str] = []
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"|(?:\$\'((?:[^\'\\]|\\.)*)\')|((?:[^\s"\\]|\\.)+)', line):
        quoted = next(group for group in match.groups() if group is not None)
        words.append(re.sub(r"\\([0-7]{3}|.)", lambda escape: _meaning(escape[1]), quoted))
    return words


def _meaning(escape: str) -> str:
    if escape.isdecimal():
        return chr(int(escape, 8))
    return {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}.get(escape, escape)
