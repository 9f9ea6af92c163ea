"""Does the engine run, and does it answer for this host?

## What it asks

Whether an engine answers where the command line's own rules say (DOCKER_HOST, the context, /var/run/docker.sock),
whether it runs on the host that was read, and, where none answers, what systemd and the journal say of docker.service.
Where one answers, whether firewalld's zone files hold one of its bridges, which its next start then does not get.

## Why it breaks containers

An engine that does not start sets up no network, and the containers that it left behind lose name resolution and
published ports. The most common reason is a daemon.json that says what a flag says too, or a key that this engine
does not know; others are a bridge that firewalld has in another zone, an iptables program that is gone, a kernel
whose modules were removed by an upgrade, and, with the nftables backend, forwarding that nobody turned on. The engine's
own words in the journal tell them apart.

A bridge that `/etc/firewalld/zones/` has in a zone other than docker is refused to the engine when it starts
(ZONE_CONFLICT): without docker0 it does not start, without another bridge that network is gone.

An engine that is stopped while its containers run on cuts them off from its resolver, 127.0.0.11, and from ports that
docker-proxy serves; packets to addresses still pass.

## What is normal and not reported

An engine that is not there at all is *unknown*, not broken: nothing here says that there should be one. The same goes
for one that runs elsewhere (a remote context, Docker Desktop's machine, rootless Docker in a network namespace of its
own): the rules and links of this host say nothing about its containers. Podman's socket answers as Docker's does; its
packets can be walked (`dockerdiag trace`), but what Docker's checks ask, and what mends Docker, does not hold for it.

Zone files do not count where firewalld is neither running nor enabled, nor where the engine makes no rules.

## Remedy

For a failed start: correct what the journal names, then start the unit. For a bridge in another zone: take it out of
that zone's file. For containers without their engine: start it.

## References

- [Docker: troubleshooting the daemon](https://docs.docker.com/engine/daemon/troubleshoot/)
- moby/moby#41609, moby/moby#50646, docker/docker-ce-packaging#1340
"""

import re
from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.configuration.daemon_json import ConfigurationError
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Engine, ServiceUnit, Shim, TextFile, Unread
from dockerdiag_checks.commands import EditedFile, sh
from dockerdiag_checks.engine_failures import START, STARTED, STARTS, explained, started_too_often
from dockerdiag_checks.firewalld_zones import conflicts_ahead
from dockerdiag_checks.next_steps import as_root
from dockerdiag_checks.setting_files import refused_keys, without_keys

NEEDS = ()
READS = ("daemons", "engine", "firewall_files", "journal", "programs", "service", "services", "shims")

EMBEDDED = re.compile(r"^\s*nameserver\s+127\.0\.0\.11\b", re.MULTILINE)

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
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """The engine's state; where it answers, what firewalld will refuse its next start."""
    engine = case.snapshot.engine
    if isinstance(engine, Engine):
        yield _answers(case, engine)
        if case.engine_elsewhere() is None:
            yield from conflicts_ahead(case)
    elif (service := _failed(case)) is not None:
        yield _failed_unit(case, service)
    elif _left_behind(case) and _stopped(case):
        yield _stopped_beside_containers(case)
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
            remedies=(_there(case, engine),),
        )
    unlike = case.engine_unlike()
    if unlike is not None:
        return Finding(
            code="engine-not-docker",
            status=Status.UNKNOWN,
            subject=case.engine_subject,
            summary=f"{what} answers, but {unlike}: its packets are walked, causes and remedies are not told",
            remedies=(_walked(case),),
        )
    return Finding(
        code="engine-answers", status=Status.PASS, subject=case.engine_subject, summary=f"{what} answers"
    )


def _walked(case: Case) -> Remedy:
    """How to see what becomes of a packet where no check says it."""
    running = next((one.name for one in case.containers if one.pid is not None), None)
    walk = (sh("dockerdiag", "trace", running, "1.1.1.1:443"),) if running is not None else ()
    return Remedy(
        summary="See where a packet ends; what ends it is mended as Podman's manual has it",
        verify=(*walk, "podman network ls"),
    )


def _there(case: Case, engine: Engine) -> Remedy:
    """How to read where the containers are."""
    if engine.is_podman and engine.local:
        return Remedy(
            summary="As the user whose containers they are, look into the network namespace that Podman gave them",
            verify=(
                "podman unshare --rootless-netns ip route",
                "podman unshare --rootless-netns nft list ruleset",
            ),
        )
    process = case.settings.process
    inside = engine.local and process is not None and process.namespace_is_host is False
    if engine.rootless:
        # With a detached namespace (RootlessKit 2) even its dockerd is not where its bridges are.
        seen = "docker info --format '{{.SecurityOptions}}'"
        within = (
            sh("nsenter", "--target", str(process.pid), "--net") if inside and process is not None else ""
        )
        return Remedy(
            summary="Look into RootlessKit's network namespace. What leaves it (by slirp4netns or pasta) a process of "
            "the user's sends: what that user reaches on this host, the containers should reach",
            verify=(f"{within} ip route", f"{within} nft list ruleset") if within else (seen,),
        )
    if inside and process is not None:
        # Rules and links are read in the network namespace that the reader is in.
        enter = sh("nsenter", "--target", str(process.pid), "--net")
        return Remedy(
            summary="Run dockerdiag in the network namespace of the engine, where its rules and links are",
            now=(f"{sh('env', f'DOCKER_HOST={engine.endpoint}')} {enter} dockerdiag",),
            verify=("docker context ls",),
        )
    if "desktop" in engine.platform.lower():
        return Remedy(
            summary="Its containers are in Docker Desktop's virtual machine: what this host's VPN and proxy settings "
            "are is set in Docker Desktop (Settings, Resources), its rules and links in that machine",
            verify=("docker context ls",),
        )
    return Remedy(
        summary="Run dockerdiag on the host whose containers are meant", verify=("docker context ls",)
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
    known = None if errors else explained(case, shown) or started_too_often(service.result)
    reason = known.meaning if known else errors[0].text if errors else shown[-1] if shown else state
    return Finding(
        code=known.code if known else "engine-failed",
        status=Status.FAIL,
        subject="unit:docker.service",
        summary=f"docker.service does not start: {reason}",
        evidence=(
            Evidence("systemctl show docker.service", state),
            *(Evidence("journal of docker.service", text) for text in shown),
            *(Evidence(origin.source, origin.text.strip()) for error in errors for origin in error.origins),
            *(
                (Evidence("journal of docker.service", f"not read: {journal.reason}"),)
                if isinstance(journal, Unread)
                else ()
            ),
            *(known.evidence if known else ()),
            *_containers_run_on(case),
        ),
        remedies=known.remedies if known else (_correction(case, errors),),
    )


def _correction(case: Case, errors: tuple[ConfigurationError, ...]) -> Remedy:
    """Takes the keys that dockerd refuses out of its file; where none is known, the admin must correct it first."""
    file = case.settings.daemon_json
    keys = refused_keys(file, errors) if file is not None else ()
    if file is None or not keys:
        return Remedy(
            summary="Correct what the journal names, and only then start the engine",
            lasting=START,
            verify=STARTED,
            risk=STARTS,
        )
    return Remedy(
        summary=f"Take {', '.join(keys)} out of {file.path}, since dockerd refuses it there, and start the engine",
        now=(*without_keys(file.path, keys), *START),
        verify=STARTED,
        undo=(EditedFile(file.path).restore,),
        risk=(
            f"What {', '.join(keys)} says in the file is lost, unless a flag says it too (the copy keeps it). "
            f"{STARTS}"
        ),
    )


def _stopped(case: Case) -> bool:
    service = case.snapshot.service
    return (
        isinstance(service, ServiceUnit)
        and service.active_state == "inactive"
        and case.snapshot.daemons == ()
    )


def _left_behind(case: Case) -> tuple[Shim, ...]:
    shims = case.snapshot.shims
    return () if isinstance(shims, Unread) or case.snapshot.daemons != () else shims


def _asks_the_engine(shim: Shim) -> bool:
    """Whether its resolver is the engine's own."""
    return isinstance(shim.resolv_conf, TextFile) and bool(EMBEDDED.search(shim.resolv_conf.text))


def _stopped_beside_containers(case: Case) -> Finding:
    shims = _left_behind(case)
    mute = [shim for shim in shims if _asks_the_engine(shim)]
    resolves, whose = ("resolves", "its") if len(mute) == 1 else ("resolve", "their")
    lost = f"{len(mute)} of them {resolves} no name, for the engine is {whose} resolver" if mute else ""
    return Finding(
        code="daemon-down-containers-up",
        status=Status.FAIL if mute else Status.WARN,
        subject="unit:docker.service",
        summary="docker.service is stopped while its containers run on"
        + (
            f": {lost}"
            if lost
            else "; ports that docker-proxy serves are dead, and nobody restarts a container"
        ),
        count=len(mute or shims),
        evidence=(Evidence("systemctl show docker.service", "inactive"), *_containers_run_on(case)),
        remedies=(
            Remedy(
                summary="Start the engine: it takes its containers on where live-restore is set, else it stops them",
                now=("systemctl start docker.service",),
                verify=STARTED,
                undo=("systemctl stop docker.socket docker.service",),
                risk="Without live-restore its containers end, and those that have a restart policy start again.",
            ),
        ),
    )


def _containers_run_on(case: Case) -> tuple[Evidence, ...]:
    shims = _left_behind(case)
    asking = next((shim for shim in shims if _asks_the_engine(shim)), None)
    found = [Evidence("containerd-shim", f"runs on: {shim.container[:12]}") for shim in shims[:3]]
    if asking is not None:
        found.append(
            Evidence(
                f"/etc/resolv.conf of {asking.container[:12]}", "nameserver 127.0.0.11, which is dockerd"
            )
        )
    return tuple(found)


def _how_to_go_on(case: Case) -> tuple[Remedy, ...]:
    if not case.snapshot.host.root:
        return (as_root(case),)
    if isinstance(case.snapshot.service, ServiceUnit):
        seen = ("systemctl status docker.service", "journalctl -u docker.service -n 50")
        return (
            Remedy(
                summary="To find out: see why it is silent",
                verify=seen,
                risk="Reads only; changes nothing on this host.",
            ),
        )
    return (
        Remedy(summary="See what a full report looks like, on a recorded host", now=("dockerdiag demo",)),
    )
