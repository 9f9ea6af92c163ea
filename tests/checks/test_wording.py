from dataclasses import replace

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.report import Verdict
from dockerdiag.snapshot import Probe
from tests.checks.hosts import SHIPPED, first_in, host

DATABASE = "192.0.2.9:5432"
CLOSED = first_in("FORWARD", "-d 192.0.2.9/32 -p tcp -m tcp --dport 5432 -j DROP")


def test_a_remedy_is_verified_by_the_same_question() -> None:
    snapshot = host(CLOSED)
    assert diagnose(snapshot, Asked(), SHIPPED).verdict is Verdict.OK
    asked = Asked.parse(("web",), ("bridge",), (DATABASE, "[fd00::9]:80", "192.0.2.9/icmp"))
    report = diagnose(snapshot, asked, SHIPPED)
    assert report.cause is not None
    assert report.cause.remedies[0].verify == (
        "dockerdiag -c web -n bridge --to 192.0.2.9:5432/tcp --to '[fd00::9]:80/tcp' --to 192.0.2.9/icmp",
    )


def test_a_name_that_dns_alone_knows_is_probed_again() -> None:
    answered = Probe("web", "dns", "192.0.2.53:53/udp", "db.test", "answered", "", addresses=("192.0.2.9",))
    asked = Asked.parse(destinations=("db.test:5432",))
    report = diagnose(replace(host(CLOSED), probes=(answered,)), asked, SHIPPED)
    assert report.cause is not None
    assert report.cause.remedies[0].verify == ("dockerdiag --to db.test:5432/tcp --probe",)
