"""Other firewalls and routes on the host: in peace with Docker, or not."""

from tests.lab.scenario import RESTART, Cause, Fault, Scenario

# A newer firewalld counts as started before it answers; an engine that comes too early joins no zone.
FIREWALLD_BEFORE_DOCKER = (
    "systemctl stop docker docker.socket",
    "systemctl enable --now firewalld",
    "timeout 20 sh -c 'until firewall-cmd --state; do sleep 0.2; done'",
    "systemctl start docker",
)

SCENARIOS = (
    Scenario(
        name="ufw-routed-denied",
        setup=("ufw default deny routed", "ufw --force enable"),
    ),
    Scenario(name="firewalld-before-docker", setup=FIREWALLD_BEFORE_DOCKER),
    Fault(
        name="firewalld-bridge-out-of-zone",
        setup=FIREWALLD_BEFORE_DOCKER,
        break_=("firewall-cmd --zone=docker --remove-interface=docker0",),
        mend=(RESTART,),
        cause=Cause("forward-policy", "*", ("inet firewalld", "reject")),
    ),
    Scenario(
        name="vpn-half-routes",
        tunnel=True,
        setup=(
            "ip route add 0.0.0.0/1 via 10.8.0.1 dev tun0",
            "ip route add 128.0.0.0/1 via 10.8.0.1 dev tun0",
        ),
    ),
)
