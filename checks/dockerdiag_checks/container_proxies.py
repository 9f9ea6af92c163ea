"""Can the proxy that a container's environment names work from inside the container?

## What it asks

Of each running container, where the addresses in its `http_proxy`, `https_proxy`, `all_proxy` and `ftp_proxy` lead
from its own network namespace, in either spelling; and whether somebody listens there. The same of `proxies` in
`~/.docker/config.json` (of root, and of who ran sudo): what its user's next container or build will meet.

## Why it breaks containers

127.0.0.1 in a container is the container itself: a proxy of the host is not there. Such a value comes from `-e`,
from compose, from the image, or from `proxies` in the client's `~/.docker/config.json`, which goes into every
container made after. A proxy on the bridge's address is for the host's INPUT chain to let in, and has to listen
there. Programs that heed these variables get nowhere, while others, and `ping`, get out.

## What is normal and not reported

- A proxy inside the container, or in one that shares its network, with a listener.
- `--network host`: then the host's loopback is the right one, where somebody listens.
- A proxy elsewhere whose packets get there: whether it answers cannot be told without sending. A name that only DNS
  knows is not judged.
- `no_proxy=*`, and variables that are empty.
- Variables that lack one spelling or one protocol, or differ (a note). Many programs read one spelling alone: curl
  reads `http_proxy` in lower case only.
- Containers without a proxy on a host whose engine has one (a note where they get nowhere).
- `host.docker.internal` in a container that was made without `--add-host host.docker.internal:host-gateway`, which on
  Linux alone makes it known (a note: a site's DNS may know it too).
- `proxies` that new containers cannot use, where one that runs has the same and can: on the host's own network, say
  (a note).

## Remedy

A container's environment is made with it: it has to be made anew, with a proxy by an address that is the same from
everywhere, such as the bridge's, where the proxy must then listen. A rule that keeps packets from the proxy is let
pass. An entry of `config.json` is set right there; containers that have it already are made anew.

## References

- [Docker: use a proxy server with the CLI](https://docs.docker.com/engine/cli/proxy/)
- curl(1), ENVIRONMENT
"""

from collections.abc import Iterator

from dockerdiag.case import Case, Hit, Traced
from dockerdiag.dataclass import dataclass
from dockerdiag.packet.flow import Flow, Halt, Journey, Source
from dockerdiag.packet.world import Terrain
from dockerdiag.registry import check
from dockerdiag.report import Disposition, Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import Container, Unread
from dockerdiag_checks.client_proxies import client_proxies
from dockerdiag_checks.commands import sh
from dockerdiag_checks.next_steps import trace
from dockerdiag_checks.path_remedies import in_container
from dockerdiag_checks.proxy_addresses import Proxy, addresses_of, is_own, proxies_of
from dockerdiag_checks.proxy_notes import notes
from dockerdiag_checks.rule_commands import let_pass
from dockerdiag_checks.rule_remedies import accepted, where
from dockerdiag_checks.wording import listed, retry, sentence, subnets_of

NEEDS = ("engine", "engine.containers")
READS = ("client_proxies", "network.listeners", "services")


@dataclass(frozen=True, slots=True)
class _Dead:
    """A proxy that a container's packets do not get to."""

    container: Container
    proxy: Proxy
    journey: Journey
    halt: Halt
    host: bool
    """Whether the container has the host's own network."""


@check(
    "container-proxies",
    title="Can the proxy that a container's environment names work from inside the container?",
    group="Containers",
    place=85,
    needs=NEEDS,
    reads=READS,
    page=__doc__,
)
def CHECK(case: Case) -> Iterator[Finding]:  # noqa: N802 - a module's check is its constant
    """One finding for each proxy that does not work, then what may surprise."""
    dead: dict[tuple[str, str, bool], list[_Dead]] = {}
    told = {halt.at for hit in case.hits(lambda halt: halt.kind != "listener") for halt in hit.halts}
    for container in case.containers:
        for one in _dead(case, container):
            # What stops the container's other packets as well is told with those.
            if one.halt.at not in told:
                own = is_own(one.proxy)
                key = (one.proxy.at, "own" if own else one.halt.at, one.halt.certain)
                dead.setdefault(key, []).append(one)
    for members in dead.values():
        yield _finding(case, members)
    reached = {proxy.at for container in case.containers for proxy in _reached(case, container)}
    yield from client_proxies(case, reached, told)
    yield from notes(case)


def _reached(case: Case, container: Container) -> Iterator[Proxy]:
    """The proxies of a running container that it does get to."""
    if container.namespace is not None:
        dead = {one.proxy.at for one in _dead(case, container)}
        yield from (one for one in proxies_of(container) if one.at not in dead)


def _dead(case: Case, container: Container) -> Iterator[_Dead]:
    terrain = case.walker.world.terrain_of(container) if case.walker is not None else None
    if case.walker is None or not isinstance(terrain, Terrain):
        return
    source = Source(container=container, namespace=terrain.namespace, members=(container,))
    for proxy in proxies_of(container):
        walked = [
            case.walker.walk(Flow(source, address, "tcp", proxy.port))
            for address in addresses_of(case, container, proxy)
        ]
        stopped = [one for one in walked if one.halts and one.disposition is not Disposition.DELIVERED]
        if walked and len(stopped) == len(walked):
            journey = min(stopped, key=lambda one: one.halts[0].certain)
            host = terrain is case.walker.world.host
            yield _Dead(container, proxy, journey, journey.halts[0], host)


def _finding(case: Case, members: list[_Dead]) -> Finding:
    first = members[0]
    names = tuple(dict.fromkeys(one.container.name for one in members))
    variables = tuple(dict.fromkeys(name for one in members for name in one.proxy.variables))
    heeded = dict.fromkeys(name.lower() for name in variables)
    said = f"{listed(names, 'container')} {'are' if len(names) > 1 else 'is'} told to use the proxy {first.proxy.at}"
    seen = (
        Evidence(f"environment of {names[0]}", f"{variables[0]}={first.proxy.url}"),
        Evidence(first.halt.place, first.halt.reason),
        *((Evidence(where(first.halt.rule), first.halt.rule.text),) if first.halt.rule is not None else ()),
    )
    if not first.halt.certain:
        return Finding(
            code="container-proxy-unknown",
            status=Status.UNKNOWN,
            subject=f"container:{names[0]}",
            summary=f"{sentence(said)}, and whether packets get there cannot be told",
            count=len(names),
            evidence=seen,
            remedies=trace(case, first.journey),
        )
    code, why = _why(first)
    return Finding(
        code=code,
        status=Status.WARN,
        subject=f"container:{names[0]}",
        summary=f"{sentence(said)}, {why}: programs that heed {' and '.join(heeded)} get nowhere",
        count=len(names),
        evidence=(*seen, *_listeners(case, first)),
        remedies=_remedies(case, members),
    )


def _why(one: _Dead) -> tuple[str, str]:
    if is_own(one.proxy):
        if one.host:
            return "container-proxy-dead", "and nobody listens there on this host"
        return "container-proxy-loopback", "which is the container itself, where nobody listens"
    if one.halt.kind == "listener":
        return "container-proxy-dead", f"and {one.halt.reason.rstrip('.')}"
    return "container-proxy-unreachable", "and its packets do not get there"


def _listeners(case: Case, one: _Dead) -> tuple[Evidence, ...]:
    """Who listens at that port of the host, where the container looks for the proxy in itself."""
    listeners = case.snapshot.network.listeners
    if one.host or not is_own(one.proxy) or isinstance(listeners, Unread):
        return ()
    there = [item.address for item in listeners if (item.protocol, item.port) == ("tcp", one.proxy.port)]
    if not there:
        return ()
    text = f"port {one.proxy.port} on {', '.join(dict.fromkeys(there))}"
    return (Evidence("this host itself listens", text),)


def _remedies(case: Case, members: list[_Dead]) -> tuple[Remedy, ...]:
    first = members[0]
    names = tuple(dict.fromkeys(one.container.name for one in members))
    look = (sh("docker", "inspect", "--format", "{{json .Config.Env}}", first.container.name), *retry(case))
    if first.halt.rule is not None:
        hit = _hit(members)
        if first.halt.namespace is not None:
            return in_container(case, hit)
        opened = accepted(case, hit, let_pass(hit.halts, subnets_of(case, hit)))
        if opened:
            return opened
    if not is_own(first.proxy) or first.host:
        return (
            Remedy(
                summary=f"Start the proxy, or have it listen where {listed(names, 'container')} looks for it",
                verify=(sh("dockerdiag", "trace", first.container.name, first.journey.flow.to), *retry(case)),
                risk="Who can reach that address can use the proxy.",
            ),
        )
    gateway = next((end.gateway for end in first.container.endpoints if end.gateway), None)
    there = f"http://{gateway}:{first.proxy.port}" if gateway else "its address as seen from the container"
    return (
        Remedy(
            summary=(
                f"Make {listed(names, 'container')} anew without these variables, or with {there}, and have the host's "
                "proxy listen there; see -e, compose's environment, the image's ENV, and proxies in the "
                "config.json of whoever made it (~/.docker/config.json)"
            ),
            verify=look,
            risk=f"Ends {listed(names, 'container')}; what it has not kept in a volume is lost.",
        ),
    )


def _hit(members: list[_Dead]) -> Hit:
    """As if these packets had been asked about."""
    names = tuple(dict.fromkeys(one.container.name for one in members))
    journeys = [one.journey for one in members]
    return Hit(
        halt=members[0].halt,
        halts=tuple(one.halt for one in members),
        place=0,
        containers=names,
        networks=tuple(dict.fromkeys(one.network for one in journeys if one.network is not None)),
        traced=tuple(Traced(one, names, one.network, resolver=False) for one in journeys),
        hypothetical=False,
    )
