"""What is known of one setting: its value now, and after the next start."""

from dockerdiag.configuration.dockerd_options import SettingValue
from dockerdiag.configuration.origin import Origin
from dockerdiag.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """A value and where it comes from."""

    value: SettingValue
    origin: Origin
    is_default: bool = False
    """Whether nobody set it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that cannot be told."""

    reason: str
    presumably: Known | None = None
    """What it is if the configuration file said at the daemon's start what it says today."""


State = Known | Unknown


@dataclass(frozen=True, slots=True)
class Setting:
    """One option of dockerd on this host."""

    name: str
    """Of its flag, without dashes (`ip-masq`, `dns-opt`)."""
    running: State
    """Of the daemon that runs."""
    next_start: State
    """After `systemctl daemon-reload` and a restart, as the files are now."""

    @property
    def pending(self) -> bool | None:
        """Whether the next start changes it; None where that cannot be told."""
        if isinstance(self.running, Unknown) or isinstance(self.next_start, Unknown):
            return None
        return self.running.value != self.next_start.value


def value_of(state: State) -> SettingValue:
    """The value if it is known, None otherwise; for settings whose own value is never None."""
    return state.value if isinstance(state, Known) else None
