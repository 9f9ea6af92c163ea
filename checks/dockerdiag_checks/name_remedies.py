"""Remedies for containers without names: the host's link, the resolver's sockets, the daemon's `dns`."""

from collections.abc import Mapping, Sequence
from posixpath import relpath
from shlex import quote

from dockerdiag.case import Case
from dockerdiag.packet.packet import IPAddress
from dockerdiag.report import Remedy
from dockerdiag.snapshot import NameService
from dockerdiag_checks.commands import EditedFile, sh, write_file
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.name_resolution import host_servers, kept_elsewhere
from dockerdiag_checks.wording import FOR_GOOD, listed, retry

RESOLV_CONF = "/etc/resolv.conf"
_RESOLVED_EXTRA = "/etc/systemd/resolved.conf.d/dockerdiag-{address}.conf"
_DNSMASQ_EXTRA = "/etc/dnsmasq.d/dockerdiag-{address}.conf"


def service_state(case: Case, name: str) -> str | None:
    """ActiveState of one of the host's resolvers; None where it is not installed or was not read."""
    service = case.snapshot.name_service
    if not isinstance(service, NameService) or not isinstance(service.services, Mapping):
        return None
    return service.services.get(name)


def started_again(case: Case, containers: Sequence[str], why: str) -> Remedy:
    """A restart, by which the engine writes the container's resolv.conf anew."""
    return Remedy(
        summary=f"Start {listed(containers, 'container')} again: {why}",
        now=tuple(sh("docker", "restart", name) for name in containers),
        verify=retry(case),
        risk=f"Interrupts {listed(containers, 'container')}. {FOR_GOOD}",
    )


def host_named(case: Case, containers: Sequence[str]) -> Remedy:
    """Gives the host nameservers again, and with them the containers that have none."""
    restarts = tuple(sh("docker", "restart", name) for name in containers)
    again = f" Interrupts {listed(containers, 'container')}." if containers else ""
    for path, servers in kept_elsewhere(case).items():
        if (
            all(server.is_loopback for server in servers)
            and service_state(case, "systemd-resolved") != "active"
        ):
            continue
        copy = f"{RESOLV_CONF}.before-dockerdiag"
        return Remedy(
            summary=f"Let {RESOLV_CONF} lead to {path}, where this host keeps its nameservers",
            now=(
                f"test ! -e {RESOLV_CONF} -a ! -L {RESOLV_CONF} || mv {RESOLV_CONF} {copy}",
                sh("ln", "-s", relpath(path, "/etc"), RESOLV_CONF),
                *restarts,
            ),
            verify=(f"grep -q ^nameserver {RESOLV_CONF}", *retry(case)),
            undo=(
                sh("rm", "-f", RESOLV_CONF),
                f"test ! -e {copy} -a ! -L {copy} || mv {copy} {RESOLV_CONF}",
                *restarts,
            ),
            risk=f"None beyond the names that it brings back.{again}",
        )
    return Remedy(
        summary=(
            f"Write the nameservers of this host's network to {RESOLV_CONF} (`nameserver ADDRESS`), and start the "
            "containers that lack them again; or name them as `dns` in the daemon's configuration"
        ),
        lasting=restarts,
        verify=(f"grep -q ^nameserver {RESOLV_CONF}", *retry(case)),
        risk=f"None beyond the names that it brings back.{again}",
    )


def listening_on(case: Case, address: IPAddress) -> Remedy:
    """Has the host's own resolver answer on an address that containers ask."""
    verify = (f"ss -Hlnu src {address}:53 | grep -q .", *retry(case))
    risk = f"Whoever can reach {address} may ask it too."
    name = str(address).replace(":", "-")
    for service, path, text in (
        ("dnsmasq", _DNSMASQ_EXTRA, f"listen-address={address}"),
        ("systemd-resolved", _RESOLVED_EXTRA, f"[Resolve]\nDNSStubListenerExtra={address}"),
    ):
        state = service_state(case, service)
        if state == "active":
            file = path.format(address=name)
            restart = sh("systemctl", "restart", service)
            return Remedy(
                summary=f"Have {service} listen on {address} too",
                now=(write_file(file, text), restart),
                verify=verify,
                undo=(sh("rm", "-f", file), restart),
                risk=risk,
            )
    return Remedy(
        summary=f"Have the resolver of this host listen on {address} too, or name another server to the containers",
        verify=verify,
        risk=risk,
    )


def service_started(case: Case, name: str) -> Remedy:
    """Starts the host's resolver, now and at boot."""
    return Remedy(
        summary=f"Start {name} again",
        now=(sh("systemctl", "restart", name),),
        lasting=(sh("systemctl", "enable", name),),
        verify=(sh("systemctl", "is-active", name), *retry(case)),
        undo=(sh("systemctl", "stop", name),),
        risk="None beyond the names that it brings back.",
    )


def own_files(case: Case, containers: Sequence[str]) -> Remedy | None:
    """Writes the host's servers to the files that are the containers' /etc/resolv.conf; None where it has none."""
    servers = [one for one in host_servers(case) if not one.is_loopback]
    for kept in kept_elsewhere(case).values():
        servers = servers or [one for one in kept if not one.is_loopback]
    if not servers:
        return None
    path = f'"$(docker inspect --format {quote("{{.ResolvConfPath}}")} %s)"'
    lines = " ".join(quote(f"nameserver {one}") for one in servers)
    return Remedy(
        summary=f"Write the host's nameservers to the /etc/resolv.conf of {listed(containers, 'container')}",
        now=tuple(f"printf '%s\\n' {lines} > {path % quote(name)}" for name in containers),
        verify=retry(case),
        undo=tuple(sh("docker", "restart", name) for name in containers),
        risk=(
            "Gone when the container starts again: then the engine writes its --dns there. "
            "What lasts is a container that is made anew, without that option."
        ),
    )


def without_daemon_dns(path: str, lines: tuple[str, ...], case: Case) -> Remedy:
    """Takes `dns` out of the daemon's file."""
    return Remedy(
        summary=f"Take dns out of {path}, so that containers get the host's nameservers",
        now=lines,
        verify=retry(case),
        undo=(EditedFile(path).restore, "systemctl restart docker"),
        risk=restart_risk(case),
    )
