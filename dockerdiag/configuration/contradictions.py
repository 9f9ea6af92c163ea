"""Pairs of networking settings that dockerd refuses at its start."""

from collections.abc import Iterator, Mapping

from dockerdiag.configuration.daemon_json import ConfigurationError
from dockerdiag.configuration.dockerd_options import SettingValue, Version
from dockerdiag.configuration.origin import Origin
from dockerdiag.configuration.settings import Known, State


def contradictions(states: Mapping[str, State], version: Version | None) -> Iterator[ConfigurationError]:
    """What dockerd would refuse in settings that are each valid by themselves."""
    written = {
        name: state for name, state in states.items() if isinstance(state, Known) and not state.is_default
    }

    def says(name: str, value: SettingValue) -> bool:
        return name in written and written[name].value is value

    def places(*names: str) -> tuple[Origin, ...]:
        return tuple(written[name].origin for name in names)

    if all(name in written and written[name].value for name in ("bridge", "bip")):
        yield ConfigurationError("bridge and bip are mutually exclusive", places("bridge", "bip"))
    if says("iptables", value=False) and says("icc", value=False):
        yield ConfigurationError("icc=false does not work with iptables=false", places("icc", "iptables"))
    if says("ip6tables", value=True) and not says("experimental", value=True):
        needs_experimental = version is not None and version < (27, 0)
        if needs_experimental:
            yield ConfigurationError("ip6tables needs experimental before engine 27", places("ip6tables"))
    backend = written.get("firewall-backend")
    if backend is not None and backend.value not in {"", "iptables", "nftables"}:
        yield ConfigurationError(f"there is no firewall-backend {backend.value}", places("firewall-backend"))
