"""Does the engine find an iptables that works?

## What it asks

Which `iptables` and `ip6tables` dockerd runs, by its own PATH (or by the one that systemd gives it), and whether
the links there lead to a program. Whether a program in /usr/local shadows the package's.

## Why it breaks containers

The engine runs iptables for every network and every published port. Where an alternative or a link leads nowhere
after an upgrade, the rules that are there stay, so all seems well until the next container with a published port,
or the next start of the engine, which fails. A program in /usr/local of another variant writes rules where nobody
looks.

## What is normal and not reported

- An engine with `--iptables=false`, or with the nftables backend, which needs no iptables.
- A missing ip6tables where no network has IPv6.

## Remedy

The alternative's own choice, or the package installed again. Nothing that runs now is touched.

## References

- moby/moby#50197, moby/libnetwork#1469, docker/for-linux#179
- update-alternatives(1)
"""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Status
from dockerdiag.snapshot import Program, Unread
from dockerdiag_checks.engine_failures import iptables_repaired

NEEDS = ("engine", "programs")


@check(
    "iptables-program",
    title="Does the engine find an iptables that works?",
    group="Engine",
    place=12,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each program that is not there, or shadows another."""
    programs = case.snapshot.programs
    if isinstance(programs, Unread) or not _runs_it(case):
        return
    six = any(network.ipv6 for network in case.networks)
    for program in programs:
        if program.name == "ip6tables" and not six:
            continue
        if program.leads_to is None:
            yield _missing(case, program)
        elif program.path is not None and program.path.startswith("/usr/local/"):
            yield _shadowing(case, program)


def _runs_it(case: Case) -> bool:
    return case.running_value("iptables") is True and case.backend() != "nft"


def _missing(case: Case, program: Program) -> Finding:
    what = (
        f"{program.path} is a link that leads nowhere"
        if program.path
        else f"no {program.name} is in its PATH"
    )
    return Finding(
        code="iptables-binary-problem",
        status=Status.WARN,
        subject=case.engine_subject,
        summary=(
            f"The engine cannot run {program.name} any more: {what}. The next container with a published port, and "
            "the engine's next start, will fail"
        ),
        evidence=(Evidence(program.path or "PATH of dockerd", what),),
        remedies=(iptables_repaired(case, start=False),),
    )


def _shadowing(case: Case, program: Program) -> Finding:
    return Finding(
        code="iptables-in-usr-local",
        status=Status.NOTE,
        subject=case.engine_subject,
        summary=f"The engine runs {program.path}, not the package's {program.name}",
        evidence=(Evidence(program.path or "", f"leads to {program.leads_to}"),),
    )
