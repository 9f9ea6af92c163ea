"""What a booted systemd really starts: arguments and environment must be those that were predicted."""

import ast
import base64
import io
import random
import tarfile

import pytest

from dockerdiag.configuration.systemd_unit import EffectiveService, effective_service
from dockerdiag.snapshot import EnvironmentFile, ServiceUnit, TextFile
from tests.lab.conftest import why_not
from tests.lab.engines import chosen_suites
from tests.lab.host import LabHost

pytestmark = [pytest.mark.lab, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]

OURS = ("A", "B", "C", "OPTS", "DOCKER_OPTS", "OPTIONS", "DOCKER_DNS_OPTIONS")
PROGRAM = "/opt/started/show"
SHOW = f"""#!/usr/bin/python3 -IS
import os
from pathlib import Path
arguments = Path("/proc/self/cmdline").read_bytes().split(b"\\0")[3:-1]
environment = Path("/proc/self/environ").read_bytes().split(b"\\0")[:-1]
environment = sorted(each for each in environment if each.partition(b"=")[0].decode() in {OURS})
Path("/opt/started", arguments[0].decode()).write_text(repr((arguments, environment)))
"""

WRITTEN = {
    "kubespray": (
        # A continuation within quotes.
        (
            'Environment="DOCKER_OPTS=--data-root=/var/lib/docker --iptables=false \\\n --log-opt max-size=50m \\\n"\n'
            'Environment="DOCKER_DNS_OPTIONS=\\\n    --dns 10.233.0.3 --dns 10.0.2.3  \\\n    --dns-search a \\\n"\n'
        ),
        "$DOCKER_OPTS $DOCKER_DNS_OPTIONS $INSECURE_REGISTRY",
        "",
    ),
    "one argument": ("", "${OPTS} x$OPTS $OPTS", "OPTS=--iptables=false --ip-masq=false\n"),
    "quotes in a variable": ("", "$OPTS", "OPTS='--label \"a b\" -x' # not a comment\n"),
    "quotes in an unquoted value": ("", "$OPTS ${OPTS}", 'OPTS=--label="a b" c\n'),
    "red hat": ("", "$OPTIONS $DOCKER_NETWORK_OPTIONS", "OPTIONS='--selinux-enabled --iptables=false'\n"),
    "flannel": ("", "$DOCKER_OPTS", 'DOCKER_OPTS=" --bip=10.1.2.1/24 --ip-masq=true --mtu=1450"\n'),
    "export": ("", "$OPTS", "export OPTS=--iptables=false\n"),
    "file overrides": ("Environment=OPTS=unit A=unit\n", "$OPTS $A", "OPTS=file\n"),
    "unset": ("Environment=OPTS=unit A=unit\nUnsetEnvironment=OPTS A=other\n", "$OPTS $A", ""),
    "dollars": ("Environment=A=1\n", "$$A $${A} $ a$ ${A}${A} ${A ${B} $A-B x", ""),
    "continued in file": ("", "$OPTS", "OPTS=--a \\\n  --b \\\n--c\nB=2\n"),
    "quoted lines in file": ("", "$OPTS ${OPTS}", 'OPTS="--a\n--b \\\n --c \\$x \\q"\n'),
    "never closed": ("", "$OPTS", 'OPTS="--a\nB=2\n'),
}
PIECES = [
    "A",
    "B",
    "=",
    "\n",
    " ",
    " ",
    '"',
    "'",
    "\\",
    "\\\n",
    "#",
    ";",
    "$",
    "--x",
    "\t",
    "é",
    "\\$",
    "`",
    "1",
    "\r\n",
]
WORDS = [
    "$A",
    "${A}",
    "$B",
    "x${B}y",
    "$$",
    "$",
    "a b",
    '"$A"',
    "'${A} ${B}'",
    "$A$B",
    "${C}",
    "$C",
    "--iptables=$A",
]


def cases() -> dict[str, tuple[str, str, str]]:
    chance = random.Random(20)
    guessed = {}
    for number in range(150):
        text = "".join(
            f"{name}=" + "".join(chance.choices(PIECES, k=chance.randrange(9))) + "\n" for name in "ABAB"
        )
        guessed[f"file {number}"] = ("Environment=A=unit C=c\n", " ".join(chance.choices(WORDS, k=5)), text)
    return WRITTEN | guessed


def service(number: int, case: tuple[str, str, str]) -> ServiceUnit:
    lines, words, file = case
    path = f"/opt/started/{number}.env"
    text = (
        f"[Service]\nType=oneshot\nEnvironmentFile=-{path}\n{lines}ExecStart={PROGRAM} {number}.out {words}\n"
    )
    return ServiceUnit(
        name=f"started{number}.service",
        fragment=TextFile(f"/etc/systemd/system/started{number}.service", text),
        drop_ins=(),
        environment_files=(EnvironmentFile(path, optional=True, file=TextFile(path, file)),),
    )


def archive(services: list[ServiceUnit]) -> str:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:

        def add(path: str, text: str, mode: int = 0o644) -> None:
            data = text.encode()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))

        add(PROGRAM, SHOW, 0o755)
        for each in services:
            files = [each.fragment, *(entry.file for entry in each.environment_files)]
            for file in files:
                assert isinstance(file, TextFile)
                add(file.path, file.text)
    return base64.b64encode(packed.getvalue()).decode()


@pytest.mark.parametrize("suite", chosen_suites())
def test_services_are_started_as_predicted(suite: str) -> None:
    written = cases()
    services = [service(number, case) for number, case in enumerate(written.values())]
    with LabHost(suite, product=False, image=False) as host:
        host.run("base64 -d | tar -xz -C /", stdin=archive(services)).expect_success()
        host.run("systemctl daemon-reload").expect_success()
        host.run(f"systemctl start {' '.join(each.name for each in services)}")
        told = host.run("cd /opt/started; for file in *.out; do echo $file; cat $file; echo; done").stdout
    lines = told.splitlines()
    started = {name: ast.literal_eval(line) for name, line in zip(lines[::2], lines[1::2], strict=True)}
    wrong = []
    for number, (title, each) in enumerate(zip(written, services, strict=True)):
        predicted = effective_service(each, "lab")
        if not is_certain(predicted):
            continue
        files = [entry.file.text for entry in each.environment_files if isinstance(entry.file, TextFile)]
        if started.get(f"{number}.out") != (said := as_started(predicted)):
            wrong.append((title, files, said, started.get(f"{number}.out")))
    assert not wrong


def is_certain(service: EffectiveService) -> bool:
    arguments = [argument for command in service.commands for argument in command]
    return all(each.certain for each in (*arguments, *service.environment.values()))


def as_started(service: EffectiveService) -> tuple[list[bytes], list[bytes]] | None:
    """The arguments and the variables of one letter, which are those that the units set."""
    if service.errors:
        return None
    words = [argument.text.encode(errors="surrogateescape") for argument in service.commands[0][1:]]
    variables = [
        f"{name}={variable.value.text}".encode(errors="surrogateescape")
        for name, variable in service.environment.items()
        if name in OURS
    ]
    return words, sorted(variables)
