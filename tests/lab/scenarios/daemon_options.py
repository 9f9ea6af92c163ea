"""What dockerd is told to leave alone, where that is written, and whether it is in force."""

from tests.lab.scenario import (
    DAEMON_JSON,
    DROP_INS,
    RELOAD,
    RESTART,
    Cause,
    Fault,
    Hit,
    Scenario,
    drop_in,
    write,
)

OPTIONS = "docker-options.conf"
OPTIONS_FILE = f"{DROP_INS}/{OPTIONS}"
NO_IPTABLES_CONTINUED = drop_in(
    OPTIONS,
    'Environment="DOCKER_OPTS=--iptables=false \\\n--log-opt max-size=50m \\\n--log-opt max-file=5"',
)
NO_IPTABLES = drop_in(OPTIONS, 'Environment="DOCKER_OPTS=--iptables=false"')
HARMLESS = drop_in(OPTIONS, 'Environment="DOCKER_OPTS=--log-opt max-size=50m"')
WITHOUT_VARIABLES = drop_in(
    "zz-command-line.conf",
    "ExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock",
)
OWN_RULES = """
table ip own {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 172.16.0.0/12 oifname "eth0" masquerade
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "docker0" oifname "eth0" accept
    }
}
"""
FOR_ANOTHER_LINK = OWN_RULES.replace('"eth0" masquerade', '"ens3" masquerade')

SCENARIOS = (
    Fault(
        name="docker-options-iptables-false",
        founding=True,
        break_=(NO_IPTABLES_CONTINUED,),
        reboot=True,
        mend=(f"rm {OPTIONS_FILE}", RELOAD, RESTART),
        cause=Cause("docker-options", f"*{OPTIONS_FILE}", ("--iptables=false",)),
        undone=False,
    ),
    Fault(
        name="drop-in-edited-not-in-force",
        setup=(HARMLESS, RELOAD, RESTART),
        break_=(NO_IPTABLES,),
        hits=Hit.NOTHING,
        mend=(HARMLESS,),
        verdict="degraded",
        exit_code=1,
        cause=Cause("docker-options", f"*{OPTIONS_FILE}", ("--iptables=false",)),
    ),
    Fault(
        name="drop-in-reloaded-not-restarted",
        setup=(HARMLESS, RELOAD, RESTART),
        break_=(NO_IPTABLES, RELOAD),
        hits=Hit.NOTHING,
        mend=(HARMLESS, RELOAD),
        verdict="degraded",
        exit_code=1,
        cause=Cause("docker-options", f"*{OPTIONS_FILE}", ("--iptables=false",)),
    ),
    Fault(
        name="daemon-json-iptables-false",
        founding=True,
        break_=(write(DAEMON_JSON, '{\n  "log-driver": "json-file",\n  "iptables": false\n}'),),
        reboot=True,
        mend=(f"rm {DAEMON_JSON}", RESTART),
        cause=Cause("iptables-flag", "*", (DAEMON_JSON, "iptables")),
        undone=False,
    ),
    Fault(
        name="iptables-false-own-rule-for-another-link",
        break_=(
            write(DAEMON_JSON, '{"iptables": false}'),
            write("/etc/nftables.conf", FOR_ANOTHER_LINK),
            "systemctl enable nftables",
        ),
        reboot=True,
        mend=("nft flush ruleset", f"rm {DAEMON_JSON}", RESTART),
        cause=Cause("iptables-flag", "*", (DAEMON_JSON, "does not match: the packet leaves by eth0")),
        undone=False,
    ),
    Scenario(
        name="docker-opts-inert",
        setup=(NO_IPTABLES_CONTINUED, WITHOUT_VARIABLES, RELOAD, RESTART),
    ),
    Scenario(
        name="iptables-false-own-rules",
        setup=(
            write(DAEMON_JSON, '{"iptables": false}'),
            write("/etc/nftables.conf", f"flush ruleset\n{OWN_RULES}"),
            "systemctl enable nftables",
        ),
        reboot=True,
    ),
)
