"""An engine without its default bridge, and containers that were made for it."""

from dockerdiag.case import Case, Hit
from dockerdiag.report import Evidence, Finding, Remedy
from dockerdiag_checks.commands import EditedFile
from dockerdiag_checks.engine_restart import restart_risk
from dockerdiag_checks.setting_files import evidence_of, file_origin, without_keys
from dockerdiag_checks.wording import containers_of, retry

_MODES = ("bridge", "default")


def without_default_bridge(case: Case, hit: Hit) -> bool:
    """Whether containers of the default network have no route because the engine runs with bridge=none."""
    if hit.halt.kind != "no-route" or hit.halt.namespace is None or case.running_value("bridge") != "none":
        return False
    return any(
        one.network_mode in _MODES and not any(place.address or place.address6 for place in one.endpoints)
        for one in case.containers
        if one.name in hit.containers
    )


def default_bridge_gone(case: Case, hit: Hit) -> Finding:
    """The finding: the option, where it stands, and how the network comes back."""
    setting = case.settings["bridge"]
    return Finding(
        code="daemon-flag-bridge-none",
        status=case.severity(hit),
        subject=case.engine_subject,
        summary=f"The engine runs without its default bridge (bridge=none): {containers_of(hit)} has no network",
        count=hit.count,
        evidence=(
            *evidence_of(setting),
            *(
                Evidence(f"docker inspect {one.name}", f"NetworkMode {one.network_mode}, no address")
                for one in case.containers
                if one.name in hit.containers[:3]
            ),
        ),
        remedies=_remedies(case),
    )


def _remedies(case: Case) -> tuple[Remedy, ...]:
    """The network comes back with the engine's restart; its containers, which lost their place there, do not."""
    origin = file_origin(case.settings["bridge"])
    by_file = origin is not None and origin.path.endswith(".json")
    path = origin.path if origin is not None else ""
    where = f"Take bridge out of {path}" if by_file else "Start the engine without bridge=none"
    return (
        Remedy(
            summary=f"{where}, which brings docker0 back, and create the containers anew; a restart is not enough",
            lasting=(*(without_keys(path, ("bridge",)) if by_file else ()), "systemctl restart docker"),
            verify=retry(case),
            undo=(EditedFile(path).restore, "systemctl restart docker") if by_file else (),
            risk=f"docker0 takes a subnet again, the first free one unless bip says otherwise. {restart_risk(case)}",
        ),
    )
