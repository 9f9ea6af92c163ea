"""A real engine that hangs, dies, or starts and stops containers without pause while it is read."""

import pytest

from tests.lab.drive import set_up
from tests.lab.engines import chosen_suites
from tests.lab.fingerprint import differences, fingerprint, settle
from tests.lab.host import LabHost, Ran
from tests.lab.image import IMAGE
from tests.lab.roots import VENV
from tests.lab.scenarios import named

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

ENGINES = chosen_suites()
TIMEOUT = 15
MOMENTS = (0.0, 0.4, 0.8, 1.2, 2.0)
"""Seconds after the start of a run: before it imports, while it asks, and after it has all."""
RUN = f"""
export MARK=engine-dies
began=$(date +%s%N)
{VENV}/bin/dockerdiag -f json --timeout {TIMEOUT} > /root/report.json 2> /root/errors & run=$!
sleep {{moment}}; {{fault}}
wait $run; code=$?
echo "$code $(( ($(date +%s%N) - began) / 1000000 ))"
for one in /proc/[0-9]*; do
    tr '\\0' '\\n' < "$one/environ" 2>/dev/null | grep -q '^MARK=engine-dies$' || continue
    [ "${{{{one#/proc/}}}}" = $$ ] || tr '\\0' ' ' < "$one/cmdline" | grep -a dockerdiag
done
true
"""
CHURN = f"""
touch /root/churning
for lane in 1 2 3; do
    (while [ -e /root/churning ]; do
        docker run --detach --name "churn$lane" {IMAGE} sleep 600; docker rm --force "churn$lane"
    done) >/dev/null 2>&1 </dev/null &
done
"""


def run_while(host: LabHost, moment: float, fault: str) -> Ran:
    """A run in good order: in time, with a report, and with nothing left of it."""
    ran = host.run(RUN.format(moment=moment, fault=fault))
    errors = host.run("cat /root/errors").stdout
    ended, *left = ran.stdout.splitlines()
    code, milliseconds = map(int, ended.split())
    assert code <= 3, errors
    assert "Traceback" not in errors, errors
    start_up = host.run(f"date +%s%N; {VENV}/bin/dockerdiag demo >/dev/null; date +%s%N").stdout.split()
    started = (int(start_up[-1]) - int(start_up[0])) / 1e6
    assert milliseconds <= (TIMEOUT + 2) * 1000 + 2 * started
    assert not left
    return host.run("cat /root/report.json")


def unread(ran: Ran) -> dict[str, str]:
    return {one["part"]: one["reason"] for one in ran.json()["unread"]}


@pytest.mark.parametrize("suite", ENGINES)
def test_an_engine_that_hangs_or_dies_is_said(suite: str) -> None:
    plain = named("plain")
    with LabHost(suite) as host:
        set_up(host, plain)
        settle(host)
        before = fingerprint(host)
        for moment in MOMENTS:
            ran = run_while(host, moment, "systemctl kill --kill-who=main --signal=STOP docker.service")
            host.run("systemctl kill --kill-who=main --signal=CONT docker.service").expect_success()
            # Whoever asks too late has read everything.
            assert ran.json()["verdict"] == ("unknown" if unread(ran) else "ok")
            if moment == MOMENTS[0]:
                assert "engine" in unread(ran), ran.stdout
        host.run("rm /root/report.json /root/errors")
        settle(host)
        changed = differences(before, fingerprint(host))
        assert not changed
        for moment in MOMENTS:
            run_while(host, moment, "systemctl kill --kill-who=main --signal=KILL docker.service")
            host.run("systemctl reset-failed docker.service; systemctl start docker.service").expect_success()


@pytest.mark.parametrize("suite", ENGINES)
def test_containers_that_come_and_go_without_pause(suite: str) -> None:
    with LabHost(suite) as host:
        set_up(host, named("plain"))
        host.run(CHURN)
        try:
            for _ in range(5):
                ran = run_while(host, 0, "true")
                found = ran.json()
                assert found["verdict"] in ("ok", "unknown"), ran.stdout
        finally:
            host.run("rm -f /root/churning")
