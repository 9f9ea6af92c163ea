"""The addresses that NAT rules choose by themselves."""

from ipaddress import ip_address

from dockerdiag.packet.packet import IPAddress
from dockerdiag.packet.truth import Unknown
from dockerdiag.packet.view import View


def masquerade_address(view: View) -> IPAddress | Unknown:
    """The address of the outgoing link that MASQUERADE takes."""
    packet, link = view.packet, view.out_name
    if not packet.destination_known:
        return Unknown("a rule before this one chooses the destination in a way that cannot be foretold")
    found = view.surroundings.translated_source(link, packet.addresses.destination, packet.gateway)
    if found is None:
        return Unknown(f"link {link} has no IPv{packet.family} address to translate to that is known")
    return found


def redirect_address(view: View) -> IPAddress | Unknown:
    """Where REDIRECT leads: the incoming link's first address, or loopback for the host's own packets."""
    if view.hook == "output":
        return ip_address("127.0.0.1" if view.packet.family == 4 else "::1")
    return _first_address(view, view.in_name)


def _first_address(view: View, link: str) -> IPAddress | Unknown:
    addresses = view.surroundings.local_addresses(link)
    if addresses is None:
        return Unknown(f"the addresses of link {link} are not known")
    for address in addresses:
        if address.version == view.packet.family:
            return address
    return Unknown(f"link {link} has no IPv{view.packet.family} address to translate to")
