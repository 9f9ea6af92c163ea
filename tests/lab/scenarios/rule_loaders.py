"""Files of other firewalls that take Docker's rules away when they are loaded again; bans; the other variant."""

from tests.lab.scenario import (
    DAEMON_JSON,
    RESTART,
    UPLINK,
    Cause,
    Container,
    Fault,
    Hit,
    Scenario,
    Traffic,
    write,
)
from tests.lab.scenarios.ipv6 import ENGINE_TRANSLATES
from tests.lab.scenarios.legacy_engine import LEGACY_ENGINE
from tests.lab.wires import DEFAULT_TARGET

INPUT_ONLY = """
table inet host {
    chain input {
        type filter hook input priority filter; policy accept;
        tcp dport 23 drop
    }
}
"""
FLUSHING = f"flush ruleset\n{INPUT_ONLY}"
NFTABLES_CONF = "/etc/nftables.conf"
SAVED = "/etc/iptables/rules.v4"
PERSISTENT_UNIT = """
[Unit]
Before=docker.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/iptables-restore /etc/iptables/rules.v4
[Install]
WantedBy=multi-user.target
"""
PERSISTENT = (
    write("/etc/systemd/system/netfilter-persistent.service", PERSISTENT_UNIT),
    "systemctl daemon-reload",
    "systemctl enable netfilter-persistent",
)
SAVED6 = "/etc/iptables/rules.v6"
PERSISTENT6 = tuple(
    line.replace("iptables-restore", "ip6tables-restore").replace(SAVED, SAVED6) for line in PERSISTENT
)
SAVE = f"mkdir -p /etc/iptables && iptables-save > {SAVED}"
HOST_RULES = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 23 -j DROP\nCOMMIT"
ZERO_FROM_PACKAGE = (
    write("/usr/lib/sysctl.d/99-zz-hardening.conf", "net.ipv4.ip_forward = 0"),
    # As if the package had brought it: dpkg's own list of its files.
    "echo /usr/lib/sysctl.d/99-zz-hardening.conf >> $(ls /var/lib/dpkg/info/ufw.list)",
)

SCENARIOS = (
    Fault(
        name="nftables-conf-flushes-all",
        setup=(write(NFTABLES_CONF, FLUSHING), "systemctl enable --now nftables", RESTART),
        hits=Hit.NOTHING,
        mend=("systemctl disable --now nftables", RESTART),
        verdict="degraded",
        exit_code=1,
        cause=Cause(
            "rule-loaders", f"file:{NFTABLES_CONF}", (f"{NFTABLES_CONF}:1", "flush ruleset", "enabled")
        ),
    ),
    Fault(
        name="nftables-conf-takes-a-table",
        setup=(
            write(NFTABLES_CONF, f"flush table ip nat; {INPUT_ONLY.lstrip()}"),
            "systemctl enable --now nftables",
            RESTART,
        ),
        hits=Hit.NOTHING,
        mend=("systemctl disable --now nftables", RESTART),
        verdict="degraded",
        exit_code=1,
        cause=Cause(
            "rule-loaders", f"file:{NFTABLES_CONF}", (f"{NFTABLES_CONF}:1", "flush table ip nat", "enabled")
        ),
    ),
    Fault(
        name="nftables-reloaded-over-docker",
        setup=(write(NFTABLES_CONF, FLUSHING), "systemctl enable --now nftables", RESTART),
        break_=("sleep 1.5", "systemctl reload nftables"),
        mend=(RESTART,),
        cause=Cause(
            "iptables-flag", "engine:*", ("nftables.service", "after docker.service", "flush ruleset")
        ),
        undone=False,
    ),
    Fault(
        name="nftables-started-after-docker",
        setup=(write(NFTABLES_CONF, FLUSHING),),
        break_=("sleep 1.5", "systemctl start nftables"),
        mend=(RESTART,),
        cause=Cause("iptables-flag", "engine:*", ("nftables.service", "after docker.service")),
        undone=False,
    ),
    Fault(
        name="saved-rules-of-another-day",
        setup=(
            "docker network create --subnet 172.31.9.0/24 old",
            SAVE,
            "docker network rm old",
            *PERSISTENT,
        ),
        hits=Hit.NOTHING,
        mend=(f"rm {SAVED}", "systemctl disable netfilter-persistent"),
        verdict="degraded",
        exit_code=1,
        cause=Cause("rule-loaders", f"file:{SAVED}", ("172.31.9.0/24", "netfilter-persistent")),
    ),
    Fault(
        name="saved-rules-lack-a-network",
        setup=(SAVE, *PERSISTENT, "docker network create --subnet 172.31.9.0/24 new"),
        hits=Hit.NOTHING,
        mend=(f"rm {SAVED}", "systemctl disable netfilter-persistent"),
        verdict="degraded",
        exit_code=1,
        cause=Cause("rule-loaders", f"file:{SAVED}", ("lacks", "172.31.9.0/24")),
    ),
    Fault(
        name="saved-ipv6-rules-of-another-day",
        setup=(
            *ENGINE_TRANSLATES,
            "docker network create --ipv6 --subnet fd00:dead:beef::/64 old",
            f"mkdir -p /etc/iptables && ip6tables-save > {SAVED6}",
            "docker network rm old",
            *PERSISTENT6,
        ),
        hits=Hit.NOTHING,
        mend=(f"rm {SAVED6}", "systemctl disable netfilter-persistent"),
        verdict="degraded",
        exit_code=1,
        cause=Cause("rule-loaders", f"file:{SAVED6}", ("fd00:dead:beef::/64", "netfilter-persistent")),
    ),
    Fault(
        name="sysctl-file-of-a-package",
        setup=ZERO_FROM_PACKAGE,
        hits=Hit.NOTHING,
        mend=("rm /usr/lib/sysctl.d/99-zz-hardening.conf",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("ip-forwarding", "host:*", ("/usr/lib/sysctl.d/99-zz-hardening.conf", "package ufw")),
    ),
    Fault(
        name="ip-forward-false-not-persisted",
        setup=(write("/etc/docker/daemon.json", '{"ip-forward": false}'), RESTART),
        hits=Hit.NOTHING,
        mend=("rm /etc/docker/daemon.json", RESTART),
        verdict="degraded",
        exit_code=1,
        cause=Cause("ip-forwarding", "host:*", ("no file sets net.ipv4.ip_forward",)),
    ),
    Fault(
        name="fail2ban-set-bans-container",
        break_=(
            "ipset create f2b-web hash:ip",
            "ipset add f2b-web 192.0.2.7",
            "ipset add f2b-web 172.17.0.2",
            "iptables -I FORWARD -m set --match-set f2b-web src -j REJECT --reject-with icmp-port-unreachable",
        ),
        mend=("ipset del f2b-web 172.17.0.2",),
        cause=Cause("forward-policy", "network:bridge", ("f2b-web", "172.17.0.2")),
    ),
    Fault(
        name="fail2ban-chain-bans-subnet",
        break_=(
            "iptables -N f2b-nginx",
            "iptables -A f2b-nginx -s 172.17.0.0/16 -j DROP",
            "iptables -A f2b-nginx -j RETURN",
            "iptables -I DOCKER-USER -j f2b-nginx",
        ),
        mend=("iptables -D f2b-nginx 1",),
        cause=Cause("forward-policy", "network:bridge", ("f2b-nginx", "172.17.0.0/16")),
    ),
    Fault(
        name="fail2ban-chain-bans-a-server",
        break_=(
            "iptables -N f2b-mail",
            f"iptables -A f2b-mail -s {DEFAULT_TARGET}/32 -j DROP",
            "iptables -A f2b-mail -j RETURN",
            "iptables -I DOCKER-USER -j f2b-mail",
        ),
        containers=(Container(traffic=(Traffic(DEFAULT_TARGET, 443),)),),
        mend=("iptables -D f2b-mail 1",),
        cause=Cause("forward-policy", "network:bridge", ("f2b-mail", DEFAULT_TARGET)),
    ),
    Fault(
        name="crowdsec-set-bans-container",
        break_=(
            write(
                "/etc/crowdsec.nft",
                "table ip crowdsec {\n set crowdsec-blacklists { type ipv4_addr; flags timeout; "
                "elements = { 192.0.2.9, 172.17.0.2 } }\n chain crowdsec-chain-forward {\n"
                " type filter hook forward priority -10; policy accept;\n"
                " ip saddr @crowdsec-blacklists counter drop\n }\n}",
            ),
            "nft -f /etc/crowdsec.nft",
        ),
        mend=("nft delete element ip crowdsec crowdsec-blacklists '{ 172.17.0.2 }'",),
        cause=Cause("forward-policy", "network:bridge", ("@crowdsec-blacklists", "172.17.0.2")),
    ),
    Fault(
        name="stale-nft-rules-beside-legacy-engine",
        setup=LEGACY_ENGINE,
        break_=(
            "iptables-nft -N DOCKER-USER",
            "iptables-nft -A FORWARD -j DOCKER-USER",
            f"iptables-nft -A DOCKER-USER -i {UPLINK} -j DROP",
        ),
        mend=("iptables-nft -F FORWARD",),
        cause=Cause("forward-policy", "network:bridge", ("iptables-nft", "DOCKER-USER")),
    ),
    Scenario(
        name="nftables-enabled-without-flush",
        setup=(write(NFTABLES_CONF, INPUT_ONLY), "systemctl enable --now nftables", RESTART),
        reboot=True,
    ),
    Scenario(name="nftables-conf-flushes-unused", setup=(write(NFTABLES_CONF, FLUSHING),)),
    Scenario(name="saved-rules-up-to-date", setup=(SAVE, *PERSISTENT)),
    Scenario(
        name="iptables-false-saved-rules",
        setup=(SAVE, *PERSISTENT, write(DAEMON_JSON, '{"iptables": false}')),
        reboot=True,
    ),
    Scenario(
        name="saved-ipv6-rules-of-an-ipv4-host",
        setup=(f"mkdir -p /etc/iptables && ip6tables-save > {SAVED6}", *PERSISTENT6),
    ),
    Scenario(
        name="saved-rules-of-the-host-alone",
        setup=(write(SAVED, HOST_RULES), *PERSISTENT),
        reboot=True,
    ),
    Scenario(
        name="stale-legacy-tables-empty",
        setup=(
            "iptables-legacy -t nat -N DOCKER",
            "iptables-legacy -N DOCKER-USER",
            "iptables-legacy -A DOCKER-USER -j RETURN",
            "iptables-legacy -A FORWARD -j DOCKER-USER",
        ),
    ),
    Scenario(
        name="bans-of-strangers",
        setup=(
            "ipset create f2b-sshd hash:ip",
            "ipset add f2b-sshd 192.0.2.7",
            "iptables -I FORWARD -m set --match-set f2b-sshd src -j REJECT",
        ),
    ),
)
