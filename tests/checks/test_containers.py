"""What no lab host shows of single containers: engines and settings in between."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dockerdiag.report import Status, Verdict
from dockerdiag.snapshot import (
    ClientProxies,
    Container,
    Endpoint,
    Engine,
    Firewall,
    Listener,
    Network,
    Snapshot,
    Unread,
)
from tests.checks.hosts import (
    Change,
    cause_of,
    container_namespace,
    engine,
    environment,
    first_in,
    judged,
    network,
    told,
)

LOOPBACK = "http://127.0.0.1:3128"
STALE = "shared-namespace-owner-restarted-trixie"
STOPPED = "shared-namespace-owner-stopped-trixie"
GONE = "shared-namespace-owner-gone-trixie"
UNTRANSLATED = "default-route-by-untranslated-network"
TWINS = "two-containers-of-one-mac-address-trixie"


def containers(change: Callable[[Container], Container]) -> Change:
    """Changes each container."""

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.containers, tuple)
        return engine(containers=tuple(map(change, snapshot.engine.containers)))(snapshot)

    return changed


def proxied(*hosts: str, **more: str) -> Change:
    values = {name: hosts[0] for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY") if hosts}
    return containers(lambda one: replace(one, proxies={**values, **more}))


# -- proxies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        LOOPBACK,
        "127.0.0.1:3128",
        "http://127.9.9.9:3128/",
        "http://localhost:3128",
        "socks5h://[::1]",
        "http://0.0.0.0:3128",
        "http://***:***@127.0.0.1:3128",
    ],
)
def test_a_proxy_on_the_containers_own_loopback(url: str) -> None:
    report = judged(proxied(url))
    assert cause_of(report) == ("container-proxies", "container-proxy-loopback", "container:web")
    assert report.verdict is Verdict.DEGRADED


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7:3128", "http://proxy.example:3128", "http://[", "", "http://:x"]
)
def test_a_proxy_that_may_well_work(url: str) -> None:
    assert judged(proxied(url)).verdict is Verdict.OK


def test_no_proxy_for_any_host() -> None:
    assert judged(proxied(LOOPBACK, no_proxy="*")).verdict is Verdict.OK


def test_an_extra_host_is_where_it_leads() -> None:
    def named(one: Container) -> Container:
        return replace(one, extra_hosts=("host.docker.internal:host-gateway",))

    report = judged(proxied("http://host.docker.internal:3128"), containers(named))
    assert cause_of(report)[1] == "container-proxy-dead"
    assert report.cause is not None
    assert "nothing listens on 172.17.0.1:3128" in report.cause.evidence[1].text


def test_what_stops_everything_is_not_told_of_the_proxy_too() -> None:
    report = judged(first_in("FORWARD", "-j DROP"), proxied("http://192.0.2.7:3128"))
    assert cause_of(report)[0] == "forward-policy"
    assert "container-proxy-unreachable" not in told(report)


def test_a_rule_against_the_proxy_alone() -> None:
    report = judged(
        first_in("FORWARD", "-p tcp -m tcp --dport 3128 -j DROP"), proxied("http://192.0.2.7:3128")
    )
    assert cause_of(report)[1] == "container-proxy-unreachable"
    assert report.cause is not None
    assert report.cause.remedies[0].now[0].startswith("iptables-legacy -I FORWARD 1 ")


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({"HTTP_PROXY": "http://192.0.2.7:1"}, "none for https"),
        ({"https_proxy": "http://192.0.2.7:1"}, "HTTPS_PROXY is not"),
        ({"all_proxy": "http://192.0.2.7:1", "ALL_PROXY": "http://192.0.2.8:1"}, "differ"),
    ],
)
def test_variables_that_not_every_program_reads_are_noted(variables: dict[str, str], word: str) -> None:
    report = judged(proxied(**variables))
    assert report.verdict is Verdict.OK
    assert word in told(report, Status.NOTE)["container-proxy-partial"].summary


def test_the_engines_proxy_is_noted_where_containers_get_nowhere() -> None:
    through = environment(HTTPS_PROXY="http://192.0.2.7:3128"), engine(https_proxy="http://192.0.2.7:3128")
    assert "container-proxy-absent" not in told(judged(*through), Status.NOTE)
    report = judged(*through, first_in("FORWARD", "-j DROP"))
    assert "container-proxy-absent" in told(report, Status.NOTE)
    assert cause_of(report)[0] == "forward-policy"


def test_the_host_is_opened_at_the_proxys_port_alone() -> None:
    report = judged(recorded="container-proxy-shut-out-by-input-trixie")
    assert report.cause is not None
    remedy = report.cause.remedies[0]
    spec = "-i docker0 -s 172.17.0.0/16 -p tcp -m tcp --dport 3128 -j ACCEPT"
    assert remedy.now == (f"iptables-nft -I INPUT 1 {spec}",)
    assert remedy.undo[0] == f"iptables-nft -D INPUT {spec}"
    assert "at port 3128/tcp, and opens nothing else" in remedy.risk


# -- a shared namespace ------------------------------------------------------------------------------------------


def test_who_is_left_behind_is_told_once() -> None:
    report = judged(recorded=STALE)
    found = told(report)["shared-namespace-stale"]
    assert found.remedies[0].now == ("docker restart web",)
    assert report.cause is not None
    assert "path-no-route container:web" in report.cause.explains


def test_an_owner_that_was_stopped_is_started_first() -> None:
    report = judged(recorded=STOPPED)
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("docker start vpn", "docker restart web")
    assert report.cause.remedies[0].undo == ("docker stop vpn",)


def test_an_owner_that_keeps_ending_is_looked_at() -> None:
    def ending(one: Container) -> Container:
        return replace(one, state="restarting") if one.name == "vpn" else one

    report = judged(containers(ending), recorded=STOPPED)
    assert report.cause is not None
    assert report.cause.remedies[0].now == ()
    assert report.cause.remedies[0].verify[0] == "docker logs --tail 20 vpn"


def test_who_named_a_container_that_is_gone_is_made_anew() -> None:
    def composed(one: Container) -> Container:
        return replace(one, compose_project="media", compose_service="client")

    report = judged(containers(composed), recorded=GONE)
    assert report.cause is not None
    assert "docker compose up -d --force-recreate client" in report.cause.remedies[0].summary


def test_namespaces_that_only_root_sees_are_unknown() -> None:
    def unseen(one: Container) -> Container:
        return replace(one, namespace=f"/proc/{one.pid}/ns/net")

    def unread(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.containers, tuple)
        keys = [one.namespace for one in snapshot.engine.containers if one.namespace is not None]
        return replace(snapshot, namespaces={key: Unread("permission denied") for key in keys})

    report = judged(containers(unseen), unread, recorded=STALE)
    assert report.verdict is Verdict.UNKNOWN
    assert "shared-namespace-unknown" in told(report)


# -- several networks --------------------------------------------------------------------------------------------


def test_an_engine_with_priorities_gets_one() -> None:
    report = judged(recorded=f"{UNTRANSLATED}-sid")
    assert report.cause is not None
    assert report.cause.remedies[0].now == (
        "docker network disconnect mesh web",
        "docker network connect --gw-priority 1 mesh web",
    )
    assert "network-masquerade-off network:attic" in report.cause.explains


def test_an_engine_without_priorities_leaves_the_network() -> None:
    report = judged(recorded=f"{UNTRANSLATED}-trixie")
    assert report.cause is not None
    assert report.cause.remedies[0].now == ("docker network disconnect attic web",)


def test_a_network_that_is_left_is_joined_again_with_its_priority() -> None:
    def preferred(one: Container) -> Container:
        ends = (replace(end, gateway_priority=7 * (end.network == "attic")) for end in one.endpoints)
        return replace(one, endpoints=tuple(ends))

    report = judged(containers(preferred), recorded=f"{UNTRANSLATED}-sid")
    assert report.cause is not None
    assert report.cause.remedies[1].now == ("docker network disconnect attic web",)
    assert report.cause.remedies[1].undo == ("docker network connect --gw-priority 7 attic web",)


def test_who_is_asked_about_fails() -> None:
    assert judged(recorded=f"{UNTRANSLATED}-trixie", containers=("web",)).verdict is Verdict.BROKEN


def test_a_network_that_leads_nowhere_either_is_not_offered() -> None:
    def internal(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.networks, tuple)
        networks = tuple(
            replace(one, internal=True) if one.name == "mesh" else one for one in snapshot.engine.networks
        )
        return engine(networks=networks)(snapshot)

    report = judged(internal, recorded=f"{UNTRANSLATED}-trixie")
    assert "default-gateway-network" not in told(report)
    assert "network-masquerade-off" in told(report)


# -- addresses that are there twice ------------------------------------------------------------------------------


def test_one_mac_address_twice() -> None:
    assert cause_of(judged(recorded=TWINS)) == (
        "duplicate-address",
        "duplicate-mac-address",
        "network:bridge",
    )


def test_ipvlan_shares_its_parents_mac_address() -> None:
    def as_ipvlan(one: Network) -> Network:
        return replace(one, driver="ipvlan")

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.networks, tuple)
        return engine(networks=tuple(map(as_ipvlan, snapshot.engine.networks)))(snapshot)

    assert "duplicate-mac-address" not in told(judged(changed, recorded=TWINS))


def test_one_address_twice_on_one_network() -> None:
    def same(one: Container) -> Container:
        ends: tuple[Endpoint, ...] = tuple(
            replace(end, address="172.17.0.9", mac=f"02:{one.id[:2]}") for end in one.endpoints
        )
        return replace(one, endpoints=ends)

    assert "duplicate-ip-address" in told(judged(containers(same), recorded=TWINS))


def test_no_container_can_be_judged_where_listeners_are_unread() -> None:
    report = judged(network(listeners=Unread("timed out")), proxied("http://172.17.0.1:3128"))
    assert "container-proxy-unknown" in told(report)


def test_a_proxy_that_the_containers_own_firewall_shuts_out_is_let_pass_there() -> None:
    shut = "*filter\n:OUTPUT ACCEPT [0:0]\n[0:0] -A OUTPUT -p tcp -m tcp --dport 3128 -j DROP\nCOMMIT\n"
    own = container_namespace(
        lambda namespace: replace(namespace, firewall=Firewall(nft="", iptables_legacy=shut))
    )
    found = told(judged(own, proxied("http://192.0.2.7:3128")))["container-proxy-unreachable"]
    opened, again = found.remedies
    assert all(line.startswith("nsenter ") for line in (*opened.now, *opened.undo))
    assert "-I OUTPUT 1 " in opened.now[0]
    assert again.now == ("docker restart web",)


# -- what docker's client gives to new containers ---------------------------------------------------------------


def client(endpoint: str = "default", **proxies: str) -> Change:
    given = ClientProxies("/root/.docker/config.json", endpoint, proxies)
    return lambda snapshot: replace(snapshot, client_proxies=(given,))


def test_a_clients_proxy_on_loopback_is_the_cause_of_its_containers() -> None:
    report = judged(proxied(LOOPBACK), client(http_proxy=LOOPBACK))
    assert cause_of(report) == (
        "container-proxies",
        "client-proxy-loopback",
        "file:/root/.docker/config.json",
    )
    assert report.cause is not None
    assert report.cause.explains == ("container-proxy-loopback container:web",)
    assert [piece.source for piece in report.cause.evidence] == [
        "/root/.docker/config.json: proxies.default.httpProxy"
    ]


@pytest.mark.parametrize(
    ("url", "port", "corrected"),
    [
        (LOOPBACK, 3128, "http://172.17.0.1:3128"),
        ("LOCALHOST:3128", 3128, "172.17.0.1:3128"),
        ("http://user:word@localhost:3128/", 3128, "http://user:word@172.17.0.1:3128/"),
        ("http://[::1]:3128", 3128, "http://172.17.0.1:3128"),
        ("http://localhost", 80, "http://172.17.0.1:80"),
        ("http://localhost:31280", 31280, "http://172.17.0.1:31280"),
    ],
)
def test_a_clients_proxy_is_named_by_the_bridge_however_it_is_written(
    tmp_path: Path, url: str, port: int, corrected: str
) -> None:
    listening = network(listeners=(Listener("tcp", "0.0.0.0", port),))
    report = judged(listening, client(http_proxy=url.replace("user:word", "***:***")))
    first, other = told(report)["client-proxy-loopback"].remedies
    file = tmp_path / "config.json"
    entry = {"httpProxy": url, "noProxy": "localhost,127.0.0.1:3128,[::1]"}
    before = {"auths": {}, "proxies": {"default": entry}}

    def run(lines: tuple[str, ...]) -> None:
        for line in lines:
            text = line.replace("/root/.docker/config.json", str(file))
            subprocess.run(("sh", "-c", text), check=True)

    file.write_text(json.dumps(before))
    run((*first.now, first.verify[0]))
    assert json.loads(file.read_text())["proxies"]["default"] == entry | {"httpProxy": corrected}
    run(first.undo)
    assert json.loads(file.read_text()) == before
    run(other.now)
    assert json.loads(file.read_text()) == {"auths": {}, "proxies": {}}
    run(other.undo)
    assert json.loads(file.read_text()) == before


def test_a_clients_proxy_that_one_container_gets_to_is_a_note() -> None:
    recorded = "container-proxy-of-a-host-network-trixie"
    report = judged(client(http_proxy=LOOPBACK), recorded=recorded)
    assert report.verdict is Verdict.OK
    assert "client-proxy-loopback" in told(report, Status.NOTE)


@pytest.mark.parametrize(
    "given",
    [
        client(http_proxy="http://192.0.2.7:3128"),
        client(http_proxy="http://proxy.example:3128"),
        client(http_proxy=LOOPBACK, no_proxy="*"),
        client("tcp://far.example:2376", http_proxy=LOOPBACK),
        client(no_proxy="localhost"),
        lambda snapshot: replace(snapshot, client_proxies=Unread("permission denied")),
    ],
)
def test_a_clients_proxies_that_hurt_nothing_here(given: Change) -> None:
    assert judged(given).verdict is Verdict.OK


def test_an_engines_own_entry_goes_before_the_default() -> None:
    both = (
        ClientProxies("/root/.docker/config.json", "default", {"http_proxy": LOOPBACK}),
        ClientProxies("/root/.docker/config.json", "unix:///var/run/docker.sock", {}),
    )
    assert judged(lambda snapshot: replace(snapshot, client_proxies=both)).verdict is Verdict.OK


def test_dockers_name_for_the_host_is_known_by_extra_hosts_alone() -> None:
    named = "http://host.docker.internal:3128"
    report = judged(proxied(named))
    assert report.verdict is Verdict.OK
    assert "container-proxy-name" in told(report, Status.NOTE)
    given = containers(lambda one: replace(one, extra_hosts=("host.docker.internal:192.0.2.7",)))
    assert "container-proxy-name" not in told(judged(proxied(named), given), Status.NOTE)
