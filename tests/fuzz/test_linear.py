"""Four times the input takes at most about four times the time, also where the input is made to be slow."""

import gc
import json
import math
import time
from collections.abc import Callable

import pytest

from dockerdiag.snapshot.store import dump
from tests.fuzz.targets import TARGETS
from tests.packet.hosts import snapshot

LIMIT = 1.6
"""The power of its size with which an input's time may grow: a line has 1, a square 2."""
MEASURABLE = 0.05
ENOUGH = 0.5
"""Seconds of processor time: what takes less at the largest size does not matter, what takes more is measured well."""
LARGEST = 256 * 1024
REPEATS = 8
"""A busy machine makes some measurements long and none short: the least of many is the program's own time."""


def _rules(n: int) -> bytes:
    rules = "".join(
        f"-A FORWARD -s 10.{i % 250}.{i // 250 % 250}.0/24 -o eth{i} -j DROP\n" for i in range(n // 40)
    )
    return f"*filter\n:FORWARD ACCEPT [0:0]\n{rules}COMMIT\n".encode()


def _deep_chains(n: int) -> bytes:
    count = n // 60
    heads = "".join(f":C{i} - [0:0]\n" for i in range(count))
    jumps = "".join(f"-A C{i} -j C{i + 1}\n" for i in range(count - 1))
    return f"*filter\n:FORWARD ACCEPT [0:0]\n{heads}-A FORWARD -j C0\n{jumps}COMMIT\n".encode()


def _multiport(n: int) -> bytes:
    ports = ",".join("1" for _ in range(n // 2))
    return f"*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m multiport --dports {ports} -j DROP\nCOMMIT\n".encode()


def _set(n: int) -> bytes:
    elements = [f"10.{i // 65536 % 256}.{i // 256 % 256}.{i % 256}" for i in range(n // 14)]
    match = {
        "match": {
            "op": "==",
            "left": {"payload": {"protocol": "ip", "field": "saddr"}},
            "right": {"set": elements},
        }
    }
    chain = {
        "family": "ip",
        "table": "t",
        "name": "c",
        "type": "filter",
        "hook": "forward",
        "prio": 0,
        "policy": "accept",
    }
    rule = {"family": "ip", "table": "t", "chain": "c", "handle": 1, "expr": [match, {"drop": None}]}
    entries = [{"table": {"family": "ip", "name": "t"}}, {"chain": chain}, {"rule": rule}]
    return json.dumps({"nftables": entries}).encode()


def _repeated(piece: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda n: before + piece * (n // len(piece)) + after


def _containers(n: int) -> bytes:
    return dump(snapshot(max(n // 2000, 1)))


INPUTS: list[tuple[str, str, Callable[[int], bytes]]] = [
    ("iptables-save", "rules", _rules),
    ("iptables-save", "chains", _deep_chains),
    ("iptables-save", "multiport", _multiport),
    ("iptables-save", "quotes", _repeated(b'"\\', b"*filter\n-A FORWARD -m comment --comment ")),
    ("iptables-save", "blanks", _repeated(b" ", b"*filter\n-A FORWARD ")),
    ("nft-json", "set", _set),
    ("nft-json", "brackets", _repeated(b"[")),
    ("unit", "continued", _repeated(b"\\\n", b"[Service]\nExecStart=")),
    ("unit", "words", _repeated(b"a ", b"[Service]\nExecStart=/bin/x ")),
    ("unit", "assignments", _repeated(b"Environment=A=b\n", b"[Service]\n")),
    ("unit", "files", _repeated(b"EnvironmentFile=/etc/default/docker\n", b"[Service]\n")),
    ("unit", "quotes", _repeated(b'"', b"[Service]\nEnvironment=")),
    ("unit", "specifiers", _repeated(b"%n", b"[Service]\nExecStart=/bin/x ")),
    ("unit", "variables", _repeated(b"${A}", b"[Service]\nEnvironment=A=aaaa\nExecStart=/bin/x ")),
    ("environment-file", "continued", _repeated(b"\\\n")),
    ("environment-file", "lines", _repeated(b"A=b\n")),
    ("sysctl.d", "lines", _repeated(b"net.ipv4.conf.*.forwarding=1\n")),
    ("sysctl.d", "stars", _repeated(b"*", b"net.ipv4.", b"=1\n")),
    ("resolv.conf", "digits", _repeated(b"1", b"nameserver ")),
    ("resolv.conf", "comments", _repeated(b"#", b"# ExtServers:")),
    ("resolv.conf", "blanks", _repeated(b"\n", b"nameserver")),
    ("resolv.conf", "servers", _repeated(b"nameserver 10.0.0.1\n")),
    ("hosts", "aliases", _repeated(b"a ", b"127.0.0.1 ")),
    ("daemon.json", "brackets", _repeated(b"[")),
    ("daemon.json", "keys", _repeated(b'"a":1,', b"{", b'"b":2}')),
    ("daemon.json", "blanks", _repeated(b" ")),
    ("dockerd-flags", "dashes", _repeated(b"-")),
    ("dockerd-flags", "lists", _repeated(b"--dns=1.1.1.1\n")),
    ("dockerd-flags", "switches", _repeated(b"--iptables=false\n")),
    ("dockerd-flags", "letters", _repeated(b"D", b"-")),
    ("dockerd-flags", "words", _repeated(b"a\n")),
    ("destination", "colons", _repeated(b":")),
    ("destination", "letters", _repeated(b"a")),
    ("secrets", "slashes", _repeated(b"//")),
    ("secrets", "at", _repeated(b"http://a:b@")),
    ("secrets", "colons", _repeated(b"a:")),
    ("secrets", "letters", _repeated(b"a")),
    ("secrets", "equals", _repeated(b"password=")),
    ("secrets", "flags", _repeated(b"--password ")),
    ("secrets", "quotes", _repeated(b'TOKEN="')),
    ("secrets", "blanks", _repeated(b" ", b"password")),
    ("secrets", "keys", _repeated(b"-----BEGIN PRIVATE KEY-----\n")),
    ("configuration", "brackets", _repeated(b"[")),
    ("configuration", "entries", _repeated(b'[[expected]]\ncode="a"\nreason="b"\n')),
    ("journal", "lines", _repeated(b'{"MESSAGE":"a"}\n')),
    ("html", "tags", _repeated(b"<script>")),
    ("html", "open", _repeated(b"<")),
    ("html", "comments", _repeated(b"<!--")),
    ("html", "references", _repeated(b"&")),
    ("snapshot-judged", "containers", _containers),
]


@pytest.mark.parametrize(
    ("name", "kind", "make"), INPUTS, ids=lambda each: each if isinstance(each, str) else ""
)
def test_time_grows_with_the_input_and_not_faster(name: str, kind: str, make: Callable[[int], bytes]) -> None:  # noqa: ARG001
    attempt = TARGETS[name].attempt
    attempt(make(64))
    told = superlinear(attempt, make)
    assert told is None, told


def test_a_square_is_seen() -> None:
    def square(data: bytes) -> None:
        for _ in range(len(data) // 16):
            data.count(b"b")

    assert superlinear(square, bytes, repeats=2) is not None


def test_a_line_is_none() -> None:
    assert superlinear(lambda data: [chr(one) for one in data * 8], bytes) is None


def superlinear(
    attempt: Callable[[bytes], object], make: Callable[[int], bytes], repeats: int = REPEATS
) -> str | None:
    """What was measured, where four times the size takes more time than `LIMIT` allows; None where it does not."""
    size = 16 * 1024
    while _seconds(attempt, make(size)) < MEASURABLE and size < LARGEST:
        size *= 2
    small, large = make(size), make(4 * size)
    few = many = float("inf")
    for _ in range(repeats):
        few, many = min(few, _seconds(attempt, small)), min(many, _seconds(attempt, large))
        power = math.log(many / max(few, 1e-6), 4)
        if power <= LIMIT or (few < MEASURABLE and many <= ENOUGH):
            return None
    return (
        f"the power {power:.2f} of the size: {len(small)} bytes {few:.3f} s, {len(large)} bytes {many:.3f} s"
    )


def _seconds(attempt: Callable[[bytes], object], data: bytes) -> float:
    """Processor time, without the collector's, which depends on what the whole process holds."""
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        attempt(data)
        return time.process_time() - began
    finally:
        gc.enable()
