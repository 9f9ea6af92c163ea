"""Every command that a remedy is made of, run for real in a namespace of its own: done, in force, and undone."""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from dockerdiag.packet.flow import Direction, Flow, Halt, Source
from dockerdiag.packet.netfilter import Stop
from dockerdiag.packet.nft_text import rule_text
from dockerdiag.packet.packet import Connection, Packet, PortRange, Tuple
from dockerdiag.report import Disposition, RuleReference
from dockerdiag_checks.commands import AtEngineStart, Change, EditedFile, set_sysctl, sh, write_file
from dockerdiag_checks.output_rules import accept_own
from dockerdiag_checks.rule_commands import delete_rule, let_pass, masquerade
from dockerdiag_checks.setting_files import without_keys
from dockerdiag_checks.wording import FOR_GOOD

TOOLS = ("ip", "nft", "iptables-nft", "ip6tables-nft", "sysctl")
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, TOOLS)), reason="makes a network namespace"
)
LEGACY = pytest.param(
    "iptables-legacy",
    marks=pytest.mark.skipif(not Path("/proc/net/ip_tables_names").exists(), reason="no legacy tables"),
)
SUBNET, SUBNET6 = "172.17.0.0/16", "fd00:d0c::/64"
FIREWALL = """
table inet gate {
    chain first { type filter hook forward priority 0; policy drop;
        ip saddr 192.0.2.0/24 accept
        ip saddr 172.16.0.0/12 drop
    }
    chain early { type filter hook prerouting priority mangle; policy accept;
        tcp dport 443 drop
    }
    chain nat { type nat hook postrouting priority srcnat; policy accept;
        ip saddr 172.16.0.0/12 accept
    }
}
table bridge gate {
    chain early { type filter hook prerouting priority 0; policy accept;
        ip daddr 1.1.1.1 drop
    }
}
"""


@dataclass(frozen=True)
class Space:
    """A network namespace with the links of a Docker host."""

    name: str

    def run(self, line: str) -> str:
        words = ("ip", "netns", "exec", self.name, "sh", "-c", line)
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{line}\n{ran.stderr}"
        return ran.stdout

    def rules(self) -> str:
        """All rules, without counters and handles."""
        saves = ("iptables-nft-save", "ip6tables-nft-save", "nft -s list ruleset")
        legacy = (
            "iptables-legacy-save" if self.run("cat /proc/net/ip_tables_names || true").strip() else "true"
        )
        text = "\n".join(map(self.run, (*saves, legacy)))
        return re.sub(r"^#.*$|\[\d+:\d+\]|counter packets \d+ bytes \d+", "", text, flags=re.MULTILINE)


@pytest.fixture
def space() -> Iterator[Space]:
    name = f"ddcommands-{secrets.token_hex(3)}"
    subprocess.run(("ip", "netns", "add", name), check=True)
    try:
        made = Space(name)
        made.run("ip link add docker0 type bridge && ip link add eth0.100 type bridge")
        yield made
    finally:
        subprocess.run(("ip", "netns", "delete", name), check=True)


def packet(direction: Direction, *, six: bool = False, out: str | None = "eth0.100") -> Packet:
    own, far = map(ip_address, ("fd00:d0c::2", "2606:4700:4700::1111") if six else ("172.17.0.2", "1.1.1.1"))
    port, far_port = PortRange.one(40000), PortRange.one(443)
    sent, answered = Tuple(own, far, port, far_port), Tuple(far, own, far_port, port)
    there, back = "docker0", "eth0.100"
    if direction == "out":
        return Packet("tcp", sent, Connection("new", "original", sent), in_link=there, out_link=out)
    state = Connection("established", "reply", sent)
    return Packet("tcp", answered, state, in_link=back, out_link=there if out else None)


def halt(rule: RuleReference, base: str, direction: Direction = "out", **parts: object) -> Halt:
    here = packet(direction, **parts)  # type: ignore[arg-type]
    stop = Stop("drop", rule, replace(rule, chain=base, handle=None, index=None), (), "it drops")
    kind = "rule" if rule.index is not None else "policy"
    return Halt(direction, base, kind, Disposition.DROPPED, "there", "it drops", here, rule, stop)


def iptables_rule(
    backend: str, table: str, chain: str, index: int | None, family: str = "ip"
) -> RuleReference:
    return RuleReference(backend, family, table, chain, None, index, "-j DROP", None)  # type: ignore[arg-type]


def nft_rule(space: Space, family: str, chain: str, text: str) -> RuleReference:
    listed = space.run(f"nft -a list chain {family} gate {chain}").splitlines()
    ((index, line),) = [(i, line) for i, line in enumerate(listed, -2) if text in line]
    handle = int(line.rpartition(" ")[2])
    return RuleReference("nft", family, "gate", chain, handle, index, text, None)


def prove(space: Space, changes: tuple[Change, ...], in_force: Callable[[str], bool]) -> None:
    """Done, it is in force; undone, all is as it was; made again twice, it is there once, at its place."""
    before = space.rules()
    for change in changes:
        space.run(change.do)
    done = space.rules()
    assert in_force(done), done
    for change in changes:
        space.run(change.undo)
    assert space.rules() == before
    for change in (*changes, *changes):
        space.run(change.again)
    assert space.rules() == done
    for change in changes:
        space.run(change.undo)
    assert space.rules() == before


@pytest.mark.parametrize("backend", ["iptables-nft", LEGACY])
def test_an_accept_before_a_rule_and_one_for_answers(space: Space, backend: str) -> None:
    for rule in ("-s 192.0.2.0/24 -j ACCEPT", "-s 172.16.0.0/12 -j DROP"):
        space.run(f"{backend} -A FORWARD {rule}")
    at = iptables_rule(backend, "filter", "FORWARD", 2)
    changes = let_pass([halt(at, "FORWARD"), halt(at, "FORWARD", "reply")], [SUBNET])
    assert len(changes) == 2

    def in_force(rules: str) -> bool:
        lines = [line for line in rules.splitlines() if line.startswith("-A FORWARD")]
        accept = "-A FORWARD -i docker0 -o eth0.100 -j ACCEPT"
        answers = "-A FORWARD -i eth0.100 -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        drop = lines.index("-A FORWARD -s 172.16.0.0/12 -j DROP")
        return lines.index(accept) < drop and lines.index(answers) < drop and len(lines) == 4

    prove(space, changes, in_force)


@pytest.mark.parametrize("backend", ["iptables-nft", LEGACY])
@pytest.mark.parametrize(
    ("table", "chain", "out", "wanted"),
    [
        ("raw", "PREROUTING", None, f"-A PREROUTING -s {SUBNET} -i docker0 -j ACCEPT"),
        ("mangle", "PREROUTING", None, f"-A PREROUTING -s {SUBNET} -i docker0 -j ACCEPT"),
        ("mangle", "POSTROUTING", "eth0.100", f"-A POSTROUTING -s {SUBNET} -o eth0.100 -j ACCEPT"),
        ("filter", "FORWARD", "eth0.100", "-A FORWARD -i docker0 -o eth0.100 -j ACCEPT"),
    ],
)
def test_an_accept_names_what_its_hook_knows(
    space: Space, backend: str, table: str, chain: str, out: str | None, wanted: str
) -> None:
    space.run(f"{backend} -t {table} -A {chain} -j DROP")
    rule = iptables_rule(backend, table, chain, 1)
    prove(space, let_pass([halt(rule, chain, out=out)], [SUBNET]), lambda rules: wanted in rules)


@pytest.mark.parametrize("backend", ["iptables-nft", LEGACY])
def test_an_accept_made_again_opens_nothing_that_an_earlier_rule_closes(space: Space, backend: str) -> None:
    closing = "-A FORWARD -d 192.0.2.0/24 -j REJECT --reject-with icmp-port-unreachable"
    comment = shlex.quote("it's a.*[b]/$^")
    for line in (closing, f"-A FORWARD -m comment --comment {comment} -j DROP", "-A FORWARD -p tcp -j DROP"):
        space.run(f"{backend} {line}")
    (stopping,) = [line for line in space.run(f"{backend}-save").splitlines() if "comment" in line]
    rule = replace(iptables_rule(backend, "filter", "FORWARD", 2), text=stopping)
    (change,) = let_pass([halt(rule, "FORWARD")], [SUBNET])
    # As the engine does at its start.
    space.run(f"{backend} -I FORWARD -o docker0 -j RETURN")

    def order() -> list[str]:
        lines = [line for line in space.rules().splitlines() if line.startswith("-A FORWARD")]
        return [line for line in lines if "RETURN" not in line]

    space.run(change.again)
    accept = "-A FORWARD -i docker0 -o eth0.100 -j ACCEPT"
    assert order()[:2] == [closing, accept]
    space.run(f"{backend} -D FORWARD 4")
    space.run(change.again)
    assert order() == [closing, "-A FORWARD -p tcp -j DROP", accept]


def test_accepts_in_nft_made_again_are_each_at_their_place(space: Space) -> None:
    rules = ("udp dport 53 drop", "ip daddr 192.0.2.0/24 drop", "tcp dport 443 drop")
    chain = "\n".join(("chain first { type filter hook forward priority 0;", *rules, "}"))
    space.run(f"nft 'table inet gate {{\n{chain}\n}}'")
    names, _, web = (nft_rule(space, "inet", "first", text) for text in rules)
    changes = let_pass([halt(names, "first"), halt(web, "first")], [SUBNET])
    assert len(changes) == 2
    prove(space, changes, lambda text: text.index(rules[1]) < text.index("tcp dport 443 counter accept"))


@pytest.mark.parametrize("backend", ["iptables-nft", LEGACY, "nft"])
def test_an_accept_for_what_the_host_sends(space: Space, backend: str) -> None:
    if backend == "nft":
        space.run(f"nft -f - <<'END'\n{FIREWALL}\nEND")
        rule = nft_rule(space, "inet", "first", "172.16.0.0/12 drop")
    else:
        space.run(f"{backend} -A FORWARD -j DROP")
        rule = iptables_rule(backend, "filter", "FORWARD", 1)
    change = accept_own(halt(rule, rule.chain), Flow(Source(), ip_address("1.1.1.1")))
    assert change is not None
    prove(space, (change,), lambda rules: "dport 443" in rules)


def test_an_accept_for_ipv6(space: Space) -> None:
    space.run("ip6tables-nft -A FORWARD -j DROP")
    rule = iptables_rule("iptables-nft", "filter", "FORWARD", 1, "ip6")
    changes = let_pass([halt(rule, "FORWARD", six=True)], [SUBNET, SUBNET6])
    assert changes[0].do.startswith("ip6tables-nft -I FORWARD 1 ")
    prove(space, changes, lambda rules: "-A FORWARD -i docker0 -o eth0.100 -j ACCEPT" in rules)


def test_accepts_in_nft_before_a_rule_and_for_a_policy(space: Space) -> None:
    space.run(f"nft -f - <<'END'\n{FIREWALL}\nEND")
    rule = nft_rule(space, "inet", "first", "172.16.0.0/12 drop")
    policy = replace(rule, handle=None, index=None)
    changes = let_pass([halt(rule, "first"), halt(policy, "first", "reply")], [SUBNET])

    def in_force(rules: str) -> bool:
        out, drop = rules.index('iifname "docker0" oifname "eth0.100"'), rules.index("172.16.0.0/12 drop")
        answers = 'iifname "eth0.100" oifname "docker0" ct state established,related counter accept'
        return out < drop and rules.count(answers) == 1 and rules.count('comment "dockerdiag') == 2

    prove(space, changes, in_force)


@pytest.mark.parametrize("six", [False, True])
def test_an_accept_in_nft_that_knows_one_link_only(space: Space, six: bool) -> None:
    space.run(f"nft -f - <<'END'\n{FIREWALL}\nEND")
    rule = nft_rule(space, "inet", "early", "tcp dport 443 drop")
    wanted = f"ip6 saddr {SUBNET6}" if six else f"ip saddr {SUBNET}"
    changes = let_pass([halt(rule, "early", six=six, out=None)], [SUBNET, SUBNET6])
    prove(space, changes, lambda rules: f'iifname "docker0" {wanted} tcp dport 443 counter accept' in rules)


@pytest.mark.parametrize("backend", ["iptables-nft", LEGACY])
@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ("-p tcp -m tcp --dport 443", "-p tcp -m tcp --dport 443"),
        ("-s 172.16.0.0/12 -p udp -m udp --sport 53:99 --dport 53", "-p udp -m udp --sport 53:99 --dport 53"),
        ("-p tcp -m multiport --dports 80,443", "-p tcp -m multiport --dports 80,443"),
        ('-p tcp -m comment --comment "no --dport 7"', "-p tcp"),
        ("! -p udp", ""),
        ("-p tcp -m tcp ! --dport 80", "-p tcp -m tcp ! --dport 80"),
        ("-p tcp -m multiport ! --dports 80,443", "-p tcp -m multiport ! --dports 80,443"),
        ("-s 172.16.0.0/12", ""),
    ],
)
def test_an_accept_names_the_ports_that_the_rule_names(
    space: Space, backend: str, spec: str, ports: str
) -> None:
    space.run(f"{backend} -A FORWARD {spec} -j DROP")
    rule = replace(iptables_rule(backend, "filter", "FORWARD", 1), text=f"-A FORWARD {spec} -j DROP")
    wanted = " ".join(f"-A FORWARD -i docker0 -o eth0.100 {ports} -j ACCEPT".split())
    prove(space, let_pass([halt(rule, "FORWARD")], [SUBNET]), lambda rules: wanted in rules)


def test_an_accept_in_the_bridge_family_names_no_port(space: Space) -> None:
    space.run(f"nft -f - <<'END'\n{FIREWALL}\nEND")
    rule = nft_rule(space, "bridge", "early", "1.1.1.1 drop")
    changes = let_pass([halt(rule, "early", out=None)], [SUBNET])
    prove(space, changes, lambda rules: f"ip saddr {SUBNET} counter accept" in rules)


def test_one_accept_for_two_rules_of_a_chain() -> None:
    first, second = (iptables_rule("iptables-nft", "filter", "DOCKER-USER", at) for at in (1, 4))
    (change,) = let_pass(
        [halt(second, "FORWARD")], [SUBNET], [halt(first, "FORWARD"), halt(second, "FORWARD")]
    )
    assert change.do == "iptables-nft -I DOCKER-USER 1 -i docker0 -o eth0.100 -j ACCEPT"


def test_an_accept_for_each_of_two_rules_that_name_ports() -> None:
    names, web, all_ = (
        replace(
            iptables_rule("iptables-nft", "filter", "DOCKER-USER", at), text=f"-A DOCKER-USER {spec}-j DROP"
        )
        for at, spec in ((1, "-p udp --dport 53 "), (4, "-p tcp --dport 443 "), (6, ""))
    )
    both = let_pass([halt(web, "FORWARD")], [SUBNET], [halt(names, "FORWARD"), halt(web, "FORWARD")])
    ways = "-i docker0 -o eth0.100"
    assert [change.do for change in both] == [
        f"iptables-nft -I DOCKER-USER 4 {ways} -p tcp -m tcp --dport 443 -j ACCEPT",
        f"iptables-nft -I DOCKER-USER 1 {ways} -p udp -m udp --dport 53 -j ACCEPT",
    ]
    (whole,) = let_pass([halt(web, "FORWARD")], [SUBNET], [halt(all_, "FORWARD"), halt(names, "FORWARD")])
    assert whole.do == f"iptables-nft -I DOCKER-USER 1 {ways} -j ACCEPT"


def test_what_no_rule_stops_needs_no_accept() -> None:
    rule = iptables_rule("iptables-nft", "filter", "FORWARD", 1)
    assert let_pass([replace(halt(rule, "FORWARD"), rule=None, netfilter=None)], [SUBNET]) == ()


@pytest.mark.parametrize("backend", ["iptables-nft", LEGACY])
def test_masquerade_at_the_end_and_before_a_rule(space: Space, backend: str) -> None:
    space.run(f"{backend} -t nat -A POSTROUTING -s 172.16.0.0/12 -j ACCEPT")
    wanted = f"-A POSTROUTING -s {SUBNET} ! -o docker0 -j MASQUERADE"
    prove(space, (masquerade(backend, 4, SUBNET, "docker0", None),), lambda rules: wanted in rules)
    before = iptables_rule(backend, "nat", "POSTROUTING", 1)
    earlier = f"-A POSTROUTING -s {SUBNET} ! -d {SUBNET} ! -o docker0 -j MASQUERADE"
    prove(
        space,
        (masquerade(backend, 4, SUBNET, "docker0", before),),
        lambda rules: rules.index(earlier) < rules.index("172.16.0.0/12 -j ACCEPT"),
    )


@pytest.mark.parametrize("backend", ["iptables-nft", LEGACY])
def test_a_masquerade_before_the_engines_own_leaves_that_alone(space: Space, backend: str) -> None:
    own = f"POSTROUTING -s {SUBNET} ! -o docker0 -j MASQUERADE"
    for rule in ("POSTROUTING -s 172.16.0.0/12 -j ACCEPT", own):
        space.run(f"{backend} -t nat -A {rule}")
    before = space.rules()
    change = masquerade(backend, 4, SUBNET, "docker0", iptables_rule(backend, "nat", "POSTROUTING", 1))
    space.run(change.do)
    # As the engine does when it ends, and when it starts.
    space.run(f"{backend} -t nat -D {own}")
    space.run(f"{backend} -t nat -C {own} 2>/dev/null || {backend} -t nat -A {own}")
    space.run(change.again)
    space.run(change.undo)
    assert space.rules() == before


def test_masquerade_of_ipv6(space: Space) -> None:
    space.run("ip6tables-nft -t nat -A POSTROUTING -j RETURN")
    change = masquerade("iptables-nft", 6, SUBNET6, "docker0", None)
    prove(space, (change,), lambda rules: f"-s {SUBNET6} ! -o docker0 -j MASQUERADE" in rules)


def test_masquerade_in_nft_before_a_rule(space: Space) -> None:
    space.run(f"nft -f - <<'END'\n{FIREWALL}\nEND")
    rule = nft_rule(space, "inet", "nat", "172.16.0.0/12 accept")
    change = masquerade("iptables-nft", 4, SUBNET, "docker0", rule)
    prove(
        space, (change,), lambda rules: f'oifname != "docker0" ip saddr {SUBNET} counter masquerade' in rules
    )


NFT_RULES = (
    'iifname "docker0" counter drop comment "why not"',
    'log prefix "no " group 2 snaplen 20 queue-threshold 5 drop',
    'log prefix "no " level info flags tcp sequence,options flags skuid drop',
    "limit rate over 10 mbytes/second burst 20 mbytes drop",
    "limit rate over 400/minute burst 7 packets counter drop",
    "quota over 100 mbytes used 5 bytes drop",
    "ct state == established drop",
    "ct state established,related drop",
    "tcp flags == syn | ack drop",
    "tcp flags syn,ack drop",
    "tcp flags & (fin | syn | rst | ack) != syn drop",
    "tcp flags & (fin | syn) == fin | syn drop",
    "meta mark & 0x0000ff00 == 0x00000100 drop",
    "@ll,0,8 1 drop",
    'meta time "2030-01-01 00:00:00"-"2031-01-01 00:00:00" drop',
    'meta iifkind "bridge" drop',
    "rt ip nexthop 10.0.0.1 drop",
    "frag more-fragments 1 drop",
    "numgen random mod 4 offset 2 3 drop",
    "ip saddr vmap { 172.17.0.0/16 : drop, 10.0.0.0/8 : accept }",
)


@pytest.mark.parametrize("text", NFT_RULES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_deleted_rule_of_nft_comes_back_to_its_place(space: Space, place: int, text: str) -> None:
    others = ["tcp dport 1 accept", "tcp dport 3 accept"]
    lines = "\n".join((*others[:place], text, *others[place:]))
    chain = f"chain one {{ type filter hook forward priority 0; policy accept;\n{lines}\n}}"
    space.run(f"nft -f - <<'END'\ntable inet own {{\n{chain}\n}}\nEND")
    before = space.rules()
    deletion = delete_rule(as_read(space, place))
    assert deletion is not None
    # Whatever was put before it meanwhile.
    space.run("nft insert rule inet own one tcp dport 9 accept")
    space.run(deletion.do)
    space.run(
        "nft delete rule inet own one handle $(nft -a list chain inet own one | sed -n 's/.*dport 9.*handle //p')"
    )
    assert space.rules() != before
    for line in deletion.undo:
        space.run(line)
    assert space.rules() == before


def test_a_rule_of_nft_that_cannot_be_written_is_not_said_to_come_back(space: Space) -> None:
    added = "set seen { type ipv4_addr; flags timeout; size 9; }"
    chain = "chain one { type filter hook forward priority 0; add @seen { ip saddr timeout 30s } drop; }"
    space.run(f"nft -f - <<'END'\ntable inet own {{\n{added}\n{chain}\n}}\nEND")
    deletion = delete_rule(as_read(space, 0))
    assert deletion is not None
    assert deletion.undo == ()


def as_read(space: Space, place: int) -> RuleReference:
    """A rule of table `own`, chain `one`."""
    listed = json.loads(space.run("nft -j list chain inet own one"))["nftables"]
    found = [one["rule"] for one in listed if "rule" in one][place]
    text = rule_text(found["expr"], found.get("comment"))
    return RuleReference("nft", "inet", "own", "one", found["handle"], place + 1, text, None)


@pytest.mark.parametrize("backend", ["iptables-nft", LEGACY])
@pytest.mark.parametrize(
    "rule",
    [
        '-i docker0 -m comment --comment "it\'s \\"so\\" \\\\ \\$x" -j DROP',
        "! -o docker0 -p udp -j DROP",
    ],
)
def test_a_deleted_rule_of_iptables_comes_back_to_its_place(space: Space, backend: str, rule: str) -> None:
    for one in ("-p tcp -j ACCEPT", rule, "-p icmp -j ACCEPT"):
        space.run(f"{backend} -A FORWARD {one}")
    before = space.rules()
    (text,) = [line for line in space.run(f"{backend}-save").splitlines() if line.endswith("-j DROP")]
    deletion = delete_rule(replace(iptables_rule(backend, "filter", "FORWARD", 2), text=text))
    assert deletion is not None
    # An accept that the other remedy put before it must not be what is deleted.
    space.run(f"{backend} -I FORWARD 2 -p udp -j ACCEPT")
    space.run(deletion.do)
    space.run(f"{backend} -D FORWARD -p udp -j ACCEPT")
    assert space.rules() != before
    for line in deletion.undo:
        space.run(line)
    assert space.rules() == before


def test_a_rule_whose_text_is_not_whole_is_deleted_and_cannot_be_put_back() -> None:
    masked = replace(
        iptables_rule("iptables-nft", "filter", "FORWARD", 2),
        text='-A FORWARD -m comment --comment "http://u:***@h/" -j DROP',
    )
    json_left = RuleReference("nft", "inet", "own", "one", 4, 2, 'xt {"type": "match"} drop', None)
    for rule, line in (
        (masked, "iptables-nft -D FORWARD 2"),
        (json_left, "nft delete rule inet own one handle 4"),
    ):
        deletion = delete_rule(rule)
        assert deletion is not None
        assert (deletion.do, deletion.undo) == (line, ())
        assert FOR_GOOD in deletion.lasts
    assert delete_rule(iptables_rule("iptables-nft", "filter", "FORWARD", None)) is None


@pytest.mark.parametrize("link", ["docker0", "eth0.100"])
def test_a_sysctl_of_a_link_whose_name_holds_a_dot(space: Space, link: str) -> None:
    key = f"net/ipv4/conf/{link}/rp_filter"
    before = space.run(f"cat /proc/sys/{key}").strip()
    change = set_sysctl(key, "2", before)
    space.run(change.do)
    assert space.run(f"cat /proc/sys/{key}").strip() == "2"
    space.run(change.undo)
    assert space.run(f"cat /proc/sys/{key}").strip() == before


def test_a_file_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "it's here" / "file.conf"
    text = "one = 'two' $three\n\\four % \"five\""
    subprocess.run(("sh", "-c", write_file(str(path), text)), check=True)
    assert path.read_text() == f"{text}\n"


EDITS: dict[str, Callable[[Path], str]] = {
    "sed": lambda path: EditedFile(str(path)).sed("s/false/true/"),
    "python": lambda path: without_keys(str(path), ("iptables",))[1],
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_link_to_an_edited_file_stays_and_the_file_is_put_back(tmp_path: Path, edit: str) -> None:
    real, link = tmp_path / "repository" / "daemon.json", tmp_path / "daemon.json"
    real.parent.mkdir()
    real.write_text('{"iptables": false}\n')
    real.chmod(0o640)
    link.symlink_to(real)
    file = EditedFile(str(link))

    for line in (file.keep, EDITS[edit](link)):
        subprocess.run(("sh", "-c", line), check=True)
    assert link.is_symlink()
    assert "false" not in real.read_text()

    subprocess.run(("sh", "-c", file.restore), check=True)
    assert link.is_symlink()
    assert real.read_text() == '{"iptables": false}\n'
    assert real.stat().st_mode & 0o777 == 0o640
    assert not Path(file.copy).exists()


def test_each_start_of_the_engine_has_a_drop_in_of_its_own() -> None:
    one, again, other = (AtEngineStart("filter-DOCKER-USER-a b/c", [line]) for line in ("one", "one", "two"))
    assert one.path == again.path != other.path
    folder = "/etc/systemd/system/docker.service.d"
    assert re.fullmatch(rf"{folder}/50-dockerdiag-filter-DOCKER-USER-a-b-c-[0-9a-f]{{8}}\.conf", one.path)
    assert one.undo[0] == f"rm -f {one.path}"


def test_words_are_quoted() -> None:
    words = ("docker", "restart", "it's $(a) name")
    assert shlex.split(sh(*words)) == list(words)
