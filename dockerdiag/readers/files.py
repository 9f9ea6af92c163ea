"""Reads files: bounded, never waiting for a FIFO or a device, and never led out of their tree by a link."""

import contextlib
import ctypes
import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from dockerdiag.readers.errors import ReadError, reason
from dockerdiag.snapshot import TextFile, Unread
from dockerdiag.snapshot.secrets import mask_text

MAXIMUM_SIZE = 1024 * 1024
_MAXIMUM_LINKS = 40
MAXIMUM_NAMES = 4096
_CHUNK = 1 << 14
_OF_THE_KERNEL = frozenset(
    (
        0x9FA0,  # proc
        0x62656572,  # sysfs
        0x64626720,  # debugfs
        0x74726163,  # tracefs
        0x73636673,  # securityfs
        0x62656570,  # configfs
        0x6165676C,  # pstore
        0xDE5E81E4,  # efivarfs
    )
)
"""File systems on which reading can wait, take something away (/proc/kmsg) or tell what is root's alone; a container's
link leads there as easily as to a file."""


class Tree:
    """A host's files below one directory: `/` for this host, a mount point or `/proc/PID/root` for others.

    Every path is the host's own; an absolute link in it leads to a place below the same directory, as it
    would for a process with that root.
    """

    def __init__(self, root: Path | str = "/") -> None:
        self.root = str(root)

    def existing(self, path: str) -> Iterator[TextFile]:
        """The file where there is one.

        Raises:
            ReadError: where it cannot be read; unlike `read`'s it names the path, for one among many.
        """
        try:
            file = self.read(path)
        except ReadError as error:
            raise ReadError(f"{path}: {error}") from None
        if file is not None:
            yield file

    def read(self, path: str, owner: int | None = None) -> TextFile | None:
        """The file's text, credentials replaced; None where there is none. A link to /dev/null reads empty.

        Args:
            path: Where it is.
            owner: The user whose file it must be where that user chose the path; None where root did.

        Raises:
            ReadError: where it cannot be read, or is another's.
        """
        try:
            with self._open(path) as (descriptor, resolved):
                status = os.fstat(descriptor)
                shown = None if resolved == os.path.normpath(path) else resolved
                if resolved == "/dev/null":
                    return TextFile(path, "", resolved_path=resolved)
                if owner not in (None, status.st_uid):
                    raise ReadError("it belongs to another user than the one who names it")
                content = _content(descriptor, status)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReadError(reason(error, "CAP_DAC_READ_SEARCH")) from None
        return TextFile(path, mask_text(content.decode(errors="replace")).text, status.st_mtime, shown)

    def read_or_reason(self, path: str, owner: int | None = None) -> TextFile | Unread | None:
        """As `read`, with the reason in place of the error."""
        try:
            return self.read(path, owner)
        except ReadError as error:
            return Unread(str(error))

    def names(self, directory: str) -> tuple[str, ...]:
        """The names in a directory, sorted; none where it does not exist.

        Raises:
            ReadError: where it cannot be listed.
        """
        try:
            with self._open(directory) as (descriptor, _):
                listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
                try:
                    return tuple(sorted(entry.name for entry in os.scandir(listing))[:MAXIMUM_NAMES])
                finally:
                    os.close(listing)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise ReadError(f"{directory}: {reason(error, 'CAP_DAC_READ_SEARCH')}") from None

    def resolve(self, path: str) -> str | None:
        """Where a path leads when its links are followed; None where nothing is there."""
        with contextlib.suppress(OSError), self._open(path) as (_, resolved):
            return resolved
        return None

    def link(self, path: str) -> str | None:
        """What a symbolic link holds; None where there is none.

        Raises:
            ReadError: where its directory may not be entered.
        """
        directory, _, name = path.rpartition("/")
        try:
            with self._open(directory) as (descriptor, _):
                return os.readlink(name, dir_fd=descriptor)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise ReadError(reason(error, "CAP_DAC_READ_SEARCH")) from None

    @contextmanager
    def _open(self, path: str) -> Iterator[tuple[int, str]]:
        """An O_PATH descriptor of what `path` leads to, and its path with all links followed."""
        descriptors = [os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
        names: list[str] = []
        pending = deque(path.split("/"))
        links = 0
        try:
            while pending:
                part = pending.popleft()
                if part in ("", "."):
                    continue
                if part == "..":
                    if names:
                        names.pop()
                        os.close(descriptors.pop())
                    continue
                flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(part, flags, dir_fd=descriptors[-1])
                if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                    descriptors.append(descriptor)
                    names.append(part)
                    continue
                target = os.readlink("", dir_fd=descriptor)
                os.close(descriptor)
                links += 1
                if links > _MAXIMUM_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    while names:
                        names.pop()
                        os.close(descriptors.pop())
                pending.extendleft(reversed(target.split("/")))
            yield descriptors[-1], "/" + "/".join(names)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _content(descriptor: int, status: os.stat_result) -> bytes:
    if not stat.S_ISREG(status.st_mode):
        raise ReadError("it is not a regular file")
    if _file_system(descriptor) in _OF_THE_KERNEL:
        raise ReadError("it is a file of the kernel's, not of the host")
    # Through /proc, for an O_PATH descriptor itself cannot be read; it was a regular file and still is.
    readable = os.open(
        f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    )
    with os.fdopen(readable, "rb") as file:
        content = file.read(MAXIMUM_SIZE + 1)
    if len(content) > MAXIMUM_SIZE:
        raise ReadError(f"it is larger than {MAXIMUM_SIZE // 1024**2} MiB")
    return content


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _file_system(descriptor: int) -> int:
    """The kind of file system that a file is on, by its number in linux/magic.h."""
    # struct statfs begins with it, as a word of the machine; os.statvfs leaves it out.
    told = (ctypes.c_ulong * 32)()
    if _libc().fstatfs(descriptor, told) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(told[0])


def read_kernel_file(path: str, maximum: int = MAXIMUM_SIZE) -> str:
    """A file below /proc or /sys, or of the kernel's modules.

    Raises:
        OSError: where it cannot be read.
        ReadError: where it is larger than `maximum`, or no regular file.
    """
    # Not blocking, for what stands in a file's place may be a FIFO.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    content = bytearray()
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ReadError(f"{path} is not a regular file")
        # Without a file object, which makes as many system calls again: hundreds of such files are read.
        while chunk := os.read(descriptor, _CHUNK):
            content += chunk
            if len(content) > maximum:
                raise ReadError(f"{path} is larger than {maximum // 1024} KiB")
    finally:
        os.close(descriptor)
    return content.decode(errors="replace")
