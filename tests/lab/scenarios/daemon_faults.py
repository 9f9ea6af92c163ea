"""The engine itself: it does not start for one of several reasons, stopped under its containers, or beside another."""

from tests.lab.scenario import DAEMON_JSON, RESTART, Cause, Container, Fault, Hit, Scenario, write

FIREWALLD = (
    "systemctl stop docker docker.socket",
    "systemctl enable --now firewalld",
    "timeout 20 sh -c 'until firewall-cmd --state; do sleep 0.2; done'",
)
UNTIL_FAILED = "timeout 60 sh -c 'until systemctl is-failed --quiet docker; do sleep 0.2; done'"
FAIL_TO_START = ("systemctl restart docker || true", UNTIL_FAILED)
DANGLING = "ln -sfn /usr/sbin/iptables-gone /etc/alternatives/iptables"
START_AGAIN = ("systemctl reset-failed docker docker.socket", "systemctl start docker")
SECOND_DOCKERD = (
    "mkdir -p /srv/second && (setsid dockerd --bridge={bridge} --data-root /srv/second/data --exec-root /srv/second/exec"
    " --pidfile /srv/second/pid -H unix:///srv/second/sock >/srv/second/log 2>&1 &)"
)
UNTIL_SECOND = "timeout 60 sh -c 'until test -S /srv/second/sock; do sleep 0.2; done'"
OWN_NAMESPACE = (
    "mkdir -p /srv/second && (setsid unshare --net dockerd --data-root /srv/second/data --exec-root /srv/second/exec"
    " --pidfile /srv/second/pid -H unix:///srv/second/sock >/srv/second/log 2>&1 &)"
)

SCENARIOS = (
    Fault(
        name="firewalld-zone-conflict",
        suites=("bookworm",),
        setup=(*FIREWALLD, "systemctl start docker"),
        break_=(
            "firewall-cmd --permanent --zone=trusted --add-interface=docker0",
            "firewall-cmd --permanent --zone=docker --remove-interface=docker0",
            "firewall-cmd --reload",
            *FAIL_TO_START,
        ),
        hits=Hit.ENGINE,
        containers=(),
        mend=(
            "firewall-cmd --permanent --zone=trusted --remove-interface=docker0",
            "firewall-cmd --reload",
            *START_AGAIN,
        ),
        cause=Cause(
            "engine",
            "unit:docker.service",
            ("ZONE_CONFLICT", "/etc/firewalld/zones/trusted.xml", 'name="docker0"'),
        ),
        undone=False,
    ),
    Fault(
        name="iptables-link-dangles-at-start",
        break_=(DANGLING, *FAIL_TO_START),
        hits=Hit.ENGINE,
        containers=(),
        mend=("update-alternatives --auto iptables", *START_AGAIN),
        cause=Cause("engine", "unit:docker.service", ("/usr/sbin/iptables", "leads nowhere")),
    ),
    Fault(
        name="iptables-link-dangles",
        break_=(DANGLING,),
        hits=Hit.NOTHING,
        mend=("update-alternatives --auto iptables",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("iptables-program", "engine:*", ("leads nowhere",)),
    ),
    Fault(
        name="daemon-json-refused-at-next-start",
        break_=(write(DAEMON_JSON, '{"iptable": true}'),),
        hits=Hit.NOTHING,
        mend=(f"rm {DAEMON_JSON}",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("docker-options", "unit:docker.service", (DAEMON_JSON, "iptable")),
    ),
    Fault(
        name="daemon-json-edited-not-in-force",
        setup=(write(DAEMON_JSON, '{"log-driver": "json-file"}'), RESTART),
        break_=(write(DAEMON_JSON, '{"log-driver": "json-file", "iptables": false}'),),
        hits=Hit.NOTHING,
        mend=(write(DAEMON_JSON, '{"log-driver": "json-file"}'),),
        verdict="degraded",
        exit_code=1,
        cause=Cause("docker-options", f"file:{DAEMON_JSON}", ("iptables",)),
    ),
    Fault(
        name="default-bridge-none",
        break_=(write(DAEMON_JSON, '{"bridge": "none"}'), RESTART, "sleep 1; docker restart web"),
        mend=(
            f"rm {DAEMON_JSON}",
            RESTART,
            "docker rm -f web && docker run --detach --name web --restart always lab sleep infinity",
        ),
        cause=Cause("packet-path", "engine:*", (DAEMON_JSON, "NetworkMode")),
        # The container has lost its place on the network, and is to be created anew.
        remedy=False,
    ),
    Fault(
        name="engine-stopped-containers-up",
        setup=(write(DAEMON_JSON, '{"live-restore": true}'), RESTART, "docker network create own"),
        # Without the engine there is no way in to measure from.
        containers=(Container(network="own", traffic=()),),
        break_=("systemctl stop docker.socket docker.service",),
        hits=Hit.ENGINE,
        mend=("systemctl start docker",),
        cause=Cause("engine", "unit:docker.service", ("runs on", "127.0.0.11")),
    ),
    Fault(
        name="two-engines-one-bridge",
        suites=("trixie", "sid"),
        break_=(SECOND_DOCKERD.format(bridge="docker0"), UNTIL_SECOND),
        hits=Hit.NOTHING,
        mend=("kill $(cat /srv/second/pid)", "sleep 2", RESTART),
        verdict="degraded",
        exit_code=1,
        cause=Cause("single-engine", "engine:*", ("/srv/second/sock",)),
    ),
    Scenario(name="second-engine-in-its-own-network", setup=(OWN_NAMESPACE, UNTIL_SECOND)),
    Scenario(
        name="daemon-json-touched",
        setup=(write(DAEMON_JSON, '{"log-driver": "json-file", "iptables": true}'), RESTART),
        break_=(write(DAEMON_JSON, '{\n  "iptables": true,\n  "log-driver": "json-file"\n}'),),
    ),
)
