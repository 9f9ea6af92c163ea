"""Real inputs, small ones first: from the recorded hosts, and from what engines once answered."""

import json
from functools import cache
from itertools import islice
from typing import Any

from dockerdiag import report_json
from dockerdiag.formatting import RenderOptions
from dockerdiag.last_run import LastRun
from dockerdiag.snapshot import Snapshot
from dockerdiag.snapshot.store import dump, load
from dockerdiag_reports.html import render
from tests.packet.hosts import RULES, snapshot
from tests.readers.fake_engine import RECORDED
from tests.recorded import FOLDER
from tests.reports import samples

_HOSTS = (
    "plain-bookworm",
    "plain-sid",
    "legacy-engine-plain-trixie",
    "firewalld-after-docker-trixie",
    "docker-options-iptables-false-sid",
    "nft-inet-drops-forward-bookworm",
    "beside-kubernetes-trixie",
    "beside-fail2ban-bookworm",
    "drop-in-edited-not-in-force-sid",
    "network-internal-in-use-trixie",
)


@cache
def snapshots() -> tuple[Snapshot, ...]:
    return tuple(load(FOLDER / f"{name}.json.gz") for name in _HOSTS)


@cache
def saves() -> list[bytes]:
    found = [RULES.encode()]
    for one in snapshots():
        rules = one.network.firewall
        for text in (rules.iptables_nft, rules.ip6tables_nft, rules.iptables_legacy):
            if isinstance(text, str) and text:
                # Tables by themselves: small inputs are many a second.
                found += [f"*{table}".encode() for table in text.split("*")[1:] if len(table) < 4000]
    return list(dict.fromkeys(found))


@cache
def listings() -> list[bytes]:
    found = []
    for one in snapshots():
        text = one.network.firewall.nft
        if isinstance(text, str) and text:
            entries = json.loads(text)["nftables"]
            for start in range(0, len(entries), 12):
                part = json.dumps({"nftables": entries[start : start + 12]})
                if len(part) < 6000:
                    found.append(part.encode())
    return list(dict.fromkeys(found))


@cache
def one_save() -> str:
    text = snapshots()[0].network.firewall.iptables_nft
    assert isinstance(text, str)
    return text


@cache
def one_listing() -> str:
    text = snapshots()[0].network.firewall.nft
    assert isinstance(text, str)
    return text


def _small() -> Snapshot:
    return snapshot()


@cache
def stored() -> list[bytes]:
    return [dump(_small()), *(dump(one) for one in islice(snapshots(), 2))]


@cache
def _reports() -> tuple[Any, ...]:
    return tuple(one for one in vars(samples).values() if type(one).__name__ == "Report")


def reports() -> list[bytes]:
    return sorted((report_json.dumps(one, indent=None).encode() for one in _reports()), key=len)[:6]


@cache
def pages() -> list[bytes]:
    return sorted((render(one, RenderOptions()).encode() for one in _reports()), key=len)[:2]


def states() -> list[bytes]:
    return [LastRun(one, None).dump() for one in _reports()[:2]] + [LastRun(_reports()[0], _small()).dump()]


def answers() -> list[bytes]:
    found = []
    for path in sorted(RECORDED.glob("*.json")):
        told = json.loads(path.read_text())
        found += [json.dumps(one).encode() for one in (*told["networks"], *told["inspect"].values())]
    return found


def environment() -> list[bytes]:
    return [b"DOCKER_OPTS=\"--iptables=false\"\nHTTP_PROXY='http://u:p@proxy:3128' # no\nA=\\\nb\n"]


def resolv_conf() -> list[bytes]:
    return [
        b"nameserver 127.0.0.11\nsearch lan\noptions edns0 ndots:0\n# ExtServers: [host(10.0.0.1) fd00::1]\n",
        b"nameserver fe80::1%eth0\nnameserver 8.8.8.8\n",
    ]


def daemon_json() -> list[bytes]:
    return [
        b'{"iptables": false, "dns": ["1.1.1.1"], "bip": "10.1.0.1/24", "mtu": 1400}',
        b'{"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}], "proxies": {"http-proxy": "http://a:b@c"}}',
    ]


def flags() -> list[bytes]:
    return [b"-H\nfd://\n--iptables=false\n--dns\n1.1.1.1\n--mtu=0x10\n-D\n--bip=10.0.0.1/24"]


def destinations() -> list[bytes]:
    return [b"192.0.2.7:5432/tcp", b"[fd00::1]:53/udp", b"web0:80", b"::1", b"host/icmp"]


def ipsets() -> list[bytes]:
    return [
        b"blocked hash:net\n10.0.0.0/8\n192.0.2.0/24 timeout 30\n198.51.100.1 nomatch",
        b"ports hash:ip,port\n10.0.0.1,tcp:80\n10.0.0.2,udp:53",
        b"macs hash:mac\n02:42:AC:11:00:02",
        b"links hash:net,iface\n10.0.0.0/8,eth0",
    ]


def configurations() -> list[bytes]:
    return [
        (
            b'[[expected]]\ncode = "network-unmasqueraded"\nsubject = "network:dmz-*"\n'
            b'reason = "the core router knows the way"\nuntil = 2027-06-30\n'
        )
    ]


def journal() -> list[bytes]:
    return [
        (
            b'{"MESSAGE":"failed to start daemon","_TRANSPORT":"stdout","UNIT":"docker.service",'
            b'"__REALTIME_TIMESTAMP":"1700000000000000"}\n'
            b'{"MESSAGE":[255,254,65],"_TRANSPORT":"kernel","__REALTIME_TIMESTAMP":"1700000000000001"}\n'
        )
    ]


def manager() -> list[bytes]:
    return [
        (
            b"LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNeedDaemonReload=no\nMainPID=123\n"
            b"ActiveEnterTimestamp=Mon 2026-11-23 20:42:59 UTC\n"
            b"ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// }\nEnvironment=HTTP_PROXY=http://p:1\n"
        )
    ]


def secrets() -> list[bytes]:
    return [
        b"HTTP_PROXY=http://user:secret@proxy:3128/ --password hunter2 token: abc",
        b'{"auths": {"registry": {"auth": "dXNlcjpzZWNyZXQ="}}, "http-proxy": "http://a:b@c"}',
        b"Environment=\"API_KEY='a b'\" 'PASSWORD=x y' //user:pw@host",
    ]
