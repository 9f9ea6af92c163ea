"""Hosts that are whole at every moment, and change while they are read: nothing is wrong there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab.drive import set_up
from tests.lab.engines import chosen_suites
from tests.lab.host import LabHost
from tests.lab.image import IMAGE
from tests.lab.scenarios import named

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

RUNS = 5
CHURNS = {
    "published containers restart": f"""
        docker run --detach --name published --publish 8080:80 {IMAGE} sleep 600
        while churning; do docker restart --time 0 published; done""",
    "containers of a project come and go": f"""
        while churning; do
            docker network create project
            for one in 1 2 3; do docker run --detach --name project$one --network project {IMAGE} sleep 600; done
            docker rm --force project1 project2 project3; docker network rm project
        done""",
    "a container joins and leaves networks": """
        while churning; do
            docker network create other; docker network connect other web
            docker network disconnect other web; docker network rm other
        done""",
    "rules are replaced": """
        while churning; do
            (echo flush ruleset; nft --stateless list ruleset) > /root/rules && nft --file /root/rules
        done""",
    "sysctls and the engine's configuration are loaded again": """
        while churning; do sysctl --system; systemctl reload docker; systemctl daemon-reload; done""",
}


@contextmanager
def churning(host: LabHost, commands: str) -> Iterator[None]:
    """While these run on the host, and a busy processor beside them."""
    host.run(f"""
        churning() {{ [ -e /root/churning ]; }}
        touch /root/churning
        ({commands}) >/dev/null 2>&1 </dev/null &
        (while churning; do :; done) >/dev/null 2>&1 </dev/null &
    """)
    try:
        yield
    finally:
        host.run("rm -f /root/churning")


@pytest.mark.parametrize("suite", chosen_suites())
def test_a_host_that_changes_while_it_is_read_is_not_broken(suite: str) -> None:
    for name, commands in CHURNS.items():
        with LabHost(suite) as host:
            set_up(host, named("plain"))
            with churning(host, commands):
                for _ in range(RUNS):
                    ran = host.dockerdiag("-f", "json")
                    assert ran.json()["verdict"] in ("ok", "unknown"), f"{name}:\n{ran.stdout}"
