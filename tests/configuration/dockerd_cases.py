"""Command lines and configuration files, and what dockerd does with them: for the parser and for real engines."""

from dataclasses import dataclass, field

Version = tuple[int, int]


@dataclass(frozen=True)
class CommandLine:
    arguments: tuple[str, ...]
    taken: bool = True
    since: Version = (0, 0)
    """Where `taken`: the first engine that takes it."""
    until: Version = (99, 0)

    def taken_by(self, version: Version) -> bool:
        return self.taken and self.since <= version < self.until


def _taken(*arguments: str, since: Version = (0, 0), until: Version = (99, 0)) -> CommandLine:
    return CommandLine(arguments, since=since, until=until)


def _refused(*arguments: str) -> CommandLine:
    return CommandLine(arguments, taken=False)


COMMAND_LINES = (
    _taken("--iptables"), _taken("--iptables=false"), _taken("--iptables=FALSE"), _taken("--iptables=f"),
    _taken("--iptables=0", "--iptables=1"), _taken("--icc=T", "--ip-masq=F", "--ipv6", "--ip6tables"),
    _refused("--iptables=no"), _refused("--iptables=fAlse"), _refused("--iptables="), _refused('--iptables="false"'),
    _refused("--iptables", "false"), _refused("--ip_tables=false"), _refused("-iptables=false"), _refused("--=x"),
    _refused("---x"), _refused("-"), _refused("word"), _refused("--", "--debug"), _refused("--mtu"), _refused("-b"),
    _taken("-D"), _taken("-D=false"), _refused("-Dfalse"), _taken("-Dbfoo"), _taken("-DHunix:///x"), _taken("-ldebug"),
    _taken("-bnone"), _taken("-b=none"), _taken("-b", "none"), _taken("-H=unix:///x"), _taken("-H", "unix:///x"),
    _taken("--host", "unix:///x"), _taken("--host=unix:///x"),
    _taken("--mtu=1400"), _taken("--mtu=0x10"), _taken("--mtu=017"), _taken("--mtu=1_400"), _taken("--mtu=0b11"),
    _refused("--mtu= 5"), _refused("--mtu=1.5"), _refused("--mtu=abc"), _refused("--mtu=08"), _refused("--mtu=1__4"),
    _taken("--dns=1.1.1.1", "--dns=::1"), _taken("--dns", "1.1.1.1"), _refused("--dns=x"), _refused("--dns=01.1.1.1"),
    _refused("--dns=::1%eth0"), _taken("--dns=1.1.1.1,8.8.8.8", since=(26, 0)),
    _taken("--ip=::1"), _refused("--ip=1"), _taken("--default-gateway=10.0.0.1"),
    _taken("--default-gateway-v6=10.0.0.1"), _taken("--default-gateway=", since=(26, 0)),
    _taken("--bip=x", "--fixed-cidr=y", "--fixed-cidr-v6="), _taken("--bip6=x", since=(28, 0)),
    _taken("--userland-proxy=false", "--userland-proxy-path=/x", "--live-restore", "--ip-forward=false"),
    _taken("--ip-forward-no-drop", since=(28, 0)), _taken("--allow-direct-routing", since=(28, 2)),
    _taken("--http-proxy=http://x", "--https-proxy=", "--no-proxy=y", since=(23, 0)),
    _taken("--default-network-opt=bridge=a=b", since=(24, 0)),
    _taken("--default-address-pool=base=10.0.0.0/8,size=24"), _taken("--host-gateway-ip=1.1.1.1"),
    _taken("--network-control-plane-mtu=1400"), _taken("--network-diagnostic-port=1"),
    _taken("--firewall-backend=nftables", since=(29, 0)), _taken("--bridge-accept-fwmark=1", since=(29, 0)),
    _taken("--graph=/x", until=(23, 0)), _taken("-g", "/x", until=(23, 0)), _taken("--cluster-store=x", until=(23, 0)),
    _taken("--oom-score-adjust=1", until=(26, 0)), _taken("--restart"), _taken("-r"),
    _taken("--validate", since=(23, 0)),
    _taken("--log-format=json", since=(25, 0)), _taken("--feature=a=true", since=(28, 0)), _taken("--config-file=/x"),
    _taken("--log-opt", "a=b", "--label=a=b", "--exec-opt", "a=b", "--storage-opt=x", "--data-root", "/x"),
)  # fmt: skip


@dataclass(frozen=True)
class ConfigurationFile:
    text: str
    arguments: tuple[str, ...] = ()
    refused: bool = True
    since: Version = (0, 0)
    """Where `refused`: the first engine that refuses it."""
    until: Version = (99, 0)
    values: dict[str, object] = field(default_factory=dict)

    def refused_by(self, version: Version) -> bool:
        return self.refused and self.since <= version < self.until


def _bad(text: str, *arguments: str, since: Version = (0, 0), until: Version = (99, 0)) -> ConfigurationFile:
    return ConfigurationFile(text, arguments, since=since, until=until)


def _good(text: str, *arguments: str, **values: object) -> ConfigurationFile:
    return ConfigurationFile(
        text,
        arguments,
        refused=False,
        values={name.replace("_", "-"): value for name, value in values.items()},
    )


CONFIGURATION_FILES = (
    _bad("", until=(23, 0)), _bad("  \n", until=(23, 0)), _bad("\ufeff{}", until=(23, 0)), _bad("{} x", since=(23, 0)),
    _bad("[]"), _good("null"), _good("{}"), _bad("{"), _bad('{"mtu": 1,}'), _bad("{'mtu': 1}"),
    _bad('{"mtu": 1} }', since=(23, 0)),
    _bad('{"mtu": 01}'), _bad("// no\n{}"), _bad('{"bridge": "a\nb"}'), _bad('{"mtu": NaN}'),
    _good('{"iptables": false}', iptables=False), _good('{"iptables": null}'), _bad('{"iptables": "false"}'),
    _bad('{"iptables": 0}'), _bad('{"IPTABLES": false}'), _good('{"iptables": false, "iptables": true}', iptables=True),
    _bad('{"foo": 1}'), _bad('{"b": "br0"}'), _bad('{"D": true}'), _bad('{"bip": 3}'),
    _good('{"mtu": 1400}', mtu=1400), _bad('{"mtu": "1400"}'), _bad('{"mtu": 1.0}'), _bad('{"mtu": 1e3}'),
    _bad('{"dns": "1.1.1.1"}'), _bad('{"dns": ["x"]}'), _good('{"dns": ["1.1.1.1", "::1"]}', dns=("1.1.1.1", "::1")),
    _good('{"dns-opts": ["ndots:2"]}', dns_opt=("ndots:2",)), _good('{"dns-opt": ["ndots:2"]}'),
    _bad('{"ip": "x"}'), _bad('{"default-gateway": "x"}'),
    _good('{"default-gateway": "10.0.0.1"}', default_gateway="10.0.0.1"),
    _bad('{"hosts": ["unix:///x"]}', "-H", "unix:///x"), _bad('{"hosts": ["unix:///x"]}', "--host=unix:///y"),
    _bad('{"iptables": true}', "--iptables"), _bad('{"iptables": false, "mtu": 1}', "--mtu=1"),
    _bad('{"bridge": "x"}', "-b", "x"), _bad('{"dns": ["1.1.1.1"]}', "--dns=1.1.1.1"),
    _bad('{"log-opts": {"a": "b"}}', "--log-opt", "c=d"), _good('{"mtu": 1400}', "--iptables=false", mtu=1400),
    _bad('{"x": {"iptables": false}}', "--iptables=false"), _good('{"x": {"iptables": false}}', iptables=False),
    _bad('{"x": {"foo": 1}}'), _good('{"x": {"mtu": 1400}}'), _good('{"features": {"foo": true}, "builder": {}}'),
    _good('{"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}',
          default_address_pool=("base=10.0.0.0/8,size=24",)),
    _bad('{"host-gateway-ip": "1.1.1.1"}', "--host-gateway-ip=1.1.1.1"),
    _bad('{"proxies": {"http-proxy": "http://x"}}', until=(23, 0)),
    _bad('{"http-proxy": "http://x"}', until=(23, 0)), _bad('{"firewall-backend": "nftables"}', until=(29, 0)),
    _bad('{"default-network-opts": {"overlay": {"a": "b"}}}', until=(24, 0)),
    _bad('{"default-network-opts": {"bridge": {"a": 1}}}', since=(24, 0)),
)  # fmt: skip
