"""Other firewalls and routes on the host: in peace with Docker, or not."""

from tests.lab.scenario import RESTART, Cause, Fault, Hit, Scenario, drop_in

# A newer firewalld counts as started before it answers; an engine that comes too early joins no zone.
FIREWALLD_BEFORE_DOCKER = (
    "systemctl stop docker docker.socket",
    "systemctl enable --now firewalld",
    "timeout 20 sh -c 'until firewall-cmd --state; do sleep 0.2; done'",
    "systemctl start docker",
)

# The same at boot, where nobody waits between the two.
FIREWALLD_BEFORE_DOCKER_AT_BOOT_TOO = (
    drop_in(
        "firewalld.conf",
        "ExecStartPre=/usr/bin/timeout 20 sh -c 'until firewall-cmd --state; do sleep 0.2; done'",
    ),
    *FIREWALLD_BEFORE_DOCKER,
)

RELOADED = (
    "firewall-cmd --reload",
    "timeout 20 sh -c 'until firewall-cmd --state; do sleep 0.2; done'",
    "sleep 3",
)

SCENARIOS = (
    Fault(
        name="firewalld-zone-conflict-ahead",
        # At this reload the engine of bookworm loses its own rules.
        suites=("trixie", "sid"),
        setup=FIREWALLD_BEFORE_DOCKER_AT_BOOT_TOO,
        break_=("firewall-cmd --permanent --zone=trusted --add-interface=docker0", "firewall-cmd --reload"),
        hits=Hit.NOTHING,
        mend=(
            "firewall-cmd --permanent --zone=trusted --remove-interface=docker0",
            "firewall-cmd --zone=docker --change-interface=docker0",
        ),
        verdict="degraded",
        exit_code=1,
        cause=Cause("engine", "link:docker0", ("/etc/firewalld/zones/trusted.xml", 'name="docker0"')),
    ),
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
    Fault(
        name="firewalld-panic",
        setup=FIREWALLD_BEFORE_DOCKER_AT_BOOT_TOO,
        break_=("firewall-cmd --panic-on",),
        mend=("firewall-cmd --panic-off",),
        cause=Cause("forward-policy", "network:bridge", ("firewalld_policy_drop",)),
    ),
    Fault(
        name="firewalld-policy-drops",
        setup=(
            *FIREWALLD_BEFORE_DOCKER_AT_BOOT_TOO,
            "firewall-cmd --permanent --new-policy=quarantine",
            "firewall-cmd --permanent --policy=quarantine --add-ingress-zone=docker",
            "firewall-cmd --permanent --policy=quarantine --add-egress-zone=ANY",
            "firewall-cmd --permanent --policy=quarantine --set-priority=-10",
        ),
        break_=("firewall-cmd --permanent --policy=quarantine --set-target=DROP", *RELOADED),
        mend=("firewall-cmd --permanent --policy=quarantine --set-target=CONTINUE", *RELOADED),
        cause=Cause("forward-policy", "network:bridge", ("filter_FWD_policy_quarantine", "drop")),
    ),
    Fault(
        name="firewalld-zone-refuses",
        setup=FIREWALLD_BEFORE_DOCKER,
        break_=("firewall-cmd --permanent --zone=docker --set-target=default", *RELOADED),
        mend=("firewall-cmd --permanent --zone=docker --set-target=ACCEPT", *RELOADED),
        cause=Cause("forward-policy", "network:bridge", ("inet firewalld", "reject")),
    ),
    Fault(
        name="firewalld-subnet-in-drop-zone",
        setup=FIREWALLD_BEFORE_DOCKER,
        break_=("firewall-cmd --zone=drop --add-source=172.17.0.0/16",),
        mend=("firewall-cmd --zone=drop --remove-source=172.17.0.0/16",),
        cause=Cause("forward-policy", "network:bridge", ("inet firewalld", "drop")),
        # Its undo gives the subnet to no zone: which one had it before, the rules do not tell.
        undone=False,
    ),
    Scenario(
        name="rate-limits-far-from-used-up",
        setup=(
            "iptables -N syn-flood",
            "iptables -A syn-flood -m limit --limit 50/second --limit-burst 100 -j RETURN",
            "iptables -A syn-flood -j DROP",
            "iptables -I DOCKER-USER -p tcp --syn -j syn-flood",
            "iptables -I DOCKER-USER 2 -m string --algo bm --string BitTorrent -j DROP",
            "iptables -A OUTPUT -m owner --uid-owner nobody -j DROP",
        ),
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
