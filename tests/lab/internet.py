"""The small server that plays the internet: HTTP on TCP 80 and 443, names on UDP and TCP 53.

Run inside the "internet" namespace; says "ready" on stdout once it listens. An answer over HTTP carries the
address that the caller was seen with.
"""

import asyncio
import socket
import struct
import sys
from contextlib import suppress

NAME_ANSWER = "203.0.113.10"


class NameServer:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def ready_to_read(self) -> None:
        query, ancillary, _, sender = self.sock.recvmsg(2048, 256)
        answer = answer_of(query)
        if answer:
            source = [item for item in map(as_source, ancillary) if item]
            # A wildcard socket does not promise to answer from the address that was asked.
            # There is no way back to an address that nobody translated.
            with suppress(OSError):
                self.sock.sendmsg([answer], source, 0, sender)


def as_source(item: tuple[int, int, bytes]) -> tuple[int, int, bytes] | None:
    level, kind, data = item
    if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
        return level, kind, struct.pack("=I4s4s", 0, data[8:12], bytes(4))
    if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
        return level, kind, data[:16] + bytes(4)
    return None


IP_PKTINFO = 8


def answer_of(query: bytes) -> bytes | None:
    """Every A question gets the server's address, every other type an empty answer."""
    if len(query) < 17:
        return None
    end = query.find(b"\0", 12) + 5
    question = query[12:end]
    (kind,) = struct.unpack("!H", question[-4:-2])
    found = kind == 1
    header = query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(found), 0, 0)
    record = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton(NAME_ANSWER)) if found else b""
    return header + question + record


async def serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await asyncio.wait_for(reader.read(4096), timeout=5)
        seen = writer.get_extra_info("peername")[0]
        body = f"lab {seen}\n"
        writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.close()


async def serve_names_over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        (size,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), timeout=5))
        answer = answer_of(await asyncio.wait_for(reader.readexactly(size), timeout=5))
        if answer:
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def name_socket(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.bind(("::", 53))
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.bind(("0.0.0.0", 53))
    sock.setblocking(False)
    return sock


async def serve() -> None:
    loop = asyncio.get_running_loop()
    for family in (socket.AF_INET, socket.AF_INET6):
        sock = name_socket(family)
        loop.add_reader(sock, NameServer(sock).ready_to_read)
    for port in (80, 443):
        await asyncio.start_server(serve_http, None, port)
    await asyncio.start_server(serve_names_over_tcp, None, 53)
    print("ready", flush=True)
    # Ends with whoever started it.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
