"""A strict reverse path filter that a file will set, where it would stop packets that pass today."""

from collections.abc import Iterator

from dockerdiag.case import Case, Traced
from dockerdiag.configuration.sysctl_d import Assigned, final
from dockerdiag.dataclass import replace
from dockerdiag.packet.flow import Halt
from dockerdiag.packet.walk import Walker
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import BootSysctls, Unread
from dockerdiag_checks.commands import EditedFile, sh, write_file
from dockerdiag_checks.origins import package_of
from dockerdiag_checks.wording import listed, retry

_STRICT = "1"


def strict_at_boot(case: Case) -> Iterator[Finding]:
    """One finding for each link whose filter a file makes strict, and on which these packets then end."""
    boot, sysctls = case.snapshot.boot_sysctls, case.snapshot.network.sysctls
    if isinstance(boot, Unread) or isinstance(sysctls, Unread) or case.walker is None:
        return
    passing = [one for one in case.traced if one.delivered and one.containers and _of_ipv4(one)]
    links = {link for one in passing for link in (one.journey.entry, one.journey.uplink) if link is not None}
    wanted = {key: assigned for link in ("all", *sorted(links)) for key, assigned in _set(case, boot, link)}
    then = {key: assigned.value for key, assigned in wanted.items()}
    if _STRICT not in then.values() or all(sysctls.get(key) == value for key, value in then.items()):
        return
    # The kernel's own answers are of today.
    network = replace(case.snapshot.network, sysctls={**sysctls, **then}, route_answers=())
    walker = Walker(replace(case.snapshot, network=network))
    stopped: dict[str, list[tuple[Halt, Traced]]] = {}
    for traced in passing:
        # By the first link that stops it; the others would have to be mended after it.
        for halt in walker.walk(traced.journey.flow).halts[:1]:
            if (
                halt.kind == "reverse-path"
                and halt.certain
                and halt.link is not None
                and halt.sysctl in wanted
            ):
                stopped.setdefault(halt.link, []).append((halt, traced))
    for link, met in stopped.items():
        yield _finding(case, link, met, wanted[met[0][0].sysctl or ""], wanted.get(_key(link)))


def _of_ipv4(traced: Traced) -> bool:
    return traced.journey.flow.destination.version == 4


def _key(link: str) -> str:
    return f"net/ipv4/conf/{link}/rp_filter"


def _set(case: Case, boot: BootSysctls, link: str) -> Iterator[tuple[str, Assigned]]:
    """What systemd will make of a link's filter, where files say and the order of events does not decide."""
    value = final(boot, _key(link))
    # The engine makes its bridges after the files were applied: they copy `default`.
    certain = value.certain or any(network.bridge == link for network in case.networks)
    if value.systemd is not None and certain:
        yield _key(link), value.systemd


def _finding(
    case: Case, link: str, met: list[tuple[Halt, Traced]], by: Assigned, own: Assigned | None
) -> Finding:
    names = tuple(dict.fromkeys(name for _, traced in met for name in traced.containers))
    key = _key(link)
    name = key if "." in key else key.replace("/", ".")
    file = f"/etc/sysctl.d/99-zz-dockerdiag-rp-filter-{link}.conf"
    mute, unmute = _out_of_force(own)
    return Finding(
        code="rp-filter-at-boot",
        status=Status.WARN,
        subject=f"link:{link}",
        summary=(
            f"Packets of {listed(names, 'container')} pass now, but {by.origin.source} makes the reverse path filter "
            f"strict at boot and whenever it is applied again: {link} then discards them, for with the routes as they "
            "are now their way back is another"
        ),
        count=len(names),
        evidence=(
            Evidence(by.origin.source, by.origin.text.strip()),
            *package_of(case, by.origin.path),
            Evidence(f"{met[0][0].place}, then", met[0][0].reason),
        ),
        remedies=(
            Remedy(
                summary=f"Have the filter of {link} stay loose at boot",
                # Of `all` and the link's own value the larger counts: 2 on the link is enough.
                now=(*mute, write_file(file, f"{name} = 2")),
                verify=retry(case),
                undo=(sh("rm", "-f", file), *unmute),
                risk=f"None now: {link} takes in packets whose answers would leave by another link already.",
            ),
        ),
    )


def _out_of_force(own: Assigned | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Comments out the line that sets the link's own filter, which may be read after ours."""
    if own is None or own.origin.line is None:
        return (), ()
    file = EditedFile(own.origin.path)
    return (file.keep, file.sed(f"{own.origin.line}s/^/# /")), (file.restore,)
