"""What an admin declared as expected wakes nobody, whatever the monitor."""

from dataclasses import replace
from types import ModuleType

import pytest

from dockerdiag.formatting import RenderOptions
from dockerdiag.report import Report, Status
from dockerdiag_reports import checkmk, nagios, prometheus
from tests.reports.samples import FORWARD_DROP, OK, result


def host(expected: str | None) -> Report:
    finding = replace(FORWARD_DROP, expected=expected)
    return replace(OK, results=(result("forward-policy", finding, status=Status.FAIL),))


@pytest.mark.parametrize(
    ("monitor", "counted", "not_counted"),
    [
        (nagios, " fail=1;", " fail=0;"),
        (checkmk, '"dockerdiag" fail=1|', '"dockerdiag" fail=0|'),
        (
            prometheus,
            'dockerdiag_findings{check="forward-policy",network="bridge",status="fail"} 1\n',
            'dockerdiag_findings{check="forward-policy",status="fail"} 0\n',
        ),
    ],
    ids=["nagios", "checkmk", "prometheus"],
)
def test_what_is_expected_is_not_counted(monitor: ModuleType, counted: str, not_counted: str) -> None:
    render = monitor.FORMAT.render
    found, expected = render(host(None), RenderOptions()), render(host("closed on purpose"), RenderOptions())
    assert counted in found
    assert not_counted in expected
    assert counted not in expected
    assert "nothing was found" not in expected
