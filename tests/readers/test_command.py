import errno
import os
import sys
import time

import pytest

from dockerdiag.readers.command import checked, find_tool, python_module, run
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_tool_prints() -> None:
    output = run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), Deadline(10))
    assert (output.text, output.errors, output.status) == ("out\n", "err\n", 3)


def test_its_input_is_empty_and_its_language_is_english() -> None:
    code = "import os, sys; print(repr(sys.stdin.read()), os.environ['LC_ALL'])"
    assert run(python(code), Deadline(10)).text == "'' C\n"


def test_one_that_hangs_is_ended_with_its_children() -> None:
    marker = f"dockerdiag-{time.time_ns()}"
    code = f"import subprocess; subprocess.run(['sleep', '300', {marker!r}][:2], env={{'MARK': {marker!r}}})"
    started = time.monotonic()
    with pytest.raises(ReadError, match=r"no answer within 0\.5 s"):
        run(python(code), Deadline(0.5))
    assert time.monotonic() - started < 3
    time.sleep(0.2)
    assert not _processes_with(marker)


def _processes_with(marker: str) -> list[str]:
    from pathlib import Path  # noqa: PLC0415

    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"MARK={marker}".encode() in environment.read_bytes():
                found.append(str(environment))
        except OSError:
            continue
    return found


def test_one_that_ends_and_leaves_a_child_with_its_output_does_not_hold_us() -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '300'])"
    started = time.monotonic()
    with pytest.raises(ReadError, match="no answer"):
        run(python(code), Deadline(0.5))
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("told_by_the_kernel", [True, False])
def test_one_that_closes_its_output_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, *, told_by_the_kernel: bool
) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.ENOSYS, "as before Linux 5.3")

    if not told_by_the_kernel:
        monkeypatch.setattr(os, "pidfd_open", refuse)
    assert run(["sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 3"], Deadline(20)).status == 3
    started = time.monotonic()
    with pytest.raises(ReadError, match=r"sh: no answer within 0\.3 s"):
        run(["sh", "-c", "exec >&- 2>&-; sleep 60"], Deadline(0.3))
    assert time.monotonic() - started < 10


def test_one_that_prints_without_end_is_ended() -> None:
    code = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    with pytest.raises(ReadError, match="printed more than 1 MiB"):
        run(python(code), Deadline(20), maximum=1024 * 1024)


def test_a_flood_of_errors_does_not_block() -> None:
    code = "import sys; sys.stderr.write('x' * 5_000_000); print('done')"
    assert run(python(code), Deadline(20)).text == "done\n"


def test_failures_in_a_sentence() -> None:
    with pytest.raises(ReadError, match=r"^no-such-tool is not installed$"):
        run(["no-such-tool"], Deadline(1))
    with pytest.raises(ReadError, match="permission denied"):
        checked(python("import sys; sys.exit('Operation not permitted (you must be root)')"), Deadline(10))
    with pytest.raises(ReadError, match=r"python\S* failed \(1\): no way$"):
        checked(python("import sys; sys.exit('no way')"), Deadline(10))
    with pytest.raises(ReadError, match=r"was killed by signal 9"):
        checked(python("import os; os.kill(os.getpid(), 9)"), Deadline(10))


def test_a_python_without_the_call_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was built with the headers of a kernel before 5.3."""
    monkeypatch.delattr(os, "pidfd_open")
    assert run(python("import sys; sys.exit(3)"), Deadline(10)).status == 3


def test_a_tool_outside_of_path_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert find_tool("no-such-tool", "sh") is not None


def test_a_worker_takes_no_module_from_the_current_directory() -> None:
    command, environment = python_module("a.module", "x")
    assert command[1:] == ["-P", "-m", "a.module", "x"]
    assert all(entry.startswith("/") for entry in environment["PYTHONPATH"].split(":"))
