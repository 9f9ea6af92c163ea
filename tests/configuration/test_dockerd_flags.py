"""dockerd's command line: what it makes of flags, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerdiag.configuration.dockerd_flags import parse_flags
from dockerdiag.configuration.dockerd_options import SettingValue, default_of, engine_version, options_of
from tests.configuration.dockerd_cases import COMMAND_LINES, CommandLine

OLD, MIDDLE, NEW, NEWEST = (20, 10), (26, 1), (28, 5), (29, 0)


@pytest.mark.parametrize("case", COMMAND_LINES, ids=lambda case: " ".join(case.arguments))
@pytest.mark.parametrize("version", [OLD, MIDDLE, NEW])
def test_command_line_is_taken_or_refused(case: CommandLine, version: tuple[int, int]) -> None:
    errors = parse_flags(case.arguments, version).errors
    assert bool(errors) is (not case.taken_by(version)), errors


@pytest.mark.parametrize(
    ("arguments", "name", "value", "position"),
    [
        (["--iptables=false"], "iptables", False, 0),
        (["--iptables=0", "-D", "--iptables=T"], "iptables", True, 2),
        (["--iptables"], "iptables", True, 0),
        (["-bnone"], "bridge", "none", 0),
        (["-b", "none"], "bridge", "none", 0),
        (["-b=none"], "bridge", "none", 0),
        (["-Dbnone"], "bridge", "none", 0),
        (["-DHfd://"], "host", ("fd://",), 0),
        (["-H", "fd://", "--host=tcp://0:1"], "host", ("fd://", "tcp://0:1"), 2),
        (["--mtu=0x5dc"], "mtu", 1500, 0),
        (["--mtu", "017"], "mtu", 15, 0),
        (["--mtu=-1_0"], "mtu", -10, 0),
        (["--dns", "1.1.1.1", "--dns=::1"], "dns", ("1.1.1.1", "::1"), 2),
        (["--dns", "1.1.1.1,8.8.8.8"], "dns", ("1.1.1.1", "8.8.8.8"), 0),
        (["--bip", "--mtu=1"], "bip", "--mtu=1", 0),
        (["--bip="], "bip", "", 0),
        (["--default-gateway="], "default-gateway", None, 0),
        (["-l", "debug", "--ip-masq=false"], "ip-masq", False, 2),
    ],
)
def test_value_and_place(arguments: list[str], name: str, value: SettingValue, position: int) -> None:
    flag = parse_flags(arguments, NEW).values[name]
    assert (flag.value, flag.position) == (value, position)


def test_switch_takes_no_following_word() -> None:
    flags = parse_flags(["--iptables", "false"], NEW)
    assert flags.values["iptables"].value is True
    assert [(error.position, error.certain) for error in flags.errors] == [(1, True)]
    assert "false" in flags.errors[0].text


def test_flag_of_a_later_engine_is_refused_by_an_earlier_one() -> None:
    assert parse_flags(["--firewall-backend=nftables"], NEW).errors
    assert parse_flags(["--firewall-backend=nftables"], NEWEST).values["firewall-backend"].value == "nftables"
    assert parse_flags(["--graph=/x"], OLD).values["graph"].value == "/x"
    assert parse_flags(["--graph=/x"], MIDDLE).errors


def test_unknown_flag_of_an_engine_that_is_newer_than_we_know_is_no_certain_error() -> None:
    assert parse_flags(["--new-thing"], (40, 0)).errors[0].certain is False
    assert parse_flags(["--new-thing"], None).errors[0].certain is False
    assert parse_flags(["--new-thing"], NEW).errors[0].certain is True


def test_several_addresses_in_one_flag_are_in_doubt_for_engines_in_between() -> None:
    assert [error.certain for error in parse_flags(["--dns=1.1.1.1,8.8.8.8"], (24, 0)).errors] == [False]
    assert [error.certain for error in parse_flags(["--dns=1.1.1.1,8.8.8.8"], OLD).errors] == [True]


def test_default_of_ip6tables_depends_on_the_engine() -> None:
    option = options_of(None)["ip6tables"]
    assert default_of(option, OLD) is False
    assert default_of(option, NEW) is True
    with pytest.raises(LookupError):
        default_of(option, None)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("28.5.2+dfsg4", (28, 5)),
        ("20.10.24+dfsg1", (20, 10)),
        ("v29.0.0-rc.1", (29, 0)),
        ("", None),
        ("dev", None),
    ],
)
def test_engine_version(text: str, version: tuple[int, int] | None) -> None:
    assert engine_version(text) == version


@given(
    st.lists(
        st.text("-=bDHlx fdns1.:/\x00é", max_size=8) | st.sampled_from(["--dns", "--mtu", "--iptables", "--"])
    )
)
def test_nothing_makes_the_parser_fail(arguments: list[str]) -> None:
    flags = parse_flags(arguments, None)
    assert all(0 <= error.position < len(arguments) for error in flags.errors)
    assert all(0 <= flag.position < len(arguments) for flag in flags.values.values())
