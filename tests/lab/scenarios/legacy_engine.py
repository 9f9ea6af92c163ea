"""An engine whose iptables is the legacy one, as the alternatives of its host say."""

from tests.lab.scenario import RESTART, UPLINK, Cause, Fault, Scenario

LEGACY_ENGINE = (
    "systemctl stop docker docker.socket",
    "nft flush ruleset",
    "update-alternatives --set iptables /usr/sbin/iptables-legacy",
    "update-alternatives --set ip6tables /usr/sbin/ip6tables-legacy",
    "systemctl start docker",
    "iptables-legacy -S DOCKER-USER",
)

SCENARIOS = (
    Scenario(name="legacy-engine-plain", setup=LEGACY_ENGINE),
    Fault(
        name="legacy-engine-masquerade-deleted",
        setup=LEGACY_ENGINE,
        break_=("iptables -t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",),
        mend=(RESTART,),
        cause=Cause("masquerade", "network:bridge", ("172.17.0.0/16",)),
    ),
    Fault(
        name="legacy-engine-docker-user-drops-replies",
        setup=LEGACY_ENGINE,
        break_=(f"iptables -I DOCKER-USER -i {UPLINK} -j DROP",),
        mend=("iptables -I DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",),
        cause=Cause("forward-policy", "*", ("DOCKER-USER", f"-i {UPLINK} -j DROP", "legacy")),
    ),
)
