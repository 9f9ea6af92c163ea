import pytest

from dockerdiag.configuration.networkd import file_for, joins_a_bridge, leaves_alone, turned_off
from dockerdiag.snapshot import TextFile


def file(path: str, text: str) -> TextFile:
    return TextFile(f"/{path}", text)


CATCH_ALL = file("etc/systemd/network/50-all.network", "[Match]\nName=*\n[Network]\nDHCP=yes\n")


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ("Name=veth*", True),
        ("Name=en* veth*", True),
        ("Name=!veth* docker0", False),
        ("Name=en* eth*", False),
        ("Kind=veth", True),
        ("Kind=!veth", False),
        ("Kind=veth\nName=ve-*", False),
        # Driver, type and the like are not judged: left open.
        ("Name=veth*\nDriver=veth", False),
        ("Type=ether", False),
    ],
)
def test_name_and_kind(match: str, applies: bool) -> None:
    one = file("etc/systemd/network/50-one.network", f"[Match]\n{match}\n\n[Network]\nDHCP=yes\n")
    assert (file_for([one], "veth0a1b2c3", "veth") is one) is applies


def test_the_first_by_name_wins_over_all_folders() -> None:
    earlier = file("usr/lib/systemd/network/10-veth.network", "[Match]\nName=veth*\n[Link]\nUnmanaged=yes\n")
    assert file_for([CATCH_ALL, earlier], "veth0", "veth") is earlier
    assert leaves_alone(earlier)
    assert not leaves_alone(CATCH_ALL)


def test_a_file_of_the_same_name_masks_the_packages() -> None:
    shipped = file("usr/lib/systemd/network/50-all.network", "[Match]\nName=*\n")
    assert file_for([shipped, CATCH_ALL], "veth0", "veth") is CATCH_ALL
    masked = TextFile("/etc/systemd/network/50-all.network", "", resolved_path="/dev/null")
    assert file_for([shipped, masked], "veth0", "veth") is None


def test_what_comes_after_a_file_that_is_left_open_is_open_too() -> None:
    open_one = file("etc/systemd/network/20-open.network", "[Match]\nPath=pci-*\n")
    assert file_for([open_one, CATCH_ALL], "veth0", "veth") is None


def test_one_that_keeps_or_names_the_bridge() -> None:
    keeps = file("etc/systemd/network/1.network", "[Match]\nName=*\n[Network]\nKeepMaster=yes\n")
    joins = file("etc/systemd/network/2.network", "[Match]\nName=*\n[Network]\nBridge=docker0\n")
    assert leaves_alone(keeps)
    assert joins_a_bridge(joins)


UPLINK = "/run/systemd/network/10-uplink.network"
KEY = "IPv4Forwarding"


def test_what_a_file_turns_off_and_its_drop_ins_may_turn_on_again() -> None:
    off = file(UPLINK[1:], "[Match]\nName=eth0\n[Network]\nIPv4Forwarding = No\n")
    on = file("etc/systemd/network/10-uplink.network.d/b.conf", "[Network]\nIPv4Forwarding=yes\n")
    again = file("usr/lib/systemd/network/10-uplink.network.d/c.conf", "[Network]\nIPv4Forwarding=0\n")
    masked = file("usr/lib/systemd/network/10-uplink.network.d/b.conf", "[Network]\nIPv4Forwarding=no\n")
    found = turned_off([off], UPLINK, KEY)
    assert found is not None
    assert found.source == f"{UPLINK}:4"
    assert turned_off([off, on, masked], UPLINK, KEY) is None
    last = turned_off([off, again, on], UPLINK, KEY)
    assert last is not None
    assert last.path == again.path


def test_a_switch_that_is_elsewhere_or_not_set() -> None:
    for text in ("[Link]\nIPv4Forwarding=no\n", "[Network]\nIPForward=no\n#IPv4Forwarding=no\n"):
        assert turned_off([file(UPLINK[1:], text)], UPLINK, KEY) is None
    other = file("etc/systemd/network/20-lan.network", "[Network]\nIPv4Forwarding=no\n")
    assert turned_off([other], UPLINK, KEY) is None
