"""The kernel does not forward: at all, for the bridge, or for the uplink."""

from tests.lab.scenario import UPLINK, Cause, Fault

SCENARIOS = (
    Fault(
        name="ip-forward-off",
        founding=True,
        break_=("sysctl -w net.ipv4.ip_forward=0",),
        mend=("sysctl -w net.ipv4.ip_forward=1",),
        cause=Cause("ip-forwarding", "host:*", ("net.ipv4.ip_forward",)),
    ),
    Fault(
        name="bridge-forwarding-off",
        break_=("sysctl -w net.ipv4.conf.docker0.forwarding=0",),
        mend=("sysctl -w net.ipv4.conf.docker0.forwarding=1",),
        cause=Cause("ip-forwarding", "link:docker0", ("net.ipv4.conf.docker0.forwarding",)),
    ),
    Fault(
        name="uplink-forwarding-off",
        break_=(f"sysctl -w net.ipv4.conf.{UPLINK}.forwarding=0",),
        mend=(f"sysctl -w net.ipv4.conf.{UPLINK}.forwarding=1",),
        cause=Cause("ip-forwarding", f"link:{UPLINK}", (f"net.ipv4.conf.{UPLINK}.forwarding",)),
    ),
)
