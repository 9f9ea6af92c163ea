"""Does dockerd manage the rules, or does somebody else do it for it?

## What it asks

Whether the running dockerd was told to make no rules (`--iptables=false`, `"iptables": false`), where that is
written, and whether the containers' packets then find the rules that they need from somebody else. Where it does make
rules, whether they are still there.

## Why it breaks containers

Without its rules the engine translates no addresses and accepts nothing at FORWARD: containers have addresses,
reach the host and even answer on published ports (by docker-proxy), but nothing beyond the host answers them. The
setting is often copied as the way to make ufw work; it also switches off rules of the nftables backend, and with it
`ip-masq` and `enable_ip_masquerade` have no effect.

Rules that the engine did make are gone when somebody flushes them (`nft flush ruleset`, `iptables -t nat -F`, a
firewall's restart): it makes them when it starts, and not again. A flushed table keeps the engine's chains, and no rule
leads there. What the firewall's own last rule of FORWARD then refuses (Oracle Cloud's images, Shorewall) follows from
that, for the engine puts its accepts before it. With the nftables backend it fills single chains anew whenever a
container comes or goes, and not those by which packets get there.

## What is normal and not reported

`--iptables=false` with rules of one's own that masquerade and accept: a Kubernetes node whose network plugin does
it, a hand-written nftables file. The packets decide, not the flag. Rules that an earlier engine made stay until the
next boot, so traffic may flow until then.

## Remedy

Let the engine make its rules again: true where false is written, and a restart. Where only table nat was flushed, the
masquerade rules can be added without one; published ports come back with the restart. Where the flag must stay, rules
of one's own that masquerade the networks and accept their packets out and back, kept in a file that is loaded at boot.

## References

- [Docker: prevent Docker from manipulating firewall rules](https://docs.docker.com/engine/network/packet-filtering-firewalls/#prevent-docker-from-manipulating-firewall-rules)
- moby/moby#13381, moby/moby#28133, kubernetes-sigs/kubespray#2002
"""

import re
from collections.abc import Iterator

from dockerdiag.case import Case, Hit, Located
from dockerdiag.configuration.settings import Unknown, value_of
from dockerdiag.packet.flow import Halt
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Unread
from dockerdiag_checks.commands import sh
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.native_rules import native_bases
from dockerdiag_checks.next_steps import reading
from dockerdiag_checks.nft_files import Taking, leaves_docker_alone, takings
from dockerdiag_checks.other_services import after_engine, in_use, service_state
from dockerdiag_checks.rule_commands import iptables
from dockerdiag_checks.saved_rules import SAVED, untranslated_by
from dockerdiag_checks.setting_files import evidence_of, turn_on, verify_running
from dockerdiag_checks.translation import near_misses, translate, translate_all
from dockerdiag_checks.wording import FOR_GOOD, containers_of, retry

NEEDS = ("engine", "daemons")
READS = ("firewall_files", "network.addresses", "network.firewall", "service", "services")

_RULE = r"^(?:\[\d+:\d+\] )?-A "
_TRANSLATES = r"POSTROUTING -s \S+ ! -o \S+ -j (?:MASQUERADE|SNAT)\b"
_MET = {
    "nat": re.compile(rf"{_RULE}(?:(?:PREROUTING|OUTPUT) .*-j DOCKER$|{_TRANSLATES})", re.MULTILINE),
    "filter": re.compile(
        rf"{_RULE}FORWARD .*-j DOCKER(?:-FORWARD|-ISOLATION-STAGE-1|-INGRESS)?$", re.MULTILINE
    ),
}
"""By table, what leads into the engine's own chains, and how it translates a network."""
_TABLES = frozenset(_MET)
_NAT = "chain DOCKER, and no rule that leads there; none that translates a network's addresses"


@check(
    "iptables-flag",
    title="Does dockerd manage the rules, or does somebody else do it for it?",
    group="Engine",
    place=10,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding | Located]:  # noqa: N802 - a module's check is its constant
    """At most one finding: who makes the rules."""
    running = case.settings["iptables"].running
    hits, refused = case.missing_rules(), _refused(case)
    unanswered = _unanswered(hits)
    place = min((hit.place for hit in hits), default=0)
    if value_of(running) is True:
        lost = _lost(case) if hits or refused else frozenset()
        if lost == _TABLES:
            yield Located(_gone(case, hits, refused), min(hit.place for hit in (*hits, *refused)))
        elif "nat" in lost and any(hit.halt.packet.family == 4 for hit in unanswered):
            yield Located(_nat_gone(case, unanswered), min(hit.place for hit in unanswered))
    elif case.presumed_value("iptables") is False:
        yield Located(_off(case, hits, refused if unanswered else ()), place) if hits else _elsewhere(case)
    elif hits:
        reason = running.reason if isinstance(running, Unknown) else "its value is none"
        yield Finding(
            code="iptables-flag-unknown",
            status=Status.UNKNOWN,
            subject=case.engine_subject,
            summary=f"Whether the engine makes its rules cannot be told: {reason}",
            remedies=(_to_find_out(case),),
        )


def _to_find_out(case: Case) -> Remedy:
    process = case.settings.process
    told = f"/proc/{process.pid}/cmdline" if process is not None else "/proc/$(pidof dockerd)/cmdline"
    file = case.settings.daemon_json
    return reading(
        case,
        "see what dockerd was started with, and what its log says of its rules; what its file says now is in force "
        "after its next start",
        rf"tr '\0' '\n' < {told}",
        *((sh("grep", "-n", "iptables", file.path),) if file is not None else ()),
        "journalctl -u docker.service -b | grep -i -e iptables -e firewall",
    )


def _off(case: Case, hits: tuple[Hit, ...], refused: tuple[Hit, ...]) -> Finding:
    setting = case.settings["iptables"]
    remedy = turn_on(setting, case)
    near = tuple(dict.fromkeys(each for hit in _unanswered(hits) for each in near_misses(case, hit)))
    others = "and no rule of others fits its containers" if near else ""
    return Finding(
        code="iptables-off",
        status=_status(hits),
        subject=case.engine_subject,
        summary=(
            "The engine was told to make no rules (iptables=false), "
            f"{others or 'and nobody else makes those that its containers need'}"
        ),
        count=_count(hits),
        explains=_what_follows(case, hits, refused),
        evidence=(*(evidence_of(setting) or _presumed(case)), *near),
        remedies=(remedy or _by_hand(case), *(_one_rule(case, hits) if not refused else ())),
    )


def _one_rule(case: Case, hits: tuple[Hit, ...]) -> tuple[Remedy, ...]:
    """Leaves the rules to whoever makes them, where one alone is missing."""
    if len(hits) != 1 or hits[0].halt.kind != "unanswered" or len(hits[0].networks) != 1:
        return ()
    return translate(case, hits[0], case.network(hits[0].networks[0]), None)


def _by_hand(case: Case) -> Remedy:
    return Remedy(
        summary="Start the engine without --iptables=false: it stands in no file that docker.service reads",
        verify=(verify_running("iptables"), "dockerdiag"),
        risk=restart_risk(case),
    )


def _status(hits: tuple[Hit, ...]) -> Status:
    return Status.WARN if all(hit.hypothetical for hit in hits) else Status.FAIL


def _count(hits: tuple[Hit, ...]) -> int:
    return max(len({name for hit in hits for name in hit.containers}), 1)


def _what_follows(case: Case, hits: tuple[Hit, ...], refused: tuple[Hit, ...]) -> tuple[str, ...]:
    by_firewalld = (f"rule-rejects {case.subject(hit)}" for hit in hits if hit.halt.kind == "rule")
    by_forward = (
        f"{code} {case.subject(hit)}"
        for hit in refused
        for code in ("rule-rejects", "rule-drops", "policy-drops")
    )
    return ("masquerade-missing *", "forward-accepts-missing *", *dict.fromkeys((*by_firewalld, *by_forward)))


def _refused(case: Case) -> tuple[Hit, ...]:
    """What is refused where the engine's accepts would have come first, as by a firewall's last rule in FORWARD.

    Not where something elsewhere stops the same network's packets too, which would stop them all the same.
    """
    stopped = case.hits(_at_a_rule)
    after = tuple(hit for hit in stopped if all(map(case.comes_after_accepts, hit.halts)))
    elsewhere = {case.subject(hit) for hit in stopped if hit not in after}
    return tuple(hit for hit in after if case.subject(hit) not in elsewhere)


def _at_a_rule(halt: Halt) -> bool:
    return halt.certain and halt.kind in ("rule", "policy") and halt.namespace is None


def _unanswered(hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    return tuple(hit for hit in hits if hit.halt.kind == "unanswered")


def _lost(case: Case) -> frozenset[str]:
    """The IPv4 tables in which no packet meets a rule of the engine's.

    A flush leaves the engine's chains, and nothing leads there.
    """
    firewall = case.snapshot.network.firewall
    texts = (firewall.iptables_nft, firewall.iptables_legacy, firewall.nft)
    saved = [text for text in texts if isinstance(text, str)]
    if len(saved) < len(texts):
        return frozenset()
    if not case.has_docker_rules():
        return _TABLES
    if case.backend() == "nft":
        return frozenset() if any(chain.rules for chain in native_bases(case, "ip")) else _TABLES
    return frozenset(table for table, own in _MET.items() if not any(map(own.search, saved)))


def _gone(case: Case, hits: tuple[Hit, ...], refused: tuple[Hit, ...]) -> Finding:
    place = "nft" if case.backend() == "nft" else iptables(case.backend(), 4)
    if case.backend() == "nft":
        lacks = f"no {'rule' if native_bases(case, 'ip') else 'chain'} of table ip docker-bridges that a packet meets"
    else:
        lacks = _NAT if case.has_docker_rules() else "no chain DOCKER in any table"
    return Finding(
        code="engine-rules-gone",
        status=_status((*hits, *refused)),
        subject=case.engine_subject,
        summary="The engine made its rules when it started, and none of them is left: something flushed them",
        count=_count((*hits, *refused)),
        explains=_what_follows(case, hits, refused),
        evidence=(
            Evidence(place, lacks),
            *after_engine(case),
            *(Evidence(f"{one.file.path}:{one.number}", one.text) for one in _flushing(case)),
        ),
        remedies=(_made_again(case),),
    )


def _nat_gone(case: Case, hits: tuple[Hit, ...]) -> Finding:
    return Finding(
        code="engine-nat-rules-gone",
        status=_status(hits),
        subject=case.engine_subject,
        summary=(
            "The engine made rules in table nat when it started, and none of them is left: something flushed it. "
            f"Nobody can answer {containers_of(*hits)}"
        ),
        count=_count(hits),
        explains=("masquerade-missing *",),
        evidence=(
            Evidence(f"{iptables(case.backend(), 4)} table nat", _NAT),
            *after_engine(case),
        ),
        remedies=(*translate_all(case, hits), _made_again(case)),
    )


def _made_again(case: Case) -> Remedy:
    found = _flushing(case)
    # Where the file that flushed them is known, it is what would do so again.
    first = [one for one in found if one.file == found[0].file]
    kept = leaves_docker_alone(case, first) if first else None
    again = (
        "The file that flushed them leaves the tables of others alone from now on. To undo gives the file back, which "
        "flushes them when it is loaded again, not before."
        if kept is not None
        else f"Who flushed them will do so again: let the engine start after it. {FOR_GOOD}"
    )
    return Remedy(
        summary="Let the engine make its rules again",
        now=(*(kept.now if kept is not None else ()), sh("systemctl", "restart", "docker")),
        verify=retry(case),
        undo=kept.undo if kept is not None else (),
        risk=f"{restart_risk(case)} {again}",
    )


def _by_nftables(case: Case) -> bool:
    """Whether nftables.service, which is in use, loaded its file after the engine had made its rules."""
    later = in_use(service_state(case, "nftables.service")) and after_engine(case, ("nftables.service",))
    return bool(later) and case.backend() != "iptables-legacy"


def _flushing(case: Case) -> tuple[Taking, ...]:
    return tuple(takings(case)) if _by_nftables(case) else ()


def _presumed(case: Case) -> tuple[Evidence, ...]:
    running = case.settings["iptables"].running
    if not isinstance(running, Unknown) or running.presumably is None:
        return ()
    origin = running.presumably.origin
    return (Evidence(origin.source, origin.text.strip()), Evidence("but", running.reason))


def _saved(case: Case) -> bool:
    """Whether a service brings rules of Docker's make back at boot, for every network."""
    files = case.snapshot.firewall_files
    return not isinstance(files, Unread) and any(
        file.path in SAVED
        and SAVED[file.path][1] == 4
        and (state := service_state(case, SAVED[file.path][0])) is not None
        and state.unit_file_state == "enabled"
        and not untranslated_by(case, file)
        for file in files
    )


def _elsewhere(case: Case) -> Finding:
    if case.has_docker_rules() and _lost(case) != _TABLES and not _saved(case):
        remedy = turn_on(case.settings["iptables"], case)
        return Finding(
            code="iptables-off-rules-left",
            status=Status.WARN,
            subject=case.engine_subject,
            summary=(
                "The engine makes no rules (iptables=false). Those of an earlier start are still there and let "
                "packets pass; they are gone after a reboot"
            ),
            evidence=evidence_of(case.settings["iptables"]) or _presumed(case),
            remedies=(remedy or _by_hand(case),),
        )
    return Finding(
        code="iptables-managed-elsewhere",
        status=Status.NOTE,
        subject=case.engine_subject,
        summary="The engine makes no rules (iptables=false); those that are there let its containers' packets pass",
        evidence=evidence_of(case.settings["iptables"]),
    )
