from dataclasses import replace
from functools import partial

from dockerdiag.asked import Asked
from dockerdiag.case import Case
from dockerdiag.diagnosis import diagnose
from dockerdiag.registry import Check
from dockerdiag.report import Status
from dockerdiag.snapshot import Container, Engine, Snapshot, TextFile
from tests.checks.hosts import Change, engine, first_in, host, network, rules, without_rules

DROPPED = first_in("FORWARD", "-i docker0 -j DROP")


def case_of(*changes: Change, containers: tuple[str, ...] = ()) -> Case:
    """The case as a check gets it."""
    seen: list[Case] = []

    def look(case: Case) -> tuple[()]:
        seen.append(case)
        return ()

    diagnose(host(*changes), Asked.parse(containers=containers), [Check("look", "", "", 0, (), look, "")])
    return seen[0]


def nobody_runs(snapshot: Snapshot) -> Snapshot:
    assert isinstance(snapshot.engine, Engine)
    assert isinstance(snapshot.engine.containers, tuple)
    stopped = tuple(
        replace(one, state="exited", pid=None, namespace=None) for one in snapshot.engine.containers
    )
    return replace(engine(containers=stopped)(snapshot), namespaces={})


def resolvers(*addresses: str) -> Change:
    """Gives the container these servers."""
    text = "".join(f"nameserver {address}\n" for address in addresses)

    def of(container: Container) -> Container:
        return replace(container, resolv_conf=TextFile("/etc/resolv.conf", text))

    def changed(snapshot: Snapshot) -> Snapshot:
        assert isinstance(snapshot.engine, Engine)
        assert isinstance(snapshot.engine.containers, tuple)
        return engine(containers=tuple(map(of, snapshot.engine.containers)))(snapshot)

    return changed


def everything(_: object) -> bool:
    return True


def test_the_same_rule_on_two_walks_is_one_hit() -> None:
    case = case_of(DROPPED)
    (hit,) = case.hits(everything)
    assert (hit.containers, hit.networks, hit.place, hit.count) == (("web",), ("bridge",), 0, 1)
    assert len(hit.traced) == len(hit.halts) == 2
    assert hit.directions == ("out",)
    assert case.severity(hit) is Status.FAIL
    assert case.subject(hit) == "network:bridge"


def test_first_places_come_first() -> None:
    case = case_of(DROPPED, first_in("nat:POSTROUTING", "-s 172.17.0.0/16 -j ACCEPT"))
    assert [(hit.halt.kind, hit.place) for hit in case.hits(everything)] == [("rule", 0), ("unanswered", 1)]


def test_what_would_hit_a_container_that_does_not_run_is_a_warning() -> None:
    case = case_of(DROPPED, nobody_runs)
    (hit,) = case.hits(everything)
    assert hit.hypothetical
    assert case.severity(hit) is Status.WARN


def test_one_resolver_of_several_is_a_warning_and_the_last_is_not() -> None:
    lost = first_in("FORWARD", "-d 10.9.9.9/32 -j DROP")
    spare = case_of(lost, resolvers("10.9.9.9", "203.0.113.10"))
    assert [spare.severity(hit) for hit in spare.hits(everything)] == [Status.NOTE]
    only = case_of(lost, resolvers("10.9.9.9"))
    assert [only.severity(hit) for hit in only.hits(everything)] == [Status.FAIL]


def test_what_only_may_stop_a_packet_that_is_stopped_anyway_is_left_for_later() -> None:
    case = case_of(DROPPED, first_in("FORWARD", "-m nosuchmatch --x 1 -o docker0 -j DROP"))
    assert [hit.halt.certain for hit in case.hits(everything)] == [True]


def test_the_variant_that_the_engine_writes_to() -> None:
    assert case_of().backend() == "iptables-legacy"
    assert case_of(without_rules).backend() == "iptables-nft"
    assert case_of(engine(firewall_driver="nftables")).backend() == "nft"


def test_the_engines_rules_are_known_by_a_chain_that_it_deletes() -> None:
    assert case_of().has_docker_rules()
    assert not case_of(rules(":DOCKER - [0:0]\n", "")).has_docker_rules()


def test_an_engine_elsewhere_is_not_walked() -> None:
    for elsewhere in (engine(local=False), engine(rootless=True)):
        case = case_of(elsewhere)
        assert case.engine_elsewhere() is not None
        assert case.traced == ()


def test_who_is_asked_about() -> None:
    case = case_of(containers=("web",))
    assert case.asked_about(["web", "other"])
    assert not case.asked_about(["other"])


def test_a_networks_part_of_a_hit() -> None:
    (hit,) = case_of(DROPPED).hits(everything)
    assert hit.of_network("bridge") is hit
    assert hit.of_network("another") is hit


def test_missing_rules_are_what_the_engine_makes() -> None:
    missing = partial(case_of, rules(":FORWARD ACCEPT", ":FORWARD DROP"))
    assert missing().missing_rules() == ()
    assert [hit.halt.kind for hit in case_of(without_rules).missing_rules()] == ["unanswered"]
    assert case_of(DROPPED).missing_rules() == ()
    assert case_of(network()).missing_rules() == ()
