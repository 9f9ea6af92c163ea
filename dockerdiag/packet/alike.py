"""Which containers are alike: nothing that a walk looks at tells one from the other.

Two addresses are alike where no address, prefix or range written in the host's rules and routes holds one and not the
other: then no comparison can part them. Rules about one address alone part none where each address has the same. Links
and hardware addresses are alike where no rule names either.
"""

import re
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from dockerdiag.dataclass import replace
from dockerdiag.packet.own_rules import OwnRules, written_addresses
from dockerdiag.packet.packet import as_address
from dockerdiag.packet.world import Terrain, World
from dockerdiag.snapshot.model import Container, Firewall, Link, NetworkNamespace, RouteAnswer, Unread

_MAC = re.compile(r"(?<![\w:])[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}(?![\w:])")
_WHERE_MACS_ARE = ("ether", "mac", "arp")
_VETH = re.compile(r"veth[\w.-]*[*+]?")
_OF_THE_MOMENT = re.compile(r"\[\d+:\d+\]|\"(?:packets|bytes)\": ?\d+|^#.*", re.MULTILINE)
"""Counters, and the time in a save program's comments."""
_BY_BITS = (
    "jhash", "symhash", "numgen", '"&"', '"|"', '"^"', "-m u32", "-m bpf", "-m statistic", "-m cluster", "HMARK"
)  # fmt: skip
"""Expressions that part addresses other than by prefixes and ranges."""


class Likeness:
    """Tells containers of one snapshot apart."""

    def __init__(self, world: World, destinations: Iterable[IPv4Address | IPv6Address] = ()) -> None:
        """With `destinations`, who has one of these is like nobody else."""
        self._world = world
        self._destinations = frozenset(destinations)
        self._fingerprints: dict[Hashable, int] = {}

    def key(self, container: Container) -> Hashable:
        """The same for containers that are alike, and for no others."""
        terrain = self._world.terrain_of(container)
        if terrain is self._world.host:
            return "host"
        if not isinstance(terrain, Terrain) or terrain.owner is None or self._by_bits:
            return (
                ("alone", container.id)
                if terrain is None or isinstance(terrain, Unread)
                else terrain.namespace.name
            )
        owner = terrain.owner
        links = terrain.links
        addresses = [
            as_address(address.address)
            for name in links.by_name
            for family in (4, 6)
            for address in links.addresses(name, family) or ()
            if not links.by_name[name].loopback
        ]
        names = {str(address): f"address{number}" for number, address in enumerate(addresses)}
        names |= {link.mac: "mac" for link in links.by_name.values() if link.mac}
        ends = [self._world.host_end(link) for link in links.by_name.values()]
        return (
            tuple(sorted(endpoint.network_id or endpoint.network for endpoint in owner.endpoints)),
            owner.network_mode if owner.network_mode == "none" else "",
            tuple(self._segment(address) for address in addresses),
            tuple(address for address in addresses if address in self._destinations),
            tuple(self._own_rules[0].of(str(address)) for address in addresses),
            tuple(self._end(end) for end in ends if end is not None),
            tuple(link.mac for link in links.by_name.values() if link.mac and link.mac.lower() in self._macs),
            tuple(self._neighbour(address) for address in addresses),
            self._kernels_ways(names),
            self._fingerprint(terrain.namespace, names),
        )

    def _segment(self, address: IPv4Address | IPv6Address) -> tuple[int, int]:
        return (address.version, bisect_right(self._boundaries[address.version], int(address)))

    def _end(self, link: Link) -> Hashable:
        host = self._world.host.links
        master = host.master(link)
        named = tuple(
            token
            for token in self._veths
            if token == link.name or (token[-1] in "*+" and link.name.startswith(token[:-1]))
        )
        state = (link.kind, link.up, link.carrier, link.operstate, link.mtu, link.bridge_port_state)
        return (master.name if master is not None else None, *state, link.bridge_port_isolated, named)

    def _neighbour(self, address: IPv4Address | IPv6Address) -> Hashable:
        found = self._neighbours.get(str(address), ())
        return tuple(
            (state if state in ("failed", "permanent") else "", mac if state == "permanent" else "")
            for state, mac in found
        )

    @cached_property
    def _neighbours(self) -> dict[str, list[tuple[str, str | None]]]:
        neighbours = self._world.snapshot.network.neighbours
        found: dict[str, list[tuple[str, str | None]]] = {}
        if not isinstance(neighbours, Unread):
            for entry in neighbours:
                found.setdefault(entry.address, []).append((entry.state, entry.mac))
        return found

    def _kernels_ways(self, names: dict[str, str]) -> frozenset[RouteAnswer]:
        """What the host's kernel answered about a container's addresses, these aside."""
        return frozenset(
            replace(
                answer,
                destination=names.get(answer.destination, answer.destination),
                source=names.get(answer.source or "", answer.source),
                gateway=names.get(answer.gateway or "", answer.gateway),
            )
            for address in names
            for answer in self._answers.get(address, ())
        )

    @cached_property
    def _answers(self) -> dict[str, list[RouteAnswer]]:
        """By the container's address that was asked about."""
        found: dict[str, list[RouteAnswer]] = {}
        for answer in self._world.snapshot.network.route_answers:
            for address in {answer.source or "", answer.destination} & self._world.container_addresses:
                found.setdefault(address, []).append(answer)
        return found

    def _fingerprint(self, namespace: NetworkNamespace, names: dict[str, str]) -> int:
        """A number for what the namespace holds, its own addresses, indices and counters aside."""
        links = (
            {} if isinstance(namespace.links, Unread) else {link.index: link.name for link in namespace.links}
        )

        def name(text: str | None) -> str | None:
            return None if text is None else names.get(text.partition("/")[0], text)

        parts: list[Hashable] = []
        if isinstance(namespace.links, Unread):
            parts.append(namespace.links)
        else:
            parts += [
                (k.name, k.kind, k.up, k.operstate, k.mtu, k.arp, k.carrier, k.master)
                for k in namespace.links
            ]
        if isinstance(namespace.addresses, Unread):
            parts.append(namespace.addresses)
        else:
            parts += [
                (links.get(a.link), name(a.address), a.prefix_length, a.scope, a.flags)
                for a in namespace.addresses
            ]
        if isinstance(namespace.routes, Unread):
            parts.append(namespace.routes)
        else:
            for route in namespace.routes:
                hops = tuple((links.get(hop.link or 0), hop.gateway, hop.flags) for hop in route.next_hops)
                fixed = (route.family, route.table, route.type, route.metric, route.source, route.tos)
                parts.append((*fixed, name(route.destination), name(route.preferred_source), hops))
        parts.append(namespace.rules)
        if isinstance(namespace.neighbours, Unread):
            parts.append(namespace.neighbours)
        else:
            odd = [n for n in namespace.neighbours if n.state in ("failed", "permanent")]
            parts += [(links.get(n.link), n.address, n.state, n.mac) for n in odd]
        sysctls = namespace.sysctls
        parts.append(sysctls if isinstance(sysctls, Unread) else frozenset(sysctls.items()))
        parts.append(self._firewall(namespace, names))
        return self._fingerprints.setdefault(tuple(parts), len(self._fingerprints))

    @staticmethod
    def _firewall(namespace: NetworkNamespace, names: dict[str, str]) -> Hashable:
        firewall = namespace.firewall
        # The embedded resolver listens on ports of its own in each container; nothing else may use 127.0.0.11.
        ports = {}
        if not isinstance(namespace.listeners, Unread):
            own = [listener for listener in namespace.listeners if listener.address == "127.0.0.11"]
            ports = {str(listener.port): f"{listener.protocol}-resolver" for listener in own}
        replaced = names | ports

        def clean(text: object) -> Hashable:
            if not isinstance(text, str):
                return text if isinstance(text, Unread) else repr(text)
            if not text:
                return text
            lasting = _OF_THE_MOMENT.sub("", text)
            if not any(name in lasting for name in replaced):
                return lasting  # as most are: to look at each word takes ten times as long
            return re.sub(
                r"127\.0\.0\.11:(?P<port>\d+)|[\w.:]+",
                lambda m: replaced.get(m["port"] or m[0], m[0]),
                lasting,
            )

        return tuple(clean(getattr(firewall, part)) for part in Firewall.__slots__)

    # -- what the host's rules and routes name ------------------------------------------------------------------

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        firewall = self._world.snapshot.network.firewall
        texts = [getattr(firewall, part) for part in Firewall.__slots__]
        found = [text for text in texts if isinstance(text, str)]
        for part in (firewall.ipsets, firewall.netdev_hooks):
            if not isinstance(part, Unread):
                found += [repr(entry) for entry in part]
        return tuple(found)

    @cached_property
    def _own_rules(self) -> tuple[OwnRules, tuple[str, ...]]:
        """The rules about one container alone, and the texts without them."""
        own = OwnRules(self._world.container_addresses)
        return own, tuple(own.take_out(str(part), text) for part, text in enumerate(self._texts))

    @cached_property
    def _by_bits(self) -> bool:
        return any(word in text for text in self._texts for word in _BY_BITS)

    @cached_property
    def _macs(self) -> frozenset[str]:
        naming = (text for text in self._texts if any(word in text for word in _WHERE_MACS_ARE))
        return frozenset(mac.lower() for text in naming for mac in _MAC.findall(text))

    @cached_property
    def _veths(self) -> tuple[str, ...]:
        return tuple(sorted({token for text in self._texts for token in _VETH.findall(text)}))

    @cached_property
    def _boundaries(self) -> dict[int, list[int]]:
        """Where ranges that rules and routes name begin, and where the first address after them is."""
        found: dict[int, set[int]] = {4: set(), 6: set()}
        for text in written_addresses(self._own_rules[1]) | set(self._routed()):
            try:
                network = ip_network(text, strict=False)
            except ValueError:
                continue
            found[network.version] |= {int(network[0]), int(network[-1]) + 1}
            if "/" in text:
                # A prefix may also be the end of a range, or an address with a mask of its own.
                first = int(ip_address(text.partition("/")[0]))
                found[network.version] |= {first, first + 1}
        return {version: sorted(points) for version, points in found.items()}

    def _routed(self) -> Iterator[str]:
        network = self._world.snapshot.network
        if not isinstance(network.routes, Unread):
            for route in network.routes:
                yield from (text for text in (route.destination, route.source) if text)
        if not isinstance(network.rules, Unread):
            for rule in network.rules:
                yield from (text for text in (rule.source, rule.destination) if text)
        for answer in network.route_answers:
            # What was asked about a container's own address is compared as such.
            asked = {answer.source, answer.destination} - self._world.container_addresses
            yield from (text for text in asked if text)
