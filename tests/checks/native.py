"""The host made by hand whose engine has its rules in nftables."""

import json
from typing import Any

from dockerdiag.snapshot import Firewall, Snapshot
from tests.checks.hosts import daemon_json, engine, network

TABLE = "docker-bridges"
LEFTOVER = (
    "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {policy} [9:540]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n"
    ":ufw-user-forward - [0:0]\n[9:540] -A FORWARD -j DOCKER-USER\n{more}COMMIT\n"
)
Json = dict[str, Any]


def _is(protocol: str, field: str, right: object) -> Json:
    left = {"payload": {"protocol": protocol, "field": field}}
    return {"match": {"op": "==", "left": left, "right": right}}


def _not_by(key: str, link: str) -> Json:
    return {"match": {"op": "!=", "left": {"meta": {"key": key}}, "right": link}}


MASQUERADE = [
    _not_by("oifname", "docker0"),
    _is("ip", "saddr", {"prefix": {"addr": "172.17.0.0", "len": 16}}),
    {"masquerade": None},
]


def direct_access(packets: int) -> list[Json]:
    """The engine's rule against packets that come straight to the container, after it has met some."""
    counter = {"counter": {"packets": packets, "bytes": 60 * packets}}
    return [_is("ip", "daddr", "172.17.0.2"), _not_by("iifname", "docker0"), counter, {"drop": None}]


def listing(
    family: str = "ip", masquerade: list[Json] | None = MASQUERADE, raw: list[Json] | None = None
) -> str:
    """The engine's table as nft prints it, as far as a container's way out needs it."""
    in_table = {"family": family, "table": TABLE}
    bases = (
        ("filter-FORWARD", "filter", "forward", 0, None),
        ("nat-POSTROUTING", "nat", "postrouting", 100, masquerade),
        ("raw-PREROUTING", "filter", "prerouting", -300, raw),
    )
    items: list[Json] = [
        {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
        {"table": {"family": family, "name": TABLE, "handle": 1}},
    ]
    for name, kind, hook, priority, rule in bases:
        hooking = {"type": kind, "hook": hook, "prio": priority, "policy": "accept"}
        items.append({"chain": {**in_table, "name": name, "handle": 1, **hooking}})
        if rule is not None:
            items.append({"rule": {**in_table, "chain": name, "handle": 9, "expr": rule}})
    return json.dumps({"nftables": items})


def with_nftables(
    snapshot: Snapshot, rules: str | None = None, policy: str = "ACCEPT", more: str = ""
) -> Snapshot:
    """An engine 29 with these rules, beside what iptables' FORWARD has: its policy, and more rules."""
    firewall = Firewall(
        nft=listing() if rules is None else rules,
        iptables_legacy=LEFTOVER.format(policy=policy, more=more),
    )
    for change in (
        engine(firewall_driver="nftables", version="29.7.2"),
        network(firewall=firewall),
        daemon_json('{"firewall-backend": "nftables"}'),
    ):
        snapshot = change(snapshot)
    return snapshot
