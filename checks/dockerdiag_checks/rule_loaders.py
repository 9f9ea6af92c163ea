"""Will another service's files take Docker's rules away when they are loaded again?

## What it asks

What nftables.service and the services of saved iptables rules (netfilter-persistent, iptables) load, where they are
in use: whether `/etc/nftables.conf` or a file that it includes flushes the whole rule set, or flushes or deletes a
table that Docker has its rules in (`ip nat`, `ip filter`; with the nftables backend `ip docker-bridges`), and whether
saved rules hold Docker's rules of another day.

## Why it breaks containers

Docker makes its rules when it starts, and after a firewall's reload only where that is firewalld. At boot
nftables.service comes before the engine, so `flush ruleset` does no harm; at any later `systemctl reload nftables`
it takes Docker's chains, and every container is cut off until the engine starts again. Saved iptables rules bring
back bridges and subnets that are long gone, and lack those that are new.

## What is normal and not reported

- A file that flushes or deletes other tables alone (`flush ruleset inet`, `delete table inet filter`).
- What takes Docker's IPv6 rules away, where no network has IPv6.
- A file with `flush ruleset` whose service is neither enabled nor running: Debian ships one.
- Rules in the legacy variant, which `nft flush ruleset` does not touch; an engine that makes no rules.
- Saved rules without any of Docker's: a note, since only a restart of that service removes Docker's.
- Saved rules that hold all that Docker has now; those of IPv6 where the engine makes none.

## Remedy

A file that declares and deletes its own tables instead of Docker's; it is checked with `nft -c` and loads the same
rules as before. What it loads into a table of Docker's must first get a table of its own. Saved rules without
Docker's: the engine makes those itself.

## References

- docker/for-linux#1472, ipr-cnrs/nftables#70, moby/moby#12294
- nft(8): `flush ruleset`; Debian's /usr/share/doc/nftables/README.Debian
"""

import re
from collections.abc import Iterator
from itertools import groupby
from shlex import quote

from dockerdiag.case import Case
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import TextFile, Unread
from dockerdiag_checks.commands import EditedFile
from dockerdiag_checks.nft_files import Taking, leaves_docker_alone, own_table_first, takings
from dockerdiag_checks.other_services import in_use, service_state
from dockerdiag_checks.saved_rules import SAVED, masquerades, source_of, translated_subnets, untranslated_by
from dockerdiag_checks.wording import listed, retry

NEEDS = ("engine", "engine.networks", "services", "firewall_files")

_CUTS_OFF = "cuts every container off"
_LACKING = "leaves containers without them"


@check(
    "rule-loaders",
    title="Will another service's files take Docker's rules away when they are loaded again?",
    group="Host",
    place=16,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each file that takes Docker's rules away, or holds others of Docker's than there are."""
    files = case.snapshot.firewall_files
    if isinstance(files, Unread) or not _has_something_to_lose(case):
        return
    if case.backend() != "iptables-legacy" and in_use(service_state(case, "nftables.service")):
        yield from _taking(case)
    if case.backend() != "nft":
        for file in files:
            if file.path in SAVED and in_use(service_state(case, SAVED[file.path][0])):
                yield from _saved(case, file)


def _has_something_to_lose(case: Case) -> bool:
    return case.presumed_value("iptables") is True and case.has_docker_rules()


def _translates(case: Case, version: int) -> bool:
    """Whether the engine makes rules that translate packets of this IP version."""
    return (version == 4 or case.presumed_value("ip6tables") is True) and (
        case.presumed_value("ip-masq") is not False
    )


# -- nftables ----------------------------------------------------------------------------------------------------


def _taking(case: Case) -> Iterator[Finding]:
    for path, grouped in groupby(takings(case), lambda taking: taking.file.path):
        found = tuple(grouped)
        yield Finding(
            code="nftables-conf-flushes-all" if _flushes_all(found) else "nftables-conf-takes-tables",
            status=Status.WARN,
            subject=f"file:{path}",
            summary=(
                f"{path} {_what(found)}: the next reload or restart of nftables.service "
                f"{_CUTS_OFF if any(one.cuts_off for one in found) else _LACKING} until the engine starts again"
            ),
            evidence=(
                *(Evidence(f"{path}:{one.number}", one.text) for one in found),
                Evidence("systemctl show nftables.service", _state(case, "nftables.service")),
            ),
            remedies=(leaves_docker_alone(case, found) or own_table_first(case, found),),
        )


def _flushes_all(found: tuple[Taking, ...]) -> bool:
    return any(one.whole and one.family is None for one in found)


def _what(found: tuple[Taking, ...]) -> str:
    if _flushes_all(found):
        return "flushes the whole rule set, Docker's too"
    tables = dict.fromkeys(" ".join(table) for one in found for table in one.tables)
    return f"takes Docker's rules in {listed(list(tables), 'table')} away"


def _state(case: Case, name: str) -> str:
    state = service_state(case, name)
    return (
        f"{state.active_state}, {state.unit_file_state or 'not enabled'}" if state is not None else "unknown"
    )


# -- saved iptables rules ----------------------------------------------------------------------------------------


def _saved(case: Case, file: TextFile) -> Iterator[Finding]:
    service, version = SAVED[file.path]
    evidence = Evidence(f"systemctl show {service}", _state(case, service))
    if "\n:DOCKER " not in f"\n{file.text}":
        loses = version == 4 or (_translates(case, version) and translated_subnets(case, version))
        if loses and ("*filter" in file.text or "*nat" in file.text):
            yield Finding(
                code="saved-rules-lack-docker",
                status=Status.NOTE,
                subject=f"file:{file.path}",
                summary=f"{file.path} holds none of Docker's rules, as is best: a restart of {service} removes them, "
                "and the engine must start after it",
                evidence=(evidence,),
            )
        return
    missing, gone = _missing(case, file), _gone(case, file)
    if missing or gone:
        words = [f"lacks {', '.join(missing)}"] if missing else []
        words += [f"has {', '.join(gone)}, which no network has"] if gone else []
        yield Finding(
            code="saved-rules-stale",
            status=Status.WARN,
            subject=f"file:{file.path}",
            summary=(
                f"{file.path} holds Docker's rules of another day ({'; '.join(words)}): {service} brings them back "
                "whenever it starts, at boot too"
            ),
            evidence=(
                *(
                    Evidence(f"{file.path}:{number}", line)
                    for number, line in masquerades(file)
                    if source_of(line) in gone
                ),
                *(Evidence(f"{file.path} lacks", subnet) for subnet in missing),
                evidence,
            ),
            remedies=(_without_docker(case, file),),
        )


def _missing(case: Case, file: TextFile) -> tuple[str, ...]:
    version = SAVED[file.path][1]
    if not _translates(case, version):
        return ()
    return untranslated_by(case, file)


def _gone(case: Case, file: TextFile) -> tuple[str, ...]:
    """Subnets that rules of Docker's make translate a bridge's packets for, and no network has."""
    own = set(translated_subnets(case, SAVED[file.path][1]))
    bridges = re.compile(r" ! -o (?:docker0|br-[0-9a-f]{12}) ")
    found = (source_of(line) for _, line in masquerades(file) if bridges.search(line))
    return tuple(dict.fromkeys(subnet for subnet in found if subnet and subnet not in own))


def _without_docker(case: Case, file: TextFile) -> Remedy:
    edited = EditedFile(file.path)
    bridges = r"docker0\|docker_gwbridge\|br-[0-9a-f]\{12\}"
    # Docker's chains, jumps to them, and rules of its bridges.
    docker = rf"/^:DOCKER/d; /^-[AI] DOCKER/d; / -j DOCKER/d; / -[io] \({bridges}\) /d"
    return Remedy(
        summary="Take Docker's rules out of the file: the engine makes its own whenever it starts",
        now=(edited.keep, edited.sed(docker)),
        verify=(
            f"! grep -q DOCKER {quote(file.path)}",
            f"{'ip6tables' if SAVED[file.path][1] == 6 else 'iptables'}-restore --test < {quote(file.path)}",
            *retry(case),
        ),
        undo=(edited.restore,),
        risk=(
            "None now: the file is read when the service starts. A rule of the admin's own that names a bridge of "
            "Docker's is taken out too: compare with the copy."
        ),
    )
