"""An engine's networks and containers, from what its API says of them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dockerdiag.dataclass import replace
from dockerdiag.readers.fields import address, boolean, items, mapping, number, subnet, text, texts
from dockerdiag.readers.processes import namespace_of
from dockerdiag.snapshot import Container, Endpoint, IpamPool, Network, PortBinding, Unread
from dockerdiag.snapshot.secrets import PROXY_VARIABLES, mask_variables

_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_PORT = re.compile("[0-9]{1,5}")
_ALIVE = frozenset(("running", "paused"))


def network(told: Mapping[str, Any]) -> Network:
    """A network (GET /networks)."""
    return Network(
        id=text(told, "Id"),
        name=text(told, "Name"),
        driver=text(told, "Driver"),
        scope=text(told, "Scope") or "local",
        internal=boolean(told, "Internal"),
        ipv4=boolean(told, "EnableIPv4", default=True),  # engines before 28 know no other
        ipv6=boolean(told, "EnableIPv6"),
        ingress=boolean(told, "Ingress"),
        config_only=boolean(told, "ConfigOnly"),
        pools=pools(items(mapping(told, "IPAM"), "Config")),
        options=mask_variables({key: str(value) for key, value in mapping(told, "Options").items()}),
        compose_project=text(mapping(told, "Labels"), _PROJECT) or None,
    )


def pools(told: Iterable[Mapping[str, Any]]) -> tuple[IpamPool, ...]:
    """Subnets: a network's, or those the engine takes new ones from (`Base`)."""
    return tuple(
        IpamPool(
            subnet=subnet(one, "Subnet") or subnet(one, "Base") or None,
            # The gateway of engines before 29 may carry the subnet's length.
            gateway=address(one, "Gateway") or None,
            ip_range=subnet(one, "IPRange") or None,
            size=number(one, "Size") or None,
        )
        for one in told
    )


def container(told: Mapping[str, Any], network_ids: Mapping[str, str], *, local: bool) -> Container:
    """A container (GET /containers/ID/json).

    Args:
        told: What the engine says of it.
        network_ids: Ids of networks by name: of a container that was never started the engine tells names only.
        local: Whether the engine runs on this host; else its PIDs mean nothing here.
    """
    state, configuration = mapping(told, "State"), mapping(told, "Config")
    host, networking = mapping(told, "HostConfig"), mapping(told, "NetworkSettings")
    labels = mapping(configuration, "Labels")
    status = text(state, "Status")
    pid = number(state, "Pid") or None
    mode = text(host, "NetworkMode")
    return Container(
        id=text(told, "Id"),
        name=text(told, "Name").removeprefix("/"),
        image=text(configuration, "Image"),
        state=status,
        pid=pid,
        network_mode="bridge" if mode == "default" else mode,
        endpoints=tuple(
            _endpoint(name, one, network_ids.get(name, ""))
            for name, one in _objects(mapping(networking, "Networks"))
        ),
        namespace=_namespace(pid, mode) if local and pid is not None and status in _ALIVE else None,
        ports=tuple(_ports(mapping(networking, "Ports") or mapping(host, "PortBindings"))),
        dns=texts(host, "Dns"),
        extra_hosts=texts(host, "ExtraHosts"),
        proxies=_proxies(texts(configuration, "Env")),
        compose_project=text(labels, _PROJECT) or None,
        compose_service=text(labels, _SERVICE) or None,
        restart_policy=text(mapping(host, "RestartPolicy"), "Name") or "no",
        auto_remove=host.get("AutoRemove") is True,
    )


def listed_container(
    told: Mapping[str, Any], network_ids: Mapping[str, str], unread: Unread, *, local: bool
) -> Container:
    """A container about which the engine gives no answer of its own, as the list has it (GET /containers/json).

    Args:
        told: The list's entry.
        network_ids: As `container`.
        unread: Why there is no more: its namespace, whose process nobody tells, is not read either.
        local: As `container`.
    """
    names = sorted(texts(told, "Names"), key=lambda name: name.count("/"))  # /other/alias is a link's
    status, mode = text(told, "State"), text(mapping(told, "HostConfig"), "NetworkMode")
    ports: dict[str, list[dict[str, str]]] = {}
    for one in items(told, "Ports"):
        binding = {"HostIp": text(one, "IP"), "HostPort": str(number(one, "PublicPort") or "")}
        ports.setdefault(f"{number(one, 'PrivatePort')}/{text(one, 'Type')}", []).append(binding)
    like = {
        "Id": told.get("Id"),
        "Name": names[0] if names else "",
        "State": {"Status": status},
        "Config": {"Image": told.get("Image"), "Labels": told.get("Labels")},
        "HostConfig": told.get("HostConfig"),
        "NetworkSettings": {**mapping(told, "NetworkSettings"), "Ports": ports},
    }
    found = container(like, network_ids, local=local)
    own = local and status in _ALIVE and mode != "host" and not mode.startswith("container:")
    return replace(
        found,
        namespace=f"container:{found.id}" if own else None,
        resolv_conf=unread,
        restart_policy=unread,
    )


def _objects(told: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((name, one) for name, one in told.items() if isinstance(one, dict))


def _endpoint(name: str, told: Mapping[str, Any], network_id: str) -> Endpoint:
    # Of a container that does not run the addresses are empty: those that were asked for are all there is.
    asked = mapping(told, "IPAMConfig")
    return Endpoint(
        network=name,
        network_id=text(told, "NetworkID") or network_id,
        address=address(told, "IPAddress") or address(asked, "IPv4Address"),
        prefix_length=number(told, "IPPrefixLen"),
        gateway=address(told, "Gateway"),
        address6=address(told, "GlobalIPv6Address") or address(asked, "IPv6Address"),
        prefix_length6=number(told, "GlobalIPv6PrefixLen"),
        gateway6=address(told, "IPv6Gateway"),
        mac=text(told, "MacAddress"),
        gateway_priority=number(told, "GwPriority"),
        aliases=texts(told, "Aliases"),
    )


def _ports(told: Mapping[str, Any]) -> Iterator[PortBinding]:
    for name in told:
        port, _, protocol = name.partition("/")
        for binding in items(told, name):
            host_port, host_address = text(binding, "HostPort"), address(binding, "HostIp")
            # Without an address it is every one of the host's, which one that is none does not say.
            known = host_address == text(binding, "HostIp")
            if known and _PORT.fullmatch(port) and _PORT.fullmatch(host_port):
                yield PortBinding(protocol or "tcp", int(port), host_address, int(host_port))


def _proxies(environment: Iterable[str]) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in environment)
    return mask_variables({name: value for name, _, value in pairs if name.lower() in PROXY_VARIABLES})


def _namespace(pid: int, mode: str) -> str:
    """Another user's process does not show its namespace; the place where it would be names it as well."""
    try:
        return namespace_of("self" if mode == "host" else pid)
    except OSError:
        return f"/proc/{pid}/ns/net"
