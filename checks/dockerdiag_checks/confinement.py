"""What systemd keeps dockerd from sending: address filters and sandbox of docker.service and the slices above it."""

from collections.abc import Mapping
from ipaddress import ip_network

from dockerdiag.case import Case
from dockerdiag.dataclass import dataclass
from dockerdiag.packet.packet import IPAddress
from dockerdiag.report import Evidence, Remedy
from dockerdiag.snapshot import ServiceUnit
from dockerdiag_checks.commands import sh, write_file
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.setting_files import RESTART

_DROP_IN = "zz-dockerdiag-network.conf"


@dataclass(frozen=True, slots=True)
class Confinement:
    """One setting that keeps dockerd from a destination."""

    setting: str
    """`IPAddressDeny`, `PrivateNetwork` …"""
    units: tuple[str, ...]
    """Who has it."""
    evidence: tuple[Evidence, ...]
    selective: bool = False
    """Whether some destinations out there are allowed by name of their address: whoever wrote that knows which."""

    @property
    def of_a_slice(self) -> bool:
        """Whether it holds for everything below a slice."""
        return any(unit.endswith(".slice") for unit in self.units)


def settings_of(case: Case) -> Mapping[str, Mapping[str, str]]:
    """The settings by unit; empty where there are none or they could not be read."""
    service = case.snapshot.service
    if not isinstance(service, ServiceUnit) or not isinstance(service.confinement, Mapping):
        return {}
    return service.confinement


def whole(case: Case) -> Confinement | None:
    """What keeps it from the network altogether."""
    for unit, settings in settings_of(case).items():
        for name in ("PrivateNetwork", "NetworkNamespacePath"):
            if name in settings:
                return _of(name, unit, settings[name])
        families = settings.get("RestrictAddressFamilies", "")
        if families and not _allowed(families, "AF_INET") and not _allowed(families, "AF_INET6"):
            return _of("RestrictAddressFamilies", unit, families)
    return None


def by_link(case: Case, link: str | None) -> Confinement | None:
    """What keeps it from a link of the host."""
    for unit, settings in settings_of(case).items():
        links = settings.get("RestrictNetworkInterfaces", "")
        if link is not None and links and not _allowed(links, link):
            return _of("RestrictNetworkInterfaces", unit, links)
    return None


def by_address(case: Case, address: IPAddress) -> Confinement | None:
    """What keeps it from an address. The lists of a unit and of the slices above it are one; allowing goes first."""
    found = settings_of(case)
    allowed = [prefix for one in found.values() for prefix in one.get("IPAddressAllow", "").split()]
    if _holds(allowed, address):
        return None
    denying = {unit: one["IPAddressDeny"] for unit, one in found.items() if "IPAddressDeny" in one}
    units = tuple(unit for unit, prefixes in denying.items() if _holds(prefixes.split(), address))
    if not units:
        return None
    outside = [prefix for prefix in allowed if not _near(prefix)]
    seen = [Evidence(f"systemctl show {unit}", f"IPAddressDeny={denying[unit]}") for unit in units]
    if allowed:
        seen.append(Evidence("systemctl show", f"IPAddressAllow={' '.join(allowed)}"))
    return Confinement("IPAddressDeny", units, tuple(seen), selective=bool(outside))


def lifted(case: Case, confinement: Confinement, verify: tuple[str, ...]) -> Remedy:
    """A drop-in that takes the setting back, where it is written."""
    value = "no" if confinement.setting == "PrivateNetwork" else ""
    files = [(unit, f"/etc/systemd/system/{unit}.d/{_DROP_IN}") for unit in confinement.units]
    return Remedy(
        summary=f"Take {confinement.setting} back for {' and '.join(confinement.units)}, by a drop-in",
        now=(
            *(write_file(path, f"[{_section(unit)}]\n{confinement.setting}={value}") for unit, path in files),
            *RESTART,
        ),
        verify=verify,
        undo=(*(sh("rm", "-f", path) for _, path in files), *RESTART),
        risk=(
            f"Ends what {confinement.setting} was set for"
            + (", for everything below the slice." if confinement.of_a_slice else ".")
            + f" {restart_risk(case)}"
        ),
    )


def _section(unit: str) -> str:
    return "Slice" if unit.endswith(".slice") else "Service"


def _of(name: str, unit: str, value: str) -> Confinement:
    return Confinement(name, (unit,), (Evidence(f"systemctl show {unit}", f"{name}={value}"),))


def _allowed(listed: str, name: str) -> bool:
    """Of a list that allows what it names, or with a leading ~ all else."""
    if listed.startswith("~"):
        return name not in listed[1:].split()
    return name in listed.split()


def _holds(prefixes: list[str], address: IPAddress) -> bool:
    networks = (ip_network(prefix, strict=False) for prefix in prefixes)
    return any(network.version == address.version and address in network for network in networks)


def _near(prefix: str) -> bool:
    network = ip_network(prefix, strict=False)
    return network.is_loopback or network.is_link_local or network.is_multicast
