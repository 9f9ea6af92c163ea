"""Which of a machine's addresses the kernel sends from: `inet_select_addr`, and for IPv6 the choice of RFC 6724."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from itertools import chain

from dockerdiag.packet.links import Links
from dockerdiag.packet.packet import IPAddress, as_address, prefix
from dockerdiag.snapshot.model import Address, NetworkNamespace, Unread

UNUSABLE = frozenset({"tentative", "dadfailed"})
SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}

_LABELS = (
    (IPv6Network("::1/128"), 0),
    (IPv6Network("2001::/32"), 6),
    (IPv6Network("2001:10::/28"), 7),
    (IPv6Network("::ffff:0:0/96"), 4),
    (IPv6Network("::/96"), 3),
    (IPv6Network("2002::/16"), 2),
    (IPv6Network("fc00::/7"), 5),
)
_OTHER_LABEL = 1
_LOOPBACK_SCOPE, _LINK_SCOPE, _SITE_SCOPE, _GLOBAL_SCOPE = 1, 2, 5, 14
_TOO_SMALL = 128


class SourceAddresses:
    """The choice in one namespace; `None` where there is no address, or where they were not read."""

    def __init__(self, namespace: NetworkNamespace, links: Links) -> None:
        self._links = links
        self._sysctls = {} if isinstance(namespace.sysctls, Unread) else namespace.sysctls
        self._chosen6: dict[tuple[str, IPv6Address], IPAddress | None] = {}

    def choose(
        self, link: str, destination: IPAddress, gateway: IPAddress | None, scope: str = "global"
    ) -> IPAddress | None:
        """The address for what leaves by `link`.

        Args:
            link: The link.
            destination: Where to: what IPv6 chooses by.
            gateway: What IPv4 chooses by, an address in whose subnet the source should be; None for no such wish.
            scope: The route's, of IPv4: an address of a narrower one is not taken.
        """
        if self._links.addresses(link, destination.version) is None:
            return None
        if isinstance(destination, IPv6Address):
            key = (link, destination)
            if key not in self._chosen6:
                self._chosen6[key] = self._choose6(link, destination)
            return self._chosen6[key]
        return self._choose4(link, gateway, SCOPES.get(scope, 0))

    # -- IPv4 ---------------------------------------------------------------------------------------------------

    def _choose4(self, link: str, gateway: IPAddress | None, scope: int) -> IPAddress | None:
        own = [
            address
            for address in self._links.addresses(link, 4) or ()
            if "secondary" not in address.flags and min(_scope4(address), SCOPES["host"]) <= scope
        ]
        near = [address for address in own if gateway is not None and _holds(address, gateway)]
        # Those of other links are looked for where the link has none: a large host has thousands.
        chosen = next(chain(near, own, self._of_other_links(scope)), None)
        return as_address(chosen.address) if chosen is not None else None

    def _of_other_links(self, scope: int) -> Iterator[Address]:
        for name in self._links.by_name:
            for address in self._links.addresses(name, 4) or ():
                lent = "secondary" not in address.flags and address.scope != "link"
                if lent and _scope4(address) <= scope:
                    yield address

    # -- IPv6 ---------------------------------------------------------------------------------------------------

    def _choose6(self, link: str, destination: IPv6Address) -> IPAddress | None:
        near = destination.is_multicast or _scope6(destination) <= _LINK_SCOPE
        # The kernel keeps the first of equal ones.
        candidates = [
            (self._score(name, IPv6Address(address.address), address, link, destination), address)
            for name in ((link,) if near else self._links.by_name)
            for address in self._links.addresses(name, 6) or ()
            if not UNUSABLE & set(address.flags) and self._is_up(name)
        ]
        if not candidates:
            return None
        return as_address(max(candidates, key=lambda one: one[0])[1].address)

    def _is_up(self, name: str) -> bool:
        link = self._links.get(name)
        return link is not None and link.up

    def _score(
        self, name: str, own: IPv6Address, address: Address, link: str, destination: IPv6Address
    ) -> tuple[int, ...]:
        """The rules in their order; the larger the better."""
        reach, wanted = _scope6(own), _scope6(destination)
        temporary = "temporary" in address.flags
        common = 128 - (int(own) ^ int(destination)).bit_length()
        return (
            own == destination,
            -reach if reach >= wanted else reach - _TOO_SMALL,
            "deprecated" not in address.flags,
            "home" in address.flags,
            name == link,
            _label(own) == _label(destination),
            temporary == self._prefers_temporary(name),
            min(common, address.prefix_length),
            "optimistic" not in address.flags,
        )

    def _prefers_temporary(self, name: str) -> bool:
        return int(self._sysctls.get(f"net/ipv6/conf/{name}/use_tempaddr", "0") or 0) > 1


def _scope4(address: Address) -> int:
    return SCOPES[address.scope] if address.scope in SCOPES else int(address.scope)


def _holds(address: Address, other: IPAddress) -> bool:
    if not isinstance(other, IPv4Address):
        return False
    return other in prefix(f"{address.peer or address.address}/{address.prefix_length}")


def _scope6(address: IPv6Address) -> int:
    if address.is_multicast:
        return address.packed[1] & 0xF
    if address.is_loopback:
        return _LOOPBACK_SCOPE
    if address.is_link_local:
        return _LINK_SCOPE
    return _SITE_SCOPE if address.is_site_local else _GLOBAL_SCOPE


def _label(address: IPv6Address) -> int:
    return next((label for network, label in _LABELS if address in network), _OTHER_LABEL)
