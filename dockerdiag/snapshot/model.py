"""The parts of a snapshot.

Every part is frozen and holds what the host said, not what it means. A part that could not be read is
`Unread`, never empty: an empty tuple or text says that the host was asked and has none.
Addresses are text as the kernel prints them, times are seconds since the epoch, sysctl keys are paths below
`/proc/sys` (`net/ipv4/conf/eth0.100/forwarding`, since link names may hold dots).
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from dockerdiag.dataclass import dataclass
from dockerdiag.snapshot.probes import Probe

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Unread:
    """A part that could not be read, and why."""

    # Without it a part whose fields all have defaults would be taken for an Unread, and the other way round.
    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    reason: str


PREDATED = Unread("the snapshot is older than this part")
"""Default of every part that was added after the first release: a snapshot of before is judged without it."""

NOT_PROBED = Unread("no probe was asked for (--probe)")
"""The probes of a run that sent none."""


class _LeftToRight:
    """As pydantic's `Field(union_mode="left_to_right")`, without pydantic, which a run on a host does not need."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        return {**handler(source), "mode": "left_to_right"}


# Or a saved Unread would be read as a mapping with the key `reason`.
Texts = Annotated[Unread | Mapping[str, str], _LeftToRight()]


@dataclass(frozen=True, slots=True)
class TextFile:
    """A small text file; credentials in it are already replaced."""

    path: str
    text: str
    modified_at: float | None = None
    resolved_path: str | None = None
    """Where a symbolic link led, None for a plain file."""


# -- the network namespace -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BridgeVlans:
    """The VLANs that a port of a VLAN-aware bridge, or the bridge itself, takes part in."""

    ranges: tuple[tuple[int, int], ...]
    """The first and the last number of each."""
    pvid: int | None = None
    """The VLAN that untagged frames which come in by it belong to; None: they are dropped."""

    def __contains__(self, number: int) -> bool:
        return any(low <= number <= high for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface (RTM_GETLINK)."""

    index: int
    name: str
    kind: str | None
    """`bridge`, `veth`, `macvlan` …; None for hardware and loopback."""
    up: bool
    """IFF_UP: the administrator's wish. `operstate` down with `up` is what an unused bridge looks like."""
    operstate: str
    mtu: int
    mac: str | None = None
    arp: bool = True
    """False where IFF_NOARP is set."""
    loopback: bool = False
    carrier: bool | None = None
    master: int | None = None
    """Index of the bridge or bond this link is a port of."""
    peer: int | None = None
    """IFLA_LINK: the other end's index, in the namespace `peer_namespace` (a veth) or this one (a VLAN)."""
    peer_namespace: int | None = None
    """IFLA_LINK_NETNSID, None when the other end is in this namespace."""
    bridge_port_state: int | None = None
    """BR_STATE of a bridge port: 3 forwards, 0 to 2 and 4 do not."""
    bridge_port_isolated: bool = False
    bridge_port_hairpin: bool = False
    stp: bool | None = None
    """Of a bridge: whether it speaks the spanning tree protocol."""
    bridge_nf_call_iptables: bool | None = None
    """Of a bridge: its own switch for iptables on bridged frames, beside net.bridge.*"""
    bridge_nf_call_ip6tables: bool | None = None
    vlan_id: int | None = None
    """Of a VLAN: its number."""
    vlan_filtering: bool | None = None
    """Of a bridge: whether it is VLAN-aware."""
    bridge_vlans: BridgeVlans | None = None
    """Read where some bridge is VLAN-aware; None as well for what is neither a bridge nor a port of one."""
    vrf_table: int | None = None
    """Of a VRF device: the table that its traffic is routed by."""
    qdisc_drops: int | None = None
    filter_drops: int | None = None
    """How many packets traffic control's filters (ingress, clsact) have dropped; None where it has none, and where
    they only keep to a rate."""
    group: int | None = None
    """IFLA_GROUP, None in a snapshot of before it was read."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a link (RTM_GETADDR)."""

    link: int
    family: Literal[4, 6]
    address: str
    prefix_length: int
    scope: str = "global"
    peer: str | None = None
    flags: tuple[str, ...] = ()
    """`tentative`, `dadfailed`, `deprecated`, `secondary` … as iproute2 names them."""


@dataclass(frozen=True, slots=True)
class NextHop:
    """One way of a route."""

    link: int | None
    gateway: str | None = None
    weight: int = 1
    flags: tuple[str, ...] = ()
    """`linkdown`, `dead`, `onlink`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of any table (RTM_GETROUTE dump)."""

    family: Literal[4, 6]
    table: int
    destination: str
    """CIDR; the default route is `0.0.0.0/0` or `::/0`."""
    type: str
    """`unicast`, `local`, `broadcast`, `blackhole`, `unreachable`, `prohibit`, `throw`, `anycast` …"""
    next_hops: tuple[NextHop, ...] = ()
    metric: int = 0
    protocol: str = ""
    scope: str = "global"
    preferred_source: str | None = None
    source: str | None = None
    """CIDR that an IPv6 route asks of the source, None for any."""
    tos: int = 0
    mtu: int | None = None
    encapsulation: str | None = None
    """What it puts packets into (`ip`, `mpls`, `seg6` …); None: nothing."""


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """One policy rule (RTM_GETRULE)."""

    family: Literal[4, 6]
    priority: int
    action: str
    """`lookup`, `goto`, `nop`, `blackhole`, `unreachable`, `prohibit`."""
    table: int | None = None
    invert: bool = False
    source: str | None = None
    destination: str | None = None
    in_link: str | None = None
    out_link: str | None = None
    mark: int | None = None
    mask: int | None = None
    tos: int = 0
    protocol: int | None = None
    """IP protocol number."""
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    user_ids: tuple[int, int] | None = None
    goto: int | None = None
    suppress_prefix_length: int | None = None
    suppress_link_group: int | None = None
    l3mdev: bool = False
    tunnel_id: int | None = None
    unread: tuple[str, ...] = ()
    """What else it asks for, and this program does not read: `dscp`, `flowlabel` …"""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One entry of the ARP or neighbour discovery table."""

    link: int
    family: Literal[4, 6]
    address: str
    mac: str | None
    state: str
    """`reachable`, `stale`, `failed`, `permanent`, `noarp`, `incomplete` …"""


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """The kernel's own answer to "which way", asked with RTM_GETROUTE; nothing is sent."""

    destination: str
    source: str | None
    in_link: str | None
    mark: int
    error: str | None = None
    """Name of the errno (`EHOSTUNREACH`, `ENETUNREACH`, `EINVAL`, `EXDEV`, `EACCES`), None for an answer."""
    type: str | None = None
    out_link: str | None = None
    gateway: str | None = None
    table: int | None = None
    preferred_source: str | None = None


@dataclass(frozen=True, slots=True)
class IpSet:
    """One ipset with its members as `ipset list` prints them."""

    name: str
    type: str
    """`hash:ip`, `hash:net`, `hash:ip,port` …"""
    family: str
    """`inet` or `inet6`; empty for types that have none."""
    members: tuple[str, ...]
    """Truncated never: a set that is too large to read makes the ipsets Unread."""
    mask: int | None = None
    """The bits by which addresses are looked up (`netmask`, `bitmask`); None: all of them."""
    mark_mask: int = 0xFFFFFFFF
    """The bits by which marks are looked up (`markmask`)."""


@dataclass(frozen=True, slots=True)
class NetdevHook:
    """The devices of a netdev-family base chain, which `nft -j` 1.0.6 leaves out (NFTA_HOOK_DEV)."""

    family: str
    table: str
    chain: str
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableFlags:
    """The flags of an nftables table, whose names `nft -j` 1.0.6 garbles (NFTA_TABLE_FLAGS)."""

    family: str
    table: str
    dormant: bool


@dataclass(frozen=True, slots=True)
class Firewall:
    """Rule sets as the kernel's tools print them, for `dockerdiag.packet` to parse. Empty text: no rules."""

    nft: str | Unread
    """`nft -j list ruleset`."""
    iptables_nft: str | Unread = ""
    """`iptables-nft-save -c`."""
    ip6tables_nft: str | Unread = ""
    iptables_legacy: str | Unread = ""
    """`iptables-legacy-save -c`; empty where /proc/net/ip_tables_names is: then no table is registered."""
    ip6tables_legacy: str | Unread = ""
    ipsets: tuple[IpSet, ...] | Unread = ()
    netdev_hooks: tuple[NetdevHook, ...] | Unread = ()
    table_flags: tuple[TableFlags, ...] | Unread = ()
    """Empty where nft's own listing tells them."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening TCP socket or a bound UDP socket (/proc/net/{tcp,udp}{,6})."""

    protocol: Literal["tcp", "udp"]
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class IpsecPolicy:
    """One IPsec policy (XFRM_MSG_NEWPOLICY), but those of single sockets."""

    family: Literal[4, 6]
    direction: Literal["in", "out", "forward"]
    blocks: bool
    """Whether it discards what it selects."""
    source: str
    """CIDR."""
    destination: str
    priority: int = 0
    """The lowest counts."""
    protocol: int = 0
    """IP protocol number; 0 for any."""
    source_port: tuple[int, int] = (0, 0)
    """A port and the bits of it that count."""
    destination_port: tuple[int, int] = (0, 0)
    link: int | None = None
    """Index of the link that it is about; None for any."""
    mark: int = 0
    mask: int = 0
    interface: int = 0
    """Of which tunnel's link (`if_id`) it is; 0 for what is of none."""
    protects: bool = False
    """Whether what it selects must be protected."""


@dataclass(frozen=True, slots=True)
class NetworkNamespace:
    """One network namespace as a whole: the host's, or a container's."""

    name: str
    """`net:[4026531840]`, as /proc/PID/ns/net reads."""
    links: tuple[Link, ...] | Unread
    addresses: tuple[Address, ...] | Unread
    routes: tuple[Route, ...] | Unread
    rules: tuple[RoutingRule, ...] | Unread
    neighbours: tuple[Neighbour, ...] | Unread
    sysctls: Texts
    """`net/ipv4/ip_forward` → `1`. A key that is absent does not exist in this kernel (`net/bridge/…` without
    br_netfilter)."""
    firewall: Firewall
    listeners: tuple[Listener, ...] | Unread = ()
    route_answers: tuple[RouteAnswer, ...] = ()
    neighbour_suppressed: bool = False
    conntrack_counters: Mapping[str, int] | Unread = PREDATED
    """/proc/net/stat/nf_conntrack, summed over the processors (`drop`, `early_drop`, `insert_failed`, `invalid` …);
    empty where connection tracking is not there."""
    ip_counters: Mapping[str, int] | Unread = PREDATED
    """Of /proc/net/netstat: what no rule counts (`IPReversePathFilter`), since the namespace was made."""
    packet_queues: tuple[int, ...] | Unread = PREDATED
    """Numbers of the queues that a program takes packets from (NFQUEUE)."""
    ipsec_policies: tuple[IpsecPolicy, ...] | Unread = PREDATED
    """In the order of their making. Not asked for, and empty, where what they are made with is not loaded."""


# -- the host ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Host:
    """The machine, and who asked."""

    hostname: str
    kernel: str
    architecture: str
    os_name: str
    """PRETTY_NAME of os-release."""
    root: bool
    """Whether the reader ran as root."""
    booted_at: float | None = None
    systemd: bool = False
    """Whether systemd is PID 1 (/run/systemd/system exists)."""
    virtualization: str | None = None
    """`container`, `lxc`, `wsl` … where it can be told without running anything."""
    modules: tuple[str, ...] | Unread = ()
    module_tree: "ModuleTree | Unread | None" = PREDATED
    """What the running kernel can load; None where it was built without modules."""


@dataclass(frozen=True, slots=True)
class ModuleTree:
    """/lib/modules of the running kernel, as far as the engine needs it."""

    directory: str
    exists: bool
    """Whether the tree of the running kernel is there, with its index (modules.dep)."""
    others: tuple[str, ...] = ()
    """The releases whose trees are there beside it."""
    absent: tuple[str, ...] = ()
    """Of what an engine may need: neither loaded, nor built in, nor loadable."""
    loading_disabled: bool = False
    """Whether kernel.modules_disabled is 1: nothing more can be loaded until the next boot."""


@dataclass(frozen=True, slots=True)
class BootSysctls:
    """What will set sysctls at the next boot, to be judged by `dockerdiag.configuration.sysctl_d`."""

    files: tuple[TextFile, ...]
    """Every *.conf of the sysctl.d directories, /etc/sysctl.conf and ufw's sysctl.conf where ufw is enabled.
    A file masked by a link to /dev/null is there with empty text and that `resolved_path`."""
    kernel_command_line: str = ""


@dataclass(frozen=True, slots=True)
class LinkOwner:
    """What a network manager keeps about one link of the host."""

    link: int
    manager: str
    """`systemd-networkd` or `NetworkManager`."""
    managed: bool
    file: str | None = None
    """Of systemd-networkd: the .network file that it applies."""


@dataclass(frozen=True, slots=True)
class NetworkManagers:
    """Who configures the host's links besides the engine."""

    running: tuple[str, ...]
    """Names of their processes in the host's network namespace (`systemd-networkd`, `dhcpcd`, `ndppd` …)."""
    enabled: tuple[str, ...]
    """Units that start at boot (`systemd-networkd.service`)."""
    files: tuple[TextFile, ...] = ()
    """*.network files with their drop-ins, dhcpcd.conf; those masked by a link to /dev/null have no text."""
    owners: tuple[LinkOwner, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentFile:
    """A file that `EnvironmentFile=` of a unit names."""

    path: str
    optional: bool
    """Written with a leading `-`: its absence does not keep the unit from starting."""
    file: TextFile | Unread | None
    """None where it does not exist."""


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """A systemd service: its files on disk, and what the running manager says of it."""

    name: str
    fragment: TextFile | None
    drop_ins: tuple[TextFile, ...]
    """In the order in which systemd applies them, masked ones left out."""
    environment_files: tuple[EnvironmentFile, ...] = ()
    unused_environment_files: tuple[TextFile, ...] = ()
    """Those of other init systems that the unit does not name (/etc/default/docker, /etc/sysconfig/docker)."""
    load_state: str | None = None
    active_state: str | None = None
    sub_state: str | None = None
    result: str | None = None
    need_daemon_reload: bool | None = None
    main_pid: int | None = None
    active_since: float | None = None
    exec_start: str | None = None
    """As the manager has it loaded (`systemctl show -p ExecStart`), None where it was not asked."""
    environment: str | None = None
    """As the manager has it loaded (`systemctl show -p Environment`); credentials replaced."""
    manager_environment: str | None = None
    """Proxy and DOCKER_* lines of `systemctl show-environment`, what every service gets; credentials replaced."""
    manager_error: str | None = None
    """Why the manager could not be asked."""
    confinement: Mapping[str, Mapping[str, str]] | Unread = PREDATED
    """What the manager keeps it from on the network (IPAddressDeny= and its like), as it has it loaded: settings
    that are not at their default, by the unit that has them, the service or a slice above it."""


@dataclass(frozen=True, slots=True)
class NameService:
    """How the host itself comes to its nameservers, beside /etc/resolv.conf."""

    link: str | None
    """Where /etc/resolv.conf points, as the link has it; None for a plain file and where there is nothing."""
    others: tuple[TextFile, ...] = ()
    """What resolvers and network managers of this host keep in resolv.conf's form for whoever links to it."""
    services: Texts = PREDATED
    """ActiveState of the resolvers' services that are installed, by the service's name."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service that may change rules, links or routes beside the engine, as systemd's manager tells it."""

    name: str
    """`nftables.service`."""
    active_state: str
    """`active`, `inactive`, `failed` …"""
    unit_file_state: str = ""
    """`enabled`, `disabled`, `static`, `masked` …"""
    active_since: float | None = None
    changed_at: float | None = None
    """When its state last changed: also by a reload."""


RULE_MAKERS = (
    "nftables.service",
    "iptables.service",
    "ip6tables.service",
    "netfilter-persistent.service",
    "firewalld.service",
    "ufw.service",
    "ferm.service",
    "shorewall.service",
    "csf.service",
    "firehol.service",
)
"""The services of `Snapshot.services` that load a rule set of their own; some take away what was there."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program as the daemon finds it: by its own PATH, or where none runs by the one that systemd gives it."""

    name: str
    """`iptables`."""
    path: str | None
    """The first of its PATH that is there, also where it is a link that leads nowhere; None where none is."""
    leads_to: str | None = None
    """With all links followed; None where they lead nowhere."""


@dataclass(frozen=True, slots=True)
class Shim:
    """A container of the engine that runs, seen by its shim and not by the engine."""

    container: str
    """The container's id."""
    resolv_conf: TextFile | Unread | None = None
    """The container's own."""


@dataclass(frozen=True, slots=True)
class DaemonProcess:
    """A running dockerd."""

    pid: int
    executable: str | None
    command_line: tuple[str, ...] | Unread
    environment: Texts
    """Only those that change networking or its reading (PATH, proxies, DOCKER_*); credentials replaced."""
    started_at: float | None
    namespace: str | None
    """Its network namespace; where it is not the host's (rootless), host rules are not the engine's."""
    namespace_is_host: bool | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the journal or of the kernel's log."""

    time: float
    source: str
    """Unit or `kernel`."""
    text: str


@dataclass(frozen=True, slots=True)
class ClientProxies:
    """What docker's client writes into the environment of new containers and builds, by one user's config.json."""

    path: str
    endpoint: str
    """The engine that it is for, `default` for those that have no entry of their own."""
    proxies: Mapping[str, str]
    """By variable (`http_proxy`, of `httpProxy`), which a container gets in both spellings; credentials replaced."""


# -- the engine ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IpamPool:
    """One subnet of a network, or a pool that the engine takes subnets from."""

    subnet: str | None
    gateway: str | None = None
    ip_range: str | None = None
    size: int | None = None
    """Of a pool that subnets are taken from: their prefix length."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network as the engine tells it (GET /networks/{id})."""

    id: str
    name: str
    driver: str
    scope: str = "local"
    internal: bool = False
    ipv4: bool = True
    ipv6: bool = False
    ingress: bool = False
    config_only: bool = False
    pools: tuple[IpamPool, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    compose_project: str | None = None
    bridge_seen: str | None = None
    """Of Podman, which does not tell its bridges' names: the link that holds the gateway's address, empty where none
    does."""

    @property
    def bridge(self) -> str | None:
        """Name of its Linux bridge, None where its driver makes none, or none is there to be seen."""
        if self.driver != "bridge" or self.config_only:
            return None
        named = self.options.get("com.docker.network.bridge.name")
        if not named and self.bridge_seen is not None:
            return self.bridge_seen or None
        return named or f"br-{self.id[:12]}"

    @property
    def leaves_gateway_to_others(self) -> bool:
        """Whether its bridge has no IPv4 address: another machine is to be the gateway (inhibit_ipv4)."""
        option = self.options.get("com.docker.network.bridge.inhibit_ipv4", "")
        return option.lower() in ("true", "t", "1")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place on a network."""

    network: str
    """The network's name."""
    network_id: str = ""
    address: str = ""
    prefix_length: int = 0
    gateway: str = ""
    address6: str = ""
    prefix_length6: int = 0
    gateway6: str = ""
    mac: str = ""
    gateway_priority: int = 0
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortBinding:
    """A published port."""

    protocol: str
    container_port: int
    host_address: str
    host_port: int


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine tells it, running or not."""

    id: str
    name: str
    image: str
    state: str
    """`running`, `exited`, `created`, `paused`, `restarting`, `removing`, `dead`."""
    pid: int | None
    network_mode: str
    """`bridge`, `host`, `none`, `container:ID` or a network's name."""
    endpoints: tuple[Endpoint, ...] = ()
    namespace: str | None = None
    """Key into `Snapshot.namespaces`; None where it is not running."""
    ports: tuple[PortBinding, ...] = ()
    dns: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Proxy variables of its environment; credentials replaced. No other variable is kept."""
    compose_project: str | None = None
    compose_service: str | None = None
    resolv_conf: TextFile | Unread | None = None
    restart_policy: str | Unread = PREDATED
    """`no`, `always`, `unless-stopped`, `on-failure`."""
    auto_remove: bool = False
    """Whether the engine removes it when it ends (`--rm`)."""


@dataclass(frozen=True, slots=True)
class SwarmNode:
    """What an engine in a swarm knows of it."""

    address: str
    """Its own, as other nodes know it."""
    managers: tuple[str, ...] = ()
    """The managers' addresses, its own among them where it is one."""
    nodes: int | None = None
    """How many there are; a worker does not know."""
    manager: bool = False
    data_path_port: int = 4789
    """Of UDP, for what overlay networks send each other; a worker knows the default alone."""


PODMAN = "Podman Engine"
"""`Engine.platform` of Podman."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine that answered."""

    endpoint: str
    """`unix:///var/run/docker.sock`, `tcp://…`, `ssh://…`; credentials replaced."""
    context: str | None
    """The CLI context that named the endpoint, None for DOCKER_HOST or the default."""
    local: bool
    """Whether it runs on the host that was read: by a socket of this host whose owner is a process seen here.
    Where False, this host's rules and links say nothing about its containers."""
    name: str
    """`Name` of /info: the engine's host name."""
    version: str
    api_version: str
    platform: str = ""
    """`Docker Engine - Community`, `Podman Engine`, `Docker Desktop …`."""
    rootless: bool = False
    firewall_driver: str | None = None
    """`iptables`, `nftables`, `iptables+firewalld` …; None before API 1.49."""
    swarm: str = "inactive"
    swarm_node: SwarmNode | Unread | None = PREDATED
    """None where it is in no swarm."""
    live_restore: bool = False
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    default_address_pools: tuple[IpamPool, ...] = ()
    warnings: tuple[str, ...] = ()
    networks: tuple[Network, ...] | Unread = ()
    containers: tuple[Container, ...] | Unread = ()

    @property
    def is_podman(self) -> bool:
        """Whether it is Podman, which answers by Docker's API and makes links and rules of its own."""
        return self.platform == PODMAN


@dataclass(frozen=True, slots=True)
class Redaction:
    """What was replaced in a snapshot before it was handed on."""

    map: str
    """Name of the map that `dockerdiag reveal` needs; it stays on the host."""
    kinds: Mapping[str, int]
    """How often each kind of name was replaced (`address`, `mac`, `host`, `container` …)."""
    kept: tuple[str, ...] = ()
    """What was not replaced, in words."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One host at one moment."""

    taken_at: str
    """RFC 3339, UTC."""
    tool_version: str
    host: Host
    network: NetworkNamespace
    """The host's network namespace."""
    namespaces: Mapping[str, NetworkNamespace | Unread]
    """Those of running containers, by `Container.namespace`; shared ones once."""
    engine: Engine | Unread
    daemons: tuple[DaemonProcess, ...] | Unread
    service: ServiceUnit | Unread | None
    """docker.service; None where the host has no such unit."""
    daemon_json: TextFile | Unread | None
    """The file that the daemon reads; None where it does not exist."""
    boot_sysctls: BootSysctls | Unread
    resolv_conf: TextFile | Unread | None
    """The host's /etc/resolv.conf; None where it does not exist (or is a dangling link)."""
    hosts_file: TextFile | Unread | None
    """The host's /etc/hosts."""
    journal: tuple[LogLine, ...] | Unread
    """docker.service's last hour; where the unit failed, also its last lines before that."""
    kernel_log: tuple[LogLine, ...] | Unread
    """Lines about dropped packets and full tables of the last hour."""
    network_managers: NetworkManagers | Unread = PREDATED
    invoking_user: str | None = None
    """Who ran sudo, None without it."""
    name_service: NameService | Unread = PREDATED
    redaction: Redaction | None = None
    probes: tuple[Probe, ...] | Unread = NOT_PROBED
    """What real packets met, in the order in which they were sent."""
    services: tuple[ServiceState, ...] | Unread = PREDATED
    """Firewalls, network managers and other engines that systemd has; those that are not installed are left out."""
    firewall_files: tuple[TextFile, ...] | Unread = PREDATED
    """What those services load: nftables.conf with what it includes, saved iptables rules, firewalld's zones."""
    shims: tuple[Shim, ...] | Unread = PREDATED
    """The engine's containers by their processes, whether the engine answers or not."""
    programs: tuple[Program, ...] | Unread = PREDATED
    """The engine's iptables and ip6tables."""
    client_proxies: tuple[ClientProxies, ...] | Unread = PREDATED
    """Those of the user who asks, or who ran sudo, and of root."""
    packages: Texts = PREDATED
    """Which package brought a file that sets sysctls or configures the engine; others are left out."""
    schema_version: int = SCHEMA_VERSION
