"""The engine's own way out: its packets, its names, and what systemd lets it send."""

from tests.lab.scenario import (
    RELOAD,
    RESTART,
    Cause,
    Container,
    Fault,
    Hit,
    Scenario,
    Traffic,
    drop_in,
    write,
)
from tests.lab.scenarios.dns import HOST_FILE, MESH, NAME
from tests.lab.wires import SERVER

BY_NAME = NAME.address
FILE = "lab.conf"
TRAFFIC = (Traffic(SERVER, 80),)
QUIET = (Container(hit=False, traffic=TRAFFIC),)
GUARD = """
table inet guard {
    chain out {
        type filter hook output priority 0; policy accept;
        oifname "eth0" udp dport 53 counter drop
        oifname "eth0" tcp dport 53 counter drop
    }
}
"""


def confined(line: str) -> tuple[str, ...]:
    return drop_in(FILE, line), RELOAD, RESTART


UNCONFINED = (f"rm /etc/systemd/system/docker.service.d/{FILE}", RELOAD, RESTART)

SCENARIOS = (
    Fault(
        name="egress-output-rule-drops",
        founding=True,
        hits=Hit.ENGINE,
        containers=QUIET,
        break_=("iptables -A OUTPUT -o eth0 -p tcp --dport 443 -j DROP",),
        mend=("iptables -D OUTPUT -o eth0 -p tcp --dport 443 -j DROP",),
        cause=Cause("engine-egress", "engine:*", ("--dport 443 -j DROP",)),
    ),
    Fault(
        name="egress-output-policy-drops",
        hits=Hit.ENGINE,
        containers=QUIET,
        registry=BY_NAME,
        break_=(
            "iptables -A OUTPUT -o lo -j ACCEPT",
            "iptables -A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "iptables -P OUTPUT DROP",
        ),
        mend=("iptables -P OUTPUT ACCEPT",),
        cause=Cause("engine-egress", "engine:*", ("policy drop",)),
    ),
    Fault(
        name="egress-answers-dropped",
        hits=Hit.ENGINE,
        containers=QUIET,
        break_=("iptables -A INPUT -i eth0 -p tcp --sport 443 -j DROP",),
        mend=("iptables -D INPUT -i eth0 -p tcp --sport 443 -j DROP",),
        cause=Cause("engine-egress", "engine:*", ("--sport 443 -j DROP",)),
    ),
    Fault(
        name="egress-names-dropped",
        hits=Hit.ENGINE,
        containers=QUIET,
        registry=BY_NAME,
        break_=(write("/etc/guard.nft", GUARD), "nft -f /etc/guard.nft"),
        mend=("nft delete table inet guard",),
        cause=Cause("engine-egress", "engine:*", ("dport 53",)),
    ),
    Fault(
        name="egress-host-without-nameserver",
        hits=Hit.ENGINE,
        containers=QUIET,
        registry=BY_NAME,
        # dockerd, like every program in Go, looks at the file again after five seconds.
        break_=(f"echo '# nothing' > {HOST_FILE}", "sleep 6"),
        mend=(f"echo nameserver {SERVER} > {HOST_FILE}",),
        cause=Cause("engine-egress", "host:lab", ("no line but comments",)),
        remedy=False,
    ),
    Fault(
        name="egress-ip-address-deny",
        hits=Hit.ENGINE,
        containers=QUIET,
        break_=confined("IPAddressDeny=any\nIPAddressAllow=localhost"),
        mend=UNCONFINED,
        cause=Cause("engine-egress", "unit:docker.service", ("IPAddressDeny=",)),
    ),
    Fault(
        name="egress-ip-address-deny-and-names",
        hits=Hit.CONTAINERS,
        setup=(MESH,),
        containers=(Container(network="mesh", traffic=(NAME,)),),
        break_=confined("IPAddressDeny=any\nIPAddressAllow=localhost"),
        mend=UNCONFINED,
        cause=Cause("engine-egress", "unit:docker.service", ("IPAddressDeny=",)),
    ),
    Fault(
        name="egress-address-families",
        hits=Hit.ENGINE,
        containers=QUIET,
        break_=confined("RestrictAddressFamilies=AF_UNIX AF_NETLINK"),
        mend=UNCONFINED,
        cause=Cause("engine-egress", "unit:docker.service", ("RestrictAddressFamilies=",)),
    ),
    Fault(
        name="egress-private-network",
        hits=Hit.ENGINE,
        containers=(),
        break_=confined("PrivateNetwork=yes"),
        mend=UNCONFINED,
        cause=Cause("engine-egress", "unit:docker.service", ("PrivateNetwork=yes",)),
    ),
    Scenario(
        name="egress-to-chosen-destinations",
        containers=QUIET,
        engine_pulls=True,
        setup=(
            "iptables -A OUTPUT -o lo -j ACCEPT",
            "iptables -A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "iptables -A OUTPUT -p udp --dport 53 -j ACCEPT",
            f"iptables -A OUTPUT -d {SERVER} -p tcp --dport 443 -j ACCEPT",
            "iptables -P OUTPUT DROP",
        ),
    ),
    Scenario(
        name="egress-ip-address-allow",
        containers=QUIET,
        engine_pulls=True,
        setup=confined(f"IPAddressDeny=any\nIPAddressAllow=localhost {SERVER}"),
    ),
    Scenario(name="egress-by-name", containers=QUIET, engine_pulls=True, registry=BY_NAME),
)
