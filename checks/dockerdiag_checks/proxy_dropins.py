"""Does dockerd run with the proxy that its files say, and can that proxy work?

## What it asks

Which proxy the running dockerd uses to pull images (flags and daemon.json win over its environment), which one it
will use after its next start, and whether a proxy on this host has somebody listening.

## Why it breaks containers

`docker pull` and `docker build` go out by the daemon, not by the container. A proxy on 127.0.0.1 that no longer
runs, a drop-in that was edited and not loaded, or a quote too many in `Environment=` stops them, while containers
that already run are fine. Containers never inherit the daemon's proxy.

## What is normal and not reported

- A proxy on loopback with a listener: dockerd runs on the host, so the host's loopback is the right one. So is a
  container that the engine's rules, or others, lead to from there.
- A proxy that `NO_PROXY=*` keeps everything from.
- A proxy elsewhere: whether it answers cannot be told without sending, so nothing is said against it.
- No proxy at all, or one for https only.

## Remedy

Start the proxy, or take the variables out of the engine's environment by a drop-in with `UnsetEnvironment=`, which
leaves the file that sets them as it is. Both need a restart of the engine if the setting changes.

## References

- [Docker: daemon proxy configuration](https://docs.docker.com/engine/daemon/proxy/)
- systemd.exec(5): `Environment=`, `UnsetEnvironment=`
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from dockerdiag.case import Case
from dockerdiag.configuration.proxies import VARIABLES
from dockerdiag.configuration.settings import Known, Setting, Unknown
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag_checks.commands import EditedFile, sh, write_file
from dockerdiag_checks.egress_targets import PROXY_PORTS, past_proxies, ways_to
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.next_steps import reading
from dockerdiag_checks.setting_files import RESTART, evidence_of, file_origin
from dockerdiag_checks.wording import FOR_GOOD

NEEDS = ("engine", "daemons", "service")

NO_PROXY_DROP_IN = "/etc/systemd/system/docker.service.d/zz-dockerdiag-no-proxy.conf"
SUBJECT = "unit:docker.service"


@check(
    "proxy-dropins",
    title="Does dockerd run with the proxy that its files say, and can that proxy work?",
    group="Engine",
    place=80,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """Dead, malformed, pending and ignored proxy settings."""
    yield from _dead(case)
    for name in VARIABLES:
        setting = case.settings[name]
        if isinstance(setting.running, Unknown):
            if case.settings.process is not None:
                yield Finding(
                    "proxy-unknown",
                    Status.UNKNOWN,
                    SUBJECT,
                    f"{name} of the running engine: {setting.running.reason}",
                    remedies=(
                        reading(
                            case,
                            "ask the engine which proxies it uses (without credentials)",
                            "docker info --format '{{.HTTPProxy}} {{.HTTPSProxy}} {{.NoProxy}}'",
                        ),
                    ),
                )
        elif setting.pending:
            yield _pending(case, setting)
    for message in case.settings.diagnostics:
        if "proxy" in message.text.lower():
            yield Finding(
                code="proxy-line-ignored",
                status=Status.WARN,
                subject=f"file:{message.path}",
                summary=f"systemd ignores part of {message.source}",
                evidence=(Evidence(message.source, message.text),),
                remedies=(
                    Remedy(
                        summary=(
                            "Write the line as systemd reads it (whole quotes, `%%` for each `%`, in an environment "
                            "file no `export`), then load and restart"
                        ),
                        verify=("systemctl show -p Environment docker",),
                    ),
                ),
            )
    for inert in case.settings.inert:
        if set(inert.flags) <= set(VARIABLES):
            yield Finding(
                code="proxy-inert",
                status=Status.NOTE,
                subject=f"file:{inert.origin.path}",
                summary=f"{inert.name} has no effect: {inert.reason}",
                evidence=(Evidence(inert.origin.source, inert.origin.text.strip()),),
            )


def _dead(case: Case) -> Iterator[Finding]:
    if past_proxies(case):
        return
    bad: dict[str, tuple[str, Status, list[Setting]]] = {}
    for name in ("https-proxy", "http-proxy"):
        setting = case.settings[name]
        if (
            isinstance(setting.running, Known)
            and isinstance(setting.running.value, str)
            and setting.running.value
        ):
            fault = _fault(case, setting.running.value)
            if fault is not None:
                code, status, reason = fault
                bad.setdefault(reason, (code, status, []))[2].append(setting)
    for reason, (code, status, settings) in bad.items():
        names = " and ".join(setting.name for setting in settings)
        yield Finding(
            code=code,
            status=status,
            subject=SUBJECT,
            summary=(
                f"The engine pulls images by a proxy that cannot work ({names}): {reason}. "
                "Containers are not affected"
            ),
            evidence=tuple(piece for setting in settings for piece in evidence_of(setting)),
            remedies=(
                _remedies(case, settings)
                if status is Status.FAIL
                else (reading(case, "see who listens on this host", "ss -Hltnp"),)
            ),
        )


def _fault(case: Case, url: str) -> tuple[str, Status, str] | None:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port or PROXY_PORTS.get(parts.scheme)
    except ValueError as error:
        return "proxy-malformed", Status.FAIL, f"its URL cannot be read ({error})"
    if not host or port is None:
        return "proxy-malformed", Status.FAIL, "its URL names no host"
    ways = ways_to(case, url)
    halts = [one.journey.halts[0] for one in ways if one.journey.halts]
    if not ways or len(halts) < len(ways):
        return None
    for halt in halts:
        if halt.kind == "unread" and halt.place == "process":
            return "proxy-listener-unknown", Status.UNKNOWN, halt.reason
        if halt.kind != "listener":
            # What stops the packets on their way there is what engine-egress tells.
            return None
    first = halts[0]
    there = first.reason if first.namespace is not None else f"nobody listens on {host}:{port} of this host"
    return "proxy-dead", Status.FAIL, there


def _remedies(case: Case, settings: list[Setting]) -> tuple[Remedy, ...]:
    verify = ("docker info --format '{{.HTTPProxy}} {{.HTTPSProxy}}'", "dockerdiag")
    in_json = [
        origin
        for one in settings
        if (origin := file_origin(one)) is not None and origin.path.endswith(".json")
    ]
    if in_json:
        file = EditedFile(in_json[0].path)
        edits = [rf's/\("{one.name}"[[:space:]]*:[[:space:]]*\)"[^"]*"/\1""/' for one in settings]
        now = (file.keep, *(file.sed("-z", edit) for edit in edits), *RESTART)
        undo: tuple[str, ...] = (file.restore, *RESTART)
    elif any(
        isinstance(one.running, Known) and one.running.origin.path.endswith("/cmdline") for one in settings
    ):
        return ()
    else:
        variables = " ".join(name for one in settings for name in VARIABLES[one.name])
        now = (write_file(NO_PROXY_DROP_IN, f"[Service]\nUnsetEnvironment={variables}"), *RESTART)
        undo = (sh("rm", "-f", NO_PROXY_DROP_IN), *RESTART)
    return (
        Remedy(
            summary="Let the engine go out without this proxy (or start the proxy, and leave the settings alone)",
            now=now,
            verify=verify,
            undo=undo,
            risk=f"Pulls go out directly, which a site that asks for a proxy may refuse. {restart_risk(case)}",
        ),
    )


def _pending(case: Case, setting: Setting) -> Finding:
    following, running = setting.next_start, setting.running
    assert isinstance(following, Known)  # noqa: S101 - pending says that both are known
    assert isinstance(running, Known)  # noqa: S101
    origin = following.origin if following.origin.line is not None else running.origin
    return Finding(
        code="proxy-not-in-force",
        status=Status.WARN,
        subject=f"file:{origin.path}" if origin.line is not None else SUBJECT,
        summary=(
            f"{setting.name} is {running.value or 'unset'} now and becomes {following.value or 'unset'} "
            "when the engine is started again"
        ),
        evidence=tuple(
            Evidence(state.origin.source, state.origin.text.strip()) for state in (following, running)
        ),
        remedies=(
            Remedy(
                summary="Put it in force when a restart suits",
                now=RESTART,
                verify=("docker info --format '{{.HTTPProxy}} {{.HTTPSProxy}}'", "dockerdiag"),
                risk=f"{restart_risk(case)} {FOR_GOOD}",
            ),
        ),
    )
