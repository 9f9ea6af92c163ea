"""`--probe` asks for targets, and for a host."""

from dataclasses import replace

import pytest

from dockerdiag.asked import Asked
from dockerdiag.cli.sources import read_host
from dockerdiag.time_limit import TimeLimit
from tests.checks.hosts import host
from tests.command_line import BROKEN, run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--probe",), "--to"),
        (("--probe", "--to", "192.0.2.7", "--from", str(BROKEN)), "another moment"),
        (("trace", "web", "192.0.2.7", "--probe", "--from", str(BROKEN)), "another moment"),
        (("trace", "web", "80", "--inbound", "--probe"), "must be sent there"),
        (("collect", "-o", "/nonexistent/x.json", "--probe"), "--to"),
        (("--only", "probe"), "--probe"),
    ],
)
def test_what_cannot_be_probed_is_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    ran = run(*arguments)
    assert (ran.returncode, ran.stdout) == (64, "")
    assert said in " ".join(ran.stderr.replace("│", " ").split())


def test_a_name_is_not_asked_of_dns_without_it() -> None:
    ran = run("--from", BROKEN, "--to", "app.example:443")
    assert ran.returncode == 64
    assert "--probe" in " ".join(ran.stderr.replace("│", " ").split())


def test_a_reading_that_confirms_another_keeps_its_probes() -> None:
    before = host(lambda one: replace(one, probes=()))
    again = read_host(TimeLimit(30), Asked.parse(destinations=("192.0.2.7:443",)), probe=True, before=before)
    assert again.taken_at > before.taken_at
    assert again.probes == ()
