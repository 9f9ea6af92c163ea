"""dockerd's options: their flags, their keys in daemon.json, since which engine, what holds by default."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from dockerdiag.dataclass import dataclass

Version = tuple[int, int]
SettingValue = bool | int | str | tuple[str, ...] | None
"""A list flag holds a tuple; None says that there is no value."""


class Kind(StrEnum):
    """How a flag takes its value, and what it must look like."""

    BOOL = "bool"
    INT = "int"
    STRING = "string"
    ADDRESS = "address"
    LIST = "list"
    ADDRESSES = "addresses"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of dockerd."""

    name: str
    """Of its flag, without dashes."""
    kind: Kind
    shorthand: str = ""
    key: str = ""
    """Its key in daemon.json, with a dot where it lies in an object; empty where the file has none."""
    since: Version = (0, 0)
    until: Version | None = None
    """The first engine that no longer knows it."""
    default: SettingValue = None
    networking: bool = False

    def known_to(self, version: Version | None) -> bool:
        """Whether an engine has it; with no version, whether any has."""
        return version is None or (self.since <= version and (self.until is None or version < self.until))


def engine_version(text: str | None) -> Version | None:
    """The first two numbers of an engine's version (`28.5.2+dfsg1`); None where it has none."""
    numbers = (text or "").removeprefix("v").split(".")
    if len(numbers) < 2 or not (numbers[0].isdecimal() and numbers[1].isdecimal()):
        return None
    return int(numbers[0]), int(numbers[1])


def _networking() -> Iterator[Option]:
    for name, default, since in (
        ("iptables", True, (0, 0)),
        ("ip-forward", True, (0, 0)),
        ("ip-forward-no-drop", False, (28, 0)),
        ("ip-masq", True, (0, 0)),
        ("icc", True, (0, 0)),
        ("ipv6", False, (0, 0)),
        ("userland-proxy", True, (0, 0)),
        ("allow-direct-routing", False, (28, 2)),
        ("live-restore", False, (0, 0)),
        ("experimental", False, (0, 0)),
    ):
        yield Option(name, Kind.BOOL, key=name, since=since, default=default, networking=True)
    # Its default changed: see default_of.
    yield Option("ip6tables", Kind.BOOL, key="ip6tables", networking=True)
    for name, since in (
        ("bip", (0, 0)),
        ("bip6", (28, 0)),
        ("fixed-cidr", (0, 0)),
        ("fixed-cidr-v6", (0, 0)),
        ("userland-proxy-path", (0, 0)),
        ("swarm-default-advertise-addr", (0, 0)),
        ("firewall-backend", (29, 0)),
        ("bridge-accept-fwmark", (29, 0)),
    ):
        yield Option(name, Kind.STRING, key=name, since=since, networking=True)
    yield Option("bridge", Kind.STRING, "b", key="bridge", networking=True)
    for name in ("http-proxy", "https-proxy", "no-proxy"):
        yield Option(name, Kind.STRING, key=f"proxies.{name}", since=(23, 0), networking=True)
    yield Option("ip", Kind.ADDRESS, key="ip", default="0.0.0.0", networking=True)  # noqa: S104 - dockerd's default
    yield Option("default-gateway", Kind.ADDRESS, key="default-gateway", networking=True)
    yield Option("default-gateway-v6", Kind.ADDRESS, key="default-gateway-v6", networking=True)
    yield Option("mtu", Kind.INT, key="mtu", default=1500, networking=True)
    yield Option(
        "network-control-plane-mtu", Kind.INT, key="network-control-plane-mtu", default=1500, networking=True
    )
    yield Option("network-diagnostic-port", Kind.INT, key="network-diagnostic-port", default=0)
    yield Option("dns", Kind.ADDRESSES, key="dns", default=(), networking=True)
    yield Option("dns-opt", Kind.LIST, key="dns-opts", default=(), networking=True)
    yield Option("dns-search", Kind.LIST, key="dns-search", default=(), networking=True)
    yield Option("default-address-pool", Kind.LIST, key="default-address-pools", default=(), networking=True)
    yield Option(
        "default-network-opt",
        Kind.LIST,
        key="default-network-opts",
        since=(24, 0),
        default=(),
        networking=True,
    )
    yield Option("host-gateway-ip", Kind.ADDRESS, key="host-gateway-ip", until=(28, 0), networking=True)
    yield Option(
        "host-gateway-ip", Kind.ADDRESSES, key="host-gateway-ips", since=(28, 0), default=(), networking=True
    )
    yield Option("host", Kind.LIST, "H", key="hosts", default=())
    yield Option("config-file", Kind.STRING, default="/etc/docker/daemon.json")


def _others() -> Iterator[Option]:
    """Those that change no networking; the parser must know which of them take a value."""
    for name in (
        "cri-containerd",
        "init",
        "no-new-privileges",
        "raw-logs",
        "rootless",
        "selinux-enabled",
        "tls",
    ):
        yield Option(name, Kind.BOOL, key=name)
    yield Option("tlsverify", Kind.BOOL, key="tlsverify")
    yield Option("debug", Kind.BOOL, "D", key="debug")
    yield Option("help", Kind.BOOL, "h")
    yield Option("version", Kind.BOOL, "v")
    yield Option("restart", Kind.BOOL, "r")
    yield Option("validate", Kind.BOOL, since=(23, 0))
    for name in ("cpu-rt-period", "cpu-rt-runtime", "max-concurrent-downloads", "max-concurrent-uploads",
                 "max-download-attempts", "shutdown-timeout"):  # fmt: skip
        yield Option(name, Kind.INT, key=name)
    yield Option("oom-score-adjust", Kind.INT, key="oom-score-adjust", until=(26, 0))
    for name in ("cgroup-parent", "containerd", "containerd-namespace", "data-root", "default-cgroupns-mode",
                 "default-ipc-mode", "default-runtime", "default-shm-size", "exec-root", "init-path",
                 "log-driver", "metrics-addr", "seccomp-profile", "tlscacert", "tlscert", "tlskey",
                 "userns-remap"):  # fmt: skip
        yield Option(name, Kind.STRING, key=name)
    yield Option("containerd-plugins-namespace", Kind.STRING, key="containerd-plugin-namespace")
    yield Option("group", Kind.STRING, "G", key="group")
    yield Option("log-level", Kind.STRING, "l", key="log-level")
    yield Option("pidfile", Kind.STRING, "p", key="pidfile")
    yield Option("storage-driver", Kind.STRING, "s", key="storage-driver")
    yield Option("log-format", Kind.STRING, key="log-format", since=(25, 0))
    yield Option("api-cors-header", Kind.STRING, key="api-cors-header", until=(28, 0))
    yield Option("graph", Kind.STRING, "g", key="graph", until=(23, 0))
    yield Option("cluster-advertise", Kind.STRING, key="cluster-advertise", until=(23, 0))
    yield Option("cluster-store", Kind.STRING, key="cluster-store", until=(23, 0))
    yield Option("cluster-store-opt", Kind.LIST, key="cluster-store-opts", until=(23, 0))
    yield Option(
        "allow-nondistributable-artifacts", Kind.LIST, key="allow-nondistributable-artifacts", until=(28, 0)
    )
    yield Option("cdi-spec-dir", Kind.LIST, key="cdi-spec-dirs", since=(25, 0))
    yield Option("feature", Kind.LIST, key="features", since=(27, 0))
    yield Option("nri-opts", Kind.LIST, key="nri-opts", since=(29, 0))
    for name, key in (
        ("add-runtime", "runtimes"),
        ("authorization-plugin", "authorization-plugins"),
        ("default-ulimit", "default-ulimits"),
        ("exec-opt", "exec-opts"),
        ("insecure-registry", "insecure-registries"),
        ("label", "labels"),
        ("log-opt", "log-opts"),
        ("node-generic-resource", "node-generic-resources"),
        ("registry-mirror", "registry-mirrors"),
        ("storage-opt", "storage-opts"),
    ):
        yield Option(name, Kind.LIST, key=key)


OPTIONS: tuple[Option, ...] = (*_networking(), *_others())

SWITCHES: tuple[str, ...] = ("DOCKER_INSECURE_NO_IPTABLES_RAW", "DOCKER_IGNORE_BR_NETFILTER_ERROR")
"""Variables of dockerd's environment that change networking and that no flag sets: `1` turns them on."""

NEWEST_KNOWN: Version = (29, 7)
"""A newer engine may have options that are not listed here."""


def options_of(version: Version | None) -> Mapping[str, Option]:
    """The options of an engine by flag name; of an engine of unknown version, all."""
    return {option.name: option for option in OPTIONS if option.known_to(version)}


def default_of(option: Option, version: Version | None) -> SettingValue | None:
    """What an option is where neither a flag nor the file sets it.

    Raises:
        LookupError: it depends on the version, and that is unknown.
    """
    if option.name != "ip6tables":
        return option.default
    if version is None:
        raise LookupError("the default of ip6tables is false before engine 27.0 and true since")
    return version >= (27, 0)
