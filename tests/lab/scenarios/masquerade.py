"""A container's address leaves the host as it is, so nobody can answer it."""

from tests.lab.scenario import DAEMON_JSON, RESTART, SERVES, Cause, Container, Fault, Scenario, write

OPTION = "com.docker.network.bridge.enable_ip_masquerade"
UNMASQUERADED = (f"docker network create --subnet 172.30.0.0/16 --opt {OPTION}=false lan",)
MASQUERADE_LAN = ("iptables -t nat -A POSTROUTING -s 172.30.0.0/16 -o eth0 -j MASQUERADE",)

SCENARIOS = (
    Fault(
        name="masquerade-deleted",
        founding=True,
        break_=("iptables -t nat -D POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",),
        mend=(RESTART,),
        cause=Cause("masquerade", "network:bridge", ("172.17.0.0/16",)),
    ),
    Fault(
        name="nat-table-flushed",
        setup=("docker network create --subnet 172.30.0.0/16 lan",),
        containers=(Container(options="--publish 8080:80", command=SERVES), Container("other", "lan")),
        break_=("iptables -t nat -F",),
        mend=(RESTART,),
        cause=Cause("iptables-flag", "engine:*", ("table nat",)),
    ),
    Fault(
        name="all-tables-flushed",
        setup=("docker network create --subnet 172.30.0.0/16 lan",),
        containers=(Container(options="--publish 8080:80", command=SERVES), Container("other", "lan")),
        break_=("iptables -P FORWARD DROP", "iptables -F", "iptables -t nat -F"),
        mend=(RESTART,),
        cause=Cause("iptables-flag", "engine:*", ("chain DOCKER",)),
    ),
    Fault(
        name="ip-masq-false",
        break_=(write(DAEMON_JSON, '{"ip-masq": false}'),),
        reboot=True,
        mend=(f"rm {DAEMON_JSON}", RESTART),
        cause=Cause("masquerade", ("engine:*", "network:bridge", f"file:{DAEMON_JSON}"), ("ip-masq",)),
    ),
    Fault(
        name="network-unmasqueraded",
        setup=UNMASQUERADED,
        containers=(Container(network="lan"),),
        mend=MASQUERADE_LAN,
        verdict="degraded",
        exit_code=1,
        cause=Cause("masquerade", "network:lan", (OPTION,)),
    ),
    Fault(
        name="network-unmasqueraded-asked-for",
        setup=UNMASQUERADED,
        containers=(Container(network="lan"),),
        arguments=("-c", "web"),
        mend=MASQUERADE_LAN,
        cause=Cause("masquerade", ("network:lan", "container:web"), (OPTION,)),
    ),
    Scenario(
        name="network-internal-unused",
        setup=("docker network create --internal vault",),
    ),
)
