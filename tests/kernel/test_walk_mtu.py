"""Where the way out gets narrower than the container's link, against what happens to large packets there."""

import os
import subprocess
import sys
from ipaddress import ip_address

import pytest

from dockerdiag.packet.walk import Flow, Source, walk
from dockerdiag.report import Disposition
from tests.kernel.walk_lab import PORT, ROUTER, SERVER, SERVICE, UPLINK, lab

pytestmark = [pytest.mark.kernel, pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")]

_CLIENT = """
import errno, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: never fragment
s.settimeout(0.4)
s.connect((sys.argv[1], int(sys.argv[2])))
for _ in range(3):
    try:
        s.send(b"x" * 1400)
        s.recv(100)
        print("arrives")
        break
    except TimeoutError:
        continue
    except OSError as error:
        print("refused" if error.errno == errno.EMSGSIZE else error)
        break
else:
    print("lost")
"""


@pytest.mark.parametrize(
    ("change", "found", "large"),
    [
        ("true", None, "arrives"),
        (f"ip link set {UPLINK} mtu 1280", (UPLINK, 1280, False), "refused"),
        (f"ip route replace default via {ROUTER} mtu 1300", (UPLINK, 1300, False), "refused"),
        (f"ip link set {PORT} mtu 1280", (PORT, 1280, True), "lost"),
    ],
)
def test_where_large_packets_end(change: str, found: tuple[str, int, bool] | None, large: str) -> None:
    with lab(f"ddm{os.getpid()}") as here:
        here.run("host", change)
        journey = walk(here.snapshot(), Flow(Source(here.containers[0]), ip_address(SERVER), "udp", SERVICE))
        assert journey.disposition is Disposition.DELIVERED
        narrow = journey.narrowest
        assert (None if narrow is None else (narrow.link, narrow.mtu, narrow.silent)) == found
        command = [*here.inside("box"), sys.executable, "-S", "-c", _CLIENT, SERVER, str(SERVICE)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == large
