"""Reports made by hand, one for each kind of host that a format must do justice to."""

from dataclasses import replace
from typing import Literal

from dockerdiag.report import (
    Cause,
    Disposition,
    Evidence,
    Finding,
    Hop,
    Probe,
    Remedy,
    Report,
    Result,
    RuleCount,
    RuleReference,
    Status,
    Tool,
    UnreadPart,
    Verdict,
    Walk,
)

TOOL = Tool("dockerdiag", "0.1.0")
HOST = {
    "hostname": "web01",
    "os": "Debian GNU/Linux 13 (trixie)",
    "kernel": "6.12.48+deb13-amd64",
    "architecture": "x86_64",
    "root": True,
    "engine": "28.5.1",
    "firewall": ["iptables"],
    "context": None,
}
TAKEN_AT = "2026-11-23T20:42:59Z"

TITLES = {
    "ip-forwarding": "Does the kernel forward packets for the containers' links, now and after a reboot?",
    "forward-policy": "Does the FORWARD hook let each network's packets out and their replies back?",
    "masquerade": "Is a packet's source rewritten to an address that gets answers?",
    "proxy-dropins": "Does the daemon run with the proxy that its configuration says?",
    "docker-options": "Do drop-ins or environment files change dockerd's networking, and are they in force?",
    "iptables-flag": "Does dockerd manage the rules, or somebody else for it?",
    "packet-path": "Does a packet from each container reach the internet, and its reply the container?",
}


def result(check: str, *findings: Finding, status: Status | None = None, reason: str | None = None) -> Result:
    return Result(check, TITLES[check], status or Status.PASS, reason, findings)


def passed(check: str, subject: str, summary: str) -> Result:
    return result(check, Finding("fine", Status.PASS, subject, summary))


def hop(
    place: str,
    text: str,
    verdict: str = "pass",
    direction: Literal["out", "reply"] = "out",
    *,
    stop: bool = False,
    rule: RuleReference | None = None,
) -> Hop:
    return Hop(direction, place, verdict, stop, rule, text)


MASQUERADE = RuleReference(
    "iptables-nft",
    "ip",
    "nat",
    "POSTROUTING",
    4,
    1,
    "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
    12,
)
OUT = (
    hop("container routes", "default via 172.17.0.1 dev eth0"),
    hop("veth5b1c2d3", "up, a port of docker0"),
    hop("docker0", "up, with 172.17.0.1/16"),
    hop("prerouting", "no rule matches"),
    hop("routing decision", "1.1.1.1 via 192.0.2.1 dev enp1s0"),
    hop("forward", "accepted by every base chain"),
    hop("postrouting", "source becomes 192.0.2.10", "rewrite", rule=MASQUERADE),
    hop("uplink enp1s0", "up; 192.0.2.1 is reachable"),
)
REPLY = (
    hop("uplink enp1s0", "arrives for 192.0.2.10", direction="reply"),
    hop("prerouting", "destination becomes 172.17.0.2 again", "rewrite", "reply"),
    hop("routing decision", "172.17.0.2 dev docker0", direction="reply"),
    hop("forward", "accepted as ESTABLISHED", direction="reply"),
    hop("docker0", "172.17.0.2 is at veth5b1c2d3", direction="reply"),
    hop("container eth0", "delivered", direction="reply"),
)


def walk(
    *hops: Hop,
    containers: tuple[str, ...] = ("web",),
    network: str = "bridge",
    disposition: Disposition = Disposition.DELIVERED,
    at: str | None = None,
    to: str = "1.1.1.1:443/tcp",
    source: str = "172.17.0.2",
) -> Walk:
    return Walk(containers, network, "ipv4", source, to, disposition, at, hops)


DELIVERED = walk(*OUT, *REPLY)

PASSES = (
    passed(
        "ip-forwarding", "host:web01", "The kernel forwards for docker0 and enp1s0, and will after a reboot."
    ),
    passed("masquerade", "network:bridge", "Its packets leave with the source 192.0.2.10."),
    passed("proxy-dropins", "engine:docker", "No proxy is configured and none is in use."),
    passed("docker-options", "unit:docker.service", "No drop-in changes networking."),
    passed("iptables-flag", "engine:docker", "dockerd manages the rules itself."),
)

OK = Report(
    tool=TOOL,
    host=HOST,
    taken_at=TAKEN_AT,
    verdict=Verdict.OK,
    cause=None,
    results=(
        *PASSES,
        passed("forward-policy", "network:bridge", "Its packets get out and their replies back."),
        result("packet-path", status=Status.SKIP, reason="no container is running"),
    ),
    walks=(DELIVERED,),
)

FORWARD_POLICY = RuleReference("iptables-nft", "ip", "filter", "FORWARD", None, None, "-P FORWARD DROP", 41)
FORWARD_DROP = Finding(
    code="forward-drop",
    status=Status.FAIL,
    subject="network:bridge",
    summary="Packets from network bridge to the internet are dropped by the policy of chain FORWARD: "
    "Docker's own rules, which would accept them first, are gone.",
    count=3,
    explains=("walk-stopped container:web",),
    evidence=(
        Evidence("iptables-nft ip filter FORWARD policy", "-P FORWARD DROP"),
        Evidence(
            "iptables-nft ip filter, what is left of Docker's chains",
            "-N DOCKER\n-N DOCKER-USER\n-A DOCKER-USER -s 10.0.0.0/8 -d 172.17.0.0/16 -m conntrack --ctstate "
            "RELATED,ESTABLISHED -m comment --comment 'let the office in' -j RETURN",
        ),
    ),
    remedies=(
        Remedy(
            summary="Let packets from docker0 out and their replies back, by rules in front of the policy.",
            now=(
                "iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
                "iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            ),
            lasting=("systemctl restart docker",),
            verify=("docker exec web wget -qO- -T 5 https://one.one.one.one", "iptables -S FORWARD"),
            undo=(
                "iptables -D FORWARD -i docker0 ! -o docker0 -j ACCEPT",
                "iptables -D FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            ),
            risk="Opens forwarding from docker0 to every other link of this host, as Docker's own rules do.",
        ),
        Remedy(
            summary="Restart the daemon, which writes all of its rules again.",
            now=("systemctl restart docker",),
            verify=("iptables -S FORWARD",),
            risk="Stops every container for the time of the restart, unless live-restore is on.",
        ),
    ),
)
STOPPED = walk(
    *OUT[:5],
    hop(
        "forward",
        "dropped by the policy; none of 3 rules accepts it",
        "drop",
        stop=True,
        rule=FORWARD_POLICY,
    ),
    containers=("web", "db", "cache"),
    disposition=Disposition.DROPPED,
    at="iptables-nft ip filter FORWARD policy",
)
BROKEN = replace(
    OK,
    verdict=Verdict.BROKEN,
    cause=Cause.of("forward-policy", FORWARD_DROP),
    results=(
        *PASSES[:3],
        result("forward-policy", FORWARD_DROP, status=Status.FAIL),
        result(
            "docker-options",
            Finding(
                "options-not-in-force",
                Status.WARN,
                "file:/etc/systemd/system/docker.service.d/docker-options.conf",
                "The drop-in was edited after dockerd started: --iptables=false will be in force at its next "
                "restart.",
                evidence=(
                    Evidence(
                        "/etc/systemd/system/docker.service.d/docker-options.conf:2",
                        'Environment="DOCKER_OPTS=--iptables=false \\\n    --mtu=1400"',
                    ),
                ),
                remedies=(
                    Remedy(
                        "Take the option out again.",
                        lasting=(
                            "sed -i 's/--iptables=false //' /etc/systemd/system/docker.service.d/*.conf",
                            "systemctl daemon-reload",
                        ),
                        verify=("systemctl show -p Environment docker",),
                        risk="None: it is not in force yet.",
                    ),
                ),
            ),
            status=Status.WARN,
        ),
        result(
            "iptables-flag",
            Finding("isolated", Status.NOTE, "network:backend", "It is internal: somebody chose that."),
            status=Status.NOTE,
        ),
        result(
            "packet-path",
            Finding(
                "walk-stopped",
                Status.FAIL,
                "container:web",
                "Its packet to 1.1.1.1:443/tcp is dropped at forward.",
            ),
            status=Status.FAIL,
        ),
    ),
    walks=(
        STOPPED,
        replace(STOPPED, to="192.0.2.53:53/udp"),
        replace(DELIVERED, network="app", containers=("api",)),
    ),
    unread=(UnreadPart("kernel_log", "/dev/kmsg: Operation not permitted"),),
    redaction={"redacted": False, "secrets_replaced": 2, "kinds": {"proxy credentials": 2}},
)

NFT_RULE = RuleReference(
    "nft",
    "inet",
    "firewalld",
    "filter_FORWARD",
    187,
    4,
    "reject with icmpx admin-prohibited",
    5,
)
FIREWALLD = replace(
    BROKEN,
    cause=Cause.of(
        "forward-policy",
        replace(
            FORWARD_DROP,
            summary="Packets from network bridge to the internet are rejected by firewalld's table, whose "
            "chain runs after Docker's.",
            evidence=(
                Evidence("nft table inet firewalld, chain filter_FORWARD, handle 187", NFT_RULE.text),
                Evidence(
                    "nft list chain inet firewalld filter_FORWARD",
                    "type filter hook forward priority filter + 10",
                ),
            ),
        ),
    ),
    walks=(
        walk(
            *OUT[:5],
            hop("forward", "rejected by firewalld", "reject", stop=True, rule=NFT_RULE),
            disposition=Disposition.REJECTED,
            at="nft inet firewalld filter_FORWARD handle 187",
        ),
    ),
)

NO_REPLY = replace(
    BROKEN,
    walks=(
        walk(
            *OUT,
            *REPLY[:3],
            hop(
                "forward",
                "dropped by DOCKER-USER",
                "drop",
                "reply",
                stop=True,
                rule=replace(
                    FORWARD_POLICY,
                    chain="DOCKER-USER",
                    index=1,
                    text="-A DOCKER-USER -d 172.17.0.0/16 -j DROP",
                ),
            ),
            disposition=Disposition.DROPPED,
            at="iptables-nft ip filter DOCKER-USER rule 1",
        ),
    ),
)

NOT_LASTING = Finding(
    "ip-forward-not-lasting",
    Status.WARN,
    "host:web01",
    "The kernel forwards now, but a file will turn that off at the next boot.",
    evidence=(Evidence("/etc/sysctl.d/99-hardening.conf:3", "net.ipv4.ip_forward = 0"),),
    remedies=(
        Remedy(
            "Have forwarding turned on at boot, after that file.",
            lasting=("echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/99-zz-docker.conf",),
            verify=("systemd-analyze cat-config sysctl.d | grep ip_forward",),
            undo=("rm /etc/sysctl.d/99-zz-docker.conf",),
            risk="The host goes on forwarding between all of its links, as it does now.",
        ),
    ),
)
DEGRADED = replace(
    OK,
    verdict=Verdict.DEGRADED,
    cause=Cause.of("ip-forwarding", NOT_LASTING),
    results=(result("ip-forwarding", NOT_LASTING, status=Status.WARN), *OK.results[1:]),
)

UNKNOWN = replace(
    OK,
    host={"hostname": "web01", "root": False},
    verdict=Verdict.UNKNOWN,
    results=(
        result(
            "ip-forwarding",
            status=Status.UNKNOWN,
            reason="a part that it needs could not be read: network.sysctls",
        ),
        result(
            "forward-policy",
            Finding(
                "rules-unread",
                Status.UNKNOWN,
                "host:web01",
                "The rules cannot be read without root, so nobody can say what they do.",
                evidence=(Evidence("nft -j list ruleset", "Operation not permitted (you must be root)"),),
                remedies=(Remedy("Run it as root.", now=("sudo dockerdiag",)),),
            ),
            status=Status.UNKNOWN,
            reason="the rules could not be read",
        ),
        *OK.results[2:5],
    ),
    walks=(
        walk(
            *OUT[:5],
            hop("forward", "the rules could not be read", "unknown", stop=True),
            containers=(),
            disposition=Disposition.UNKNOWN,
            at="forward",
        ),
    ),
    unread=(
        UnreadPart("network.firewall.nft", "nft: Operation not permitted (you must be root)"),
        UnreadPart("daemons", "/proc/712/environ: Permission denied"),
    ),
)

NOTHING = replace(OK, host={}, results=(), walks=(), verdict=Verdict.UNKNOWN)

EVIL = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)><svg onload=alert(1)>"
    "{{ 7*7 }}{% raw %}\x1b[2J\x1b]8;;http://evil.example\x07link\x1b]8;;\x07\x9b31m\u202eevil\u2066\u200b\x00"
    "[red]red[/red] 'a' \"b\" & <!-- --> ]]> \u2028 javascript:alert(1)"
)


def hostile(evil: str) -> Report:
    """A broken host on which every text is `evil`."""
    finding = Finding(
        code=evil,
        status=Status.FAIL,
        subject=f"network:{evil}",
        summary=evil,
        count=2,
        explains=(f"{evil} x",),
        expected=evil,
        evidence=(Evidence(evil, evil),),
        remedies=(Remedy(evil, (evil,), (evil,), (evil,), (evil,), evil), Remedy(evil)),
    )
    rule = RuleReference("nft", evil, evil, evil, 1, 1, evil, 1)
    statuses = tuple(
        Result(evil, evil, status, evil, (replace(finding, status=status, code=f"{status}{evil}"),))
        for status in Status
    )
    return Report(
        tool=Tool(evil, evil),
        host={"hostname": evil, evil: evil, "list": [evil, evil], "deep": {evil: evil}},
        taken_at=evil,
        verdict=Verdict.BROKEN,
        cause=Cause.of(evil, finding),
        results=(Result(evil, evil, Status.FAIL, evil, (finding,)), *statuses),
        walks=(
            Walk(
                (evil, evil),
                evil,
                "ipv4",
                evil,
                evil,
                Disposition.DROPPED,
                evil,
                (
                    Hop("out", evil, evil, False, rule, evil),
                    Hop("reply", evil, evil, True, rule, evil),
                ),
            ),
        ),
        probes=(
            Probe(
                container=evil,
                kind="tcp",
                to=evil,
                name=evil,
                outcome="unanswered",
                detail=evil,
                sent=3,
                milliseconds=None,
                addresses=(evil,),
                mtu=None,
                comparison="contradicts",
                text=evil,
                counters=(RuleCount(rule, "host", 1, 4),),
            ),
        ),
        unread=(UnreadPart(evil, evil),),
        changes={evil: evil},
        redaction={"redacted": True, "secrets_replaced": 1, "kinds": {evil: 3}},
    )


HOSTILE = hostile(EVIL)

MANY = replace(
    BROKEN,
    walks=tuple(
        replace(
            STOPPED if number % 5 == 0 else DELIVERED,
            containers=tuple(f"project-{number}-service-{replica}" for replica in range(1, 6)),
            network=f"project-{number}_default",
            from_=f"172.{18 + number % 14}.{number}.2",
        )
        for number in range(60)
    ),
)

SAMPLES: dict[str, Report] = {
    "ok": OK,
    "degraded": DEGRADED,
    "broken": BROKEN,
    "firewalld": FIREWALLD,
    "no-reply": NO_REPLY,
    "unknown": UNKNOWN,
    "nothing": NOTHING,
    "hostile": HOSTILE,
    "many": MANY,
}
