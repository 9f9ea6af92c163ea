"""Redacted snapshots of real hosts are judged as before, and tell no name and no address of theirs."""

import json
import re
import time
from dataclasses import replace
from ipaddress import ip_address
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockerdiag.asked import Asked
from dockerdiag.diagnosis import diagnose
from dockerdiag.formatting import RenderOptions
from dockerdiag.registry import checks, formats
from dockerdiag.report import Report
from dockerdiag.snapshot import Engine, LogLine, RoutingRule, Snapshot, TextFile, Unread
from dockerdiag.snapshot.address_map import AddressMap
from dockerdiag.snapshot.redact import RedactionMap, redact
from dockerdiag.snapshot.store import dump, load, loads
from tests.recorded import FOLDER, Recorded, name_of, recorded

KEY = b"0123456789abcdef0123456789abcdef"
PLANTED = {
    r"\blab\b": "munin7",
    r"\bweb\b": "shopfront",
    r"\blan\b": "backyard",
    r"\balice\b": "alicia",
    r"\b198\.51\.100\.": "10.44.7.",
    r"\b203\.0\.113\.": "10.99.8.",
    r"\bfd00:198:": "fd12:3456:789a:",
    r"proxy\.example\.com": "squid.northwind.com",
}
"""What the lab's hosts have of names that nobody owns, made into names that somebody might."""


def planted(one: Recorded) -> Snapshot:
    text = dump(one.snapshot).decode()
    for pattern, name in PLANTED.items():
        text = re.sub(pattern, name, text)
    return loads(text.encode())


def judged(snapshot: Snapshot, containers: list[str]) -> Report:
    return diagnose(snapshot, Asked.parse(containers=containers), *checks())


def gist(report: Report) -> object:
    cause = (report.cause.check, report.cause.code) if report.cause else None
    # In the order of names, which are others after redaction, as a link's name in a place is.
    walks = sorted(
        (walk.disposition, [(hop.place.split()[0], hop.verdict) for hop in walk.hops])
        for walk in report.walks
    )
    findings = [
        (result.check, result.status, [(one.code, one.status) for one in result.findings])
        for result in report.results
    ]
    return report.verdict, cause, walks, findings


@pytest.mark.parametrize("one", recorded(), ids=name_of)
def test_judged_the_same_and_nothing_told(one: Recorded) -> None:
    snapshot = planted(one)
    redacted, redaction_map = redact(snapshot, KEY)
    arguments = one.scenario.arguments
    asked = [arguments[at + 1] for at, word in enumerate(arguments) if word == "-c"]
    asked = [re.sub(r"^web$", "shopfront", name) for name in asked]
    report = judged(redacted, [redaction_map.redacted_name(name) for name in asked])
    assert gist(report) == gist(judged(snapshot, asked))
    written = [dump(redacted).decode()]
    written += [
        form.render(report, RenderOptions(verbose=verbose))
        for form, verbose in product(formats()[0].values(), (False, True))
    ]
    for text in written:
        told = [
            name
            for name in ("munin7", "shopfront", "backyard", "alicia", "squid", "northwind", "10.44.7.",
                         "10.99.8.", "fd12:3456:", "172.17.", "172.18.")
            if name in text
        ]  # fmt: skip
        assert told == []
        assert set(macs(snapshot)).isdisjoint(re.findall(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", text))
    assert redacted.redaction is not None
    assert set(redacted.redaction.kinds) >= {"address"}


def macs(snapshot: Snapshot) -> list[str]:
    links = snapshot.network.links
    return [link.mac for link in links if link.mac and not link.loopback] if isinstance(links, tuple) else []


@pytest.mark.parametrize("one", recorded()[::10], ids=name_of)
def test_revealed_again(one: Recorded) -> None:
    snapshot = planted(one)
    redacted, redaction_map = redact(snapshot, KEY)
    again = RedactionMap.loads(redaction_map.dumps())
    assert again.id == redaction_map.id
    revealed = loads(again.revealed(dump(redacted).decode()).encode())
    assert replace(revealed, redaction=None) == snapshot
    for name in ("munin7", "172.17.0.1"):
        assert again.revealed(again.redacted(f"of {name}:")) == f"of {name}:"


@pytest.mark.parametrize("one", recorded()[::10], ids=name_of)
def test_the_same_again(one: Recorded) -> None:
    assert dump(redact(one.snapshot, KEY)[0]) == dump(redact(one.snapshot, KEY)[0])


TEXT = """{
  "bip": "10.7.3.1/24", "fixed-cidr": "10.7.3.128/25", "dns": ["10.7.0.53"], "dns-search": ["corp.northwind.de"]
}
NO_PROXY=localhost,.northwind.de,registry.northwind.de,intern7,10.7.0.0/16,docs.docker.com
-A X -s 10.7.3.0/255.255.255.0 -m iprange --src-range 10.7.3.5-10.7.3.9 -m mac --mac-source 52:54:00:aa:bb:cc -j Y
http://intern7:3128/ at 21:37:02 by 2620:fe:77::9 from ::ffff:10.7.3.2, shop-10.7.3.2 build 24.0.7
"""


@pytest.fixture(scope="module")
def plain() -> Snapshot:
    return next(one.snapshot for one in recorded() if one.path.name == "plain-trixie.json.gz")


def of_text(plain: Snapshot, text: str) -> tuple[str, RedactionMap]:
    redacted, redaction_map = redact(
        replace(plain, daemon_json=TextFile("/etc/docker/daemon.json", text)), KEY
    )
    assert isinstance(redacted.daemon_json, TextFile)
    return redacted.daemon_json.text, redaction_map


def test_a_text_keeps_its_form(plain: Snapshot) -> None:
    text, redaction_map = of_text(plain, TEXT)
    for gone in ("10.7.", "northwind", "corp", "intern7", "52:54", "2620:fe"):
        assert gone not in text
    for kept in (
        "localhost",
        "docs.docker.com",
        "24.0.7",
        "21:37:02",
        "255.255.255.0",
        "/25",
        ":3128/",
        '"bip"',
    ):
        assert kept in text
    assert redaction_map.revealed(text) == TEXT
    assert len(text.splitlines()) == len(TEXT.splitlines())
    domain = re.search(r"NO_PROXY=localhost,\.(\w+\.de),(\w+)\.(\w+\.de)", text)
    assert domain is not None
    assert domain[1] == domain[3]
    first, last = re.findall(r"--src-range (\S+)-(\S+)", text)[0]
    assert int(ip_address(last)) - int(ip_address(first)) == 4


def test_a_name_that_is_a_common_word_goes_where_it_is_a_name_only(plain: Snapshot) -> None:
    engine = plain.engine
    assert isinstance(engine, Engine)
    assert isinstance(engine.containers, tuple)
    containers = tuple(replace(one, name="docker") for one in engine.containers)
    redacted, _ = redact(replace(plain, engine=replace(engine, containers=containers)), KEY)
    assert '"name":"docker"' not in dump(redacted).decode()
    assert "/etc/docker" in dump(redacted).decode() or "docker.service" in dump(redacted).decode()


def test_a_link_that_a_rule_knows_by_a_wildcard_keeps_its_name(plain: Snapshot) -> None:
    link = replace(plain.network.links[1], name="acme0")  # type: ignore[index]
    other = replace(plain.network.links[1], name="dmz-north")  # type: ignore[index]
    firewall = replace(plain.network.firewall, iptables_legacy="*filter\n[0:0] -A FORWARD -i acme+ -j DROP\n")
    network = replace(plain.network, links=(link, other), firewall=firewall)
    redacted, _ = redact(replace(plain, network=network), KEY)
    assert [one.name for one in redacted.network.links] == ["acme0", "link1"]  # type: ignore[union-attr]
    assert redacted.redaction is not None
    assert any("wildcard" in kept for kept in redacted.redaction.kept)


v4 = st.integers(0, 2**32 - 1).map(ip_address)
v6 = st.integers(0, 2**128 - 1).map(lambda number: ip_address(f"{number >> 112:x}::{number & 0xFFFF:x}"))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.tuples(v4, v4), st.tuples(v6, v6)))
def test_prefixes_and_kinds_of_addresses_are_preserved(pair: tuple) -> None:
    address_map = AddressMap(KEY, ("10.1.2.0/24", "fd00:1::/64"), (("172.16.0.9", "172.31.4.4"),))
    first, second = pair
    new = [address_map.replace(one) for one in pair]
    size = first.max_prefixlen
    shared = size - (int(first) ^ int(second)).bit_length()
    assert size - (int(new[0]) ^ int(new[1])).bit_length() == shared
    assert [one.is_global for one in new] == [one.is_global for one in pair]
    assert [one.is_multicast for one in new] == [one.is_multicast for one in pair]
    assert [address_map.restore(one) for one in new] == list(pair)


@settings(max_examples=300, deadline=None)
@given(v4)
def test_what_a_range_holds_it_still_holds(address: object) -> None:
    limits = [ip_address("172.16.0.9"), ip_address("172.31.4.4")]
    address_map = AddressMap(KEY, (), ((str(limits[0]), str(limits[1])),))
    new = [address_map.replace(one) for one in limits]
    assert (new[0] <= address_map.replace(address) <= new[1]) == (limits[0] <= address <= limits[1])  # type: ignore[arg-type,operator]


def logged(snapshot: Snapshot, text: str) -> str:
    """A line of the kernel's log after the snapshot's redaction."""
    redacted, _ = redact(replace(snapshot, kernel_log=(LogLine(0.0, "kernel", text),)), KEY)
    assert not isinstance(redacted.kernel_log, Unread)
    return redacted.kernel_log[0].text


@pytest.mark.parametrize(
    "domain",
    [
        "acmeco.systems",
        "acmeco.in",
        "acmeco.rs",
        "acmeco.gmbh",
        "acmeco.localdomain",
        "Acmeco.Consulting",
        "acme_co.com",
        "xn--acmeco-3ya.shop",
        "acmeco.xn--p1ai",
        "acmec\u00f6.berlin",
    ],
)
@pytest.mark.parametrize(
    "place",
    ["hostname", "engine", "hosts", "search", "no_proxy", "url", "extra_hosts", "image"],
)
def test_a_domain_is_known_by_its_place_whatever_its_ending(domain: str, place: str) -> None:
    snapshot = load(FOLDER / "plain-trixie.json.gz")
    assert not isinstance(snapshot.engine, Unread)
    assert not isinstance(snapshot.engine.containers, Unread)
    one = snapshot.engine.containers[0]
    changed = {
        "hostname": lambda: replace(snapshot, host=replace(snapshot.host, hostname=f"lab.{domain}")),
        "engine": lambda: replace(snapshot, engine=replace(snapshot.engine, name=f"lab.{domain}")),
        "hosts": lambda: replace(snapshot, hosts_file=TextFile("/etc/hosts", f"10.0.0.9 db.{domain}\n")),
        "search": lambda: replace(snapshot, resolv_conf=TextFile("/etc/resolv.conf", f"search {domain}\n")),
        "no_proxy": lambda: replace(
            snapshot, engine=replace(snapshot.engine, no_proxy=f".{domain},db.{domain}:5432")
        ),
        "url": lambda: replace(
            snapshot, engine=replace(snapshot.engine, http_proxy=f"http://proxy.{domain}:3128")
        ),
        "extra_hosts": lambda: replace(
            snapshot,
            engine=replace(
                snapshot.engine, containers=(replace(one, extra_hosts=(f"db.{domain}:10.0.0.9",)),)
            ),
        ),
        "image": lambda: replace(
            snapshot,
            engine=replace(
                snapshot.engine, containers=(replace(one, image=f"registry.{domain}/team/app:1"),)
            ),
        ),
    }[place]()
    text = f"lookup of mail.{domain} and MAIL.{domain.upper()} failed"
    redacted, names = redact(replace(changed, kernel_log=(LogLine(0.0, "kernel", text),)), KEY)
    label = domain.partition(".")[0]
    assert label.casefold() not in dump(redacted).decode().casefold()
    assert not isinstance(redacted.kernel_log, Unread)
    small, large = redacted.kernel_log[0].text.split()[2:5:2]
    assert small.lower() == large.lower()
    assert f"mail.{domain}".casefold() in names.revealed(redacted.kernel_log[0].text).casefold()


def test_what_hosts_name_themselves_everywhere_stays() -> None:
    snapshot = load(FOLDER / "plain-trixie.json.gz")
    hosts = TextFile("/etc/hosts", "127.0.0.1 localhost localhost.localdomain\n10.0.0.9 db.example.com\n")
    redacted, _ = redact(replace(snapshot, hosts_file=hosts), KEY)
    assert isinstance(redacted.hosts_file, TextFile)
    assert "localhost.localdomain" in redacted.hosts_file.text
    assert "db.example.com" in redacted.hosts_file.text


def test_the_header_of_a_frame_is_two_hardware_addresses() -> None:
    snapshot = load(FOLDER / "plain-trixie.json.gz")
    macs = "52:54:00:12:34:56:08:00:27:aa:bb:cc"
    text = f"[UFW BLOCK] IN=eth0 OUT= MAC={macs}:08:00 SRC=10.1.2.3 then 08:00:27:aa:bb:cc"
    shown = logged(snapshot, text)
    assert "52:54:00" not in shown
    assert "aa:bb:cc" not in shown
    frame = shown.partition("MAC=")[2].split()[0]
    assert frame.endswith(":08:00")
    assert frame[18:35] == shown.split()[-1]
    redacted, names = redact(replace(snapshot, kernel_log=(LogLine(0.0, "kernel", text),)), KEY)
    assert not isinstance(redacted.kernel_log, Unread)
    assert names.revealed(redacted.kernel_log[0].text) == text


@pytest.mark.parametrize(
    "written", ["02:42:AC:11:0A:02", "02-42-ac-11-0a-02", "02-42-AC-11-0A-02", "0242.ac11.0a02"]
)
def test_a_hardware_address_is_the_same_however_it_is_written(plain: Snapshot, written: str) -> None:
    lines = (
        LogLine(0, "kernel", f"from 02:42:ac:11:0a:02 or {written} at 2026.1124.0911 24-11-26-09-11-00"),
    )
    redacted, redaction_map = redact(replace(plain, kernel_log=lines), KEY)
    assert isinstance(redacted.kernel_log, tuple)
    told = redacted.kernel_log[0].text
    first, other = re.findall(r"from (\S+) or (\S+) at 2026\.1124\.0911 24-11-26-09-11-00", told)[0]
    assert first != "02:42:ac:11:0a:02"
    assert re.sub(r"\W", "", other) == first.replace(":", "")
    assert re.sub(r"\w", "", other) == re.sub(r"\w", "", written)
    assert redaction_map.revealed(told).lower() == lines[0].text.lower()


def test_an_ipv4_address_within_an_ipv6_one_is_replaced_as_by_itself() -> None:
    snapshot = load(FOLDER / "plain-trixie.json.gz")
    text = "172.17.0.2 10.20.30.40 ::ffff:172.17.0.2 [::ffff:172.17.0.2]:53 64:ff9b::10.20.30.40"
    redacted, names = redact(replace(snapshot, kernel_log=(LogLine(0.0, "kernel", text),)), KEY)
    assert not isinstance(redacted.kernel_log, Unread)
    shown = redacted.kernel_log[0].text
    first, second = shown.split()[:2]
    assert "172.17.0.2" not in shown
    assert shown.split()[2:] == [f"::ffff:{first}", f"[::ffff:{first}]:53", f"64:ff9b::{second}"]
    assert names.revealed(shown) == text


def of_lines(snapshot: Snapshot, *lines: str) -> tuple[list[str], RedactionMap]:
    log = tuple(LogLine(0.0, "kernel", line) for line in lines)
    hosts = TextFile("/etc/hosts", "10.44.7.9 db7.corp.northwind.de db7 DB7\n")
    redacted, redaction_map = redact(replace(snapshot, kernel_log=log, hosts_file=hosts), KEY)
    assert isinstance(redacted.kernel_log, tuple)
    return [line.text for line in redacted.kernel_log], redaction_map


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("match 0xac110002 at 16", lambda address: f"match 0x{int(address):08x} at 16"),
        ("-m u32 --u32 0x10=0xAC110002", lambda address: f"-m u32 --u32 0x10=0x{int(address):08X}"),
        ("nh,128,32 2886795266", lambda address: f"nh,128,32 {int(address)}"),
        ("to 020011AC:0035", lambda address: f"to {address.packed[::-1].hex().upper()}:0035"),
        ("no 2.0.17.172.in-addr.arpa.", lambda address: f"no {address.reverse_pointer}."),
        ("17.172.IN-ADDR.ARPA", lambda address: f"{address.packed[1]}.{address.packed[0]}.IN-ADDR.ARPA"),
        ("of ip-172-17-0-2", lambda address: f"of ip-{str(address).replace('.', '-')}"),
        ("shop_172_17_0_2_80", lambda address: f"shop_{str(address).replace('.', '_')}_80"),
    ],
)
def test_an_address_is_the_same_in_whatever_form_it_stands(
    plain: Snapshot, written: str, form: object
) -> None:
    (first, told), redaction_map = of_lines(plain, "172.17.0.2", written)
    assert callable(form)
    address = ip_address(first)
    assert str(address) != "172.17.0.2"
    assert told == form(address)
    assert redaction_map.revealed(told) == written
    again = RedactionMap.loads(redaction_map.dumps())
    assert again.revealed(told) == written


@pytest.mark.parametrize(
    "text",
    [
        "mark set 0x10000000 and 0xffff0000 of 0x00000001 at 1764419618",
        "id 0123456789ab br-0123456789ab 24-11-26-09 2026-11-29 v1-2-3-4",
        "0100007F:0016 1.0.0.127.in-addr.arpa 999.0.0.1.in-addr.arpa 127.in-addr.arpa",
    ],
)
def test_what_only_has_the_form_of_an_address_stays(plain: Snapshot, text: str) -> None:
    assert of_lines(plain, text)[0] == [text]


def test_a_subnet_in_hexadecimal_is_still_the_subnet(plain: Snapshot) -> None:
    (masked, ranged, address), _ = of_lines(
        plain, "12&0xFFFFFF00=0x0a2c0700", "12=0x0a2c0705:0x0a2c07f0", "10.44.7.200"
    )
    subnet = int(masked.rpartition("=")[2], 16)
    assert subnet & 0xFF == 0
    assert int(ip_address(address)) & 0xFFFFFF00 == subnet
    low, high = (int(one, 16) for one in ranged.partition("=")[2].split(":"))
    assert low <= int(ip_address(address)) <= high


def test_a_number_in_nft_is_replaced_as_the_address_is(plain: Snapshot) -> None:
    payload = {"payload": {"base": "nh", "offset": 128, "len": 32}}
    match = {"match": {"op": "==", "left": payload, "right": 2886795266}}
    rule = {
        "rule": {
            "family": "ip",
            "table": "t",
            "chain": "c",
            "handle": 1,
            "comment": "0xac110002",
            "expr": [match],
        }
    }
    firewall = replace(plain.network.firewall, nft=json.dumps({"nftables": [rule]}))
    log = (LogLine(0.0, "kernel", "172.17.0.2"),)
    redacted, _ = redact(
        replace(plain, kernel_log=log, network=replace(plain.network, firewall=firewall)), KEY
    )
    assert isinstance(redacted.kernel_log, tuple)
    assert isinstance(redacted.network.firewall.nft, str)
    told = json.loads(redacted.network.firewall.nft)["nftables"][0]["rule"]
    number = int(ip_address(redacted.kernel_log[0].text))
    assert told["expr"][0]["match"]["right"] == number
    assert told["comment"] == f"0x{number:08x}"


def test_a_mark_that_a_policy_rule_asks_for_is_no_address(plain: Snapshot) -> None:
    """0x01000000 is 1.0.0.0 too, beside a resolver 1.0.0.1; a policy rule has its mark as a number, not as text."""
    setting = {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1 << 24}}
    chain = {"family": "inet", "table": "vpn", "name": "pre", "handle": 1}
    base = {"type": "filter", "hook": "prerouting", "prio": -150, "policy": "accept"}
    place = {"family": "inet", "table": "vpn", "chain": "pre", "handle": 2}
    assert isinstance(plain.network.firewall.nft, str)
    assert isinstance(plain.network.rules, tuple)
    assert isinstance(plain.resolv_conf, TextFile)
    nft = json.loads(plain.network.firewall.nft or '{"nftables": []}')
    nft["nftables"] += [
        {"table": {"family": "inet", "name": "vpn", "handle": 90}},
        {"chain": {**chain, **base}},
        {"rule": {**place, "expr": [setting]}},
    ]
    network = replace(
        plain.network,
        firewall=replace(plain.network.firewall, nft=json.dumps(nft)),
        rules=(RoutingRule(4, 50, "prohibit", mark=1 << 24), *plain.network.rules),
    )
    resolvers = replace(plain.resolv_conf, text="nameserver 1.0.0.1\n")
    snapshot = replace(plain, network=network, resolv_conf=resolvers)
    before = judged(snapshot, [])
    assert before.cause is not None
    assert gist(judged(redact(snapshot, KEY)[0], [])) == gist(before)


def test_ip6_arpa_is_the_address_and_its_zone_the_prefix(plain: Snapshot) -> None:
    address = ip_address("fd00:7777::1:0:0:1")
    lines = (str(address), address.reverse_pointer, address.reverse_pointer[48:])
    (first, whole, zone), redaction_map = of_lines(plain, *lines)
    assert whole == ip_address(first).reverse_pointer
    assert zone == whole[48:]
    assert tuple(map(redaction_map.revealed, (first, whole, zone))) == lines


@pytest.mark.parametrize(
    "text",
    [
        "FD00:7777::1",
        "fd00:7777::1%docker0 and [fd00:7777::1%25docker0]:53",
        "0:0:0:0:0:ffff:172.17.0.2",
        "fd00:7777:0:1:0:5efe:172.17.0.2",
        "DB7 Db7 db7 db7.corp.northwind.de",
        "http%3A%2F%2Fdb7.corp.northwind.de%3A80 %2Fdb7 %22db7%22",
        "/var/lib/docker/containers/db7/DB7-json.log com.docker.compose.project=DB7",
        "0242ac110009 0x0242ac110009 02:42:ac:11:00:09",
        "own address fd00:7777::1:2: network six is routed, fd00:7777::1:9:",
        r"-s 's/172\.17\.0\.2/&/; s/172\\.17\\.0\\.0\\/16//'",
    ],
)
def test_nothing_is_told_and_all_of_it_is_revealed(plain: Snapshot, text: str) -> None:
    (told,), redaction_map = of_lines(plain, text)
    for gone in ("db7", "northwind", "7777", "172.17.", "172\\.17", "172\\\\.17", "42ac11", "42:ac"):
        assert gone not in told.lower()
    if text.endswith(":172.17.0.2"):
        ip_address(told)
    assert redaction_map.revealed(told) == text


@pytest.mark.parametrize("piece", ["a", "a-", "a.", "1.", "1-", "a_", "%41", "0x", "ip-1-2-3-4-", "1:"])
def test_a_long_word_takes_no_more_time_than_many_short_ones(plain: Snapshot, piece: str) -> None:
    text = piece * (30_000 // len(piece))
    started = time.process_time()
    of_lines(plain, text)
    assert time.process_time() - started < 10
