"""The engine: what it says of itself, its networks and its containers."""

from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from http.client import HTTPException
from json import JSONDecodeError
from math import ceil
from typing import Any, TypeVar

from dockerdiag.dataclass import replace
from dockerdiag.readers.containers import container, listed_container, network, pools
from dockerdiag.readers.deadline import Deadline, unread_on_error, within
from dockerdiag.readers.endpoint import EngineEndpoint, choose_endpoint
from dockerdiag.readers.engine_socket import place_in, runs_here, try_socket, whose_engine
from dockerdiag.readers.errors import ReadError, reason
from dockerdiag.readers.fields import boolean, items, mapping, number, text, texts
from dockerdiag.readers.files import Tree
from dockerdiag.readers.local_engine import LocalEngine
from dockerdiag.readers.resolver import read_container_resolv_conf
from dockerdiag.snapshot import PODMAN, Container, Engine, Network, SwarmNode, TextFile, Unread
from dockerdiag.snapshot.secrets import mask_text, mask_variable

T = TypeVar("T")
_ResolvConfReader = Callable[[int | None, str], TextFile | Unread | None]
"""Reads a container's resolv.conf by its process, else at the path that the engine tells."""

_ANSWER_SECONDS = 10.0
_FOR_ONE = 1 / 3
"""How much of the time that is left the answer about one container may take: others may wait for theirs as long."""
_DATA_PATH_PORT = 4789
_UNLIKE_ENGINE = (TypeError, KeyError, AttributeError, RecursionError)
"""What the library raises at an answer of another shape than it expects."""
_NO_JSON = "its answer is no JSON: this is no engine"
_NO_ENGINE = "its answer is not what an engine gives"


def read_engine(tree: Tree, deadline: Deadline) -> Engine:
    """Asks the engine that the docker command would ask.

    Raises:
        ReadError: where there is none, or it gives no answer to who it is.
    """
    endpoint = choose_endpoint(tree=tree)
    shown = mask_text(endpoint.url).text
    try:
        client = _within(deadline, partial(_connect, endpoint, tree))
        with closing(client):
            return _ask(client, endpoint, tree, deadline)
    except ReadError as error:
        remark = f" ({endpoint.remark})" if endpoint.remark else ""
        raise ReadError(f"{shown}: {error}{remark}") from None


def _ask(client: Any, endpoint: EngineEndpoint, tree: Tree, deadline: Deadline) -> Engine:
    version, info = _object(_within(deadline, client.version)), _object(_within(deadline, client.info))
    place = place_in(tree, endpoint.url)
    local = runs_here(place, text(info, "Name"), text(info, "KernelVersion"))
    networks = unread_on_error(partial(_networks, client, deadline))
    resolv_conf = _resolv_conf_reader(tree, place, deadline, local=local)
    return Engine(
        endpoint=mask_text(endpoint.url).text,
        context=endpoint.context,
        local=local,
        name=text(info, "Name"),
        version=text(version, "Version"),
        api_version=text(version, "ApiVersion"),
        platform=_platform(version, info),
        rootless=any("name=rootless" in option for option in texts(info, "SecurityOptions")),
        firewall_driver=text(mapping(info, "FirewallBackend"), "Driver") or None,
        swarm=text(mapping(info, "Swarm"), "LocalNodeState") or "inactive",
        swarm_node=_swarm_node(mapping(info, "Swarm")),
        live_restore=boolean(info, "LiveRestoreEnabled"),
        http_proxy=mask_variable("HTTP_PROXY", text(info, "HttpProxy")).text,
        https_proxy=mask_variable("HTTPS_PROXY", text(info, "HttpsProxy")).text,
        no_proxy=mask_text(text(info, "NoProxy")).text,
        default_address_pools=pools(items(info, "DefaultAddressPools")),
        warnings=tuple(mask_text(warning).text for warning in texts(info, "Warnings")),
        networks=networks,
        containers=unread_on_error(
            partial(_containers, client, networks, resolv_conf, deadline, local=local)
        ),
    )


def _swarm_node(told: Mapping[str, Any]) -> SwarmNode | None:
    if text(told, "LocalNodeState") in ("", "inactive"):
        return None
    managers = (text(one, "Addr") for one in items(told, "RemoteManagers"))
    return SwarmNode(
        address=text(told, "NodeAddr"),
        managers=tuple(sorted(address.rpartition(":")[0].strip("[]") for address in managers)),
        nodes=number(told, "Nodes") or None,
        manager=boolean(told, "ControlAvailable"),
        data_path_port=number(mapping(told, "Cluster"), "DataPathPort") or _DATA_PATH_PORT,
    )


def _connect(endpoint: EngineEndpoint, tree: Tree) -> Any:
    url = place_in(tree, endpoint.url)
    if url.startswith("unix://"):
        path = url.removeprefix("unix://")
        try_socket(path, tree)
        return LocalEngine(path, _ANSWER_SECONDS)
    # The import takes a fifth of a second, which few hosts need.
    from docker.errors import DockerException  # noqa: PLC0415
    from docker.tls import TLSConfig  # noqa: PLC0415

    from dockerdiag.readers.engine_client import EngineClient  # noqa: PLC0415

    tls: TLSConfig | bool = False
    if endpoint.certificates is not None:
        files = {name: endpoint.certificates / f"{name}.pem" for name in ("ca", "cert", "key")}
        found = {name: str(path) for name, path in files.items() if path.is_file()}
        pair = (found["cert"], found["key"]) if "cert" in found and "key" in found else None
        tls = TLSConfig(client_cert=pair, ca_cert=found.get("ca"), verify=endpoint.verify)
    try:
        return EngineClient(base_url=url, tls=tls, timeout=ceil(_ANSWER_SECONDS), use_ssh_client=True)
    except DockerException as error:
        raise _refusal(error) from None


def _refusal(error: BaseException) -> ReadError:
    """The error without what requests, urllib3 and docker have wrapped around it."""
    if "paramiko" in str(error):
        return ReadError("an engine by ssh needs docker's ssh extra (docker[ssh])")
    if "Version parameter must be" in str(error):
        return ReadError(_NO_ENGINE)
    cause: BaseException | None = error
    innermost = error
    while cause is not None:
        if isinstance(cause, ReadError):
            return cause
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if status is not None and not isinstance(cause, JSONDecodeError):
            return ReadError(f"it answers with an error ({status})")
        if isinstance(cause, (OSError, ValueError, HTTPException, *_UNLIKE_ENGINE)):
            innermost = cause
        cause = cause.__cause__ or cause.__context__
    if isinstance(innermost, ConnectionResetError):
        return ReadError("it closed the connection without an answer")
    if isinstance(innermost, JSONDecodeError):
        return ReadError(_NO_JSON)
    if isinstance(innermost, HTTPException):
        return ReadError("its answer is no HTTP: this is no engine")
    if isinstance(innermost, _UNLIKE_ENGINE):
        return ReadError(_NO_ENGINE)
    if isinstance(innermost, UnicodeDecodeError):
        return ReadError(_NO_JSON)
    return ReadError(reason(innermost))


def _within(deadline: Deadline, call: Callable[[], T], share: float = 1.0) -> T:
    """One call to the engine, in a share of what is left; the library's own timeout begins anew with each byte."""
    limit = deadline.at_most(min(_ANSWER_SECONDS, share * deadline.remaining))
    try:
        return within(limit, call)
    except ReadError:
        raise
    except TimeoutError:
        raise ReadError(limit.late) from None
    except Exception as error:  # noqa: BLE001 - requests, urllib3, ssl and json have no common class
        raise _refusal(error) from None


def _networks(client: Any, deadline: Deadline) -> tuple[Network, ...]:
    told = _objects(_within(deadline, client.networks))
    # The engine tells them in another order each time.
    return tuple(sorted(map(network, told), key=lambda one: (one.name, one.id)))


def _object(told: Any) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise ReadError(_NO_ENGINE)
    return told


def _objects(told: Any) -> list[Mapping[str, Any]]:
    if not isinstance(told, list):
        raise ReadError(_NO_ENGINE)
    return [_object(one) for one in told]


def _containers(
    client: Any,
    networks: tuple[Network, ...] | Unread,
    resolv_conf: _ResolvConfReader,
    deadline: Deadline,
    *,
    local: bool,
) -> tuple[Container, ...]:
    ids = {} if isinstance(networks, Unread) else {one.name: one.id for one in networks}
    found: list[Container] = []
    for listed in _objects(_within(deadline, partial(client.containers, all=True))):
        identity = text(listed, "Id")
        if not identity.isalnum():
            raise ReadError(_NO_ENGINE)
        try:
            told = _within(deadline, partial(_inspect, client, identity), _FOR_ONE)
        except ReadError as error:
            if not found:
                # An engine that has gone itself tells of none.
                _within(deadline, client.version)
            unread = Unread(f"the engine tells no more of it: {error}")
            found.append(listed_container(listed, ids, unread, local=local))
            continue
        if told is not None:
            one = container(_object(told), ids, local=local)
            pid = one.pid if one.namespace is not None else None
            found.append(replace(one, resolv_conf=resolv_conf(pid, text(told, "ResolvConfPath"))))
    return tuple(found)


def _inspect(client: Any, identity: str) -> Any:
    # None, or the library's own error, where it was removed since the list was made.
    try:
        return client.inspect_container(identity)
    except Exception as error:
        if getattr(getattr(error, "response", None), "status_code", None) == 404:
            return None
        raise


def _resolv_conf_reader(tree: Tree, place: str, deadline: Deadline, *, local: bool) -> _ResolvConfReader:
    if not local:
        return lambda *_: Unread("the engine runs on another host")
    owner = unread_on_error(partial(whose_engine, place))
    if isinstance(owner, Unread):
        return lambda *_: owner
    return lambda pid, path: read_container_resolv_conf(tree, pid, path, deadline, owner)


def _platform(version: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    named = text(mapping(version, "Platform"), "Name")
    components = [text(one, "Name") for one in items(version, "Components")]
    if PODMAN in components:
        return PODMAN
    if "docker desktop" in text(info, "OperatingSystem").lower():
        return named or "Docker Desktop"
    return named or next(iter(components), "")
