"""DNS messages (RFC 1035): one question, and what its answer says."""

import struct
from ipaddress import ip_address

from dockerdiag.dataclass import dataclass

_KINDS = {"A": 1, "NS": 2, "AAAA": 28}
_INTERNET = 1
_RECURSION_DESIRED = 0x0100
_IS_ANSWER = 0x8000
_WORDS = {
    0: "no error",
    1: "format error",
    2: "server failure",
    3: "there is no such name",
    4: "not implemented",
    5: "refused",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says."""

    word: str
    """Its response code in words."""
    addresses: tuple[str, ...]


def query(number: int, name: str, kind: str) -> bytes:
    """A question.

    Raises:
        ValueError: the name cannot be one of DNS.
    """
    labels = [label.encode("idna") for label in name.rstrip(".").split(".")] if name != "." else []
    if any(not 0 < len(label) < 64 for label in labels):
        raise ValueError(f"{name!r} is no name of DNS")
    written = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    header = struct.pack("!6H", number, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + written + struct.pack("!2H", _KINDS[kind], _INTERNET)


def read_answer(message: bytes, number: int) -> Told | None:
    """What the answer to question `number` says; None where the message is none."""
    if len(message) < 12:
        return None
    own, flags, questions, answers, _, _ = struct.unpack_from("!6H", message)
    if own != number or not flags & _IS_ANSWER:
        return None
    addresses: list[str] = []
    try:
        at = 12
        for _ in range(questions):
            at = _after_name(message, at) + 4
        for _ in range(answers):
            at = _after_name(message, at)
            kind, _, _, size = struct.unpack_from("!HHIH", message, at)
            data = message[at + 10 : at + 10 + size]
            if (kind, len(data)) in ((_KINDS["A"], 4), (_KINDS["AAAA"], 16)):
                addresses.append(str(ip_address(data)))
            at += 10 + size
    except (struct.error, IndexError):
        pass  # cut short: what came before stands
    return Told(_WORDS.get(flags & 15, f"response code {flags & 15}"), tuple(addresses))


def _after_name(message: bytes, at: int) -> int:
    while message[at]:
        if message[at] & 0xC0:
            return at + 2
        at += message[at] + 1
    return at + 1
