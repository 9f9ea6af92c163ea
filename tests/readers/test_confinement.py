from dockerdiag.readers import confinement
from dockerdiag.readers.confinement import _slices, read_confinement
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.manager import told

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
    assert list(_slices("machine-a-b.slice")) == [
        "machine-a-b.slice",
        "machine-a.slice",
        "machine.slice",
        "-.slice",
    ]
    assert list(_slices("")) == ["-.slice"]


def test_what_is_not_at_its_default(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    # A systemd that confines its docker.service is what the lab has; here it is the reading alone.
    monkeypatch.setattr(confinement, "shown", lambda *_: told(TOLD))
    assert read_confinement("docker.service", "system.slice", Deadline(5)) == {
        "docker.service": {"IPAddressDeny": "::/0 0.0.0.0/0"},
        "system.slice": {"IPAddressAllow": "127.0.0.0/8"},
    }
