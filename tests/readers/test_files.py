import os
from pathlib import Path

import pytest

from dockerdiag.readers.errors import ReadError
from dockerdiag.readers.files import MAXIMUM_SIZE, Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/conf.d").mkdir(parents=True)
    (tmp_path / "etc/plain").write_text("text\n")
    (tmp_path / "dev").mkdir()
    return tmp_path


def test_a_file_is_read_with_its_time_and_without_credentials(root: Path) -> None:
    (root / "etc/secret").write_text("HTTP_PROXY=http://u:hunter2@proxy:1\n")
    os.utime(root / "etc/secret", (1000, 1000))
    file = Tree(root).read("/etc/secret")
    assert file is not None
    assert (file.path, file.text) == ("/etc/secret", "HTTP_PROXY=http://***@proxy:1\n")
    assert (file.modified_at, file.resolved_path) == (1000, None)


def test_links_stay_below_the_root(root: Path) -> None:
    (root / "etc/absolute").symlink_to("/etc/plain")
    (root / "etc/relative").symlink_to("conf.d/../../../../etc/plain")
    (root / "etc/directory").symlink_to("/etc")
    (root / "etc/out").symlink_to("/../../../../proc/self/cmdline")
    for name in ("absolute", "relative", "directory/plain"):
        file = Tree(root).read(f"/etc/{name}")
        assert file is not None
        assert (file.text, file.resolved_path) == ("text\n", "/etc/plain")
    assert Tree(root).read("/etc/out") is None


def test_nothing_there_is_none(root: Path) -> None:
    (root / "etc/dangling").symlink_to("nowhere")
    assert Tree(root).read("/etc/none") is None
    assert Tree(root).read("/none/none") is None
    assert Tree(root).read("/etc/plain/below") is None
    assert Tree(root).read("/etc/dangling") is None
    assert Tree(root).names("/none") == ()
    assert Tree(root).resolve("/etc/dangling") is None


def test_a_link_to_dev_null_reads_empty(root: Path) -> None:
    (root / "dev/null").write_text("not really")
    (root / "etc/masked").symlink_to("/dev/null")
    file = Tree(root).read("/etc/masked")
    assert file is not None
    assert (file.text, file.resolved_path) == ("", "/dev/null")


def test_nothing_is_waited_for(root: Path) -> None:
    os.mkfifo(root / "etc/fifo")
    for path, says in (("/etc/fifo", "not a regular file"), ("/etc", "not a regular file")):
        with pytest.raises(ReadError, match=says):
            Tree(root).read(path)
    with pytest.raises(ReadError, match="not a regular file"):
        Tree("/").read("/dev/zero")


def test_a_file_of_the_kernels_is_none_of_the_hosts() -> None:
    for path in ("/proc/kmsg", "/proc/version", "/sys/kernel/uevent_seqnum"):
        if Path(path).exists():
            with pytest.raises(ReadError, match="a file of the kernel's"):
                Tree("/").read(path)


def test_loops_and_sizes_are_bounded(root: Path) -> None:
    (root / "etc/loop").symlink_to("loop")
    with pytest.raises(ReadError, match="too many symbolic links"):
        Tree(root).read("/etc/loop")
    (root / "etc/large").write_bytes(b"x" * (MAXIMUM_SIZE + 1))
    with pytest.raises(ReadError, match="larger than 1 MiB"):
        Tree(root).read("/etc/large")


def test_bytes_that_are_no_text_do_no_harm(root: Path) -> None:
    (root / "etc/binary").write_bytes(b"\xff\x00a")
    file = Tree(root).read("/etc/binary")
    assert file is not None
    assert file.text.endswith("a")


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("/etc/plain", "/etc/none", "/etc/conf.d/../plain"):
        Tree(root).read(path)
    Tree(root).names("/etc")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_another_processes_root() -> None:
    # What a container's process sees: its own files, whatever its links say.
    file = Tree(f"/proc/{os.getpid()}/root").read("/etc/hosts")
    assert file is not None
    assert file.text == Path("/etc/hosts").read_text()
