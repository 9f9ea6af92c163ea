"""Do drop-ins, environment files or daemon.json change networking, and are they in force?

## What it asks

Which of dockerd's networking options stand in a drop-in of docker.service (such as `docker-options.conf`), in a file
that `EnvironmentFile=` names, or in daemon.json; and whether the running engine has them, will have them after its
next start, or never will.

## Why it breaks containers

Cluster installers write options where nobody looks: kubespray's `docker-options.conf` holds `--iptables=false` in
the middle of a quoted value that goes on over several lines. An option that was edited but is not in force works
until the next reload, restart or boot. And an option in a variable that no `ExecStart=` expands does nothing at
all, however often it is edited.

## What is normal and not reported

- Options that are in force and hurt nothing: shown as a note.
- `DOCKER_OPTS` in /etc/default/docker on a systemd host: inert, shown as a note. So is `export DOCKER_OPTS=…`, which
  systemd does not read even where the unit names that file.
- A file that was edited to the same effect.

## Remedy

For what is in force: the value changed on the line where it stands, and a restart. For what is not yet: a restart of
the engine when that suits, knowing what it will do; where it would stop containers, the edit taken back instead.

## References

- systemd.service(5), systemd.exec(5): `ExecStart=`, `Environment=`, `EnvironmentFile=`
- kubernetes-sigs/kubespray#2002, moby/moby#9889, moby/moby#22905
"""

import re
from collections.abc import Iterator

from dockerdiag.case import Case, Hit, Located, is_default_bridge
from dockerdiag.configuration.daemon_json import ConfigurationError
from dockerdiag.configuration.inert import Inert
from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.proxies import VARIABLES
from dockerdiag.configuration.settings import Known, Setting, State, value_of
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag_checks.commands import EditedFile
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.setting_files import (
    RESTART,
    evidence_of,
    refused_keys,
    turn_on,
    without_keys,
    written_by,
)
from dockerdiag_checks.wording import FOR_GOOD

NEEDS = ("engine", "daemons", "service")

NOT_NETWORKING = ("host", "config-file")

_FLAG = re.compile(r"--[a-z][a-z0-9-]*")

BREAKS = {"iptables": ("iptables-off *",), "ip-masq": ("ip-masq-off *",)}
"""Switches that stop containers when they are off, and the findings that follow."""


@check(
    "docker-options",
    title="Do drop-ins, environment files or daemon.json change networking, and are they in force?",
    group="Engine",
    place=5,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding | Located]:  # noqa: N802 - a module's check is its constant
    """What is in force, what is not yet, what never will be."""
    for name, setting in case.settings.settings.items():
        if name in VARIABLES or name in NOT_NETWORKING:
            continue
        # What docker.service would start is no matter to a daemon that somebody started otherwise.
        if setting.pending and case.settings.managed is not False:
            yield _pending(case, setting)
        elif written_by(setting, case.snapshot) is not None:
            yield _in_force(case, setting)
    if case.settings.process is not None:
        yield from _next_start_fails(case)
    for inert in case.settings.inert:
        if not set(inert.flags) <= set(VARIABLES):
            yield _inert(inert)
    yield from _ignored(case)


def _ignored(case: Case) -> Iterator[Finding]:
    """Lines with flags of networking that systemd does not read: `export DOCKER_OPTS=…` in an environment file."""
    flags = {f"--{name}" for name in case.settings.settings}
    for message in case.settings.diagnostics:
        if message.text.startswith("Ignoring unknown escape sequences"):
            continue  # the words are read all the same, but for a backslash
        words = _FLAG.findall(message.text)
        if not flags.isdisjoint(words):
            yield Finding(
                code="options-line-ignored",
                status=Status.NOTE,
                subject=f"file:{message.path}",
                summary=f"systemd ignores {message.source}, which names {', '.join(words)}: they have no effect",
                evidence=(Evidence(message.source, message.text),),
            )


def _in_force(case: Case, setting: Setting) -> Finding | Located:
    path = written_by(setting, case.snapshot)
    if setting.name in BREAKS and value_of(setting.next_start) is False:
        hits = _broken_by(case, setting.name)
        if hits:
            remedy = turn_on(setting, case)
            containers = {name for hit in hits for name in hit.containers}
            finding = Finding(
                code=f"options-turn-off-{setting.name}",
                status=Status.FAIL if containers else Status.WARN,
                subject=f"file:{path}",
                summary=f"{path} starts the engine with {setting.name}=false: its containers' packets find no rules",
                count=max(len(containers), 1),
                explains=BREAKS[setting.name],
                evidence=evidence_of(setting),
                remedies=(remedy,) if remedy is not None else (),
            )
            return Located(finding, min(hit.place for hit in hits))
    return Finding(
        code="options-in-force",
        status=Status.NOTE,
        subject=f"file:{path}",
        summary=f"{path} sets {setting.name}={_shown(setting.next_start)}; it is in force",
        evidence=evidence_of(setting),
    )


def _broken_by(case: Case, name: str) -> tuple[Hit, ...]:
    """What stops packets for want of the rules that a switch turns off: of ip-masq, the default bridge's alone."""
    if name == "iptables":
        return case.missing_rules()
    default = {network.name for network in case.networks if is_default_bridge(network)}
    return tuple(
        hit
        for hit in case.missing_rules()
        if hit.halt.kind == "unanswered" and not default.isdisjoint(hit.networks)
    )


def _pending(case: Case, setting: Setting) -> Finding:
    origin = _changed_at(setting)
    before, after = _shown(setting.running), _shown(setting.next_start)
    breaks = setting.name in BREAKS and value_of(setting.next_start) is False
    return Finding(
        code="options-not-in-force",
        status=Status.WARN,
        subject=f"file:{origin.path}" if origin.line is not None else "unit:docker.service",
        summary=f"{setting.name} is {before} now and becomes {after} when the engine is started again",
        evidence=tuple(
            Evidence(state.origin.source, state.origin.text.strip())
            for state in (setting.next_start, setting.running)
            if isinstance(state, Known)
        ),
        remedies=(
            _taken_back(case, setting, origin) if breaks else _put_in_force(case, setting.name, after),
        ),
    )


def _taken_back(case: Case, setting: Setting, origin: Origin) -> Remedy:
    return turn_on(setting, case, restart=False) or Remedy(
        summary=f"Take {setting.name}=false back before the engine is started again ({origin.source})",
        verify=("dockerdiag",),
        risk="None: the engine runs with true already, and is not restarted.",
    )


def _put_in_force(case: Case, name: str, after: str) -> Remedy:
    return Remedy(
        summary="Put it in force when a restart suits; or take the edit back",
        now=RESTART,
        verify=("dockerdiag",),
        risk=f"{name} becomes {after}. {restart_risk(case)} {FOR_GOOD}",
    )


def _changed_at(setting: Setting) -> Origin:
    """The line that brings the change; where a line was taken out, what runs with it."""
    following, running = setting.next_start, setting.running
    if isinstance(following, Known) and following.origin.line is not None:
        return following.origin
    assert isinstance(running, Known)  # noqa: S101 - a pending setting is known on both sides
    return running.origin


def _next_start_fails(case: Case) -> Iterator[Finding]:
    certain = tuple(error for error in case.settings.start_errors if error.certain)
    if not certain:
        return
    yield Finding(
        code="next-start-fails",
        status=Status.WARN,
        subject="unit:docker.service",
        summary=f"The engine runs, but would not start again: {certain[0].text}",
        evidence=tuple(
            Evidence(origin.source, origin.text.strip()) for error in certain for origin in error.origins
        ),
        remedies=(_corrected(case, certain),),
    )


def _corrected(case: Case, errors: tuple[ConfigurationError, ...]) -> Remedy:
    file = case.settings.daemon_json
    keys = refused_keys(file, errors) if file is not None else ()
    if file is None or not keys:
        return Remedy(
            summary="Correct the line before the next restart",
            verify=("dockerd --validate",)
            if (case.settings.version or (0, 0)) >= (23, 0)
            else ("dockerdiag",),
            risk="None now: the running engine does not read it.",
        )
    return Remedy(
        summary=f"Take {', '.join(keys)} out of {file.path}, since dockerd would refuse it there",
        now=without_keys(file.path, keys),
        verify=("dockerdiag",),
        undo=(EditedFile(file.path).restore,),
        risk="None now: the running engine does not read it. What the key says is lost, unless a flag says it too.",
    )


def _inert(inert: Inert) -> Finding:
    return Finding(
        code="options-inert",
        status=Status.NOTE,
        subject=f"file:{inert.origin.path}",
        summary=f"{', '.join(inert.flags)} in {inert.name} has no effect: {inert.reason}",
        evidence=(Evidence(inert.origin.source, inert.origin.text.strip()),),
    )


def _shown(state: State) -> str:
    if not isinstance(state, Known):
        return "unknown"
    value = state.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value) or "unset"
    return "unset" if value in (None, "") else str(value)
