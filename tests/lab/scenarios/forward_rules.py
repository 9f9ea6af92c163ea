"""A rule or a policy at the forward hook drops what passes, out or back, in one of three rule sets."""

from tests.lab.scenario import RESTART, UPLINK, Cause, Fault, Scenario, write

GUARD = """
table inet guard {
    chain passing {
        type filter hook forward priority 10; policy accept;
        iifname "docker0" counter drop comment "no way out"
    }
}
"""
LOCKED_DOWN = """
table inet lockdown {
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
    }
}
"""

SCENARIOS = (
    Fault(
        name="forward-drop-accepts-flushed",
        founding=True,
        break_=("iptables -P FORWARD DROP", "iptables -F FORWARD"),
        mend=(RESTART,),
        cause=Cause("forward-policy", "*", ("FORWARD",)),
    ),
    Fault(
        name="docker-user-drops-replies",
        break_=(f"iptables -I DOCKER-USER -i {UPLINK} -j DROP",),
        mend=("iptables -I DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",),
        cause=Cause("forward-policy", "*", ("DOCKER-USER", f"-i {UPLINK} -j DROP")),
    ),
    Fault(
        name="legacy-forward-drop",
        break_=("iptables-legacy -P FORWARD DROP",),
        mend=("iptables-legacy -P FORWARD ACCEPT",),
        cause=Cause("forward-policy", "*", ("legacy", "FORWARD")),
    ),
    Fault(
        name="nft-inet-drops-forward",
        break_=(write("/etc/guard.nft", GUARD), "nft -f /etc/guard.nft"),
        mend=("nft delete table inet guard",),
        cause=Cause("forward-policy", "*", ("inet guard", "passing", "drop")),
    ),
    Fault(
        name="nft-inet-policy-drop",
        break_=(write("/etc/lockdown.nft", LOCKED_DOWN), "nft -f /etc/lockdown.nft"),
        mend=('nft insert rule inet lockdown forward iifname "docker0" accept',),
        cause=Cause("forward-policy", "*", ("inet lockdown", "forward")),
    ),
    Fault(
        name="forward-returns-to-the-policy",
        break_=("iptables -P FORWARD DROP", "iptables -I FORWARD -i docker0 -j RETURN"),
        mend=("iptables -D FORWARD -i docker0 -j RETURN",),
        cause=Cause("forward-policy", "network:bridge", ("policy drop", "-i docker0 -j RETURN")),
    ),
    Scenario(name="forward-policy-drop-is-normal", break_=("iptables -P FORWARD DROP",)),
)
