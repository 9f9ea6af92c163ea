"""Credentials of many kinds, planted all over a real host: none is in anything that a run leaves."""

import gzip
import io
import json
import shlex
import tarfile
from base64 import b64decode
from collections.abc import Iterator

import pytest

from tests.lab.drive import FORGET_START_LIMIT, set_up
from tests.lab.host import LabHost
from tests.lab.image import IMAGE
from tests.lab.scenarios import named
from tests.planted import Planted, planted

pytestmark = pytest.mark.lab

OUT = "/root/out"
FORMATS = ("text", "html", "markdown", "json", "nagios", "checkmk", "prometheus", "junit")
URL = "userinfo of a URL"

DROP_IN = "/etc/systemd/system/docker.service.d/notes.conf"
FILES = {
    DROP_IN: "# {}",
    "/etc/default/docker": "# {}",
    "/etc/hosts": "127.0.0.9 note # {}",
    "/etc/resolv.conf": "# {}",
    "/etc/sysctl.d/90-notes.conf": "# {}",
    "/root/journal": "{}",
}
KEPT = ("/etc/default/docker", "/etc/hosts", "/etc/resolv.conf", "/root/journal", "nft", "iptables", "kernel")
"""Sources of which a snapshot has each line whole."""


def test_no_credential_is_in_anything_that_a_run_leaves() -> None:
    lines = {source: planted(f"s{at}x") for at, source in enumerate((*FILES, "nft", "iptables", "kernel"))}
    others = list(planted("engine")) + planted("label") + planted("command")
    with LabHost("trixie") as host:
        set_up(host, named("plain"))
        plant(host, lines, others)
        runs(host)
        left = dict(files(host))
    assert len([one for group in lines.values() for one in group]) >= 120
    assert set(left) >= {f"stdout.{name}" for name in FORMATS} | {"host.json", "packed.json.gz", "state.json"}
    leaked = {
        (name, source, one.kind)
        for name, content in left.items()
        for source, group in (*lines.items(), ("engine", others))
        for one in group
        if one.secret.encode() in content
    }
    assert sorted(leaked) == []
    snapshot = json.dumps(json.loads(left["host.json"]), ensure_ascii=False)
    silent = {(source, one.kind) for source in KEPT for one in lines[source] if one.words[0] not in snapshot}
    assert sorted(silent) == []
    torn = {one.kind for source in KEPT for one in lines[source] if one.words[1] not in snapshot}
    # Where nft's comment cannot have the quotes that end them.
    assert torn <= {"a quoted variable", "a header of parameters"}


def plant(host: LabHost, lines: dict[str, list[Planted]], others: list[Planted]) -> None:
    proxies = [one.secret for one in others if one.kind == URL]
    host.run_all((f"mkdir -p {OUT} /root/.docker /etc/systemd/system/docker.service.d",))
    for path, form in FILES.items():
        text = "".join(form.format(one.text) + "\n" for one in lines[path])
        host.run(f"cat >> {path}", stdin=text).expect_success()
    host.run(
        f"cat >> {DROP_IN}",
        stdin="[Service]\nExecStartPost=/bin/cat /root/journal\n"
        f'Environment="HTTP_PROXY=http://operator:{proxies[0]}@203.0.113.10:3128"\n'
        f"Environment=DOCKER_REGISTRY_TOKEN={others[7].secret}\n",
    ).expect_success()
    host.run(
        "cat > /run/cmdline", stdin=" ".join(("quiet", *(one.text for one in lines["kernel"])))
    ).expect_success()
    daemon = {"labels": [f"note{at}={one.text}" for at, one in enumerate(others[:20])]}
    host.run("cat > /etc/docker/daemon.json", stdin=json.dumps(daemon)).expect_success()
    login = {
        "auths": {"registry.example": {"auth": others[11].secret}},
        "HttpHeaders": {"X-Token": others[3].secret},
    }
    host.run("cat > /root/.docker/config.json", stdin=json.dumps(login)).expect_success()
    host.run_all(("systemctl daemon-reload", FORGET_START_LIMIT, "systemctl restart docker"))
    labels = " ".join(f"--label note{at}={shlex.quote(one.text)}" for at, one in enumerate(others[20:40]))
    host.run(
        f"docker run --detach --name noted {labels} --env https_proxy=http://u:{proxies[1]}@203.0.113.10:3128 "
        f"--env API_TOKEN={others[5].secret} {IMAGE} sleep infinity {shlex.quote(others[41].text)}"
    ).expect_success()
    for one in lines["iptables"]:
        host.run_all((f"iptables -A DOCKER-USER -m comment --comment {shlex.quote(one.text)} -j RETURN",))
    rules = "".join(
        f'add rule inet notes seen counter comment "{one.text.replace(chr(34), chr(39))}"\n'
        for one in lines["nft"]
    )
    host.run("nft -f -", stdin=f"add table inet notes\nadd chain inet notes seen\n{rules}").expect_success()


def runs(host: LabHost) -> None:
    """Every format and file, a snapshot, a state, a redacted report, and runs that fail."""
    endpoint = planted("endpoint", URL)[0].text.split()[1]
    all_files = " ".join(
        f"-o {OUT}/report.{suffix}" for suffix in ("txt", "html", "md", "json", "nagios", "prom", "xml")
    )
    commands = [f"dockerdiag -v -f {name} > {OUT}/stdout.{name} 2> {OUT}/stderr.{name}" for name in FORMATS]
    commands += [
        f"dockerdiag {all_files} --state {OUT}/state.json",
        f"dockerdiag --redact -o {OUT}/redacted.html > {OUT}/redacted.txt",
        f"dockerdiag collect -o {OUT}/host.json",
        f"dockerdiag collect --redact -o {OUT}/packed.json.gz",
        f"dockerdiag trace noted 1.1.1.1 > {OUT}/trace 2>&1",
        f"DOCKERDIAG_DEBUG=1 DOCKER_HOST={shlex.quote(endpoint)} dockerdiag -v > {OUT}/endpoint 2>&1",
        f"DOCKERDIAG_DEBUG=1 dockerdiag --from /root/journal > {OUT}/no-snapshot 2>&1",
        f"DOCKERDIAG_DEBUG=1 dockerdiag --to {shlex.quote(endpoint)} > {OUT}/usage 2>&1",
        f"cp -r /var/lib/dockerdiag {OUT}/kept",
    ]
    for command in commands:
        host.run(command)


def files(host: LabHost) -> Iterator[tuple[str, bytes]]:
    packed = host.run(f"tar -C {OUT} -c . | base64 -w0").expect_success().stdout
    with tarfile.open(fileobj=io.BytesIO(b64decode(packed))) as archive:
        for member in archive:
            opened = archive.extractfile(member)
            if opened is not None:
                content = opened.read()
                name = member.name.removeprefix("./")
                yield name, gzip.decompress(content) if name.endswith(".gz") else content
