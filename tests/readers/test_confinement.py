from pathlib import Path

import pytest

from dockerdiag.readers.confinement import PROPERTIES, read_confinement, slices
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.manager import Manager

TOLD = """Id=docker.service
IPAddressDeny=::/0 0.0.0.0/0
PrivateNetwork=no
RestrictAddressFamilies=
RestrictNetworkInterfaces=

Id=system.slice
IPAddressAllow=127.0.0.0/8

Id=-.slice
RestrictNetworkInterfaces=~
"""


def test_slices_from_the_nearest_to_the_root() -> None:
    assert list(slices("machine-a-b.slice")) == [
        "machine-a-b.slice",
        "machine-a.slice",
        "machine.slice",
        "-.slice",
    ]
    assert list(slices("")) == ["-.slice"]


def test_what_is_not_at_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A systemd that confines its docker.service is what the lab has; here it is the reading alone.
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\ncat <<'TOLD'\n{TOLD}TOLD\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    manager = Manager(tuple, PROPERTIES, Deadline(5))
    assert read_confinement("docker.service", "system.slice", manager) == {
        "docker.service": {"IPAddressDeny": "::/0 0.0.0.0/0"},
        "system.slice": {"IPAddressAllow": "127.0.0.0/8"},
    }
