"""Plain questions to the kernel by netlink, in the network namespace the reader is in.

pyroute2's sockets are left out: an event loop in each takes longer than all of the rest, and one of them could make a
namespace.
"""

import os
import socket
import struct
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

# linux/netlink.h
NLM_F_REQUEST, NLM_F_DUMP_INTR, NLM_F_DUMP = 0x1, 0x10, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
HEADER = struct.Struct("=IHHII")
_ERROR = struct.Struct("=i")
ATTRIBUTE = struct.Struct("=HH")
_LARGEST_ANSWER = 1 << 18
_ATTEMPTS = 5


class Netlink:
    """A socket, to be closed by `with`."""

    def __init__(self, protocol: int, answers: Mapping[int, Any]) -> None:
        """Opens it.

        Args:
            protocol: As `socket.NETLINK_ROUTE`.
            answers: What decodes a message, by its type.
        """
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        self._decoders = answers
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def dump(self, kind: int, content: bytes) -> Iterator[Any]:
        """Everything of a kind, as it comes.

        Raises:
            OSError: where the kernel refuses.
        """
        self._send(kind, NLM_F_REQUEST | NLM_F_DUMP, content)
        return self._answers()

    def steady_dump(self, kind: int, content: bytes) -> Iterator[Any]:
        """Everything of a kind at one moment: asked again where it changed while it was listed.

        Raises:
            OSError: where the kernel refuses.
        """
        for _ in range(_ATTEMPTS):
            answers = list(self.dump(kind, content))
            if not any(answer["header"]["flags"] & NLM_F_DUMP_INTR for answer in answers):
                break
        return iter(answers)

    def ask(self, kind: int, content: bytes) -> Any:
        """The one answer to a question.

        Raises:
            OSError: with the kernel's answer where there is none.
        """
        self._send(kind, NLM_F_REQUEST, content)
        return next(self._answers())

    def _send(self, kind: int, flags: int, content: bytes) -> None:
        self._sequence += 1
        header = HEADER.pack(HEADER.size + len(content), kind, flags, self._sequence, 0)
        self._socket.send(header + content)

    def _answers(self) -> Iterator[Any]:
        while True:
            received = self._socket.recv(_LARGEST_ANSWER)
            offset = 0
            while offset + HEADER.size <= len(received):
                length, kind, _, sequence, _ = HEADER.unpack_from(received, offset)
                # Of a question before, whose answers were not all taken.
                if sequence == self._sequence:
                    if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                        (code,) = _ERROR.unpack_from(received, offset + HEADER.size)
                        if code < 0:
                            raise OSError(-code, os.strerror(-code))
                        return
                    message = self._decoders[kind](received, offset=offset)
                    message.decode()
                    yield message
                offset += -(-length // 4) * 4


def attribute(kind: int, content: bytes) -> bytes:
    """An attribute without its padding: only the last of a message may have a length that four does not divide."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(content), kind) + content
