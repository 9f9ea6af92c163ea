"""The names in a snapshot that tell whose host it is: of hosts, containers, networks, images, links and users."""

import re
from collections.abc import Iterator
from dataclasses import field
from ipaddress import ip_address

from dockerdiag.dataclass import dataclass
from dockerdiag.dataclass_fields import field_values
from dockerdiag.snapshot.model import Container, Engine, NetworkNamespace, Snapshot, TextFile, Unread

KINDS = ("host", "container", "network", "project", "service", "alias", "image", "context", "user", "link")


def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


WORD = re.compile(r"[^\W_]+(?:[._-]+[^\W_]+)*")
"""What a name looks like within a text; its parts stand between dots, dashes and underscores."""
PART = re.compile(r"([._-]+)")

_LONGEST_HOST_NAME = 253
_DOTTED = re.compile(r"(?:\w[\w-]*\.)+([^\W\d_](?:[^\W_]|-)*)")
_TOP_LEVEL = _split(
    "com org net edu gov mil int info biz io dev app cloud tech online eu "
    "local lan internal intranet intern corp home private arpa"
)
_NOT_COUNTRIES = _split("so sh py md gz rs pl go js ts ko id ip in is db xz cc la pc ps do v4 v6")
"""Endings of two letters that files and fields have more often than hosts."""
_PUBLIC = (
    *("docker.com", "docker.io", "containerd.io", "mobyproject.org", "kernel.org", "debian.org"),
    *("ubuntu.com", "freedesktop.org", "lwn.net", "golang.org", "github.com", "quay.io", "ghcr.io", "gcr.io"),
    *("example.com", "example.net", "example.org", "in-addr.arpa", "ip6.arpa", "home.arpa"),
)
"""Domains that say nothing about the host that names them."""

_OWN = {
    "host": {"localhost", "localdomain", "ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix"}
    | {"ip6-allnodes", "ip6-allrouters", "host-gateway", "broadcasthost", "docker"},
    "network": {"bridge", "host", "none", "ingress", "docker_gwbridge", "default", ""},
    "context": {"default", "rootless", "desktop-linux"},
    "user": {"root"},
    "image": {"library", "latest"},
}
"""Names that engines, kernels and distributions give themselves."""

_USUAL_LINK = re.compile(
    r"lo|docker0|docker_gwbridge|br-[0-9a-f]{12}|veth[0-9a-f]{7}|(?:lxd|lxc|vir)?br\d+|podman\d+|cni0"
    r"|(?:eth|wlan|bond|team|dummy|tun|tap|wg|ppp|vlan|ifb|vxlan|macvlan|ipvlan|sit|gre|ip6tnl|tunl|tailscale|flannel)"
    r"[.]?\d+(?:\.\d+)?|(?:en|wl|ww)(?:o\d+|p\d+s\d+|s\d+)\w{0,8}(?:\.\d+)?"
)
_WILDCARD = re.compile(r"(?<![\w.-])([\w.-]+)[+*](?=[\s\"]|$)")

_VOCABULARY = _split(
    """
        accept account addrtype after alias all any append arp auto before bridge broadcast bytes
        chain check client cluster com comment commit conf config conflict connmark conntrack
        container containerd containers continue core counter cpu crash created ctstate daemon data
        dead debug default delete deny description destination device dhcp disabled dnat dns docker
        dockerd down drop dst dynamic egress enabled engine environment environmentfile error
        established etc eth eth0 exec execstart execstartpost execstartpre exited fail failed false
        fatal file filter firewall firewalld flags forward forwarding gateway global group handle
        hash home hook host http https icmp icmpv6 iface ifname image inet info ingress init input
        insert install interface internal invalid ip ip6 ip6tables ipset iptables ipv4 ipv6 ipvlan
        jump kernel key kill lan length level lib libnetwork limit link load local log loopback
        macvlan main mangle map mark masquerade match memory meta metric moby module modules mount
        msg multi name namespace nat net netdev netfilter network networks new nft none note null
        off opt options output overlay owner packets path pause peer permission pid policy
        policydrop port ports postrouting prefix prerouting priority private proc process protocol
        proxy public queue quiet range raw read reason recent registry reject related reload request
        requires restart restarting return root route rules run running runtime sbin scope security
        server service set shell sid snat socket source src srv start started starting state status
        stop storage swarm sys sysctl system systemd table target task tcp test time tls tmp true
        type ucp udp ufw unit unix unknown unreachable untracked up user usr value var version via
        volume wan wantedby wants warn warning with world write xt zone
        audit cgroup checksum classify concat connsecmark ct daddr dport dscp dup ecn elem elements expr fib
        fwd goto hl idletimer iif iifname jhash led left meter netmap nflog nfqueue notrack numgen oif oifname
        op osf payload prio quota rateest redirect reset right rt saddr secmark sport statistic symhash
        synproxy tcpmss tee tos tproxy trace ttl vmap
        """
)
"""Words that rules, units and logs are written in: no name there, though something may be called so."""


@dataclass(slots=True)
class Names:
    """Names found in a snapshot, each with its kind, and what of them must stay.

    Attributes:
        words: Names to be replaced wherever they stand, with their kind; the first kind found holds.
        exact: As `words`, with those that are words of the configuration's language too: replaced only where
            nothing but a name can stand.
        labels: What hosts' names with dots are made of, replaced within such names only.
        domains: The last two labels of those that stand where nothing but a host can stand, whatever their ending.
        kept_links: Names of links that a rule knows by a wildcard, which would no longer match.
    """

    words: dict[str, str] = field(default_factory=dict)
    exact: dict[str, str] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    kept_links: set[str] = field(default_factory=set)

    def add(self, kind: str, name: str | None) -> None:
        """Notes one name."""
        if not name or name in _OWN.get(kind, ()) or name in self.exact:
            return
        if kind == "host" and ("." in name or ":" in name):
            self._add_dotted(name.strip("*."))
            return
        is_word = len(name) == 1 or name.lower() in _VOCABULARY or name.isdecimal() or _usual(name)
        if not is_word:
            self.words[name] = kind
        if not is_word or kind != "link":
            self.exact[name] = kind

    def _add_dotted(self, name: str) -> None:
        if ":" in name or _is_address(name) or is_public(name):
            return
        if "." not in name:
            self.add("host", name)
            return
        self.labels.update(label for label in labels(name) if label not in _OWN["host"])
        if self.labels.intersection(labels(name)):
            self.domains.add(domain_of(name))

    def found(self, word: str) -> None:
        """Notes a dotted word of a text where it is a host's name."""
        if is_host_name(word) or (domain_of(word) in self.domains and not is_public(word)):
            self.labels.update(label for label in labels(word) if label not in _OWN["host"])


def domain_of(name: str) -> str:
    """The last two labels of a host's name, in small letters."""
    return ".".join(name.lower().rsplit(".", 2)[-2:])


def is_public(name: str) -> bool:
    """Whether a domain says nothing about the host that names it."""
    return f".{name.lower()}".endswith(tuple(f".{one}" for one in _PUBLIC))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def labels(name: str) -> list[str]:
    """The labels of a host's name with dots that tell whose it is: all but the last."""
    return name.strip("*.").split(".")[:-1]


def is_host_name(word: str) -> bool:
    """Whether a dotted word is a host's name rather than a file's, a key or a version."""
    match = _DOTTED.fullmatch(word) if len(word) <= _LONGEST_HOST_NAME else None
    if match is None or is_public(word):
        return False
    last = match[1].lower()
    return (
        last in _TOP_LEVEL
        or last.startswith("xn--")
        or (len(last) == 2 and last.isalpha() and last not in _NOT_COUNTRIES)
    )


def names_in(snapshot: Snapshot) -> Names:
    """Every name that `KINDS` lists, from where the snapshot says what it is, and from what its texts show."""
    names = Names()
    names.add("host", snapshot.host.hostname)
    names.add("host", snapshot.host.hostname.partition(".")[0])
    names.add("user", snapshot.invoking_user)
    engine = snapshot.engine
    if isinstance(engine, Engine):
        _from_engine(engine, names)
    for line in _lines(snapshot.hosts_file):
        for alias in line.partition("#")[0].split()[1:]:
            names.add("host", alias)
    for client in () if isinstance(snapshot.client_proxies, Unread) else snapshot.client_proxies:
        _from_no_proxy(client.proxies.get("no_proxy", ""), names)
    resolvers = [snapshot.resolv_conf]
    if isinstance(engine, Engine) and not isinstance(engine.containers, Unread):
        resolvers += [container.resolv_conf for container in engine.containers]
    for resolver in resolvers:
        for line in _lines(resolver):
            if line.startswith(("search", "domain")):
                for domain in line.split()[1:]:
                    names.add("host", domain)
    # What its place tells is a host's comes first: other words are known by its domain.
    for text in texts_in(snapshot):
        _from_text(text, names)
    for text in texts_in(snapshot):
        for found in WORD.finditer(text) if "." in text else ():
            if "." in found[0]:
                names.found(found[0])
    _links(snapshot, names)
    return names


_USER = re.compile(r"(?:/home/|(?<=ssh://))([A-Za-z_][\w-]*)(?=[/@\s\"]|$)")
_HOST_BY_PLACE = re.compile(
    r"(?:(?:https?|tcp|ssh|socks5h?)://(?:[^@/\s\"]*@)?|\blookup )([^\W\d_][\w.-]*)(?=[:/\s\"']|$)"
)
_NO_PROXY = re.compile(r"no_proxy[\"']?[ \t]*[=:][ \t]*[\"']?([^\s\"']+)", re.IGNORECASE)


def _from_text(text: str, names: Names) -> None:
    """Homes of users, and hosts in URLs, in lists of those that need no proxy, and in complaints of resolvers."""
    for found in _USER.finditer(text):
        names.add("user", found[1])
    for found in _HOST_BY_PLACE.finditer(text):
        names.add("host", found[1])
    for found in _NO_PROXY.finditer(text):
        _from_no_proxy(found[1], names)


def _from_no_proxy(value: str, names: Names) -> None:
    for entry in value.split(","):
        name = re.sub(r":\d+$", "", entry.strip(" .*"))
        if re.fullmatch(r"\w[\w.-]*", name) and not name.isdecimal():
            names.add("host", name)


def _from_engine(engine: Engine, names: Names) -> None:
    names.add("host", engine.name)
    names.add("context", engine.context)
    _from_no_proxy(engine.no_proxy, names)
    for network in () if isinstance(engine.networks, Unread) else engine.networks:
        names.add("network", network.name)
        names.add("project", network.compose_project)
    containers = () if isinstance(engine.containers, Unread) else engine.containers
    for container in containers:
        names.add("container", container.name)
    for container in containers:
        _from_container(container, names)


def _from_container(container: Container, names: Names) -> None:
    names.add("project", container.compose_project)
    names.add("service", container.compose_service)
    names.add("host", _registry(container.image))
    for component in _components(container.image):
        names.add("image", component)
    for variable, value in container.proxies.items():
        if variable.lower() == "no_proxy":
            _from_no_proxy(value, names)
    for written in container.extra_hosts:
        names.add("host", re.split(r"[:=]", written, maxsplit=1)[0])
    for endpoint in container.endpoints:
        names.add("network", endpoint.network)
        for alias in endpoint.aliases:
            if not container.id.startswith(alias):
                names.add("alias", alias)


def _registry(image: str) -> str | None:
    """The host that an image comes from, None where the reference leaves it out."""
    first, slash, _ = image.partition("/")
    return first.partition(":")[0] if slash and "." in first else None


def _components(image: str) -> list[str]:
    """The repository's path of an image reference, without its registry, tag and digest."""
    if image.startswith("sha256:"):
        return []
    parts = image.partition("@")[0].split("/")
    if len(parts) > 1 and ("." in parts[0] or ":" in parts[0]):
        parts = parts[1:]
    return [part.partition(":")[0] for part in parts]


def _links(snapshot: Snapshot, names: Names) -> None:
    spaces = [snapshot.network, *snapshot.namespaces.values()]
    known = [one for one in spaces if isinstance(one, NetworkNamespace)]
    wildcards: set[str] = set()
    found: set[str] = set()
    for one in known:
        if not isinstance(one.links, Unread):
            found |= {link.name for link in one.links}
        for text in texts_in(one.firewall):
            wildcards.update(_WILDCARD.findall(text))
    engine = snapshot.engine
    if isinstance(engine, Engine) and not isinstance(engine.networks, Unread):
        found |= {network.bridge for network in engine.networks if network.bridge}
    for name in sorted(found):
        if _usual(name):
            continue
        if any(name.startswith(prefix) for prefix in wildcards):
            names.kept_links.add(name)
            names.exact.pop(name, None)
            names.words.pop(name, None)
        else:
            names.add("link", name)


def _usual(name: str) -> bool:
    return _USUAL_LINK.fullmatch(name) is not None


def _lines(file: TextFile | Unread | None) -> list[str]:
    return file.text.splitlines() if isinstance(file, TextFile) else []


def texts_in(part: object) -> Iterator[str]:
    """Every text in a part of a snapshot."""
    pending = [part]
    while pending:
        one = pending.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            pending.extend(reversed([item for pair in one.items() for item in pair]))
        elif isinstance(one, tuple):
            pending.extend(reversed(one))
        else:
            pending.extend(reversed(field_values(one)))
