"""What dockerd's last words mean, for those that have one cause each, and what mends it."""

import re
from collections.abc import Callable

from dockerdiag.case import Case
from dockerdiag.dataclass import dataclass
from dockerdiag.report import Evidence, Remedy
from dockerdiag.snapshot import ModuleTree, Unread
from dockerdiag_checks.commands import set_sysctl, sh, write_file
from dockerdiag_checks.firewalld_zones import written_in_zone
from dockerdiag_checks.wording import FOR_GOOD

START = (
    "systemctl reset-failed docker.service docker.socket",
    "systemctl start docker.service",
)
STARTED = ("systemctl is-active docker.service", "dockerdiag")
STARTS = "Starts the engine, and its containers that have a restart policy."


@dataclass(frozen=True, slots=True)
class Explained:
    """One message of a dockerd that did not start, understood."""

    code: str
    meaning: str
    """As the summary says it."""
    evidence: tuple[Evidence, ...]
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    code: str
    pattern: re.Pattern[str]
    explain: Callable[[Case, re.Match[str]], tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]]


def explained(case: Case, lines: tuple[str, ...]) -> Explained | None:
    """What the last of these journal lines that is known means; None where none is."""
    for line in reversed(lines):
        for known in _KNOWN:
            if (match := known.pattern.search(line)) is not None:
                return Explained(known.code, *known.explain(case, match))
    return None


def started_too_often(result: str | None) -> Explained | None:
    """What it means where systemd itself refused the last start, and none had failed since one succeeded."""
    if result != "start-limit-hit":
        return None
    return Explained(
        code="engine-start-limit",
        meaning="it was started too often in a short time, and systemd now waits for its failure to be reset",
        evidence=(),
        remedies=(
            Remedy(
                summary="Reset the count of its starts, and start it",
                now=START,
                verify=STARTED,
                risk=f"{STARTS} {FOR_GOOD}",
            ),
        ),
    )


# -- firewalld ---------------------------------------------------------------------------------------------------


def _zone_conflict(case: Case, match: re.Match[str]) -> tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]:
    bridge, zone = match[1], match[2]
    away, back = (
        sh("firewall-cmd", "--permanent", f"--zone={zone}", f"--{verb}-interface={bridge}")
        for verb in ("remove", "add")
    )
    remedy = Remedy(
        summary=f"Take {bridge} out of firewalld's zone {zone}: the engine puts it into its own zone, docker",
        now=(away, "firewall-cmd --reload", *START),
        verify=("firewall-cmd --get-zone-of-interface=" + bridge, *STARTED),
        undo=(back, "firewall-cmd --reload"),
        risk=f"What zone {zone} allowed for {bridge}, zone docker allows too: it accepts everything. "
        f"To undo does not stop an engine that runs: it is kept from its next start. {STARTS}",
    )
    meaning = f"firewalld has {bridge} in its zone {zone}, and the engine wants it in its own"
    return meaning, written_in_zone(case, bridge), (remedy,)


# -- iptables ----------------------------------------------------------------------------------------------------


def _no_iptables(case: Case, _: re.Match[str]) -> tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]:
    programs = case.snapshot.programs
    missing = () if isinstance(programs, Unread) else tuple(one for one in programs if one.leads_to is None)
    evidence = tuple(
        Evidence(one.path or "PATH", "a link that leads nowhere" if one.path else f"no {one.name} in it")
        for one in missing
    )
    return "it finds no iptables program that works", evidence, (iptables_repaired(case, start=True),)


def iptables_repaired(case: Case, *, start: bool) -> Remedy:
    """Gives the engine an iptables program again: the alternative's own choice, else the package's."""
    programs = case.snapshot.programs
    dangling = (
        ()
        if isinstance(programs, Unread)
        else tuple(one for one in programs if one.path is not None and one.leads_to is None)
    )
    after = START if start else ()
    risk = (
        STARTS if start else "None for the rules that are there: the engine uses it when it makes the next."
    )
    if dangling:
        return Remedy(
            summary="Let the alternatives system choose an iptables that is installed",
            now=(*(sh("update-alternatives", "--auto", one.name) for one in dangling), *after),
            verify=("iptables --version", *(STARTED if start else ("dockerdiag",))),
            risk=f"Another variant than before may be chosen (legacy or nft): rules of both apply. {risk} {FOR_GOOD}",
        )
    package = "dnf install iptables-nft" if _is_red_hat(case) else "apt-get install --reinstall iptables"
    return Remedy(
        summary="Install iptables again",
        now=(package, *after),
        verify=("iptables --version", *(STARTED if start else ("dockerdiag",))),
        risk=f"{risk} {FOR_GOOD}",
    )


def _is_red_hat(case: Case) -> bool:
    words = ("red hat", "fedora", "centos", "alma", "rocky", "oracle linux")
    return any(word in case.snapshot.host.os_name.lower() for word in words)


def _incompatible(_case: Case, match: re.Match[str]) -> tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]:
    table = match[1]
    remedy = Remedy(
        summary=f"Move what iptables does not understand out of its table {table}, into a table of its own",
        verify=(sh("nft", "-a", "list", "table", "ip", table),),
        risk=f"Whoever put it there will do so again: the file or the program must name another table. {STARTS}",
    )
    return f"somebody added to iptables' table {table} what iptables cannot read", (), (remedy,)


# -- kernel ------------------------------------------------------------------------------------------------------


def _module_missing(case: Case, _: re.Match[str]) -> tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]:
    tree = case.snapshot.host.module_tree
    if not isinstance(tree, ModuleTree):
        return "the kernel has not what the engine asks for", (), (kernel_with_modules(case, None),)
    if not tree.exists:
        return (
            f"the running kernel's modules are gone ({tree.directory}): it cannot load what the engine asks for",
            module_evidence(tree),
            (kernel_with_modules(case, tree),),
        )
    return (
        "the kernel lacks a module that the engine asks for",
        module_evidence(tree),
        (kernel_with_modules(case, tree),),
    )


def module_evidence(tree: ModuleTree) -> tuple[Evidence, ...]:
    """What of the running kernel's modules is not there."""
    found = []
    if not tree.exists:
        found.append(Evidence(tree.directory, "not there, or without its index"))
        if tree.others:
            found.append(Evidence("/lib/modules", ", ".join(tree.others)))
    if tree.absent:
        found.append(Evidence("neither loaded, built in nor loadable", ", ".join(tree.absent)))
    if tree.loading_disabled:
        found.append(Evidence("sysctl", "kernel.modules_disabled = 1"))
    return tuple(found)


def kernel_with_modules(case: Case, tree: ModuleTree | None) -> Remedy:
    """A reboot into a kernel whose modules are there, or the package that has them."""
    release = case.snapshot.host.kernel
    if tree is None or (not tree.exists and tree.others) or tree.loading_disabled:
        return Remedy(
            summary="Reboot, into a kernel whose modules are installed",
            lasting=("systemctl reboot",),
            verify=('test -e "/lib/modules/$(uname -r)/modules.dep"', "dockerdiag"),
            risk="Ends everything that runs on the host.",
        )
    package = f"kernel-modules-extra-{release}" if _is_red_hat(case) else f"linux-modules-extra-{release}"
    tool = "dnf" if _is_red_hat(case) else "apt-get"
    return Remedy(
        summary="Install the package that has the kernel's other modules, and start the engine",
        lasting=(sh(tool, "install", package), *START),
        verify=STARTED,
        risk=f"The package is named so on most distributions, not on all. {STARTS}",
    )


def _forwarding(case: Case, match: re.Match[str]) -> tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]:
    six = match[1] == "IPv6"
    keys = (
        ("net/ipv6/conf/all/forwarding", "net/ipv6/conf/default/forwarding")
        if six
        else ("net/ipv4/ip_forward",)
    )
    sysctls = case.snapshot.network.sysctls
    changes = [set_sysctl(key, "1", "0") for key in keys]
    path = f"/etc/sysctl.d/99-zz-dockerdiag-forwarding-{'ipv6' if six else 'ipv4'}.conf"
    lines = "\n".join(f"{key.replace('/', '.')} = 1" for key in keys)
    found = {} if isinstance(sysctls, Unread) else sysctls
    remedy = Remedy(
        summary="Turn forwarding on, now and at boot: with the nftables backend the engine leaves that to the admin",
        now=(*(change.do for change in changes), write_file(path, lines), *START),
        verify=STARTED,
        undo=(*(change.undo for change in changes), sh("rm", "-f", path)),
        risk=f"The host forwards between all its links, as its own FORWARD rules allow: the engine adds none. {STARTS}",
    )
    evidence = tuple(
        Evidence("sysctl", f"{key.replace('/', '.')} = {found[key]}") for key in keys if key in found
    )
    return f"{match[1]} forwarding is off, and this engine does not turn it on by itself", evidence, (remedy,)


# -- the engine's own --------------------------------------------------------------------------------------------


def _no_pool(_case: Case, _: re.Match[str]) -> tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]:
    remedy = Remedy(
        summary="Give the engine subnets of its own: bip and default-address-pools in /etc/docker/daemon.json",
        lasting=START,
        verify=("ip route show table all", *STARTED),
        risk=f"The subnets must be free in the whole company, or the next overlap follows. {STARTS}",
    )
    return "every subnet that it may choose for a network is in use, or routed elsewhere", (), (remedy,)


def _swarm(_case: Case, _: re.Match[str]) -> tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]:
    remedy = Remedy(
        summary="Take firewall-backend out of /etc/docker/daemon.json (or off the command line): swarm needs iptables",
        lasting=START,
        verify=STARTED,
        risk=STARTS,
    )
    return "the nftables backend does not work in swarm mode", (), (remedy,)


def _second_engine(_case: Case, match: re.Match[str]) -> tuple[str, tuple[Evidence, ...], tuple[Remedy, ...]]:
    pid = next(filter(None, match.groups()), "")
    see = sh("ps", "-o", "pid,lstart,args", "-p", pid) if pid else "pgrep -a dockerd"
    remedy = Remedy(
        summary="Stop the other dockerd, if it is none that you want; its pid file is then free",
        lasting=START,
        verify=(f"{see} || true", *STARTED),
        risk=STARTS,
    )
    return "another dockerd has its pid file", (), (remedy,)


_KNOWN = (
    _Known(
        "firewalld-zone-conflict",
        re.compile(r"ZONE_CONFLICT: '([^']+)' already bound to '?([^'\s\"]+)"),
        _zone_conflict,
    ),
    _Known(
        "iptables-binary-problem",
        re.compile(r"[Ii]ptables not found|failed to find iptables|exec: \\?\"ip6?tables\\?\""),
        _no_iptables,
    ),
    _Known(
        "nftables-backend-forwarding-required",
        re.compile(r"(IPv[46])(?: global)? forwarding is disabled: check your host"),
        _forwarding,
    ),
    _Known(
        "iptables-nft-incompatible-table",
        re.compile(r"table [`'](\w+)' is incompatible, use 'nft' tool"),
        _incompatible,
    ),
    _Known(
        "kernel-module-missing",
        re.compile(
            r"Table does not exist|do you need to insmod|missing kernel module|Module \S+ not found in directory|"
            r"operation not supported"
        ),
        _module_missing,
    ),
    _Known(
        "address-pools-exhausted",
        re.compile(
            r"all predefined address pools|could not find an available, non-overlapping|"
            r"no available (?:IPv4 addresses|network)"
        ),
        _no_pool,
    ),
    _Known(
        "nftables-backend-in-swarm",
        re.compile(r"firewall-backend=nftables is incompatible with swarm"),
        _swarm,
    ),
    _Known(
        "two-engines",
        re.compile(r"process with PID (\d+) is still running|pid file found, ensure docker is not running"),
        _second_engine,
    ),
)
