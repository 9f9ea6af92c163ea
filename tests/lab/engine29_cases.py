"""Hosts with engine 29 by its stand-in: one for each page of its rules, and the faults that are made of a healthy one."""

from dataclasses import dataclass, replace

from tests.lab.engine29 import BACKENDS, Rules
from tests.lab.scenario import (
    DAEMON_JSON,
    RESTART,
    SERVES,
    Cause,
    Container,
    Fault,
    Hit,
    Lines,
    Scenario,
    Traffic,
    write,
)
from tests.lab.wires import DEFAULT_TARGET, DEFAULT_TARGET6, HOST_ADDRESS, HOST_ADDRESS6


@dataclass(frozen=True)
class Page:
    """A host as the engine sets it up, and the rules that it has then."""

    rules: Rules
    setup: Lines
    containers: tuple[Container, ...]
    undo: Lines = ()
    """What takes the setup back, beyond its containers and networks."""
    routed: str = ""
    """A subnet that the next router sends here, as it must where nothing is translated."""


@dataclass(frozen=True)
class Case:
    """One scenario on such a host. Its `mend` brings back what rules that are loaded anew do not."""

    page: Page
    scenario: Scenario
    backends: tuple[str, ...] = BACKENDS
    always: bool = False
    """Whether each run has it; the others are for DOCKERDIAG_LAB_MATRIX."""


_INTERNET = (Traffic(DEFAULT_TARGET, 443),)
_PUBLISHED = (Traffic(HOST_ADDRESS, 8080),)
_BRIDGE = "--opt com.docker.network.bridge"
_WEB = Container(traffic=_INTERNET)


def _network(options: str = "") -> Lines:
    named = f"{_BRIDGE}.name=bridge1 --subnet 192.0.2.0/24 --gateway 192.0.2.1 bridge1"
    return (f"docker network create {options} {named}",)


def _and_c1(publish: str = "8080:80", asked: tuple[Traffic, ...] = _PUBLISHED) -> tuple[Container, ...]:
    c1 = Container("c1", "bridge1", f"--publish {publish}", command=SERVES, traffic=_INTERNET, asked=asked)
    return _WEB, c1


def _tested(masquerades: str, versions: tuple[int, ...], options: str, container: Container) -> Page:
    """A page of the bridge driver's tests: one network alone."""
    page = f"hairpin=false,internal=false,icc=true,masq={masquerades},snat=false,gwm=nat,bindlh=false"
    named = f"{_BRIDGE}.name=br-dummy --subnet 192.168.0.0/24 --gateway 192.168.0.1 bridge1"
    return Page(Rules(page, versions), (f"docker network create {options} {named}",), (container,))


PLAIN = Page(Rules("usernet-portmap"), _network(), _and_c1())
_SIX = _tested(
    "true",
    (4, 6),
    "--ipv6 --subnet fd49:efd7:54aa::/64 --gateway fd49:efd7:54aa::ff",
    replace(
        PLAIN.containers[1],
        options="--publish 8080:80 --ip6 fd49:efd7:54aa::1",
        traffic=(*_INTERNET, Traffic(DEFAULT_TARGET6, 443)),
        asked=(*_PUBLISHED, Traffic(HOST_ADDRESS6, 8080)),
    ),
)
_MASQUERADE_OPTION = f"{_BRIDGE.partition(' ')[2]}.enable_ip_masquerade"
_UNMASQUERADED = _tested("false", (4,), f"--opt {_MASQUERADE_OPTION}=false", PLAIN.containers[1])
_INNER = "docker network create --internal"
_INTERNAL = Page(
    Rules("usernet-internal"),
    (
        f"{_INNER} {_BRIDGE}.name=bridgeICC --subnet 192.0.2.0/24 icc",
        f"{_INNER} {_BRIDGE}.name=bridgeNoICC --subnet 192.168.51.0/24 {_BRIDGE}.enable_icc=false no-icc",
    ),
    (
        _WEB,
        Container("inner", "icc", traffic=(), peers=(Traffic("192.0.2.3", 80),)),
        Container("other", "icc", "--ip 192.0.2.3", command=SERVES, traffic=()),
        Container("alone", "no-icc", traffic=()),
    ),
)
_ROUTED = Page(
    Rules("usernet-portmap-routed"),
    _network(f"{_BRIDGE}.gateway_mode_ipv4=routed"),
    _and_c1("80", (Traffic("192.0.2.2", 80),)),
    routed="192.0.2.0/24",
)
_WITHOUT_PROXY = Page(
    Rules("usernet-portmap-noproxy"),
    (write(DAEMON_JSON, '{"userland-proxy": false}'), RESTART, *_network()),
    _and_c1(),
    undo=(f"rm {DAEMON_JSON}", RESTART),
)


def _healthy(name: str, page: Page, *, always: bool = False) -> Case:
    return Case(page, Scenario(name=name, containers=page.containers), always=always)


def _fault(
    name: str,
    backend: str,
    cause: Cause,
    *break_: str,
    mend: Lines = (),
    spares: tuple[str, ...] = (),
    closed: bool = False,
    always: bool = False,
) -> Case:
    """Stops the way out of all containers but those that it spares; `closed`: that to published ports too."""
    containers = tuple(
        replace(one, hit=one.name not in spares, asked=() if closed else one.asked)
        for one in PLAIN.containers
    )
    fault = Fault(name=name, cause=cause, break_=break_, mend=mend, containers=containers)
    return Case(PLAIN, fault, (backend,), always=always)


def _port_closed(backend: str, *break_: str, evidence: str) -> Case:
    cause = Cause("published-ports", "container:c1", (evidence,))
    containers = PLAIN.containers
    fault = Fault(
        name="a published port's accept deleted",
        hits=Hit.PUBLISHED,
        cause=cause,
        break_=break_,
        containers=containers,
    )
    return Case(PLAIN, fault, (backend,), always=True)


def _chain(chain: str, hook: str, priority: str, policy: str = "accept") -> Lines:
    """A base chain in a table of somebody's own."""
    described = f"{{ type filter hook {hook} priority {priority}; policy {policy}; }}"
    return "nft add table inet guard", f"nft add chain inet guard {chain} '{described}'"


def _deleted(chain: str, rule: str) -> str:
    listing = f"nft -a list chain ip docker-bridges {chain}"
    handle = f"{listing} | sed -n 's/.*{rule}.*handle //p'"
    return f"nft delete rule ip docker-bridges {chain} handle $({handle})"


_BRIDGE0 = "network:bridge"
_MASQUERADE = Cause("masquerade", _BRIDGE0, ("172.17.0.0/16",))
_FORWARDING = Cause("ip-forwarding", "host:*", ("net.ipv4.ip_forward",))
_TURNED_OFF, _TURNED_ON = (f"sysctl -qw net.ipv4.ip_forward={value}" for value in (0, 1))
_NATIVE_GONE = Cause("iptables-flag", "engine:*", ("table ip docker-bridges",))
_OUT_CHAIN, _IN_CHAIN = "filter-forward-out__docker0", "filter-forward-in__docker0"

_NATIVE = (
    _fault(
        "a network's masquerade rule flushed",
        "nftables",
        _MASQUERADE,
        "nft flush chain ip docker-bridges nat-postrouting-out__docker0",
        spares=("c1",),
        always=True,
    ),
    _fault(
        "a network's element of the masquerade map deleted",
        "nftables",
        _MASQUERADE,
        'nft delete element ip docker-bridges nat-postrouting-out-jumps "{ docker0 }"',
        spares=("c1",),
    ),
    _fault("the table flushed", "nftables", _NATIVE_GONE, "nft flush table ip docker-bridges", always=True),
    _fault("the IPv4 table deleted", "nftables", _NATIVE_GONE, "nft delete table ip docker-bridges"),
    _fault("everything flushed", "nftables", _NATIVE_GONE, "nft flush ruleset"),
    _fault(
        "a policy of the engine's own chain",
        "nftables",
        Cause("forward-policy", _BRIDGE0, ("chain filter-FORWARD",)),
        f"nft flush chain ip docker-bridges {_OUT_CHAIN}",
        "nft add chain ip docker-bridges filter-FORWARD '{ type filter hook forward priority filter; policy drop; }'",
        spares=("c1",),
    ),
    _fault(
        "the accept of answers deleted",
        "nftables",
        Cause("forward-policy", _BRIDGE0, ("UNPUBLISHED PORT DROP",)),
        _deleted(_IN_CHAIN, "established"),
        spares=("c1",),
        always=True,
    ),
    _port_closed(
        "nftables", _deleted("filter-forward-in__bridge1", "dport 80"), evidence="UNPUBLISHED PORT DROP"
    ),
    *(
        _fault(
            f"iptables' policy left, {variant}",
            "nftables",
            Cause("forward-policy", "host:*", (f"{variant} table filter, chain FORWARD",)),
            f"{variant} -P FORWARD DROP",
            closed=True,
            always=variant == "iptables-nft",
        )
        for variant in ("iptables-nft", "iptables-legacy")
    ),
    _fault(
        "a rule left in DOCKER-USER",
        "nftables",
        Cause("forward-policy", _BRIDGE0, ("chain DOCKER-USER",)),
        "iptables-nft -N DOCKER-USER; iptables-nft -I FORWARD -j DOCKER-USER",
        "iptables-nft -A DOCKER-USER -i docker0 -j DROP",
        spares=("c1",),
    ),
    _fault(
        "ufw",
        "nftables",
        Cause("forward-policy", "host:*", ("iptables-nft table filter, chain FORWARD",)),
        "ufw --force enable",
        mend=("ufw --force disable",),
        closed=True,
        always=True,
    ),
)
_WITH_IPTABLES = (
    _fault(
        "a network's masquerade rule deleted",
        "iptables",
        _MASQUERADE,
        "iptables-nft -t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        spares=("c1",),
        always=True,
    ),
    _fault(
        "nat flushed",
        "iptables",
        Cause("iptables-flag", "engine:*", ("table nat",)),
        "iptables-nft -t nat -F",
    ),
    _fault(
        "all tables flushed, with the policy DROP",
        "iptables",
        Cause("iptables-flag", "engine:*", ("chain DOCKER",)),
        "iptables-nft -P FORWARD DROP",
        "iptables-nft -F; iptables-nft -t nat -F; iptables-nft -t raw -F",
        always=True,
    ),
    _fault(
        "the accept of answers deleted",
        "iptables",
        Cause("forward-policy", _BRIDGE0, ("chain DOCKER",)),
        "iptables-nft -D DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        spares=("c1",),
        always=True,
    ),
    _fault(
        "the accept of the way out deleted, with the policy DROP",
        "iptables",
        Cause("forward-policy", _BRIDGE0, ("chain FORWARD",)),
        "iptables-nft -P FORWARD DROP; iptables-nft -D DOCKER-FORWARD -i docker0 -j ACCEPT",
        spares=("c1",),
    ),
    _port_closed(
        "iptables",
        "iptables-nft -D DOCKER -d 192.0.2.2/32 ! -i bridge1 -o bridge1 -p tcp -m tcp --dport 80 -j ACCEPT",
        evidence="iptables-nft ip filter DOCKER",
    ),
    _fault(
        "a rule in DOCKER-USER",
        "iptables",
        Cause("forward-policy", _BRIDGE0, ("chain DOCKER-USER",)),
        "iptables-nft -A DOCKER-USER -o docker0 -j DROP",
        spares=("c1",),
    ),
    _fault(
        "iptables-legacy's policy",
        "iptables",
        Cause("forward-policy", "host:*", ("iptables-legacy table filter, chain FORWARD",)),
        "iptables-legacy -P FORWARD DROP",
        closed=True,
    ),
    _fault(
        "a rule in table raw",
        "iptables",
        Cause("forward-policy", "*", ("table raw, chain PREROUTING",)),
        f"iptables-nft -t raw -I PREROUTING -i eth0 -s {DEFAULT_TARGET} -j DROP",
        always=True,
    ),
)


def _with_either() -> tuple[Case, ...]:
    found: list[Case] = []
    for backend in BACKENDS:
        found += (
            _fault(
                "a table of one's own drops before the engine's accepts",
                backend,
                Cause("forward-policy", _BRIDGE0, ("nft table inet guard, chain early",)),
                *_chain("early", "forward", "-10"),
                "nft add rule inet guard early iifname docker0 counter drop",
                spares=("c1",),
            ),
            _fault(
                "a table of one's own rejects after the engine's accepts",
                backend,
                Cause("forward-policy", _BRIDGE0, ("nft table inet guard, chain late",)),
                *_chain("late", "forward", "10"),
                "nft add rule inet guard late oifname docker0 counter reject",
                spares=("c1",),
                always=True,
            ),
            _fault(
                "a policy of a table of one's own",
                backend,
                Cause("forward-policy", "host:*", ("nft table inet guard, chain late",)),
                *_chain("late", "forward", "10", "drop"),
                closed=True,
                always=backend == "nftables",
            ),
            _fault(
                "a table of one's own drops answers before connection tracking",
                backend,
                Cause("forward-policy", "*", ("nft table inet guard, chain first",)),
                *_chain("first", "prerouting", "-300"),
                f"nft add rule inet guard first iifname eth0 ip saddr {DEFAULT_TARGET} drop",
                always=backend == "nftables",
            ),
            _fault(
                "forwarding turned off",
                backend,
                _FORWARDING,
                _TURNED_OFF,
                mend=(_TURNED_ON,),
                closed=True,
                always=backend == "nftables",
            ),
        )
    return tuple(found)


_NAME = Traffic("registry.lab.test", 53, "name")
_OF_EITHER = (
    Case(
        _UNMASQUERADED,
        Fault(
            name="a network with enable_ip_masquerade=false",
            containers=_UNMASQUERADED.containers,
            verdict="degraded",
            exit_code=1,
            cause=Cause("masquerade", "network:bridge1", (_MASQUERADE_OPTION,)),
        ),
        always=True,
    ),
    Case(
        PLAIN,
        Fault(
            name="the rules of the engine's resolver flushed",
            containers=(replace(_WEB, hit=False), replace(PLAIN.containers[1], traffic=(_NAME,), asked=())),
            break_=(
                "nsenter --target $(docker inspect --format '{{.State.Pid}}' c1) --net iptables -t nat --flush",
            ),
            cause=Cause("dns-embedded", "container:c1", ("127.0.0.11",)),
        ),
        always=True,
    ),
)

CASES = (
    _healthy("a network with a published port", PLAIN, always=True),
    *_NATIVE,
    *_WITH_IPTABLES,
    *_with_either(),
    *_OF_EITHER,
    _healthy("a network with IPv6", _SIX, always=True),
    _healthy("internal networks", _INTERNAL, always=True),
    _healthy("a routed network", _ROUTED, always=True),
    _healthy("an engine without its userland proxy", _WITHOUT_PROXY),
    *(
        _healthy(name, Page(Rules(f"usernet-portmap-{page}"), _network(options), containers))
        for name, page, options, containers in (
            ("enable_icc=false", "noicc", f"{_BRIDGE}.enable_icc=false", _and_c1()),
            ("nat-unprotected", "natunprot", f"{_BRIDGE}.gateway_mode_ipv4=nat-unprotected", _and_c1()),
            ("a port on a loopback address", "lo", "", _and_c1("127.0.0.1:8080:80", ())),
        )
    ),
)
