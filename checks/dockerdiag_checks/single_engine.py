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
- A second one on a bridge of its own, or without (`--bridge`, or its daemon.json), which is a note: their chains still
  have the same names. So is one whose configuration file was not read, unless it is the snap's.

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
READS = ("daemon_json",)

_DEFAULT, _NONE = "docker0", "none"
_CONFIG_FILE = "/etc/docker/daemon.json"


@check(
    "single-engine",
    title="Is there one engine alone in this host's network?",
    group="Engine",
    place=2,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each other dockerd in the same network namespace."""
    daemons = case.snapshot.daemons
    serving = case.settings.process
    if isinstance(daemons, Unread) or serving is None or case.engine_elsewhere() is not None:
        return
    others = [one for one in daemons if one.pid != serving.pid and one.namespace == serving.namespace]
    own = str(case.presumed_value("bridge") or _DEFAULT)
    for other in others:
        bridge = own if _of_one_file(serving, other) else _bridge(case, other)
        alike = bridge == own != _NONE
        yield Finding(
            code="two-engines",
            status=Status.WARN if alike else Status.NOTE,
            subject=case.engine_subject,
            summary=(
                f"A second dockerd runs beside it, {_program(other)} (process {other.pid}), "
                + _apart(bridge, alike=alike)
            ),
            evidence=tuple(Evidence(f"/proc/{one.pid}/cmdline", _words(one)) for one in (serving, other)),
            remedies=(_end_second(case, other),) if alike else (),
        )


def _apart(bridge: str | None, *, alike: bool) -> str:
    if alike:
        return "with the same bridge: each undoes the other's rules and addresses"
    if bridge is None:
        return "with a configuration file that was not read, which may name a bridge of its own"
    return "without a default bridge" if bridge == _NONE else "on its own bridge"


def _of_one_file(serving: DaemonProcess, other: DaemonProcess) -> bool:
    """Whether both go by the same configuration file, whatever it says, and by no flag."""
    paths = set()
    for one in (serving, other):
        words = () if isinstance(one.command_line, Unread) else one.command_line
        flags = parse_flags(words[1:], None).values
        if "bridge" in flags:
            return False
        paths.add(str(flags["config-file"].value) if "config-file" in flags else _CONFIG_FILE)
    return len(paths) == 1


def _bridge(case: Case, other: DaemonProcess) -> str | None:
    """The default bridge of another daemon; None where a file says it that was not read."""
    words = () if isinstance(other.command_line, Unread) else other.command_line
    flags = parse_flags(words[1:], None).values
    if (named := flags.get("bridge")) is not None:
        return str(named.value) or _DEFAULT
    file = case.settings.daemon_json
    path = str(flags["config-file"].value) if "config-file" in flags else _CONFIG_FILE
    if file is not None and file.path == path:
        said = file.values.get("bridge")
        return str(said.value) if said is not None and said.value else _DEFAULT
    # The snap's own file, as it ships, names no bridge; nor does one that is not there.
    absent = path == _CONFIG_FILE and case.snapshot.daemon_json is None
    return _DEFAULT if absent or path.startswith("/var/snap/") else None


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
