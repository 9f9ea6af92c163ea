import time

import pytest

from dockerdiag.snapshot.secrets import mask_arguments, mask_text
from tests.snapshot.real_strings import HARMLESS, SECRETS


@pytest.mark.parametrize("around", ["{}", "# {}", "Nov 24 00:00:01 lab dockerd[7]: {}"])
def test_no_credential_survives(around: str) -> None:
    left = []
    for text, secret in SECRETS:
        masked = mask_text(around.format(text) if "\n" not in text else text).text
        if secret in masked or masked.count("\n") != text.count("\n") or mask_text(masked).text != masked:
            left.append((text, masked))
    assert left == []


def test_the_list_is_long() -> None:
    assert len(SECRETS) >= 150


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert mask_text(text).text == text


@pytest.mark.parametrize(
    ("arguments", "masked"),
    [
        (["/usr/bin/curl", "-u", "ci:sword fish", "https://h"], ("/usr/bin/curl", "-u", "***", "https://h")),
        (["sshpass", "-p", "swordfish", "ssh", "h"], ("sshpass", "-p", "***", "ssh", "h")),
        (["htpasswd", "-b", "file", "ci", "sword fish"], ("htpasswd", "-b", "file", "ci", "***")),
        (["redis-cli", "-a", "swordfish", "ping"], ("redis-cli", "-a", "***", "ping")),
        (["dockerd", "", "-H", "fd://", ""], ("dockerd", "", "-H", "fd://", "")),
        ([], ()),
    ],
)
def test_arguments_are_read_as_their_program_reads_them(
    arguments: list[str], masked: tuple[str, ...]
) -> None:
    assert mask_arguments(arguments) == masked


@pytest.mark.parametrize(
    "piece",
    [
        '{"password": {',
        "{'password': [{",
        'password: {"',
        'password: {\\"',
        "<password>",
        "<password",
        "<a name='password'>",
        "<key>",
        "value: ",
        'value: "',
        "value:",
        "auth_pass ",
        "x_pass ",
        "rocommunity ",
        "echo --password-stdin ",
        "snmpget -c ",
        "htpasswd -b ",
        "htpasswd -b a ",
        "nmcli password ",
        "login a password ",
        "openssl passwd -6",
        "zip zip ",
        "\\\n# ",
        "\\\n#\n",
        'TOKEN="\n',
        'TOKEN="a\nb',
        "TOKEN=''a",
        "password: a b ",
        ': PSK "',
        "enc a ",
        "key 1 ",
        "l2tp cookie ",
        "l2tp ",
        "QUJDQUJD",
        "QUJD ",
        "p\u0430ssword=",
        "\uff50",
        "p\u0301",
        'password "',
        '("password", "',
        "jdbc:oracle:a:b/",
        "Private-Lines: 1\n",
        "echo ",
        "printf x ",
    ],
)
def test_time_grows_with_the_text_alone(piece: str) -> None:
    seconds = []
    for size in (8_000, 32_000):
        text = piece * (size // len(piece))
        started = time.process_time()
        mask_text(text)
        seconds.append(time.process_time() - started)
    assert seconds[1] < max(8 * seconds[0], 1.5)
