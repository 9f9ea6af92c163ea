"""What may surprise about containers' proxies, and stops nothing by itself."""

from collections.abc import Iterator

from dockerdiag.case import Case
from dockerdiag.report import Evidence, Finding, Status
from dockerdiag_checks.egress_targets import proxy_of
from dockerdiag_checks.proxy_addresses import addresses_of, proxies_of, settings_of, spellings, unused
from dockerdiag_checks.wording import listed

_HOST_NAME = "host.docker.internal"


def notes(case: Case) -> Iterator[Finding]:
    """Variables that not every program reads, a name that needs --add-host, and containers that lack the proxy."""
    yield from _partial(case)
    yield from _unnamed(case)
    yield from _absent(case)


def _unnamed(case: Case) -> Iterator[Finding]:
    """Docker Desktop's name for the host, in containers that were not given it."""
    if case.walker is None:
        return
    found = [
        (container, proxy)
        for container in case.containers
        if container.namespace is not None
        for proxy in proxies_of(container)
        if proxy.host.lower() == _HOST_NAME and not addresses_of(case, container, proxy)
    ]
    names = tuple(dict.fromkeys(container.name for container, _ in found))
    if found:
        yield Finding(
            code="container-proxy-name",
            status=Status.NOTE,
            subject=f"container:{names[0]}",
            summary=(
                f"The proxy of {listed(names, 'container')} is called {_HOST_NAME}: on Linux only a container made "
                f"with --add-host {_HOST_NAME}:host-gateway knows that name, unless this site's DNS does"
            ),
            count=len(names),
            evidence=tuple(
                Evidence(f"environment of {container.name}", f"{proxy.variables[0]}={proxy.url}")
                for container, proxy in found[:3]
            ),
        )


def _partial(case: Case) -> Iterator[Finding]:
    alike: dict[tuple[str, ...], list[str]] = {}
    for container in case.containers:
        if container.namespace is None or unused(container):
            continue
        faults = []
        for name, lower, upper in spellings(container):
            if lower is None or upper is None:
                missing, there = (name, name.upper()) if lower is None else (name.upper(), name)
                faults.append(f"{there} is set, {missing} is not")
            elif lower != upper:
                faults.append(f"{name} and {name.upper()} differ")
        kinds = {name.lower() for name in settings_of(container)}
        if "http_proxy" in kinds and not kinds & {"https_proxy", "all_proxy"}:
            faults.append("a proxy for http, none for https")
        if faults:
            alike.setdefault(tuple(faults), []).append(container.name)
    for told, names in alike.items():
        yield Finding(
            code="container-proxy-partial",
            status=Status.NOTE,
            subject=f"container:{names[0]}",
            summary=f"Not every program in {listed(names, 'container')} uses the same proxy: {'; '.join(told)}",
            count=len(names),
            evidence=(Evidence(f"environment of {names[0]}", "; ".join(told)),),
        )


def _absent(case: Case) -> Iterator[Finding]:
    """Where packets are stopped on a host whose engine goes out by a proxy, the proxy may be the only way there is."""
    proxy = proxy_of(case)
    if not proxy:
        return
    hits = case.hits(lambda halt: halt.certain and halt.kind in ("rule", "policy", "no-route", "route"))
    stopped = dict.fromkeys(name for hit in hits for name in hit.containers)
    bare = [one.name for one in case.containers if one.name in stopped and not settings_of(one)]
    if bare:
        yield Finding(
            code="container-proxy-absent",
            status=Status.NOTE,
            subject=f"container:{bare[0]}",
            summary=(
                f"The engine goes out by the proxy {proxy}, which {listed(bare, 'container')} has not: containers "
                "never inherit it, and where a site lets out its proxy alone, they need it too (proxies in "
                "~/.docker/config.json, or -e)"
            ),
            count=len(bare),
            evidence=(Evidence("the engine's proxy", proxy),),
        )
