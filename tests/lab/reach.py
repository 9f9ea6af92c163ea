"""Run inside a network namespace: `reach.py ADDRESS PORT tcp|udp`; exit 0 if an answer came back."""

import socket
import sys
from pathlib import Path

PATIENCE = 1.5
HTTP_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
NAME_QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03lab\x04test\x00\x00\x01\x00\x01"


def source() -> str:
    return Path(__file__).read_text()


def answered(address: str, port: int, protocol: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect((address, port))
            sock.sendall(NAME_QUERY if protocol == "udp" else HTTP_REQUEST)
            return bool(sock.recv(512))
        except OSError:
            return False


if __name__ == "__main__":
    sys.exit(0 if answered(sys.argv[1], int(sys.argv[2]), sys.argv[3]) else 1)
