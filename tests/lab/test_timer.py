"""The shipped units on a real host: a timer that is silent while all is well, and tells what broke."""

import time
from pathlib import Path

import pytest

from tests.lab.drive import set_up
from tests.lab.host import LabHost
from tests.lab.scenarios import named

pytestmark = pytest.mark.lab

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
OFTEN = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/3\nRandomizedDelaySec=0\nAccuracySec=100ms\n"
STATE = "/var/lib/dockerdiag/state.json"
DROP = "iptables -I DOCKER-USER -i eth0 -j DROP"
SLOW_MACHINE = 60.0


def test_the_timer_tells_a_fault_between_two_runs_and_what_changed() -> None:
    with LabHost("trixie") as host:
        set_up(host, named("plain"))
        install(host)
        host.run_all(("systemctl enable --now dockerdiag.timer",))
        wait(host, runs_finished, 2)
        assert told(host) == [], "all is well, and nobody was told before"
        host.run_all((DROP,))
        wait(host, lambda one: "broken: " in "\n".join(told(one)), 1)
        at_once = told(host)
        finished = runs_finished(host)
        wait(host, runs_finished, finished + 2)
        later = told(host)
        host.run("systemctl stop dockerdiag.timer; systemctl start dockerdiag.service")
        state = host.run("systemctl is-failed dockerdiag.service").stdout.strip()
        report = host.run(f"dockerdiag --from {Path(STATE).with_name('report.html')} -f json").json()
    assert at_once[0] == "ok → broken"
    assert at_once[1] == "what changed the verdict"
    assert at_once[2].startswith("  rule added to ")
    told_of_rule = " ".join(line.strip() for line in at_once[2:4])
    assert "DOCKER-USER: -A DOCKER-USER -i eth0 -j DROP" in told_of_rule
    assert at_once[-1].startswith("broken: ")
    assert later == at_once, "told once"
    assert state == "failed"
    assert report["verdict"] == "broken"
    assert report["changes"]["verdict"] == {"before": "broken", "after": "broken"}


def test_runs_keep_out_of_each_others_way_and_end_in_time() -> None:
    with LabHost("trixie") as host:
        set_up(host, named("plain"))
        first = host.dockerdiag("-q", "--state", "/root/state.json")
        silent = host.dockerdiag("-q", "--state", "/root/state.json")
        kept_out = host.run(
            "flock /root/state.json.lock sleep 20 & sleep 0.5; dockerdiag -q --state /root/state.json; "
            "code=$?; kill $!; exit $code"
        )
        host.run_all(("systemctl kill --signal STOP docker",))
        started = time.monotonic()
        hung = host.dockerdiag("-q", "--timeout", "5", "--state", "/root/state.json")
        took = time.monotonic() - started
        host.run_all(("systemctl kill --signal CONT docker",))
        again = host.dockerdiag("--state", "/root/state.json")
    assert (first.code, first.stdout, first.stderr) == (0, "", "")
    assert (silent.code, silent.stdout, silent.stderr) == (0, "", "")
    assert (kept_out.code, kept_out.stdout) == (3, "")
    assert "another run holds" in kept_out.stderr
    assert hung.code == 3
    assert hung.stdout.startswith("ok → unknown")
    assert took < 15
    assert again.code == 0
    assert again.stdout.startswith("unknown → ok")


def install(host: LabHost) -> None:
    for unit in UNITS.iterdir():
        host.run(f"cat > /etc/systemd/system/{unit.name}", stdin=unit.read_text()).expect_success()
    host.run_all(("mkdir -p /etc/systemd/system/dockerdiag.timer.d",))
    host.run("cat > /etc/systemd/system/dockerdiag.timer.d/often.conf", stdin=OFTEN).expect_success()
    host.run_all(("systemctl daemon-reload",))


def told(host: LabHost) -> list[str]:
    """What the service wrote, without systemd's own lines."""
    journal = "journalctl --no-pager --output=cat --unit dockerdiag.service _COMM=dockerdiag"
    return host.run(journal).stdout.rstrip("\n").splitlines()


def runs_finished(host: LabHost) -> int:
    journal = "journalctl --no-pager --output=cat --unit dockerdiag.service"
    lines = host.run(journal).stdout.splitlines()
    ends = ("Finished dockerdiag.service", "Failed to start dockerdiag.service")
    return sum(line.startswith(ends) for line in lines)


def wait(host: LabHost, reached, number: int) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + SLOW_MACHINE
    while reached(host) < number:
        if time.monotonic() > deadline:
            log = host.run("systemctl status dockerdiag.service dockerdiag.timer; journalctl -n 60").stdout
            raise AssertionError(f"it did not come to that within {SLOW_MACHINE:.0f} s\n{log}")
        time.sleep(0.3)
