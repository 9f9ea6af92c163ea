"""Does dockerd manage the rules, or does somebody else do it for it?

## What it asks

Whether the running dockerd was told to make no rules (`--iptables=false`, `"iptables": false`), where that is
written, and whether the containers' packets then find the rules that they need from somebody else.

## Why it breaks containers

Without its rules the engine translates no addresses and accepts nothing at FORWARD: containers have addresses,
reach the host and even answer on published ports (by docker-proxy), but nothing beyond the host answers them. The
setting is often copied as the way to make ufw work; it also switches off rules of the nftables backend, and with it
`ip-masq` and `enable_ip_masquerade` have no effect.

## What is normal and not reported

`--iptables=false` with rules of one's own that masquerade and accept: a Kubernetes node whose network plugin does
it, a hand-written nftables file. The packets decide, not the flag. Rules that an earlier engine made stay until the
next boot, so traffic may flow until then.

## Remedy

Let the engine make its rules again: true where false is written, and a restart. Where the flag must stay, rules of
one's own that masquerade the networks and accept their packets out and back, kept in a file that is loaded at boot.

## References

- [Docker: prevent Docker from manipulating firewall rules](https://docs.docker.com/engine/network/packet-filtering-firewalls/#prevent-docker-from-manipulating-firewall-rules)
- moby/moby#13381, moby/moby#28133, kubernetes-sigs/kubespray#2002
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Hit
from dockerdiag.configuration.settings import Known, Unknown, value_of
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Status
from dockerdiag_checks.setting_files import evidence_of, turn_on

NEEDS = ("engine", "daemons")


@check(
    "iptables-flag",
    title="Does dockerd manage the rules, or does somebody else do it for it?",
    group="Engine",
    place=10,
    needs=NEEDS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """At most one finding: who makes the rules."""
    setting = case.settings["iptables"]
    running = setting.running
    presumed = running.presumably if isinstance(running, Unknown) else running
    if value_of(running) is True:
        return
    if presumed is None or presumed.value is not False:
        reason = running.reason if isinstance(running, Unknown) else "its value is none"
        if case.missing_rules() or not isinstance(presumed, Known):
            yield Finding(
                code="iptables-flag-unknown",
                status=Status.UNKNOWN,
                subject=case.engine_subject,
                summary=f"Whether the engine makes its rules cannot be told: {reason}",
            )
        return
    hits = case.missing_rules()
    yield _off(case, hits) if hits else _elsewhere(case)


def _off(case: Case, hits: tuple[Hit, ...]) -> Finding:
    setting = case.settings["iptables"]
    containers = {name for hit in hits for name in hit.containers}
    remedy = turn_on(setting, case.settings)
    return Finding(
        code="iptables-off",
        status=Status.FAIL if containers else Status.WARN,
        subject=case.engine_subject,
        summary=(
            "The engine was told to make no rules (iptables=false), "
            "and nobody else makes those that its containers need"
        ),
        count=max(len(containers), 1),
        explains=("masquerade-missing *", "policy-drops *"),
        evidence=evidence_of(setting) or _presumed(case),
        remedies=(remedy,) if remedy is not None else (),
    )


def _presumed(case: Case) -> tuple[Evidence, ...]:
    running = case.settings["iptables"].running
    if not isinstance(running, Unknown) or running.presumably is None:
        return ()
    origin = running.presumably.origin
    return (Evidence(origin.source, origin.text.strip()), Evidence("but", running.reason))


def _elsewhere(case: Case) -> Finding:
    if case.has_docker_rules():
        remedy = turn_on(case.settings["iptables"], case.settings)
        return Finding(
            code="iptables-off-rules-left",
            status=Status.WARN,
            subject=case.engine_subject,
            summary=(
                "The engine makes no rules (iptables=false). Those of an earlier start are still there and let "
                "packets pass; they are gone after a reboot"
            ),
            evidence=evidence_of(case.settings["iptables"]) or _presumed(case),
            remedies=(remedy,) if remedy is not None else (),
        )
    return Finding(
        code="iptables-managed-elsewhere",
        status=Status.NOTE,
        subject=case.engine_subject,
        summary="The engine makes no rules (iptables=false); those that are there let its containers' packets pass",
        evidence=evidence_of(case.settings["iptables"]),
    )
