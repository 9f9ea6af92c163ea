"""Unit files as a real systemd loads them: environment and words of ExecStart must be the same."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockerdiag.configuration.systemd_unit import EffectiveService, effective_service
from dockerdiag.snapshot import ServiceUnit
from tests.configuration.units import Loaded, can_run_systemd, load_with_systemd, unit

pytestmark = pytest.mark.skipif(not can_run_systemd(), reason="needs root, setpriv and the systemd program")

WRITTEN = {
    "plain": "[Service]\nExecStart=/usr/bin/dockerd -H fd:// $OPTS\nEnvironment=A=1 B=2\n",
    "quoted": '[Service]\nExecStart=/usr/bin/dockerd "a b" \'c d\' e"f g"h\nEnvironment="A=1 2" B=\'x y\' C="z"w\n',
    "continued": '[Service]\nExecStart=/bin/x\nEnvironment="A=--one \\\n  --two \\\n --three"\n',
    "comment in continuation": "[Service]\nExecStart=/bin/x a \\\n# no\n; no\n  b\nEnvironment=A=1 \\\n  # no\n  B=2\n",
    "empty line ends continuation": "[Service]\nExecStart=/bin/x a \\\n\n b\nEnvironment=A=1\n",
    "reset": (
        "[Service]\nExecStart=/bin/x\nExecStart=\nExecStart=/bin/y z\n"
        "Environment=A=1\nEnvironment=\nEnvironment=B=2\n"
    ),
    "override": "[Service]\nExecStart=/bin/x\nEnvironment=A=1\nEnvironment=A=2 A=3\n",
    "escapes": r"""[Service]
ExecStart=/bin/x a\x41b c\tD \101 "q\"q" 'q\'q' a\sb \u00e9
Environment=A=\x41 B=a\tb "C=q\"q" D=\\x
""",
    "unknown escapes": "[Service]\nExecStart=/bin/x a\\qb\nEnvironment=A=a\\qb B=1\nEnvironment=C=1\n",
    "broken quote": '[Service]\nExecStart=/bin/x\nEnvironment=A=1 "B=2\nEnvironment="NO_PROXY="localhost,127.0.0.1\n',
    "broken quotes in the wild": (
        '[Service]\nExecStart=/bin/x\nEnvironment="HTTP_PROXY=http://p:3128/" "NO_PROXY="a,b""\n'
    ),
    "specifiers": "[Service]\nExecStart=/bin/x %% %n %N %p %i %t %S %C %L %E %-\nEnvironment=A=%% B=%n C=x%%20y D=%u\n",
    "unknown specifier": "[Service]\nExecStart=/bin/x\nEnvironment=A=http://u:p%%40x/ B=%z C=%20 D=1\n",
    "trailing percent": "[Service]\nExecStart=/bin/x a%\nEnvironment=A=1%\n",
    "invalid names": "[Service]\nExecStart=/bin/x\nEnvironment=1A=x B-C=y D=z export E=1 F\n",
    "prefixes": (
        "[Service]\nType=oneshot\nExecStart=-/bin/x a\nExecStart=@/bin/x b c\n"
        "ExecStart=:/bin/x $A\nExecStart=+/bin/x\n"
    ),
    "clashing prefixes": "[Service]\nType=oneshot\nExecStart=+!/bin/x\n",
    "repeated prefix": "[Service]\nType=oneshot\nExecStart=--/bin/x\n",
    "second bang": "[Service]\nType=oneshot\nExecStart=!!/bin/x\nExecStart=!-!/bin/y\nExecStart=-:/bin/z $A\n",
    "broken program": '[Service]\nType=oneshot\nExecStart="/bin/x a\nExecStart=/bin/y\n',
    "odd programs": (
        "[Service]\nType=oneshot\nExecStart=/bin/x\nExecStart=-/bin/a\\tb\nExecStart=-/bin/\nExecStart=-a/b\n"
    ),
    "control characters": "[Service]\nExecStart=/bin/x\nEnvironment=A=a\\x01 B=b\\r C=c\\xff D=\\xc3\\xa9\n",
    "semicolon": "[Service]\nType=oneshot\nExecStart=/bin/x a ; /bin/y b \\; c;d ';' ;\n",
    "two commands": "[Service]\nType=notify\nExecStart=/bin/x\nExecStart=/bin/y\n",
    "no command": "[Service]\nEnvironment=A=1\n",
    "relative path": "[Service]\nExecStart=bin/x\n",
    "name only": "[Service]\nExecStart=sh a\n",
    "unbalanced command": '[Service]\nExecStart=/bin/x "a\n',
    "unbalanced ignored": '[Service]\nType=oneshot\nExecStart=-/bin/x "a\nExecStart=/bin/y\n',
    "other sections": (
        "[Unit]\nEnvironment=A=1\n[X-Mine]\nEnvironment=A=2\n[Foo]\nEnvironment=A=3\n"
        "[Service]\nExecStart=/bin/x\n"
    ),
    "before any section": "Environment=A=1\n[Service]\nExecStart=/bin/x\n",
    "bad header": "[Service]\nExecStart=/bin/x\n[Foo\nEnvironment=A=1\n",
    "spaces": "[Service]\n  ExecStart  =   /bin/x   a    b  \n\tEnvironment\t=\tA=1\tB=2\t\n",
    "windows lines": "[Service]\r\nExecStart=/bin/x a \\\r\n b\r\nEnvironment=A=1\r\n",
    "byte order mark": "\ufeff[Service]\nExecStart=/bin/x\nEnvironment=A=1\n",
    "case matters": "[Service]\nExecStart=/bin/x\nenvironment=A=1\nENVIRONMENT=B=1\nexecstart=/bin/y\n",
    "equals in value": "[Service]\nExecStart=/bin/x --a=b=c\nEnvironment=A=b=c\n",
    "empty words": '[Service]\nExecStart=/bin/x "" \'\' a\nEnvironment=A= "B="\n',
    "backslash at end": "[Service]\nEnvironment=A=1\nExecStart=/bin/x a \\\n",
    "escaped backslash at end": "[Service]\nExecStart=/bin/x a\\\\\nEnvironment=A=1\n",
    "no newline at end": "[Service]\nExecStart=/bin/x\nEnvironment=A=1",
}

PIECES = st.sampled_from([
    "A", "B_1", "=", "=", " ", " ", '"', "'", "\\", "\\\n", "\\x41", "\\t", "\\q", "\\101", "%%", "%n", "$A", "${A}",
    "$$", ";", " ; ", "\\;", "#", "--iptables=false", "-x", "\t", "é", "\n ", "\n# c\n", "1",
])  # fmt: skip
VALUES = st.lists(PIECES, max_size=12).map("".join)
LINES = st.one_of(
    VALUES.map(lambda value: f"Environment={value}\n"),
    VALUES.map(lambda value: f'Environment="A={value}" B=x\n'),
    VALUES.map(lambda value: f"ExecStart=/bin/x {value}\n"),
    st.text("-@:+!", max_size=3).map(lambda prefixes: f"ExecStart={prefixes}/bin/y z\n"),
    st.sampled_from(
        ["Environment=\n", "ExecStart=\n", "# comment \\\n", "\n", "Type=oneshot\n", "[Service]\n", "[X-Y]\n"]
    ),
)
FILES = st.lists(LINES, max_size=5).map(lambda lines: "[Service]\n" + "".join(lines))
UNITS = st.tuples(FILES, st.lists(FILES, max_size=2))


def environment_of(service: EffectiveService) -> list[str]:
    return [f"{name}={variable.value.text}" for name, variable in service.environment.items()]


def is_same(service: EffectiveService, written: ServiceUnit, loaded: Loaded) -> None:
    assert bool(service.errors) == (loaded.load_state in {"bad-setting", "error"}), (
        written,
        service.errors,
        loaded,
    )
    if service.errors:
        return
    assert sorted(environment_of(service)) == sorted(loaded.environment), written
    assert words_of(service) == loaded.commands, written


def words_of(service: EffectiveService) -> list[list[str]]:
    return [[word.text for word, _ in command.words] for command in service.exec_start]


@pytest.fixture(scope="module")
def loaded_written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ServiceUnit, Loaded]]:
    units = {
        title: unit(text, name=f"t{number}.service") for number, (title, text) in enumerate(WRITTEN.items())
    }
    loaded = load_with_systemd(tmp_path_factory.mktemp("written"), list(units.values()))
    return dict(zip(units, zip(units.values(), loaded, strict=True), strict=True))


@pytest.mark.parametrize("title", WRITTEN)
def test_unit_file_is_read_as_systemd_reads_it(
    title: str, loaded_written: dict[str, tuple[ServiceUnit, Loaded]]
) -> None:
    written, loaded = loaded_written[title]
    is_same(effective_service(written, "lab"), written, loaded)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(UNITS, min_size=1, max_size=40))
def test_any_unit_file_is_read_as_systemd_reads_it(
    tmp_path: Path, texts: list[tuple[str, list[str]]]
) -> None:
    units = [
        unit(
            fragment,
            {f"{index}.conf": text for index, text in enumerate(drop_ins)},
            name=f"t{number}.service",
        )
        for number, (fragment, drop_ins) in enumerate(texts)
    ]
    for written, loaded in zip(units, load_with_systemd(tmp_path, units), strict=True):
        is_same(effective_service(written, "lab"), written, loaded)
