"""What dockerd said in the last hour, and what the kernel said of packets it dropped."""

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from dockerdiag.readers.command import failure, run
from dockerdiag.readers.deadline import Deadline
from dockerdiag.readers.errors import ReadError, denied
from dockerdiag.readers.host import boot_time
from dockerdiag.snapshot import LogLine
from dockerdiag.snapshot.secrets import mask_text

_HOUR = 3600.0
_SECONDS = 15.0
_MAXIMUM_OUTPUT = 64 * 1024 * 1024
_MAXIMUM_LINES = 2000
_LAST_LINES_OF_FAILED = 50
_MAXIMUM_LENGTH = 4096
_MICROSECONDS = re.compile(r"[0-9]{1,20}")
_DROPS = re.compile(
    r"nf_conntrack: table full|neighbou?r table overflow|martian|UFW (?:BLOCK|LIMIT)|\bIN=\S* OUT=\S* "
)
"""Full tables, impossible sources, and what the LOG target and `nft log` print."""


def read_journal(unit: str, deadline: Deadline, *, failed: bool) -> tuple[LogLine, ...]:
    """The unit's last hour; where it failed, also its last lines before that.

    Raises:
        ReadError: where there is no journal, or it may not be read.
    """
    lines = list(_journal(["--unit", unit, "--since=-1h", f"--lines={_MAXIMUM_LINES}"], deadline))
    if failed:
        earlier = _journal(["--unit", unit, f"--lines={_LAST_LINES_OF_FAILED}"], deadline)
        lines = sorted({*lines, *earlier}, key=lambda line: line.time)
    return tuple(lines)


def read_kernel_log(deadline: Deadline, *, systemd: bool) -> tuple[LogLine, ...]:
    """The last hour's lines about drops, from the journal or else from the kernel's own buffer.

    Raises:
        ReadError: where neither may be read.
    """
    refused = None
    if systemd:
        try:
            lines = _journal(["--dmesg", "--since=-1h", "--lines=50000"], deadline, keep=_DROPS)
            return tuple(lines)[-_MAXIMUM_LINES:]
        except ReadError as error:
            refused = error
    try:
        return tuple(line for line in _kernel_buffer() if _DROPS.search(line.text))[-_MAXIMUM_LINES:]
    except ReadError as error:
        raise refused or error from None


def _journal(
    arguments: Sequence[str], deadline: Deadline, keep: re.Pattern[str] | None = None
) -> Iterator[LogLine]:
    fields = "--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT,_TRANSPORT"
    command = ["journalctl", "--no-pager", "--output=json", fields, *arguments]
    output = run(command, deadline.at_most(_SECONDS), maximum=_MAXIMUM_OUTPUT)
    if output.status != 0:
        raise failure("journalctl", output)
    complaint = output.errors.lower()
    if "not seeing messages from other users" in complaint or "insufficient permissions" in complaint:
        raise ReadError(denied("CAP_DAC_READ_SEARCH"))
    if "no journal files" in complaint:
        raise ReadError("there are no journal files")
    yield from (line for line in journal_lines(output.text) if keep is None or keep.search(line.text))


def journal_lines(text: str) -> Iterator[LogLine]:
    """The lines of `journalctl --output=json`; one that is none is left out."""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if (found := _line(entry)) is not None:
            yield found


def _line(entry: Any) -> LogLine | None:
    if not isinstance(entry, dict):
        return None
    message = entry.get("MESSAGE")
    if isinstance(message, list):  # bytes that are not UTF-8
        message = bytes(byte for byte in message if isinstance(byte, int) and 0 <= byte < 256).decode(
            errors="replace"
        )
    if not isinstance(message, str):
        return None
    source = (
        "kernel" if entry.get("_TRANSPORT") == "kernel" else entry.get("UNIT") or entry.get("_SYSTEMD_UNIT")
    )
    moment = str(entry.get("__REALTIME_TIMESTAMP", 0))
    seconds = int(moment) / 1_000_000 if _MICROSECONDS.fullmatch(moment) else 0.0
    return LogLine(seconds, str(source or "systemd"), mask_text(message).text[:_MAXIMUM_LENGTH])


def _kernel_buffer() -> Iterator[LogLine]:
    """The kernel's own buffer, as /dev/kmsg gives it; to read takes nothing out."""
    booted = boot_time()
    since = time.time() - _HOUR
    try:
        descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        raise ReadError(denied("CAP_SYSLOG")) from None
    except OSError as error:
        raise ReadError(f"/dev/kmsg: {(error.strerror or str(error)).lower()}") from None
    try:
        while record := _record(descriptor):
            header, _, text = record.partition(";")
            # The time counts from boot, and stands still while the machine sleeps: a line may be younger.
            moment = (booted or 0.0) + int(header.split(",")[2]) / 1_000_000
            if moment >= since:
                yield LogLine(moment, "kernel", mask_text(text.split("\n", 1)[0]).text[:_MAXIMUM_LENGTH])
    finally:
        os.close(descriptor)


def _record(descriptor: int) -> str | None:
    while True:
        try:
            return os.read(descriptor, 8192).decode(errors="replace")
        except BlockingIOError:
            return None
        except BrokenPipeError:
            continue  # overwritten while it was read; the next call gives the oldest that is left
        except PermissionError:
            raise ReadError(denied("CAP_SYSLOG")) from None
        except OSError:
            return None
