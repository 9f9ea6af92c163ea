"""daemon.json: values with their lines, and what dockerd refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerdiag.configuration.daemon_json import DaemonJson, conflicts, read_daemon_json
from dockerdiag.configuration.dockerd_flags import parse_flags
from dockerdiag.configuration.origin import Origin
from dockerdiag.snapshot import TextFile
from tests.configuration.dockerd_cases import CONFIGURATION_FILES, ConfigurationFile

PATH = "/etc/docker/daemon.json"


def read(text: str, version: tuple[int, int] | None = (28, 5)) -> DaemonJson:
    return read_daemon_json(TextFile(PATH, text), version)


@pytest.mark.parametrize("case", CONFIGURATION_FILES, ids=lambda case: " ".join((case.text, *case.arguments)))
@pytest.mark.parametrize("version", [(20, 10), (26, 1), (28, 5)])
def test_file_is_taken_or_refused(case: ConfigurationFile, version: tuple[int, int]) -> None:
    file = read(case.text, version)
    flags = parse_flags(case.arguments, version)
    assert not flags.errors
    errors = [*file.errors, *conflicts(file, flags, {name: Origin("x", None, "") for name in flags.values})]
    assert bool(errors) is case.refused_by(version), errors
    for name, value in case.values.items():
        assert file.values[name].value == value
    if not case.refused and not case.values:
        assert file.values.keys() <= {"feature"}


def test_every_value_knows_its_line() -> None:
    file = read('{\n  "iptables": false,\n  "proxies": {\n    "http-proxy": "http://proxy:3128"\n  }\n}\n')
    assert file.values["iptables"].origin == Origin(PATH, 2, '"iptables": false')
    assert file.values["http-proxy"].origin.source == f"{PATH}:4"


def test_error_is_at_its_line() -> None:
    (error,) = read('{\n  "mtu": 1400,\n}\n').errors
    assert error.origins[0].source == f"{PATH}:3"
    assert "invalid character '}'" in error.text
    (error,) = read('{\n  "iptables": "false"\n}').errors
    assert error.origins[0] == Origin(PATH, 2, '"iptables": "false"')


def test_conflict_names_both_places() -> None:
    file, flags = read('{\n"hosts": ["fd://"]}'), parse_flags(["-H", "fd://"], (28, 5))
    (error,) = conflicts(file, flags, {"host": Origin("/lib/docker.service", 9, "ExecStart=…")})
    assert [origin.source for origin in error.origins] == ["/lib/docker.service:9", f"{PATH}:2"]
    assert "hosts" in error.text


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"dns-opt": ["ndots:2"]}', "dns-opt"),
        ('{"http-proxy": "http://x"}', "http-proxy"),
        ('{"x": {"mtu": 1400}}', "x.mtu"),
        ('{"config-file": "/x"}', "config-file"),
    ],
)
def test_key_without_effect_is_told(text: str, key: str) -> None:
    file = read(text)
    assert not file.errors
    assert not file.values
    assert [origin.text.partition(" ")[0] for origin in file.inert] == [key]


def test_overridden_key_is_told() -> None:
    file = read('{"mtu": 1,\n "mtu": 2}')
    assert file.values["mtu"].value == 2
    assert [origin.source for origin in file.duplicates] == [f"{PATH}:1"]


def test_unknown_key_of_an_engine_that_is_newer_than_we_know_is_no_certain_error() -> None:
    assert [error.certain for error in read('{"foo": 1}', (40, 0)).errors] == [False]


def test_addresses_and_network_options_read_like_their_flags() -> None:
    options = '"default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}}'
    text = f'{{{options}, "host-gateway-ip": "1.1.1.1"}}'
    values = read(text).values
    assert values["default-network-opt"].value == ("bridge=com.docker.network.driver.mtu=1400",)
    assert values["host-gateway-ip"].value == ("1.1.1.1",)
    assert read(text, (26, 1)).values["host-gateway-ip"].value == "1.1.1.1"


@given(st.text('{}[]",:\\ \n0123456789.eEtruefalsn-+a\u00e9\ufeff', max_size=40))
def test_nothing_makes_the_reader_fail(text: str) -> None:
    for error in read(text, None).errors:
        assert all(origin.line for origin in error.origins)
