"""Firewalls and routes that live in peace with Docker."""

from tests.lab.scenario import Scenario

SCENARIOS = (
    Scenario(
        name="ufw-routed-denied",
        setup=("ufw default deny routed", "ufw --force enable"),
    ),
    Scenario(
        name="firewalld-before-docker",
        setup=(
            "systemctl stop docker docker.socket",
            "systemctl enable --now firewalld",
            "systemctl start docker",
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
