"""Does the engine run, and does it answer for this host?

## What it asks

Whether an engine answers where the command line's own rules say (DOCKER_HOST, the context, /var/run/docker.sock),
whether it runs on the host that was read, and, where none answers, what systemd and the journal say of docker.service.

## Why it breaks containers

An engine that does not start sets up no network, and the containers that it left behind lose name resolution and
published ports. The most common reason is a daemon.json that says what a flag says too, or a key that this engine
does not know.

## What is normal and not reported

An engine that is not there at all is *unknown*, not broken: nothing here says that there should be one. The same goes
for one that runs elsewhere (a remote context, Docker Desktop's machine, rootless Docker in a network namespace of its
own): the rules and links of this host say nothing about its containers.

## Remedy

For a failed start: correct what the journal names, then start the unit.

## References

- [Docker: troubleshooting the daemon](https://docs.docker.com/engine/daemon/troubleshoot/)
"""

import re
from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.configuration.daemon_json import ConfigurationError, DaemonJson
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Engine, ServiceUnit, Unread
from dockerdiag_checks.commands import sh

NEEDS = ()

WITHOUT_KEYS = (
    "import json, sys; file, *keys = sys.argv[1:]; "
    "kept = {k: v for k, v in json.load(open(file)).items() if k not in keys}; "
    'open(file, "w").write(json.dumps(kept, indent=2) + chr(10))'
)
"""Writes a JSON file without some of its keys. dockerdiag itself runs on this Python, jq may be missing."""

NOT_TELLING = re.compile(
    r"docker\.(service|socket): |(Starting|Started|Stopping|Stopped|Failed to start|Dependency failed) |"
    r".*\blevel=(debug|info|warning)\b"
)
"""What systemd says of the unit, and what dockerd says while all is well."""


@check(
    "engine",
    title="Does the engine run, and does it answer for this host?",
    group="Engine",
    place=0,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding: the engine's state."""
    engine = case.snapshot.engine
    if isinstance(engine, Engine):
        yield _answers(case, engine)
    elif (service := _failed(case)) is not None:
        yield _failed_unit(case, service)
    else:
        yield Finding(
            code="engine-not-found"
            if not case.snapshot.daemons and case.snapshot.service is None
            else "engine-silent",
            status=Status.UNKNOWN,
            subject="engine:docker",
            summary=f"No engine answered: {engine.reason}",
            remedies=_how_to_go_on(case),
        )


def _answers(case: Case, engine: Engine) -> Finding:
    what = f"{engine.platform or 'Docker Engine'} {engine.version} at {engine.endpoint}"
    elsewhere = case.engine_elsewhere()
    if elsewhere is not None:
        return Finding(
            code="engine-elsewhere",
            status=Status.UNKNOWN,
            subject=case.engine_subject,
            summary=f"{what} answers, but {elsewhere}: what is read here says nothing about its containers",
            remedies=(
                Remedy(
                    summary="Run dockerdiag on the host whose containers are meant",
                    verify=("docker context ls",),
                ),
            ),
        )
    return Finding(
        code="engine-answers", status=Status.PASS, subject=case.engine_subject, summary=f"{what} answers"
    )


def _failed(case: Case) -> ServiceUnit | None:
    service = case.snapshot.service
    if not isinstance(service, ServiceUnit):
        return None
    failing = service.active_state == "failed" or service.sub_state == "auto-restart"
    return service if failing else None


def _failed_unit(case: Case, service: ServiceUnit) -> Finding:
    journal = case.snapshot.journal
    lines = () if isinstance(journal, Unread) else journal
    telling = [line for line in lines if not NOT_TELLING.match(line.text)] or list(lines[-3:])
    shown = tuple(dict.fromkeys(line.text.strip() for line in telling))[-3:]
    errors = tuple(error for error in case.settings.start_errors if error.certain)
    state = f"{service.active_state}, {service.sub_state}, {service.result}"
    return Finding(
        code="engine-failed",
        status=Status.FAIL,
        subject="unit:docker.service",
        summary=f"docker.service does not start: {errors[0].text if errors else shown[-1] if shown else state}",
        evidence=(
            Evidence("systemctl show docker.service", state),
            *(Evidence("journal of docker.service", text) for text in shown),
            *(Evidence(origin.source, origin.text.strip()) for error in errors for origin in error.origins),
            *(
                (Evidence("journal of docker.service", f"not read: {journal.reason}"),)
                if isinstance(journal, Unread)
                else ()
            ),
        ),
        remedies=(_correction(case, errors),),
    )


def _correction(case: Case, errors: tuple[ConfigurationError, ...]) -> Remedy:
    """Takes the keys that dockerd refuses out of its file; where none is known, the admin must correct it first."""
    start = (
        "systemctl reset-failed docker.service docker.socket",
        "systemctl start docker.service",
    )
    verify = ("systemctl is-active docker.service", "dockerdiag")
    file = case.settings.daemon_json
    keys = _refused_keys(file, errors) if file is not None else ()
    if file is None or not keys:
        return Remedy(
            summary="Correct what the journal names, and only then start the engine",
            lasting=start,
            verify=verify,
            risk="Starts the engine, and its containers that have a restart policy.",
        )
    copy = f"{file.path}.before-dockerdiag"
    return Remedy(
        summary=f"Take {', '.join(keys)} out of {file.path}, since dockerd refuses it there, and start the engine",
        now=(sh("cp", "-a", file.path, copy), sh("python3", "-c", WITHOUT_KEYS, file.path, *keys), *start),
        verify=verify,
        undo=(sh("mv", copy, file.path),),
        risk=(
            f"What {', '.join(keys)} says in the file is lost, unless a flag says it too (the copy keeps it). "
            "Starts the engine, and its containers that have a restart policy."
        ),
    )


def _refused_keys(file: DaemonJson, errors: tuple[ConfigurationError, ...]) -> tuple[str, ...]:
    places = {origin for error in errors for origin in error.origins}
    return tuple(key for key, origin in file.keys.items() if origin in places)


def _how_to_go_on(case: Case) -> tuple[Remedy, ...]:
    if not case.snapshot.host.root:
        # sudo's own PATH does not have the folder of a virtual environment.
        as_root = 'sudo "$(command -v dockerdiag)"'
        return (Remedy(summary="Ask as root: the engine's socket and the rules are root's", now=(as_root,)),)
    if isinstance(case.snapshot.service, ServiceUnit):
        seen = ("systemctl status docker.service", "journalctl -u docker.service -n 50")
        return (Remedy(summary="See why it is silent", verify=seen),)
    return (
        Remedy(summary="See what a full report looks like, on a recorded host", now=("dockerdiag demo",)),
    )
