import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dockerdiag.readers.client_proxies import read_client_proxies
from dockerdiag.readers.conntrack import read_conntrack_counters
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import Tree
from dockerdiag.readers.firewall_files import read_firewall_files
from dockerdiag.readers.manager import Manager, told, worth_asking_for
from dockerdiag.readers.module_tree import NEEDED, _has, read_module_tree
from dockerdiag.readers.netstat import read_ip_counters
from dockerdiag.readers.packages import read_packages
from dockerdiag.readers.programs import read_programs
from dockerdiag.readers.services import _installed, read_services
from dockerdiag.readers.shims import _after, read_shims
from dockerdiag.snapshot import BootSysctls, ClientProxies, DaemonProcess, Program, ServiceState, TextFile

SHOWN = """\
Id=nftables.service
LoadState=loaded
ActiveState=active
UnitFileState=disabled
StateChangeTimestamp=Tue 2026-11-24 00:03:00 UTC
ActiveEnterTimestamp=Tue 2026-11-24 00:02:59 UTC

Id=iptables.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
StateChangeTimestamp=
ActiveEnterTimestamp=

Id=ufw.service
LoadState=loaded
ActiveState=inactive
UnitFileState=enabled
StateChangeTimestamp=
ActiveEnterTimestamp=
"""


def test_services_that_are_installed() -> None:
    assert tuple(_installed(told(SHOWN))) == (
        ServiceState("nftables.service", "active", "disabled", 1795478579.0, 1795478580.0),
        ServiceState("ufw.service", "inactive", "enabled", None, None),
    )


def test_services_without_systemd_are_unread() -> None:
    with pytest.raises(ReadError, match="systemd does not run"):
        read_services(None)


def test_services_that_are_nowhere_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        "ufw.service",
        "nftables.service",
        "kresd@1.service",
        "named.service",
        "runs.service",
        "none.service",
    ]
    write(tmp_path, "/usr/lib/systemd/system/ufw.service", "[Service]\n")
    write(tmp_path, "/usr/lib/systemd/system/kresd@.service", "[Service]\n")
    write(tmp_path, "/run/systemd/generator.late/named.service", "[Service]\n")
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/nftables.service").symlink_to("/dev/null")
    (tmp_path / "cgroups/runs.service").mkdir(parents=True)
    monkeypatch.setattr("dockerdiag.readers.manager._CGROUPS", tmp_path / "cgroups")
    tree = Tree(tmp_path)
    assert worth_asking_for(asked, tree) == tuple(asked[:-1])
    monkeypatch.setattr("dockerdiag.readers.manager.MAXIMUM_NAMES", 2)
    assert worth_asking_for(asked, tree) == tuple(asked), "a listing that was cut short says nothing"


def write(root: Path, path: str, text: str) -> None:
    file = root / path.removeprefix("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_firewall_files_with_what_they_include(tmp_path: Path) -> None:
    write(
        tmp_path,
        "/etc/nftables.conf",
        'flush ruleset\ninclude "/etc/nftables.d/*.nft"\n# include "/etc/x"\n',
    )
    write(tmp_path, "/etc/nftables.d/b.nft", 'include "nftables.conf"\ninclude "more.nft"\n')
    write(tmp_path, "/etc/nftables.d/a.nft", "table inet a {}\n")
    write(tmp_path, "/etc/nftables.d/.hidden.nft", "table inet h {}\n")
    write(tmp_path, "/etc/more.nft", "")
    write(tmp_path, "/etc/iptables/rules.v4", "*filter\nCOMMIT\n")
    write(tmp_path, "/etc/firewalld/zones/trusted.xml", "<zone/>\n")
    write(tmp_path, "/etc/firewalld/zones/trusted.xml.old", "<zone/>\n")
    assert [file.path for file in read_firewall_files(Tree(tmp_path))] == [
        "/etc/nftables.conf",
        "/etc/nftables.d/a.nft",
        "/etc/nftables.d/b.nft",
        "/etc/more.nft",
        "/etc/iptables/rules.v4",
        "/etc/firewalld/zones/trusted.xml",
    ]


def test_a_firewall_file_that_is_a_fifo_is_refused(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/nftables.conf")
    with pytest.raises(ReadError, match="not a regular file"):
        read_firewall_files(Tree(tmp_path))


@pytest.mark.parametrize("name", NEEDED)
def test_a_module_is_found_in_each_listing(name: str) -> None:
    assert _has(f"kernel/net/{name}.ko\n", name, NEEDED[name])
    assert _has(f"kernel/net/{name.replace('_', '-')}.ko.xz: kernel/net/x.ko\n", name, NEEDED[name])
    assert _has(f"ffffffff81000000 t {NEEDED[name]}\n", name, NEEDED[name])
    assert not _has(f"kernel/net/{name}_more.ko\n", name, NEEDED[name])


def test_a_listing_that_is_a_fifo_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lib/modules" / os.uname().release
    folder.mkdir(parents=True)
    os.mkfifo(folder / "modules.builtin")
    monkeypatch.setattr("dockerdiag.readers.module_tree.Path.exists", lambda _: True)
    with pytest.raises(ReadError, match="not a regular file"):
        read_module_tree(Tree(tmp_path))


def test_a_kernel_without_modules_has_no_tree(tmp_path: Path) -> None:
    if Path("/proc/modules").exists():
        found = read_module_tree(Tree(tmp_path))
        assert found is not None
        assert not found.exists
    else:
        assert read_module_tree(Tree(tmp_path)) is None


def test_counters_are_summed_over_processors() -> None:
    file = Path("/proc/net/stat/nf_conntrack")
    found = read_conntrack_counters()
    if not file.exists():
        assert found == {}
        return
    assert {"drop", "early_drop", "insert_failed", "invalid"} <= found.keys()
    assert "entries" not in found


def test_packages_of_files() -> None:
    owned, nobodys = "/usr/bin/env", "/nowhere/sysctl.conf"
    sysctls = BootSysctls((TextFile(owned, ""), TextFile(nobodys, "")))
    try:
        subprocess.run(["dpkg-query", "--version"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("a host without dpkg")
    assert read_packages(Tree("/"), None, sysctls, Deadline(10)) == {owned: "coreutils"}


def test_packages_are_those_of_the_root_that_is_read(tmp_path: Path) -> None:
    sysctls = BootSysctls((TextFile("/usr/bin/env", ""), TextFile("/etc/sysctl.d/a.conf", "")))
    with pytest.raises(ReadError, match="the host's packages are not dpkg's"):
        read_packages(Tree(tmp_path), None, sysctls, Deadline(10))
    if shutil.which("dpkg-query") is None:
        pytest.skip("a host without dpkg")
    package = "Package: theirs\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nDescription: x\n"
    write(tmp_path, "/var/lib/dpkg/status", package + "Maintainer: x <x@example.org>\n")
    write(tmp_path, "/var/lib/dpkg/info/format", "1\n")
    write(tmp_path, "/var/lib/dpkg/info/theirs.list", "/.\n/etc/sysctl.d/a.conf\n")
    found = read_packages(Tree(tmp_path), None, sysctls, Deadline(10))
    assert found == {"/etc/sysctl.d/a.conf": "theirs"}


def test_programs_by_the_daemons_own_path(tmp_path: Path) -> None:
    write(tmp_path, "/usr/sbin/xtables-nft-multi", "")
    (tmp_path / "usr/sbin/iptables").symlink_to("xtables-nft-multi")
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/iptables").symlink_to("/nowhere/iptables")
    daemon = DaemonProcess(
        os.getpid(), None, (), {"PATH": "/opt:/usr/sbin"}, None, None, namespace_is_host=True
    )
    assert read_programs(Tree(tmp_path), (daemon,)) == (
        Program("iptables", "/opt/iptables", None),
        Program("ip6tables", None, None),
    )
    by_systemd = read_programs(Tree(tmp_path), ())
    assert by_systemd[0] == Program("iptables", "/usr/sbin/iptables", "/usr/sbin/xtables-nft-multi")


def test_shims_of_other_engines_are_none_of_ours() -> None:
    words = ["/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", "0" * 64]
    assert (_after(words, "-namespace"), _after(words, "-id")) == ("moby", "0" * 64)
    assert _after(words, "-address") is None
    assert isinstance(read_shims(Tree("/"), Deadline(5)), tuple)


CLIENT = """{"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpodW50ZXIy"}},
 "proxies": {"default": {"httpProxy": "http://user:hunter2@192.0.2.7:3128", "noProxy": "localhost", "other": 1},
             "tcp://192.0.2.8:2376": {"httpsProxy": "user:hunter2@192.0.2.9:3128"}, "odd": []}}"""


def test_proxies_of_dockers_client_and_nothing_else_of_its_file(tmp_path: Path) -> None:
    write(tmp_path, "/home/alice/.docker/config.json", CLIENT)
    found = read_client_proxies(Tree(tmp_path), {"DOCKER_CONFIG": "/home/alice/.docker"})
    path = "/home/alice/.docker/config.json"
    assert found == (
        ClientProxies(path, "default", {"http_proxy": "http://***@192.0.2.7:3128", "no_proxy": "localhost"}),
        ClientProxies(path, "tcp://192.0.2.8:2376", {"https_proxy": "***@192.0.2.9:3128"}),
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"proxies": 1}', '{"proxies": {"default": {"httpProxy": 1}}}'])
def test_a_clients_file_without_proxies(tmp_path: Path, text: str) -> None:
    write(tmp_path, "/c/config.json", text)
    found = read_client_proxies(Tree(tmp_path), {"DOCKER_CONFIG": "/c"})
    assert all(not one.proxies for one in found)
    assert read_client_proxies(Tree(tmp_path), {"DOCKER_CONFIG": "/none"}) == ()


def test_a_clients_file_that_is_no_file_is_unread(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    os.mkfifo(tmp_path / "c/config.json")
    with pytest.raises(ReadError, match="not a regular file"):
        read_client_proxies(Tree(tmp_path), {"DOCKER_CONFIG": "/c"})


def test_counters_of_the_kernel_that_this_namespace_has() -> None:
    found = read_ip_counters()
    assert set(found) <= {"IPReversePathFilter"}
    shown = Path("/proc/net/netstat").read_text()
    assert ("IPReversePathFilter" in shown) == bool(found)


MANAGER = """#!/bin/sh
echo "$*" >>{log}
shift 3
for unit; do
  test "$unit" = -- || printf 'Id=%s\\nLoadState=loaded\\nActiveState=active\\n\\n' "$unit"
done
"""


@pytest.fixture(name="asked_for")
def _asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that writes down what it was asked."""
    log = tmp_path / "asked"
    (tmp_path / "systemctl").write_text(MANAGER.format(log=log))
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return log


def test_the_manager_is_asked_once_for_all_that_is_expected(asked_for: Path) -> None:
    manager = Manager(lambda: ("a.service", "b.service"), ("ActiveState",), Deadline(5))
    assert [one["Id"] for one in manager.shown("c.service", "a.service")] == ["c.service", "a.service"]
    assert [one["Id"] for one in manager.shown("b.service")] == ["b.service"]
    assert asked_for.read_text() == (
        "show --no-pager --property=Id,ActiveState -- c.service a.service b.service\n"
    )
    assert manager.shown() == ()
    assert [one["Id"] for one in manager.shown("d.service")] == ["d.service"]
    assert asked_for.read_text().splitlines()[1:] == [
        "show --no-pager --property=Id,ActiveState -- d.service"
    ]


def test_a_manager_that_does_not_answer_is_not_asked_again(asked_for: Path, tmp_path: Path) -> None:
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\necho >>{asked_for}\necho no bus >&2\nexit 1\n")
    manager = Manager(lambda: ("a.service",), ("ActiveState",), Deadline(5))
    for _ in range(2):
        with pytest.raises(ReadError, match="systemctl failed"):
            manager.shown("a.service")
    assert asked_for.read_text() == "\n"


def test_a_manager_that_leaves_out_a_unit_tells_of_the_others(asked_for: Path, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho Id=a.service\n")
    manager = Manager(tuple, (), Deadline(5))
    with pytest.raises(ReadError, match="did not tell of every unit"):
        manager.shown("a.service", "b.service")
    assert manager.shown("a.service") == ({"Id": "a.service"},)


def test_units_that_are_not_expected_are_not_asked_for(asked_for: Path) -> None:
    manager = Manager(lambda: ("a.service",), (), Deadline(5))
    assert [one["Id"] for one in manager.shown_if_expected(("a.service", "nowhere.service"))] == ["a.service"]
    assert manager.shown_if_expected(("nowhere.service",)) == ()
    assert asked_for.read_text() == "show --no-pager --property=Id -- a.service\n"
