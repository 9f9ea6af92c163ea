"""Every command of the README's section on use, run on a plain host."""

from pathlib import Path

import pytest

from tests.lab.drive import set_up
from tests.lab.engines import chosen_suites
from tests.lab.host import LabHost
from tests.lab.scenario import Container, Scenario

pytestmark = pytest.mark.lab

README = Path(__file__).parents[2] / "README.md"


def commands_of_use() -> list[str]:
    section = README.read_text().partition("\n## Use\n")[2].partition("\n## ")[0]
    block = section.partition("```sh\n")[2].partition("```")[0]
    return [command for line in block.splitlines() if (command := line.partition("  #")[0].strip())]


def test_use_holds_commands() -> None:
    assert len(commands_of_use()) > 5


def test_readme_commands_work() -> None:
    with LabHost(chosen_suites()[-1]) as host:
        set_up(host, Scenario(name="published", containers=(Container(options="-p 8080:80"),)))
        host.run("docker exec -d web busybox sh -c 'while true; do nc -l -p 80; done'").expect_success()
        host.run("cd /root && /opt/dockerdiag/bin/dockerdiag collect -o old.json.gz").expect_success()
        for command in commands_of_use():
            ran = host.run(f"cd /root && PATH=/opt/dockerdiag/bin:$PATH bash -c '{command}; exit $?'")
            assert ran.code == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
            assert "Traceback" not in ran.stderr
        written = host.run("ls /root/ticket.html /root/report.json /root/host.json.gz")
        assert written.code == 0, written.stderr
