import os
from pathlib import Path

import pytest

from dockerdiag.readers import modules
from dockerdiag.readers.boot_sysctls import read_boot_sysctls
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.host import read_host
from dockerdiag.readers.logs import _line
from dockerdiag.readers.modules import loaded_modules, presence
from dockerdiag.readers.name_service import read_name_service
from dockerdiag.readers.processes import read_daemons
from dockerdiag.readers.resolver import nameservers, read_container_resolv_conf
from dockerdiag.snapshot import TextFile, Unread


def write(root: Path, path: str, text: str) -> None:
    file = root / path.removeprefix("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_every_file_that_sets_sysctls_at_boot(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    for path in (
        "/usr/lib/sysctl.d/50-a.conf",
        "/etc/sysctl.d/99-b.conf",
        "/run/sysctl.d/c.conf",
        "/etc/sysctl.conf",
    ):
        write(tmp_path, path, "net.ipv4.ip_forward=1\n")
    write(tmp_path, "/etc/sysctl.d/README", "")
    write(tmp_path, "/dev/null", "")
    (tmp_path / "etc/sysctl.d/50-a.conf").symlink_to("/dev/null")
    write(tmp_path, "/etc/ufw/sysctl.conf", "net/ipv4/ip_forward=0\n")
    write(tmp_path, "/etc/ufw/ufw.conf", "ENABLED=no\n")
    found = {file.path: file for file in read_boot_sysctls(Tree(tmp_path)).files}
    assert found.keys() == {
        "/etc/sysctl.d/50-a.conf",
        "/etc/sysctl.d/99-b.conf",
        "/run/sysctl.d/c.conf",
        "/usr/lib/sysctl.d/50-a.conf",
        "/etc/sysctl.conf",
    }
    assert found["/etc/sysctl.d/50-a.conf"].resolved_path == "/dev/null"
    assert found["/etc/sysctl.d/50-a.conf"].text == ""


def test_ufw_where_it_is_enabled(tmp_path: Path) -> None:
    write(tmp_path, "/etc/ufw/ufw.conf", "# ENABLED=no\nENABLED=yes\n")
    write(tmp_path, "/etc/ufw/sysctl.conf", "x\n")
    assert [file.path for file in read_boot_sysctls(Tree(tmp_path)).files] == ["/etc/ufw/sysctl.conf"]
    write(tmp_path, "/etc/default/ufw", 'IPT_SYSCTL="/etc/ufw/other.conf"\n')
    write(tmp_path, "/etc/ufw/other.conf", "y\n")
    assert [file.path for file in read_boot_sysctls(Tree(tmp_path)).files] == ["/etc/ufw/other.conf"]


def test_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/sysctl.d/a.conf")
    with pytest.raises(ReadError, match=r"/etc/sysctl\.d/a\.conf: it is not a regular file"):
        read_boot_sysctls(Tree(tmp_path))


def test_the_host_names_itself(tmp_path: Path) -> None:
    write(tmp_path, "/usr/lib/os-release", 'NAME="X"\nPRETTY_NAME="Some Linux 1 (one)"\n')
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").symlink_to("../usr/lib/os-release")
    write(tmp_path, "/run/systemd/system/x", "")
    write(tmp_path, "/run/systemd/container", "lxc\n")
    host = read_host(Tree(tmp_path), Deadline(20))
    assert (host.os_name, host.systemd, host.virtualization) == ("Some Linux 1 (one)", True, "lxc")
    assert host.kernel == os.uname().release
    assert host.booted_at is not None


def test_a_containers_resolvers(tmp_path: Path) -> None:
    write(
        tmp_path,
        "/var/lib/docker/x/resolv.conf",
        "nameserver 127.0.0.11\n# ExtServers: [9.9.9.9 host(1.1.1.1)]\n",
    )
    file = read_container_resolv_conf(Tree(tmp_path), None, "/var/lib/docker/x/resolv.conf", Deadline(5))
    assert isinstance(file, TextFile)
    assert list(nameservers([file, None, Unread("x")])) == ["9.9.9.9", "1.1.1.1"]
    other = TextFile(
        "/etc/resolv.conf",
        "search a.b\nnameserver 192.0.2.53\nnameserver fd00::53\nnameserver fe80::1%eth0\n",
    )
    assert list(nameservers([other])) == ["192.0.2.53", "fd00::53"]
    own = read_container_resolv_conf(Tree("/nonexistent"), os.getpid(), "", Deadline(5))
    assert own == Tree("/").read_or_reason("/etc/resolv.conf")


def test_daemons_of_this_host() -> None:
    assert isinstance(read_daemons(), tuple)


def test_modules_without_asking_for_any() -> None:
    if not Path("/proc/modules").exists():
        assert loaded_modules() == ()
        assert presence("nf_tables") == "present"


BUILT_IN = f"/lib/modules/{os.uname().release}/modules.builtin"


@pytest.mark.parametrize(
    ("files", "module", "expected"),
    [
        ({"/proc/modules": "nf_tables 1 0 - Live 0x0\n"}, "nf_tables", "present"),
        (
            {"/proc/modules": "nf_tables_old 1 0\n", BUILT_IN: "kernel/net/netfilter/nf_tables.ko\n"},
            "nf_tables",
            "present",
        ),
        (
            {"/proc/modules": "bridge 1 0\n", BUILT_IN: "kernel/net/ipv4/netfilter/ip_tables.ko\n"},
            "nf_tables",
            "absent",
        ),
        ({"/proc/modules": "", "/proc/kallsyms": "0000 T nft_do_chain\n"}, "nf_tables", "present"),
        (
            {"/proc/modules": "", "/proc/kallsyms": "0000 T nft_do_chain_arp\n0000 T tcp_v4_rcv\n"},
            "nf_tables",
            "absent",
        ),
        ({"/proc/modules": "", "/proc/kallsyms": "0000 t ip_set_test\t[ip_set]\n"}, "ip_set", "present"),
        ({"/proc/modules": ""}, "ip_set", "unknown"),
        ({"/proc/modules": "", "/proc/kallsyms": ""}, "ip_set", "unknown"),
    ],
)
def test_whether_a_module_is_there_is_told_by_the_kernels_own_lists(
    files: dict[str, str], module: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: str, _maximum: int = 0) -> str:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    monkeypatch.setattr(modules, "read_kernel_file", read)
    monkeypatch.setattr(modules, "_can_load_any", lambda: True)
    presence.cache_clear()
    try:
        assert presence(module) == expected
    finally:
        presence.cache_clear()


def test_a_credential_is_masked_before_a_long_line_is_cut() -> None:
    line = _line({"MESSAGE": "x" * 4070 + " http://user:hunter2hunter2hunter2@proxy:1"})
    assert line is not None
    assert "hunter2" not in line.text


@pytest.mark.parametrize(
    ("entry", "text", "source"),
    [
        ({"MESSAGE": "a", "_TRANSPORT": "kernel", "__REALTIME_TIMESTAMP": "2500000"}, "a", "kernel"),
        (
            {"MESSAGE": [104, 105, 255], "UNIT": "docker.service", "_SYSTEMD_UNIT": "init.scope"},
            "hi\ufffd",
            "docker.service",
        ),
        ({"MESSAGE": "proxy http://u:hunter2@p:1 refused"}, "proxy http://***@p:1 refused", "systemd"),
    ],
)
def test_lines_of_the_journal(entry: dict[str, object], text: str, source: str) -> None:
    line = _line(entry)
    assert line is not None
    assert (line.text, line.source) == (text, source)


def test_what_is_no_line_of_the_journal() -> None:
    assert _line({"MESSAGE": None}) is None
    assert _line(["MESSAGE"]) is None


def test_how_the_host_comes_by_its_nameservers(tmp_path: Path) -> None:
    write(tmp_path, "/run/NetworkManager/resolv.conf", "nameserver 192.0.2.1\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    read = read_name_service(Tree(tmp_path), None)
    assert read.link == "../run/systemd/resolve/stub-resolv.conf"
    assert [(file.path, file.text) for file in read.others] == [
        ("/run/NetworkManager/resolv.conf", "nameserver 192.0.2.1\n")
    ]
    assert read.services == Unread("systemd does not run")
    (tmp_path / "etc/resolv.conf").unlink()
    assert read_name_service(Tree(tmp_path), None).link is None
    write(tmp_path, "/etc/resolv.conf", "")
    assert read_name_service(Tree(tmp_path), None).link is None
