"""What keeps frames from their next machine: links without carrier, ports that do not forward, wrong neighbours."""

from ipaddress import IPv4Network, IPv6Network

from dockerdiag.packet import ethernet
from dockerdiag.packet.fib import Query
from dockerdiag.packet.links import NO_CARRIER, VALID, WITHOUT_PORT, Links
from dockerdiag.packet.packet import IPAddress, Packet, prefix
from dockerdiag.packet.trail import Trail
from dockerdiag.packet.world import Station, Terrain, World
from dockerdiag.report import Disposition
from dockerdiag.snapshot.model import Link, Neighbour, Network, Unread

WRONG_GATEWAY = "container gateway"
"""The place of a halt where a container routes to an address that the engine never gave it."""
NO_GATEWAY = "no gateway on "
"""How it is named that a container's route leads out of its network without one."""
_ETHERNET = frozenset({None, "veth", "bridge", "vlan", "bond", "team", "macvlan"})
"""Kinds of links whose neighbours are found by ARP. Hardware has no kind."""
_ETHERNET_ADDRESS = len("00:00:00:00:00:00")
_PORT_STATES = {0: "disabled", 1: "listening", 2: "learning", 4: "blocking"}
_FORWARDING = 3
HAIRPIN_OFF = "hairpin is off"
"""How the reason of a halt ends where a bridge would have to send a frame back by the port that it came by."""
WITHOUT_ARP = "ARP is switched off on "
"""How the reason of a halt begins where a link asks for no neighbours and is none that can do without."""
OUTSIDE_VLAN = "is not in VLAN"
"""In the reason of a halt on a VLAN-aware bridge, before the VLAN's number."""
WITHOUT_PVID = "is VLAN-aware and itself without a PVID: what it sends untagged goes nowhere"
"""How the reason of a halt ends where a VLAN-aware bridge takes no untagged frames of the host's own."""
APART_FROM_PARENT = "from which the kernel keeps what sends by it"
"""How the reason of a halt ends where a macvlan's container asks for its parent's own address."""
HEARD_BY_MASTER = "which takes the answers to what it asks: it learns no hardware address"
"""How the reason of a halt ends where a link sends by itself though it is a port of another."""
_GUESTS = ("tun",)
"""Kinds of bridge ports that lead to virtual machines."""
_TAKING_FRAMES = ("bridge", "bond", "team", "openvswitch")
"""Kinds of links that take what comes in by their ports."""


class Adjacency:
    """Looks at the links and neighbours on the way and puts what it finds on the trail."""

    def __init__(self, world: World, trail: Trail) -> None:
        self._world = world
        self._trail = trail
        self.mended: set[str] = set()
        """Host links that were found broken: what follows from that alone is no further halt."""

    # -- links --------------------------------------------------------------------------------------------------

    def broken(self, terrain: Terrain, link: Link, packet: Packet) -> bool:
        """Whether a link passes nothing; says why."""
        fault = terrain.links.fault(link)
        if fault is None:
            return False
        if not terrain.is_host and link.up and self._by_broken_parent(link):
            return True
        far_end = self._far_end(terrain, link) if link.kind == "veth" and link.up else None
        if far_end is not None and far_end.up:
            # The kernel gives both ends carrier as soon as both are up: they were read at two moments.
            return False
        if far_end is None:
            at = f"link {fault.link}"
            self._trail.halt(
                terrain, fault.link, "link", Disposition.DROPPED, at, fault.reason, packet, link=fault.link
            )
        if terrain.is_host:
            self.mended.add(link.name)
        return True

    def _by_broken_parent(self, link: Link) -> bool:
        """Whether the host's link that a container's macvlan sends by passes nothing: its own halt tells it."""
        parent = self._world.host_end(link) if link.kind != "veth" else None
        return parent is not None and self._world.host.links.fault(parent) is not None

    def apart(self, parent: Link, network: Network | None, toward: IPAddress, packet: Packet) -> None:
        """Says that a container on a macvlan or ipvlan cannot reach the host by its parent's address."""
        host = self._world.host
        routed = network is not None and network.options.get("ipvlan_mode", "l2") != "l2"
        # Another such link of the host hears the question too, and answers for all of the host's addresses.
        beside = any(
            one.up and one.peer == parent.index and one.kind == "macvlan" and one.peer_namespace is None
            for one in host.links.by_name.values()
        )
        if not routed and not beside and ethernet.owns(host.links, parent, toward):
            reason = f"{toward} is the host's own address on {parent.name}, {APART_FROM_PARENT}"
            self._dropped(host, parent, reason, packet)

    def _far_end(self, terrain: Terrain, link: Link) -> Link | None:
        """A veth's other end; where that is down, its own halt tells it."""
        if terrain.is_host:
            station = self._world.container_end(link)
            return None if station is None else station.link
        return self._world.host_end(link)

    def gone_with_its_link(self, terrain: Terrain, packet: Packet) -> bool:
        """Whether a container has no route since its link is down, which takes the routes away; says so."""
        if terrain.is_host:
            return False
        for name, link in terrain.links.by_name.items():
            if not link.up and terrain.links.addresses(name, packet.family):
                reason = f"{name} is down, and its routes are gone with it"
                at = f"link {name}"
                self._trail.halt(terrain, name, "link", Disposition.NO_ROUTE, at, reason, packet, link=name)
                return True
        return False

    def port_state(self, terrain: Terrain, port: Link, packet: Packet) -> None:
        """Says that a bridge port does not forward."""
        if port.carrier is False or not port.up or port.bridge_port_state in (None, _FORWARDING):
            return
        if port.carrier and port.operstate in NO_CARRIER:
            # The kernel tells of a new carrier later (linkwatch), and then only the bridge lets its port forward.
            reason = f"{port.name} was just coming up: its bridge does not let it forward yet; look again"
            self._trail.unread(terrain, port.name, f"link {port.name}", reason, packet)
            return
        state = _PORT_STATES.get(port.bridge_port_state, str(port.bridge_port_state))
        reason = f"the bridge port {port.name} is {state}: it forwards nothing"
        self._dropped(terrain, port, reason, packet)

    def isolated(self, terrain: Terrain, port: Link, other: Link, packet: Packet) -> None:
        """Says that a bridge keeps two ports apart."""
        if port.bridge_port_isolated and other.bridge_port_isolated:
            self._dropped(terrain, other, f"{port.name} and {other.name} are isolated bridge ports", packet)

    def hairpin(self, terrain: Terrain, port: Link, other: Link, packet: Packet) -> None:
        """Says that a bridge sends no frame back out of the port that it came by."""
        if port is other and not port.bridge_port_hairpin:
            reason = (
                f"the frame would have to leave by {port.name}, the port that it came by, and {HAIRPIN_OFF}"
            )
            self._dropped(terrain, port, reason, packet)

    def not_a_port(self, terrain: Terrain, link: Link, wanted: str, packet: Packet) -> None:
        """Says that a container's link hangs on no bridge, or on another than its network's."""
        master = terrain.links.master(link)
        on = f"a port of bridge {master.name}" if master is not None else "a port of no bridge"
        reason = f"{link.name}, the container's link, is {on}, not of bridge {wanted}"
        self._dropped(terrain, link, reason, packet)
        self.mended.add(wanted)

    def _dropped(self, terrain: Terrain, link: Link, reason: str, packet: Packet) -> None:
        at = f"link {link.name}"
        self._trail.halt(terrain, link.name, "link", Disposition.DROPPED, at, reason, packet, link=link.name)

    def outward(
        self, terrain: Terrain, bridge: Link, toward: IPAddress, packet: Packet, above: Link | None = None
    ) -> Link | None:
        """The port by which a bridge sends what is for a machine out there; None where it is one of several.

        `above` is the VLAN on the bridge that it is sent by, None for the bridge itself.

        Where no port that leads off the host passes anything, says so. A guest may be the router that is meant: as
        long as one is there, that is known only once nobody answers.
        """
        links = terrain.links
        outer = ethernet.outer_ports(self._world, bridge)
        uplinks = [port for port in outer if port.kind not in _GUESTS] or outer
        live = [port for port in uplinks if _forwards(links, port)]
        if not links.ports(bridge):
            self._dropped(terrain, bridge, f"{bridge.name} {WITHOUT_PORT}", packet)
        if live or not uplinks:
            self._outside_vlan(terrain, bridge, live, packet, above)
            return live[0] if len(live) == 1 else None
        neighbour = terrain.neighbour(above or bridge, toward)
        guests = [
            port.name
            for port in links.ports(bridge)
            if port not in uplinks and self._world.container_end(port) is None and _forwards(links, port)
        ]
        if not guests or (neighbour is not None and "failed" in neighbour.state):
            if not self.broken(terrain, uplinks[0], packet):
                self.port_state(terrain, uplinks[0], packet)
            self.mended.add(bridge.name)
        elif neighbour is None or neighbour.state not in VALID:
            fault = links.fault(uplinks[0])
            why = fault.reason if fault is not None else f"{uplinks[0].name} does not forward"
            reason = f"{why}, and whether {toward} is beyond {' or '.join(guests)} is not known"
            self._trail.unread(terrain, bridge.name, f"link {uplinks[0].name}", reason, packet)
        return uplinks[0] if len(uplinks) == 1 and not guests else None

    def _outside_vlan(
        self, terrain: Terrain, bridge: Link, ports: list[Link], packet: Packet, above: Link | None
    ) -> None:
        """Says that a VLAN-aware bridge has no port, or not itself, in the VLAN that the host sends into."""
        own = bridge.bridge_vlans
        if not bridge.vlan_filtering or own is None or any(port.bridge_vlans is None for port in ports):
            return
        number = own.pvid if above is None else above.vlan_id
        if number is None:
            self._dropped(terrain, bridge, f"{bridge.name} {WITHOUT_PVID}", packet)
        elif number not in own:
            self._dropped(terrain, bridge, f"{bridge.name} itself {OUTSIDE_VLAN} {number}", packet)
        elif ports and not any(number in port.bridge_vlans for port in ports if port.bridge_vlans):
            names = " or ".join(port.name for port in ports)
            reason = f"{names}, by which {bridge.name} sends, {OUTSIDE_VLAN} {number}"
            self._dropped(terrain, ports[0], reason, packet)

    # -- who answers on a bridge --------------------------------------------------------------------------------

    def silent(self, terrain: Terrain, bridge: Link, toward: IPAddress, packet: Packet) -> None:
        """Says that the host does not answer for its address on a bridge."""
        for fault in ethernet.silent(terrain, bridge, toward, packet.addresses.source):
            self._trail.halt(
                terrain,
                f"bridge {bridge.name}",
                fault.kind,
                Disposition.DROPPED,
                fault.at,
                fault.reason,
                packet,
                sysctl=fault.sysctl,
                link=bridge.name,
            )

    def no_gateway(self, terrain: Terrain, bridge: Link, toward: IPAddress, packet: Packet) -> None:
        """Says that nobody on a network's bridge has the gateway's address."""
        network = self._world.network_by_bridge(bridge.name)
        place, at = f"bridge {bridge.name}", f"address {toward} of {bridge.name}"
        self.mended.add(bridge.name)
        addresses = terrain.namespace.addresses
        if isinstance(addresses, Unread):
            reason = f"the addresses could not be read: {addresses.reason}"
            self._trail.unread(terrain, place, at, reason, packet)
            return
        if network is not None and str(toward) not in self._gateways(network):
            reason = f"the container's route leads to {toward}, which nobody on {bridge.name} has"
            dropped = Disposition.DROPPED
            self._trail.halt(terrain, WRONG_GATEWAY, "address", dropped, at, reason, packet, link=bridge.name)
            return
        disposition, reason = Disposition.DROPPED, f"{bridge.name} does not have the gateway address {toward}"
        if network is not None and network.leaves_gateway_to_others:
            reason = f"the gateway {toward} is another machine (inhibit_ipv4), "
            if all(self._world.container_end(port) is not None for port in terrain.links.ports(bridge)):
                reason += f"and {bridge.name} has no port that leads to one"
            else:
                disposition = Disposition.UNKNOWN
                reason += "which is not seen here"
        self._trail.halt(terrain, place, "address", disposition, at, reason, packet, link=bridge.name)

    def without_gateway(self, terrain: Terrain, bridge: Link, toward: IPAddress, packet: Packet) -> bool:
        """Whether a container asks on its network's own bridge for an address of elsewhere; says so."""
        network = self._world.network_by_bridge(bridge.name)
        subnets = _subnets(network) if network is not None else []
        neighbour = terrain.neighbour(bridge, toward)
        if not subnets or any(toward in subnet for subnet in subnets) or _of_any_link(toward):
            return False
        if neighbour is not None and neighbour.state in VALID:
            return False
        reason = (
            f"the container's route leads to {toward} without a gateway, and nobody on {bridge.name} has it"
        )
        at, dropped = f"{NO_GATEWAY}{bridge.name}", Disposition.DROPPED
        self._trail.halt(terrain, WRONG_GATEWAY, "address", dropped, at, reason, packet, link=bridge.name)
        return True

    def _gateways(self, network: Network) -> set[str]:
        """What the engine told the network's containers to route to."""
        ends = [end for one in self._world.containers for end in one.endpoints if end.network == network.name]
        by_network = {pool.gateway for pool in network.pools}
        return {text for text in by_network if text} | {e.gateway for e in ends} | {e.gateway6 for e in ends}

    def not_beyond(
        self, terrain: Terrain, port: Link, station: Station, toward: IPAddress, packet: Packet
    ) -> bool:
        """Whether a route leads into a bridge's port, and the container behind it has not the address; says so."""
        if terrain.links.bridge_of(port) is None or station.terrain is None or station.link is None:
            return False
        own = station.terrain.links.addresses(station.link.name, toward.version)
        if own is None or any(one.address == str(toward) for one in own):
            return False
        reason = f"a route leads to {toward} by {port.name}, where only container {station.container.name} is"
        at = f"route to {toward} dev {port.name}"
        self._trail.halt(
            terrain, "routing", "route", Disposition.NO_ROUTE, at, reason, packet, link=port.name
        )
        return True

    def nobody(
        self, terrain: Terrain, bridge: Link, toward: IPAddress, packet: Packet, routed: Packet
    ) -> bool:
        """Whether no machine on a bridge is known to have an address; says so.

        `routed` is the packet as the routes were asked for it, which led here.
        """
        neighbour = terrain.neighbour(bridge, toward)
        if neighbour is not None and neighbour.state in VALID:
            return False
        late = terrain.router.led_away(toward, Query(toward, packet.addresses.source, mark=packet.mark))
        if late is not None:
            place, dropped = f"bridge {bridge.name}", Disposition.DROPPED
            self._trail.halt(
                terrain, place, "route", dropped, late.at, late.reason, packet, routing_rule=late.rule
            )
            return True
        network = self._world.network_by_bridge(bridge.name)
        unread = any(isinstance(self._world.terrain_of(c), Unread) for c in self._world.containers)
        route = rule = None
        led = terrain.router.arrive(routed).lookup
        onto_bridge = led.route is not None and any(hop.link == bridge.index for hop in led.route.next_hops)
        own = network is None or any(toward in subnet for subnet in _subnets(network))
        if own:
            of = f"network {network.name}" if network is not None else bridge.name
            reason = f"{toward} belongs to {of}, and no container there has it"
        elif onto_bridge and not _of_any_link(toward):
            route, rule = led.route, led.rule
            reason = (
                f"a route of this host leads to {toward} on {bridge.name} itself, where no container has it"
            )
        else:
            reason = f"{toward} is looked for on {bridge.name}, where no container has it"
        disposition = Disposition.UNKNOWN if unread and neighbour is None else Disposition.NO_ROUTE
        at = f"{toward} on {bridge.name}"
        self._trail.halt(
            terrain,
            f"bridge {bridge.name}",
            "route",
            disposition,
            at,
            reason,
            packet,
            link=bridge.name,
            route=route,
            routing_rule=rule,
        )
        return True

    # -- the neighbour tables -----------------------------------------------------------------------------------

    def of_container(self, terrain: Terrain, link: Link, toward: IPAddress, packet: Packet) -> None:
        """What a container knows of its gateway's hardware address."""
        entry = self._entry(terrain, link, toward, packet)
        if self._sends_to_itself(terrain, link, entry, packet):
            return
        port = self._world.host_end(link)
        host = self._world.host
        bridge = host.links.bridge_of(port) if port is not None else None
        if entry is None or bridge is None:
            return
        if entry.state == "permanent" and ethernet.owns(host.links, bridge, toward):
            self._compare(terrain, link, entry, bridge.mac, packet)
        elif "failed" in entry.state:
            back = host.neighbour(bridge, packet.addresses.source)
            if back is None or back.state != "reachable":
                self._failed(terrain, link, entry, packet, Disposition.UNKNOWN)

    def of_station(
        self, terrain: Terrain, bridge: Link, station: Station, toward: IPAddress, packet: Packet
    ) -> None:
        """What the host knows of a container's hardware address."""
        entry = self._entry(terrain, bridge, toward, packet)
        if entry is None or station.link is None:
            return
        if entry.state == "permanent":
            self._compare(terrain, bridge, entry, station.link.mac, packet)
        elif "failed" in entry.state:
            # A failed entry is tried anew with the next packet: it tells of the last try only.
            self._failed(terrain, bridge, entry, packet, Disposition.UNKNOWN)

    def of_uplink(self, terrain: Terrain, link: Link, toward: IPAddress, packet: Packet) -> None:
        """What is known of the next machine out there."""
        entry = self._entry(terrain, link, toward, packet)
        if self._sends_to_itself(terrain, link, entry, packet):
            return
        if self._heard_by_master(terrain, link, entry, packet) or entry is None:
            return
        if "failed" in entry.state:
            self._failed(terrain, link, entry, packet, Disposition.NO_ROUTE)
        elif entry.state == "permanent" and (whose := _nobodys(entry, terrain.links)) is not None:
            reason = f"{entry.address} is fixed to {entry.mac} on {link.name}, which is {whose}"
            self._at(terrain, link, entry, Disposition.DROPPED, reason, packet)

    def _sends_to_itself(self, terrain: Terrain, link: Link, entry: Neighbour | None, packet: Packet) -> bool:
        """Whether the kernel gives every frame the link's own hardware address, since ARP is off there; says so.

        Modems that speak Ethernet to the host alone are made so, and work.
        """
        if link.arp or link.loopback or link.kind not in _ETHERNET or link.name.startswith("ww"):
            return False
        if link.mac is None or len(link.mac) != _ETHERNET_ADDRESS or not link.mac.strip("0:"):
            return False
        if entry is not None and entry.state == "permanent":
            return False
        reason = f"{WITHOUT_ARP}{link.name}: the kernel asks for no hardware address, and sends to {link.name}'s own"
        self._dropped(terrain, link, reason, packet)
        return True

    def _heard_by_master(self, terrain: Terrain, link: Link, entry: Neighbour | None, packet: Packet) -> bool:
        """Whether answers to a link's questions come in by the link that it is a port of; says so."""
        master = terrain.links.master(link)
        if master is None or master.kind not in _TAKING_FRAMES or not link.arp:
            return False
        fixed = entry is not None and entry.state in ("permanent", "noarp")
        if fixed and packet.family == 4:
            # The master answers who asks for the link's IPv4 address; of IPv6 nobody does.
            return False
        reason = f"{link.name} is a port of {master.name}, {HEARD_BY_MASTER}"
        at, known = f"link {link.name}", entry is not None and entry.state in VALID and not fixed
        if known:
            self._trail.hop(terrain, link.name, f"{reason}; it has an answer from before")
        self._trail.halt(
            terrain, link.name, "link", Disposition.DROPPED, at, reason, packet, link=link.name, later=known
        )
        return True

    def _entry(self, terrain: Terrain, link: Link, toward: IPAddress, packet: Packet) -> Neighbour | None:
        neighbours = terrain.namespace.neighbours
        if not isinstance(neighbours, Unread):
            return terrain.neighbour(link, toward)
        reason = f"the neighbours could not be read: {neighbours.reason}"
        self._trail.unread(terrain, link.name, f"neighbour {toward} dev {link.name}", reason, packet)
        return None

    def _compare(
        self, terrain: Terrain, link: Link, entry: Neighbour, right: str | None, packet: Packet
    ) -> None:
        if entry.mac is None or right is None or entry.mac.lower() == right.lower():
            return
        reason = f"{entry.address} is fixed to {entry.mac} on {link.name}, but it is {right}"
        self._at(terrain, link, entry, Disposition.DROPPED, reason, packet)

    def _failed(
        self, terrain: Terrain, link: Link, entry: Neighbour, packet: Packet, disposition: Disposition
    ) -> None:
        if terrain.is_host and link.name in self.mended:
            return
        protocol = "ARP" if entry.family == 4 else "neighbour discovery"
        reason = f"{entry.address} did not answer {protocol} on {link.name} when it was last asked"
        self._at(terrain, link, entry, disposition, reason, packet)

    def _at(
        self,
        terrain: Terrain,
        link: Link,
        entry: Neighbour,
        disposition: Disposition,
        reason: str,
        packet: Packet,
    ) -> None:
        at = f"neighbour {entry.address} dev {link.name}"
        self._trail.halt(
            terrain,
            link.name,
            "neighbour",
            disposition,
            at,
            reason,
            packet,
            link=link.name,
            neighbour=entry,
        )


def _forwards(links: Links, port: Link) -> bool:
    return links.fault(port) is None and port.bridge_port_state in (None, _FORWARDING)


def _nobodys(entry: Neighbour, links: Links) -> str | None:
    """Why a hardware address cannot be that of a machine out there; None where it can."""
    if entry.mac is None:
        return None
    if not any(bytes.fromhex(entry.mac.replace(":", ""))):
        return "no address at all"
    own = next((name for name, link in links.by_name.items() if link.mac == entry.mac), None)
    return f"{own}'s own" if own is not None else None


def _subnets(network: Network) -> list[IPv4Network | IPv6Network]:
    return [prefix(pool.subnet) for pool in network.pools if pool.subnet]


def _of_any_link(address: IPAddress) -> bool:
    """Whether each link leads to it, without a gateway."""
    return (address.version == 6 and address.is_link_local) or address.is_multicast
