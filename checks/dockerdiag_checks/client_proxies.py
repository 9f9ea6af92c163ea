"""The proxies that docker's client writes into new containers and builds: whether those will get to them."""

from collections.abc import Collection, Iterator

from dockerdiag.case import Case, is_default_bridge
from dockerdiag.packet.flow import Flow, Halt, Source
from dockerdiag.report import Disposition, Evidence, Finding, Remedy, Status
from dockerdiag.snapshot import ClientProxies, Network, Unread
from dockerdiag_checks.commands import EditedFile, sh
from dockerdiag_checks.proxy_addresses import Proxy, is_own, proxies_in, proxies_of, written_addresses
from dockerdiag_checks.wording import retry

_KEYS = {
    "http_proxy": "httpProxy",
    "https_proxy": "httpsProxy",
    "ftp_proxy": "ftpProxy",
    "all_proxy": "allProxy",
}
_WITHOUT_ENTRY = (
    "import json, sys; file, entry = sys.argv[1:]; kept = json.load(open(file)); "
    'kept["proxies"].pop(entry, None); '
    'open(file, "w").write(json.dumps(kept, indent=2) + chr(10))'
)
"""Writes a config.json without one entry of its proxies. dockerdiag itself runs on this Python, jq may be missing."""


def client_proxies(case: Case, reached: Collection[str], told: Collection[str]) -> Iterator[Finding]:
    """One finding for each proxy of a user's config.json that new containers do not get to.

    Args:
        case: The host.
        reached: Proxies (`host:port`) that a running container has and gets to.
        told: What stops other packets too (`Halt.at`), and is told with those.
    """
    clients = case.snapshot.client_proxies
    engine = case.engine
    if isinstance(clients, Unread) or engine is None or case.walker is None or not _bridges(case):
        return
    for client in clients:
        others = {one.endpoint for one in clients if one.path == client.path}
        if client.endpoint != (engine.endpoint if engine.endpoint in others else "default"):
            continue
        for proxy in proxies_in(client.proxies):
            halt = _stopped(case, proxy)
            if is_own(proxy) or (halt is not None and halt.at not in told):
                yield _finding(case, client, proxy, halt, used=proxy.at in reached)


def _bridges(case: Case) -> tuple[Network, ...]:
    """Where new containers and builds may be: the default bridge, else any network that leads out."""
    leading_out = [one for one in case.networks if one.bridge is not None and not one.internal]
    return tuple(one for one in leading_out if is_default_bridge(one)) or tuple(leading_out)


def _stopped(case: Case, proxy: Proxy) -> Halt | None:
    """What stops a new container's packets to it, on every bridge and for each of its addresses."""
    assert case.walker is not None  # noqa: S101 - asked before
    walked = [
        case.walker.walk(Flow(Source(network=bridge), address, "tcp", proxy.port))
        for bridge in _bridges(case)
        for address in written_addresses(proxy)
    ]
    stopping = [
        one.halts[0]
        for one in walked
        if one.halts and one.halts[0].certain and one.disposition is not Disposition.DELIVERED
    ]
    return stopping[0] if stopping and len(stopping) == len(walked) else None


def _finding(case: Case, client: ClientProxies, proxy: Proxy, halt: Halt | None, *, used: bool) -> Finding:
    own = is_own(proxy)
    if own:
        why = "which is each container's own loopback"
    elif halt is not None and halt.kind == "listener":
        why = f"and {halt.reason.rstrip('.')}"
    else:
        why = "and their packets do not get there"
    seen = [
        Evidence(f"{client.path}: proxies.{client.endpoint}.{_KEYS[name]}", client.proxies[name])
        for name in proxy.variables
    ]
    if halt is not None and not own:
        seen.append(Evidence(halt.place, halt.reason))
    carrying = [one.name for one in case.containers if any(other.at == proxy.at for other in proxies_of(one))]
    return Finding(
        code="client-proxy-loopback" if own else "client-proxy-unreachable",
        status=Status.NOTE if used else Status.WARN,
        subject=f"file:{client.path}",
        summary=(
            f"Every new container and build of this user is told to use the proxy {proxy.at}, {why}"
            + ("; one that runs gets there" if used else f"; programs that heed {_heeded(proxy)} get nowhere")
        ),
        explains=tuple(
            f"{code} container:{name}"
            for name in carrying
            for code in ("container-proxy-loopback", "container-proxy-dead", "container-proxy-unreachable")
        ),
        evidence=tuple(seen),
        remedies=() if used else tuple(_remedies(case, client, proxy, carrying)),
    )


def _heeded(proxy: Proxy) -> str:
    return " and ".join(proxy.variables)


def _remedies(case: Case, client: ClientProxies, proxy: Proxy, carrying: Collection[str]) -> Iterator[Remedy]:
    file = EditedFile(client.path)
    later = f" Those that have it already ({', '.join(carrying)}) keep it until they are made anew." * bool(
        carrying
    )
    there = _gateway_that_answers(case, proxy)
    if there is not None:
        yield Remedy(
            summary=f"Name the proxy by the bridge's address {there}, where this host answers at that port",
            now=(
                file.keep,
                file.sed(_named_by(proxy, f"{there}:{proxy.port}")),
            ),
            verify=(sh("grep", f"{there}:{proxy.port}", client.path), *retry(case)),
            undo=(file.restore,),
            risk=f"Changes what new containers and builds get, and nothing that runs.{later}",
        )
    first = "Or take" if there is not None else "Take"
    yield Remedy(
        summary=(
            f"{first} the entry {client.endpoint} out of proxies in {client.path}, or have a proxy listen where "
            "containers look for it"
        ),
        now=(file.keep, sh("python3", "-c", _WITHOUT_ENTRY, client.path, client.endpoint)),
        verify=(f"! {sh('grep', '-F', proxy.at, client.path)}", *retry(case)),
        undo=(file.restore,),
        risk=f"New containers and builds go out directly, which a site that asks for a proxy may refuse.{later}",
    )


def _named_by(proxy: Proxy, there: str) -> str:
    """The edit that puts an address in the place of the proxy's own, which may be written without scheme or port."""
    host = rf"\[\?{proxy.host.replace('.', '[.]')}\]\?"
    if proxy.url.rpartition("@")[2].rstrip("/").endswith(f":{proxy.port}"):
        return rf's#\(//\|@\|"\){host}:{proxy.port}\b#\1{there}#gI'
    return rf's#\(//\|@\){host}\(["/]\)#\1{there}\2#gI'


def _gateway_that_answers(case: Case, proxy: Proxy) -> str | None:
    """The default bridge's address, where a new container gets to the same port there."""
    if case.walker is None or not is_own(proxy):
        return None
    for bridge in _bridges(case)[:1]:
        for pool in bridge.pools:
            if pool.gateway and ":" not in pool.gateway:
                at = Proxy((), "", pool.gateway, proxy.port)
                found = [
                    case.walker.walk(Flow(Source(network=bridge), address, "tcp", at.port))
                    for address in written_addresses(at)
                ]
                if found and all(one.disposition is Disposition.DELIVERED for one in found):
                    return pool.gateway
    return None
