from pathlib import Path

import pytest

from dockerdiag.readers.daemon_json import configuration_path
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.files import Tree
from dockerdiag.readers.units import read_service, settings
from dockerdiag.snapshot import DaemonProcess, ServiceUnit, Unread

UNIT = "[Service]\nEnvironmentFile=-/etc/default/docker\nExecStart=/usr/bin/dockerd -H fd:// $DOCKER_OPTS\n"


def write(root: Path, path: str, text: str = "") -> None:
    file = root / path.removeprefix("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def service(root: Path) -> ServiceUnit:
    read = read_service(Tree(root), Deadline(5), None)
    assert read is not None
    return read


def test_a_host_without_the_unit_has_none(tmp_path: Path) -> None:
    assert read_service(Tree(tmp_path), Deadline(5), None) is None


def test_drop_ins_apply_in_order_of_name_and_mask_each_other_by_it(tmp_path: Path) -> None:
    write(tmp_path, "/lib/systemd/system/docker.service", UNIT)
    write(tmp_path, "/etc/systemd/system/docker.service.d/20-b.conf", "etc b")
    write(tmp_path, "/run/systemd/system/docker.service.d/20-b.conf", "run b")
    write(tmp_path, "/run/systemd/system/docker.service.d/10-a.conf", "run a")
    write(tmp_path, "/usr/lib/systemd/system/docker.service.d/30-c.conf", "lib c")
    write(tmp_path, "/usr/local/lib/systemd/system/docker.service.d/40-d.conf", "masked")
    write(tmp_path, "/etc/systemd/system/service.d/10-a.conf", "of the type: behind its own")
    write(tmp_path, "/usr/lib/systemd/system/service.d/15-all.conf", "of the type")
    write(tmp_path, "/etc/systemd/system/docker.service.d/README", "no drop-in")
    write(tmp_path, "/dev/null")
    (tmp_path / "etc/systemd/system/docker.service.d/40-d.conf").symlink_to("/dev/null")
    read = service(tmp_path)
    assert [(one.path, one.text) for one in read.drop_ins] == [
        ("/run/systemd/system/docker.service.d/10-a.conf", "run a"),
        ("/usr/lib/systemd/system/service.d/15-all.conf", "of the type"),
        ("/etc/systemd/system/docker.service.d/20-b.conf", "etc b"),
        ("/usr/lib/systemd/system/docker.service.d/30-c.conf", "lib c"),
    ]
    assert read.fragment is not None
    assert read.fragment.path == "/lib/systemd/system/docker.service"
    assert read.manager_error == "systemd does not run"


def test_the_first_directory_has_the_unit(tmp_path: Path) -> None:
    write(tmp_path, "/usr/lib/systemd/system/docker.service", UNIT)
    write(tmp_path, "/etc/systemd/system/docker.service", "[Service]\n")
    (tmp_path / "lib").symlink_to("usr/lib")
    fragment = service(tmp_path).fragment
    assert fragment is not None
    assert fragment.path == "/etc/systemd/system/docker.service"


def test_a_masked_unit_is_a_link_to_dev_null(tmp_path: Path) -> None:
    write(tmp_path, "/usr/lib/systemd/system/docker.service", UNIT)
    write(tmp_path, "/dev/null")
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/docker.service").symlink_to("/dev/null")
    fragment = service(tmp_path).fragment
    assert fragment is not None
    assert (fragment.text, fragment.resolved_path) == ("", "/dev/null")


def test_environment_files_that_apply(tmp_path: Path) -> None:
    write(tmp_path, "/usr/lib/systemd/system/docker.service", UNIT)
    names = "EnvironmentFile=\nEnvironmentFile=/etc/env/*.env\nEnvironmentFile=-/etc/%p.none\n"
    drop_in = f"[Service]\n{names}[Install]\nEnvironmentFile=/no\n"
    write(tmp_path, "/etc/systemd/system/docker.service.d/a.conf", drop_in)
    write(tmp_path, "/etc/env/b.env", "HTTP_PROXY=http://u:hunter2@p:1\n")
    write(tmp_path, "/etc/env/a.env", "A=1\n")
    write(tmp_path, "/etc/env/c.conf", "C=1\n")
    write(tmp_path, "/etc/default/docker", "DOCKER_OPTS=--iptables=false\n")
    read = service(tmp_path)
    files = [(one.path, one.optional, one.file and one.file.text) for one in read.environment_files]
    assert files == [
        ("/etc/env/a.env", False, "A=1\n"),
        ("/etc/env/b.env", False, "HTTP_PROXY=http://***@p:1\n"),
        ("/etc/docker.none", True, None),
    ]
    assert [one.path for one in read.unused_environment_files] == ["/etc/default/docker"]


def test_a_pattern_without_a_file_is_named_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, "/usr/lib/systemd/system/docker.service", "[Service]\nEnvironmentFile=/etc/none/*.env\n")
    (only,) = service(tmp_path).environment_files
    assert (only.path, only.file) == ("/etc/none/*.env", None)


def test_continued_lines_and_comments_inside_them() -> None:
    text = "# x\n[Service]\nKey=one \\\n# comment\n; other\n  two\\\n three\nKey=\n[Unit]\nKey=no\n"
    assert list(settings(text, "Service", "Key")) == ["one    two  three", ""]


def daemon(*arguments: str) -> DaemonProcess:
    return DaemonProcess(1, "/usr/bin/dockerd", ("dockerd", *arguments), Unread("x"), None, None, True)


@pytest.mark.parametrize(
    ("running", "exec_start", "path"),
    [
        (None, None, "/etc/docker/daemon.json"),
        (daemon(), "dockerd --config-file /other.json", "/etc/docker/daemon.json"),
        (daemon("--config-file=/a.json"), None, "/a.json"),
        (daemon("--config-file", "/b.json", "-D"), None, "/b.json"),
        (None, "{ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd --config-file=/c.json ; }", "/c.json"),
    ],
)
def test_the_configuration_file_that_the_daemon_reads(
    running: DaemonProcess | None, exec_start: str | None, path: str
) -> None:
    unit = ServiceUnit("docker.service", None, (), exec_start=exec_start)
    assert configuration_path(running, unit) == path
