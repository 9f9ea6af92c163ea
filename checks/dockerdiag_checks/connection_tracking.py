"""Has the connection table room for new connections?

## What it asks

How many connections the kernel tracks and how many it can, whether it dropped packets for want of room since boot
(`drop` of /proc/net/stat/nf_conntrack), and whether its log says so within the last hour.

## Why it breaks containers

Every packet of a container is translated, and for that tracked. When the table is full, and no old entry can make
room, the first packet of a new connection is dropped: connections fail now and then, old ones go on, and nothing in
the rules shows it. A few busy containers, a scanner or a flood of DNS questions is enough.

## What is normal and not reported

- A table that is half full, or four fifths.
- Drops since boot, while there is room now and the last hour's log is silent.
- `early_drop` and `insert_failed`: an entry that made room, two packets of one new connection at once.
- `invalid`: packets that belong to no connection; some are always there.

## Remedy

A larger table: an entry takes some 300 bytes of the kernel's memory. At boot the setting must come after the module.

## References

- Linux, Documentation/networking/nf_conntrack-sysctl.rst: `nf_conntrack_max`
- kubernetes/kubernetes#71261, moby/moby#18630
"""

from collections.abc import Iterator, Mapping

from dockerdiag.case import Case
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Host, LogLine, Unread
from dockerdiag_checks.commands import set_sysctl, sh, write_file
from dockerdiag_checks.wording import retry

NEEDS = ("network.sysctls", "network.conntrack_counters")
READS = ("kernel_log",)

COUNT = "net/netfilter/nf_conntrack_count"
MAXIMUM = "net/netfilter/nf_conntrack_max"
FULL = "nf_conntrack: table full"
NEARLY = 0.95
SYSCTL_FILE = "/etc/sysctl.d/99-zz-dockerdiag-conntrack.conf"
MODULE_FILE = "/etc/modules-load.d/dockerdiag-conntrack.conf"


@check(
    "connection-tracking",
    title="Has the connection table room for new connections?",
    group="Host",
    place=35,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """At most one finding."""
    sysctls = case.snapshot.network.sysctls
    counters = case.snapshot.network.conntrack_counters
    if isinstance(sysctls, Unread) or isinstance(counters, Unread):
        return
    count, maximum = (_number(sysctls, key) for key in (COUNT, MAXIMUM))
    if count is None or not maximum:
        return
    log = case.snapshot.kernel_log
    said = () if isinstance(log, Unread) else tuple(line for line in log if FULL in line.text)
    nearly = count >= NEARLY * maximum
    if nearly or said:
        yield _full(case, count, maximum, counters, said, nearly=nearly)


def _number(sysctls: Mapping[str, str], key: str) -> int | None:
    text = sysctls.get(key, "")
    return int(text) if text.isdecimal() else None


def _full(
    case: Case,
    count: int,
    maximum: int,
    counters: Mapping[str, int],
    said: tuple[LogLine, ...],
    *,
    nearly: bool,
) -> Finding:
    dropping = nearly and (counters.get("drop", 0) > 0 or bool(said))
    if dropping:
        what = "is full: the kernel drops the first packet of new connections"
    elif nearly:
        what = "is almost full: soon the kernel drops the first packet of new connections"
    else:
        what = "was full within the last hour: the kernel dropped the first packet of new connections then"
    return Finding(
        code="conntrack-table-full",
        status=Status.FAIL if dropping else Status.WARN,
        subject=case.host,
        summary=f"The table of connections ({count} of {maximum}) {what}",
        evidence=(
            Evidence("sysctl", f"net.netfilter.nf_conntrack_count = {count}"),
            Evidence("sysctl", f"net.netfilter.nf_conntrack_max = {maximum}"),
            *(
                Evidence("/proc/net/stat/nf_conntrack", f"{name} = {counters[name]}")
                for name in ("drop", "early_drop")
                if counters.get(name)
            ),
            *(Evidence("kernel log", line.text) for line in said[-1:]),
        ),
        remedies=(_larger(case, maximum),),
    )


def _larger(case: Case, maximum: int) -> Remedy:
    change = set_sysctl(MAXIMUM, str(2 * maximum), str(maximum))
    module = (write_file(MODULE_FILE, "nf_conntrack"),) if _is_module(case.snapshot.host) else ()
    return Remedy(
        summary="Make the table twice as large",
        now=(change.do,),
        lasting=(*module, write_file(SYSCTL_FILE, f"net.netfilter.nf_conntrack_max = {2 * maximum}")),
        verify=("sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max", *retry(case)),
        undo=(change.undo, sh("rm", "-f", SYSCTL_FILE, *([MODULE_FILE] if module else []))),
        risk=(
            f"Up to {max(maximum * 320 // 2**20, 1)} MiB more of the kernel's memory. Who fills the table "
            "stays to be found: conntrack -L shows."
        ),
    )


def _is_module(host: Host) -> bool:
    return not isinstance(host.modules, Unread) and "nf_conntrack" in host.modules
