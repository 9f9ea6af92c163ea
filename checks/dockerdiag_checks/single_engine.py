"""Is there one engine alone in this host's network?

## What it asks

Whether a second dockerd runs in the network namespace of the one that answered: one from a snap beside the package's,
one that somebody started by hand. Whether both use the same bridge.

## Why it breaks containers

Both write the chains DOCKER, DOCKER-USER and those of the nat table under the same names, and both give docker0 its
address. Each start of one takes away rules of the other; its containers lose their way out without anybody having
touched them. And whoever edits one engine's daemon.json while asking the other sees no effect.

## What is normal and not reported

- An engine in a network namespace of its own: one inside a container, a rootless one, a laboratory.
- A second one on a bridge of its own (`--bridge`), which is a note: their chains still have the same names.

## Remedy

Keep one. Ending a dockerd ends its containers too, so which one stays is the admin's choice; the other must be
disabled where it is started.

## References

- [Docker: troubleshooting the daemon](https://docs.docker.com/engine/daemon/troubleshoot/)
- moby/moby#43228, moby/moby#47998
"""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.configuration.dockerd_flags import parse_flags
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import DaemonProcess, Unread
from dockerdiag_checks.commands import sh
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.wording import FOR_GOOD

NEEDS = ("engine", "daemons")


@check(
    "single-engine",
    title="Is there one engine alone in this host's network?",
    group="Engine",
    place=2,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each other dockerd in the same network namespace."""
    daemons = case.snapshot.daemons
    serving = case.settings.process
    if isinstance(daemons, Unread) or serving is None or case.engine_elsewhere() is not None:
        return
    others = [one for one in daemons if one.pid != serving.pid and one.namespace == serving.namespace]
    for other in others:
        alike = _bridge(other) == _bridge(serving)
        yield Finding(
            code="two-engines",
            status=Status.WARN if alike else Status.NOTE,
            subject=case.engine_subject,
            summary=(
                f"A second dockerd runs beside it, {_program(other)} (process {other.pid}), "
                + (
                    "with the same bridge: each undoes the other's rules and addresses"
                    if alike
                    else "on its own bridge"
                )
            ),
            evidence=tuple(Evidence(f"/proc/{one.pid}/cmdline", _words(one)) for one in (serving, other)),
            remedies=(_end_second(case, other),) if alike else (),
        )


def _bridge(daemon: DaemonProcess) -> str:
    words = () if isinstance(daemon.command_line, Unread) else daemon.command_line
    flags = parse_flags(words[1:], None).values
    named = flags.get("bridge")
    return str(named.value) if named is not None else "docker0"


def _program(daemon: DaemonProcess) -> str:
    return daemon.executable or "dockerd"


def _words(daemon: DaemonProcess) -> str:
    return (
        daemon.command_line.reason
        if isinstance(daemon.command_line, Unread)
        else " ".join(daemon.command_line)
    )


def _end_second(case: Case, other: DaemonProcess) -> Remedy:
    snap = _program(other).startswith("/snap/")
    verify = (f"test ! -e /proc/{other.pid}", "dockerdiag")
    if snap:
        return Remedy(
            summary="Keep one engine: stop the one from the snap, if its containers are not needed",
            now=("snap stop --disable docker", "systemctl restart docker"),
            verify=verify,
            undo=("snap start --enable docker",),
            risk="Its containers end; they and their images stay in /var/snap/docker.",
        )
    return Remedy(
        summary="Keep one engine: stop the one whose containers are not needed, and let the other make its rules again",
        now=(
            sh("kill", str(other.pid)),
            f"timeout 30 sh -c 'while test -e /proc/{other.pid}; do sleep 0.2; done'",
            "systemctl restart docker",
        ),
        verify=verify,
        risk=f"Its containers end. Whoever started it will do so again. {restart_risk(case)} {FOR_GOOD}",
    )
