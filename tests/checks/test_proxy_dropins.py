from dataclasses import replace

import pytest

from dockerdiag.report import Verdict
from dockerdiag.report_json import dumps
from dockerdiag.snapshot import Listener, Snapshot, TextFile
from tests.checks.hosts import (
    Change,
    cause_of,
    daemon_json,
    drop_in,
    engine,
    environment,
    first_in,
    judged,
    network,
    told,
)

DEAD = "http://127.0.0.1:3128"


def proxy(url: str) -> tuple[Change, ...]:
    return (
        environment(HTTPS_PROXY=url),
        drop_in("http-proxy.conf", f"Environment=HTTPS_PROXY={url}"),
        engine(https_proxy=url),
    )


@pytest.mark.parametrize(
    "url", [DEAD, "http://localhost:3128/", "127.0.0.1:3128", "http://198.51.100.2:3128"]
)
def test_nobody_listens_on_this_host(url: str) -> None:
    report = judged(*proxy(url))
    assert cause_of(report) == ("proxy-dropins", "proxy-dead", "unit:docker.service")
    assert report.cause is not None
    assert any("http-proxy.conf:2" in piece.source for piece in report.cause.evidence)


@pytest.mark.parametrize("url", ["http://[::1:3128", "http://127.0.0.1:99999", "http://:3128"])
def test_a_url_that_cannot_be_read(url: str) -> None:
    assert cause_of(judged(*proxy(url)))[1] == "proxy-malformed"


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_proxy_with_a_listener_is_fine(address: str) -> None:
    listening = network(listeners=(Listener("tcp", address, 3128),))
    assert judged(*proxy(DEAD), listening).verdict is Verdict.OK


def test_a_listener_that_a_rule_leads_to_is_one() -> None:
    led = first_in(
        "nat:OUTPUT", "-d 198.51.100.2 -p tcp -m tcp --dport 3128 -j DNAT --to-destination 203.0.113.10:3128"
    )
    assert judged(*proxy("http://198.51.100.2:3128"), led).verdict is Verdict.OK


@pytest.mark.parametrize("no_proxy", ["*", "localhost, *"])
def test_a_proxy_that_nothing_is_sent_to_is_not_judged(no_proxy: str) -> None:
    unused = (
        environment(NO_PROXY=no_proxy),
        drop_in("no-proxy.conf", f'Environment="NO_PROXY={no_proxy}"'),
        engine(no_proxy=no_proxy),
    )
    assert judged(*proxy(DEAD), *unused).verdict is Verdict.OK


def test_a_name_that_the_hosts_own_file_gives_to_this_host() -> None:
    def named(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot, hosts_file=TextFile("/etc/hosts", "127.0.0.1 proxy.site\n"))

    assert "proxy-dead" in told(judged(*proxy("http://proxy.site:3128"), named))


def test_a_container_of_the_proxys_name_is_not_what_the_host_finds() -> None:
    assert judged(*proxy("http://web:3128")).verdict is Verdict.OK


def test_a_proxy_elsewhere_is_not_judged() -> None:
    assert judged(*proxy("http://proxy.example:3128")).verdict is Verdict.OK


def test_a_change_that_is_not_in_force_is_a_warning() -> None:
    report = judged(drop_in("http-proxy.conf", "Environment=HTTPS_PROXY=http://proxy.example:3128"))
    assert report.verdict is Verdict.DEGRADED
    assert "proxy-not-in-force" in told(report)


def test_a_broken_quote_is_told() -> None:
    report = judged(drop_in("http-proxy.conf", 'Environment="NO_PROXY=localhost\nEnvironment=HTTP_PROXY="x'))
    assert report.verdict in (Verdict.DEGRADED, Verdict.OK)


def test_the_edit_of_daemon_json_finds_a_value_on_the_next_line() -> None:
    def since_23(snapshot: Snapshot) -> Snapshot:
        return replace(snapshot)

    report = judged(
        since_23, engine(https_proxy=DEAD), daemon_json(f'{{"proxies": {{\n"https-proxy":\n"{DEAD}"}}}}')
    )
    assert report.cause is not None
    assert report.cause.remedies[0].now[1].startswith("sed -i --follow-symlinks -z ")


def test_no_word_of_credentials() -> None:
    # The readers replace them; what is here came past no reader.
    report = judged(*proxy("http://***@127.0.0.1:3128"))
    assert "***@" in dumps(report)
