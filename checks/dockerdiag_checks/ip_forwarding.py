"""Does the kernel forward for these links, now and after a reboot?

## What it asks

Whether the kernel passes packets on that come in by the bridge (the way out) and by the uplink (the way back), whether
what will set the switches at the next boot, or at the next `sysctl --system`, leaves that so (for IPv6 too, where a
network has it), and whether networks that are made from now on will forward.

## Why it breaks containers

A container's packet is forwarded only if `net.ipv4.conf.LINK.forwarding` is 1 for the link that it comes in by. The
engine sets `net.ipv4.ip_forward` to 1 when it starts and never again, so a hardening role, `sysctl --system` or a
network manager that clears it afterwards cuts off every container until the engine starts again.

## What is normal and not reported

- Links that carry no container's traffic may have forwarding off.
- `net.ipv6.conf.LINK.forwarding` decides nothing: for IPv6 only `net.ipv6.conf.all.forwarding` does. In a
  .network file `IPv6Forwarding=no` is as idle, and `IPForward=no` turns nothing off.
- A file that sets `net.ipv4.conf.default.forwarding` to 0 and no other: at boot the engine turns forwarding on after
  it, and this too.
- `sysctl.net.ipv4.ip_forward=0` on the kernel's command line: so it is anyway, until the engine starts.
- That no file sets `net.ipv4.ip_forward`, nor `net.ipv6.conf.all.forwarding`: the engine does, unless it runs with
  `--ip-forward=false` or with the nftables backend, which never does. Then ufw's own sysctl.conf may.

## Remedy

The one switch that is off. Writing `net.ipv4.ip_forward=1` over a 1 changes nothing, so for a single link the
remedy is that link's own switch. What lasts is a file of sysctl.d; where systemd-networkd (256 and later) turns the
link's forwarding off by `IPv4Forwarding=no`, a drop-in of its .network file. A host with several uplinks becomes a
router between them by `net.ipv4.ip_forward=1`: its FORWARD rules then decide what passes.

## References

- [Docker: IP forwarding problems](https://docs.docker.com/engine/daemon/troubleshoot/#ip-forwarding-problems)
- Linux, Documentation/networking/ip-sysctl.rst: `ip_forward`, `conf/INTERFACE/forwarding`
- moby/moby#47966, moby/moby#14185, moby/moby#50646
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Hit, Located
from dockerdiag.configuration.sysctl_d import Assigned, final
from dockerdiag.packet.flow import Halt
from dockerdiag.registry import check
from dockerdiag.report import Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Unread
from dockerdiag_checks.commands import EditedFile, set_sysctl, sh, show_sysctl, write_file
from dockerdiag_checks.networkd_forwarding import by_networkd, told_to_networkd
from dockerdiag_checks.origins import package_of
from dockerdiag_checks.wording import containers_of, retry

NEEDS = ("network.sysctls",)
READS = ("boot_sysctls", "network.links", "network_managers", "packages")

GLOBAL = {"net/ipv4/ip_forward": "ip-forward-off", "net/ipv6/conf/all/forwarding": "ipv6-forwarding-off"}
WHOLE = "net/ipv4/ip_forward"
WHOLE_SIX = "net/ipv6/conf/all/forwarding"
_RECONFIGURED = " What makes it last has networkd configure that link anew."
BORN_WITH = "net/ipv4/conf/default/forwarding"


def _forwarding(halt: Halt) -> bool:
    if halt.namespace is not None:
        return False
    return halt.sysctl is not None and (halt.sysctl in GLOBAL or halt.sysctl.endswith("/forwarding"))


@check(
    "ip-forwarding",
    title="Does the kernel forward for these links, now and after a reboot?",
    group="Host",
    place=30,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Located | Finding]:  # noqa: N802 - a module's check is its constant
    """What is off now, and what will be."""
    off = case.hits(_forwarding)
    named: set[str] = set()
    for hit in off:
        key = _switch(case, hit.halt)
        if key not in named:
            named.add(key)
            yield Located(_off(case, hit, key), hit.place)
    if not off:
        yield from _after_a_reboot(case)


def _switch(case: Case, halt: Halt) -> str:
    """The switch to turn: the global one where it is off too, since it turns all links."""
    key = halt.sysctl or ""
    sysctls = case.snapshot.network.sysctls
    if key.startswith("net/ipv4/") and not isinstance(sysctls, Unread) and sysctls.get(WHOLE) == "0":
        return WHOLE
    return key


def _name(key: str) -> str:
    return key if "." in key else key.replace("/", ".")


def _own_file(key: str) -> str:
    """One for each switch, that sorts after what others write."""
    link = key.split("/")[3] if key not in GLOBAL else key.split("/")[1]
    return f"/etc/sysctl.d/99-zz-dockerdiag-forwarding-{link}.conf"


def _off(case: Case, hit: Hit, key: str) -> Finding:
    change = set_sysctl(key, "1", "0")
    muted = _mute(case, key)
    lasting, forgotten = _kept_on(case, key)
    networkd = by_networkd(case, key) is not None
    persisted = (*lasting, *muted)
    link = None if key in GLOBAL else key.split("/")[3]
    cause = _who_sets(case, key)
    return Finding(
        code=GLOBAL.get(key, "link-forwarding-off"),
        status=case.severity(hit),
        subject=f"link:{link}" if link else case.host,
        summary=_what_ends(hit, key, link),
        count=hit.count,
        evidence=(Evidence("sysctl", f"{_name(key)} = 0"), *_although(case, key), *cause),
        remedies=(
            Remedy(
                summary=f"Turn forwarding on{f' for {link}' if link else ''}",
                # Where a file turns it off, the next `sysctl --system` would too.
                now=(change.do, *(persisted if muted else ())),
                lasting=() if muted else persisted,
                verify=(show_sysctl(key), *retry(case)),
                undo=(change.undo, *forgotten, *_unmute(case, key)),
                risk=(
                    f"What comes in by {link} is forwarded again, as the FORWARD rules allow.{_RECONFIGURED * networkd}"
                    if link
                    else "The host forwards between all its links again, as its FORWARD rules allow."
                ),
            ),
        ),
    )


def _zero_at_boot(case: Case, key: str) -> Assigned | None:
    """The line that turns it off, at boot or whenever its program applies its files.

    The kernel's own command line says no more than what holds anyway until somebody turns it on.
    """
    if isinstance(case.snapshot.boot_sysctls, Unread):
        return None
    value = final(case.snapshot.boot_sysctls, key)
    setters = (value.systemd, value.procps, value.ufw)
    return next(
        (one for one in setters if one is not None and one.value == "0" and one.origin.line is not None), None
    )


def _what_ends(hit: Hit, key: str, link: str | None) -> str:
    if link is None:
        packets = "IPv6 packets" if key == WHOLE_SIX else "packets"
        return f"The kernel forwards no {packets}: those of {containers_of(hit)} end at the bridge"
    if hit.directions == ("reply",):
        return f"Answers to {containers_of(hit)} come in by {link}, which the kernel does not forward from"
    return f"The kernel forwards nothing that comes in by {link}: packets of {containers_of(hit)} end there"


def _although(case: Case, key: str) -> tuple[Evidence, ...]:
    """The switch that everybody looks at first, where it is on and does not help."""
    sysctls = case.snapshot.network.sysctls
    if key in GLOBAL or isinstance(sysctls, Unread) or sysctls.get(WHOLE) != "1":
        return ()
    found = [Evidence("sysctl, on, but not for this link", f"{_name(WHOLE)} = 1")]
    if sysctls.get(BORN_WITH) == "0":
        found.append(Evidence("sysctl, which each new link copies", f"{_name(BORN_WITH)} = 0"))
    return tuple(found)


def _kept_on(case: Case, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What turns it on at boot too, and what takes that back: told to whoever would turn it off again."""
    networkd = by_networkd(case, key)
    if networkd is not None:
        return told_to_networkd(networkd)
    return (write_file(_own_file(key), f"{_name(key)} = 1"),), (sh("rm", "-f", _own_file(key)),)


def _who_sets(case: Case, key: str) -> tuple[Evidence, ...]:
    networkd = by_networkd(case, key)
    if networkd is not None:
        return (Evidence(networkd.source, networkd.text.strip()),)
    zero = _zero_at_boot(case, key)
    if zero is not None:
        return (Evidence(zero.origin.source, zero.origin.text.strip()), *package_of(case, zero.origin.path))
    return (
        ()
        if isinstance(case.snapshot.boot_sysctls, Unread)
        else (Evidence("sysctl.d", "no file turns it off"),)
    )


def _mute(case: Case, key: str) -> tuple[str, ...]:
    """Lines that keep a file which is read later from undoing ours."""
    zero = _zero_at_boot(case, key)
    if zero is None or zero.origin.line is None:
        return ()
    file = EditedFile(zero.origin.path)
    return (file.keep, file.sed(f"{zero.origin.line}s/^/# /"))


def _unmute(case: Case, key: str) -> tuple[str, ...]:
    zero = _zero_at_boot(case, key)
    if zero is None or zero.origin.line is None:
        return ()
    return (EditedFile(zero.origin.path).restore,)


def _after_a_reboot(case: Case) -> Iterator[Finding]:
    bridged = [network for network in case.networks if network.bridge]
    if not bridged or isinstance(case.snapshot.boot_sysctls, Unread):
        return
    if (zero := _zero_at_boot(case, WHOLE)) is not None:
        yield _bomb(case, zero, WHOLE)
    elif later := tuple(_single_links_at_boot(case)):
        yield from later
    else:
        yield from _left_alone(case, WHOLE)
    if any(network.ipv6 and not network.internal for network in bridged) and _is_on(case, WHOLE_SIX):
        zero = _zero_at_boot(case, WHOLE_SIX)
        yield from (_bomb(case, zero, WHOLE_SIX),) if zero is not None else _left_alone(case, WHOLE_SIX)
    yield from _born_without(case)


def _is_on(case: Case, key: str) -> bool:
    sysctls = case.snapshot.network.sysctls
    return not isinstance(sysctls, Unread) and sysctls.get(key) == "1"


def _left_alone(case: Case, key: str) -> Iterator[Finding]:
    """Where neither a file nor the engine turns it on."""
    boot = case.snapshot.boot_sysctls
    if isinstance(boot, Unread) or not _engine_leaves_it(case):
        return
    value = final(boot, key)
    if any(one is not None and one.value != "0" for one in (value.systemd, value.ufw)):
        return
    what = "IPv6 forwarding" if key == WHOLE_SIX else "Forwarding"
    yield Finding(
        code="ipv6-forwarding-not-persisted" if key == WHOLE_SIX else "ip-forward-not-persisted",
        status=Status.WARN,
        subject=case.host,
        summary=f"{what} is on now, but nothing turns it on after a reboot: the engine is set to leave it alone",
        evidence=(Evidence("sysctl.d", f"no file sets {_name(key)}"),),
        remedies=(
            Remedy(
                summary="Turn it on at boot",
                now=(write_file(_own_file(key), f"{_name(key)} = 1"),),
                verify=retry(case),
                undo=(sh("rm", "-f", _own_file(key)),),
                risk="None now: it is on already.",
            ),
        ),
    )


def _born_without(case: Case) -> Iterator[Finding]:
    """What links that are made from now on copy: the engine leaves a new bridge as it is born."""
    sysctls = case.snapshot.network.sysctls
    if isinstance(sysctls, Unread) or sysctls.get(BORN_WITH) != "0" or not _is_on(case, WHOLE):
        return
    change = set_sysctl(BORN_WITH, "1", "0")
    yield Finding(
        code="new-links-without-forwarding",
        status=Status.WARN,
        subject=case.host,
        summary=(
            "The networks that are there forward, but each that is made from now on will not: new links copy "
            f"{_name(BORN_WITH)}, which is 0"
        ),
        evidence=(
            Evidence("sysctl", f"{_name(BORN_WITH)} = 0"),
            Evidence("sysctl, on, but not for new links", f"{_name(WHOLE)} = 1"),
            *_who_sets(case, BORN_WITH),
        ),
        remedies=(
            Remedy(
                summary="Let new links forward too",
                now=(change.do,),
                lasting=(
                    *_mute(case, BORN_WITH),
                    write_file(_own_file(BORN_WITH), f"{_name(BORN_WITH)} = 1"),
                ),
                verify=(show_sysctl(BORN_WITH), *retry(case)),
                undo=(change.undo, sh("rm", "-f", _own_file(BORN_WITH)), *_unmute(case, BORN_WITH)),
                risk="Links that are made from now on forward, as the FORWARD rules allow; others stay as they are.",
            ),
        ),
    )


def _engine_leaves_it(case: Case) -> bool:
    return case.running_value("firewall-backend") == "nftables" or case.running_value("ip-forward") is False


def _single_links_at_boot(case: Case) -> Iterator[Finding]:
    """Links that a file turns off, where another has turned forwarding on before the engine could: it leaves them."""
    boot = case.snapshot.boot_sysctls
    if isinstance(boot, Unread) or (whole := final(boot, WHOLE).systemd) is None or whole.value != "1":
        return
    entries = {traced.journey.entry for traced in case.traced}
    uplinks = {traced.journey.uplink for traced in case.traced}
    said: set[str] = set()
    for link in sorted(filter(None, entries | uplinks)):
        key = f"net/ipv4/conf/{link}/forwarding"
        value = final(boot, key)
        # The engine makes its bridges after the files were applied: they copy `default`.
        settled = value.certain or any(network.bridge == link for network in case.networks)
        if settled and value.systemd is not None and value.systemd.value == "0":
            if value.systemd.origin.source not in said:
                yield _bomb(case, value.systemd, key)
            said.add(value.systemd.origin.source)


def _bomb(case: Case, zero: Assigned, key: str) -> Finding:
    origin = zero.origin
    link = None if key in GLOBAL else key.split("/")[3]
    what = "IPv6 forwarding" if key == WHOLE_SIX else "Forwarding"
    then = "is set to leave it alone" if _engine_leaves_it(case) else "turns it on only when it starts"
    summary = (
        f"{what} is on now, but {origin.source} turns it off at boot and whenever it is applied again; "
        f"the engine {then}"
    )
    if link is not None:
        summary = (
            f"{link} forwards now, but {origin.source} turns that off at boot; the engine finds "
            f"{_name(WHOLE)} on and leaves its links as they are"
        )
    return Finding(
        code="link-forwarding-off-at-boot" if link else f"{GLOBAL[key]}-at-boot",
        status=Status.WARN,
        subject=f"link:{link}" if link else case.host,
        summary=summary,
        evidence=(Evidence(origin.source, origin.text.strip()), *package_of(case, origin.path)),
        remedies=(
            Remedy(
                summary="Take the line out of force, and turn forwarding on at boot",
                now=(*_mute(case, key), write_file(_own_file(key), f"{_name(key)} = 1")),
                verify=retry(case),
                undo=(sh("rm", "-f", _own_file(key)), *_unmute(case, key)),
                risk="None now: forwarding is on already.",
            ),
        ),
    )
