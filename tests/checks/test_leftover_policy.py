"""An engine with the nftables backend on a host where an earlier one left the iptables policy DROP."""

import json
from typing import Any

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import Engine, Firewall
from tests.checks.hosts import Change, cause_of, daemon_json, engine, host, judged, network

FAMILY, TABLE = "ip", "docker-bridges"
LEFTOVER = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {} [9:540]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n[9:540] -A FORWARD -j DOCKER-USER\nCOMMIT\n"


def _chain(name: str, kind: str, hook: str, priority: int) -> dict[str, Any]:
    place = {"family": FAMILY, "table": TABLE, "name": name, "handle": 1}
    return {"chain": {**place, "type": kind, "hook": hook, "prio": priority, "policy": "accept"}}


def _native() -> str:
    masquerade = [
        {"match": {"op": "!=", "left": {"meta": {"key": "oifname"}}, "right": "docker0"}},
        {
            "match": {
                "op": "==",
                "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                "right": {"prefix": {"addr": "172.17.0.0", "len": 16}},
            }
        },
        {"masquerade": None},
    ]
    rule = {"family": FAMILY, "table": TABLE, "chain": "nat-POSTROUTING", "handle": 9, "expr": masquerade}
    listing = [
        {"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
        {"table": {"family": FAMILY, "name": TABLE, "handle": 1}},
        _chain("filter-FORWARD", "filter", "forward", 0),
        _chain("nat-POSTROUTING", "nat", "postrouting", 100),
        {"rule": rule},
    ]
    return json.dumps({"nftables": listing})


def native(policy: str) -> tuple[Change, ...]:
    firewall = Firewall(nft=_native(), iptables_legacy=LEFTOVER.format(policy))
    backend = daemon_json('{"firewall-backend": "nftables"}')
    return engine(firewall_driver="nftables", version="29.7.2"), network(firewall=firewall), backend


def test_a_policy_that_an_earlier_engine_left() -> None:
    report = judged(*native("DROP"))
    assert cause_of(report) == ("forward-policy", "leftover-forward-drop", "network:bridge")
    assert report.cause is not None
    assert report.cause.status is Status.FAIL
    assert report.cause.remedies[0].now[0] == "iptables-legacy -A FORWARD -i docker0 -o eth0 -j ACCEPT"
    assert report.cause.remedies[1].now == ("iptables-legacy -P FORWARD ACCEPT",)


def test_without_it_the_native_rules_are_enough() -> None:
    assert isinstance(host(*native("ACCEPT")).engine, Engine)
    report = judged(*native("ACCEPT"))
    # Nothing turns forwarding on at the next boot with this backend: that alone is told.
    assert report.verdict is Verdict.DEGRADED
    assert cause_of(report)[:2] == ("ip-forwarding", "ip-forward-not-persisted")
