"""The engine's own way out leads through a proxy."""

from tests.lab.scenario import DROP_INS, RELOAD, RESTART, Cause, Fault, Hit, Scenario, drop_in, script, write

PROXY = "http://127.0.0.1:3128"
PROXY_FILE = f"{DROP_INS}/http-proxy.conf"
PROXY_DROP_IN = drop_in(
    "http-proxy.conf",
    f'Environment="HTTP_PROXY={PROXY}"\nEnvironment="HTTPS_PROXY={PROXY}" "NO_PROXY=localhost,127.0.0.1"',
)
TUNNELLING_PROXY = """#!/usr/bin/env python3
import asyncio

async def pipe(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def serve(reader, writer):
    request = await reader.readuntil(b"\\r\\n\\r\\n")
    host, _, port = request.split()[1].decode().rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\\r\\n\\r\\n")
    await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 3128)
    await server.serve_forever()

asyncio.run(main())
"""
PROXY_UNIT = """
[Unit]
Before=docker.service
[Service]
ExecStart=/usr/local/bin/tunnelling-proxy
[Install]
WantedBy=multi-user.target
"""


SCENARIOS = (
    Fault(
        name="proxy-on-dead-loopback-port",
        founding=True,
        break_=(PROXY_DROP_IN, RELOAD, RESTART),
        hits=Hit.ENGINE,
        mend=(f"rm {PROXY_FILE}", RELOAD, RESTART),
        cause=Cause("proxy-dropins", "*", (PROXY_FILE, "127.0.0.1:3128")),
    ),
    Scenario(
        name="proxy-on-loopback-that-listens",
        setup=(
            script("/usr/local/bin/tunnelling-proxy", TUNNELLING_PROXY),
            write("/etc/systemd/system/tunnelling-proxy.service", PROXY_UNIT),
            PROXY_DROP_IN,
            RELOAD,
            "systemctl enable --now tunnelling-proxy",
            "timeout 5 sh -c 'until ss -Hltn sport = 3128 | grep -q .; do sleep 0.1; done'",
            RESTART,
        ),
        engine_pulls=True,
    ),
)
