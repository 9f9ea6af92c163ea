"""Makes bad inputs of good ones: bytes, words and lines are lost, doubled, swapped, and made strange."""

import random
import re

STRANGE = (
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\x1b[31m", b"\xc2\x85", b"\xe2\x80\xa8", b"\\", b'"', b"'", b"\n",
    b"\r", b"\\\n", b"#", b";", b"%", b"%n", b"$", b"${A}", b"=", b"!", b"! ", b"-", b"--", b",", b":", b"/", b"/33", b"/-1",
    b"[", b"]", b"{", b"}", b"[[[[[[[[", b'{"a":{"a":', b"null", b"true", b"false", b"-0", b"-1", b"1e999", b"NaN", b"Infinity",
    b"1.5", b"99999999999999999999999", b"1180591620717411303424", b"0x", b"0x7fffffffffffffff", b"9" * 5000, b"\xd9\xa3",
    b"\xc2\xb2", b"::", b"::1", b"0.0.0.0", b"256.1.1.1", b"1.2.3.4-1.2.3.1", b"fe80::1%eth0", b"@set", b"0:65536", b"65535:1",
    b"../../../etc/passwd", b"-j ", b"-g ", b"-m ", b"-A ", b"-N ", b"*filter\n", b"COMMIT\n", b"[0:0]", b"[::]", b"<script>", b"</",
    b"\t", b" ", b"\xc2\xa0", b"*", b"?", b"(", b"a" * 300, b"goto", b"jump", b"accept", b"{}", b"[]", b'""',
)  # fmt: skip
_WORD = re.compile(rb"[A-Za-z0-9_.:/-]+")
_NUMBER = re.compile(rb"-?\d+")
LARGEST = 64 * 1024


def mutate(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """`data` after one to six changes; `other` is a second input to take pieces of."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        data = chance.choice(_CHANGES)(data, other, chance)
    return data[:LARGEST]


def _place(data: bytes, chance: random.Random) -> int:
    return chance.randint(0, len(data))


def _insert(data: bytes, other: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    at = _place(data, chance)
    return data[:at] + chance.choice(STRANGE) + data[at:]


def _delete(data: bytes, other: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    at = _place(data, chance)
    return data[:at] + data[at + chance.choice((1, 2, 8, 64)) :]


def _flip(data: bytes, other: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]


def _splice(data: bytes, other: bytes, chance: random.Random) -> bytes:
    start = _place(other, chance)
    piece = other[start : start + chance.choice((1, 8, 40, 200))]
    at = _place(data, chance)
    return data[:at] + piece + data[at + chance.choice((0, len(piece))) :]


def _cut(data: bytes, other: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    return data[: _place(data, chance)]


def _word(data: bytes, other: bytes, chance: random.Random) -> bytes:
    found = _near(_WORD, data, chance)
    if found is None:
        return data
    words = _near(_WORD, other, chance)
    new = chance.choice(STRANGE) if words is None or chance.random() < 0.5 else words[0]
    return data[: found.start()] + new + data[found.end() :]


def _number(data: bytes, other: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    found = _near(_NUMBER, data, chance)
    if found is None:
        return data
    new = chance.choice(
        (b"0", b"-1", b"1", b"255", b"256", b"65536", b"4294967296", b"2" * 30, b"1.5", b"007", b"x")
    )
    return data[: found.start()] + new + data[found.end() :]


def _double(data: bytes, other: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    start = _place(data, chance)
    piece = data[start : start + chance.choice((4, 30, 200))]
    return data[:start] + piece * chance.choice((2, 3, 20)) + data[start:]


def _lines(data: bytes, other: bytes, chance: random.Random) -> bytes:  # noqa: ARG001
    lines = data.split(b"\n")
    chance.shuffle(lines)
    return b"\n".join(lines)


def _near(pattern: re.Pattern[bytes], data: bytes, chance: random.Random) -> re.Match[bytes] | None:
    return pattern.search(data, _place(data, chance)) or pattern.search(data)


_CHANGES = (
    _insert,
    _insert,
    _delete,
    _flip,
    _splice,
    _splice,
    _cut,
    _word,
    _word,
    _word,
    _number,
    _double,
    _lines,
)
