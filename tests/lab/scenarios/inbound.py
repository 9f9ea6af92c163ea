"""Published ports: what keeps connections from outside from their container, and what only looks so."""

from tests.lab.scenario import (
    DAEMON_JSON,
    RESTART,
    SERVES,
    Cause,
    Container,
    Fault,
    Hit,
    Scenario,
    Traffic,
    write,
)
from tests.lab.scenarios.daemon_options import OWN_RULES
from tests.lab.wires import HOST_ADDRESS

ASKED = (Traffic(HOST_ADDRESS, 8080),)
WEB = Container(options="--publish 8080:80", command=SERVES, asked=ASKED)
RESTART_WEB = ("docker restart web",)
WITHOUT_PROXY = (write(DAEMON_JSON, '{"userland-proxy": false}'), RESTART)
WITHOUT_RULES = (
    write(DAEMON_JSON, '{"iptables": false, "ip6tables": false}'),
    write("/etc/nftables.conf", f"flush ruleset\n{OWN_RULES}"),
    "systemctl stop docker docker.socket",
    "systemctl enable nftables && systemctl restart nftables",
    "systemctl start docker",
)

SCENARIOS = (
    Fault(
        name="published-nat-flushed",
        hits=Hit.PUBLISHED,
        setup=WITHOUT_PROXY,
        containers=(WEB,),
        break_=("iptables -t nat -F DOCKER",),
        mend=RESTART_WEB,
        cause=Cause("published-ports", "container:web", ("8080",)),
        undone=False,
    ),
    Fault(
        name="published-accept-flushed",
        hits=Hit.PUBLISHED,
        containers=(WEB,),
        break_=("iptables -P FORWARD DROP", "iptables -F DOCKER"),
        mend=(RESTART,),
        cause=Cause("published-ports", "container:web", ("FORWARD",)),
        undone=False,
    ),
    Fault(
        name="published-proxy-dead",
        hits=Hit.PUBLISHED,
        setup=WITHOUT_RULES,
        containers=(WEB,),
        break_=("pkill docker-proxy", "sleep 0.5"),
        mend=RESTART_WEB,
        cause=Cause("published-ports", "container:web", ("8080",)),
        undone=False,
    ),
    Fault(
        name="published-stale-rule",
        hits=Hit.PUBLISHED,
        containers=(WEB,),
        break_=(
            "iptables -t nat -I DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.99:80",
        ),
        mend=("iptables -t nat -D DOCKER 1",),
        cause=Cause("published-ports", "container:web", ("172.17.0.99:80",)),
    ),
    Scenario(name="published", containers=(WEB,)),
    Scenario(name="published-without-proxy", setup=WITHOUT_PROXY, containers=(WEB,)),
    Scenario(name="published-by-proxy-alone", setup=WITHOUT_RULES, containers=(WEB,)),
    Scenario(
        name="published-on-loopback",
        containers=(Container(options="--publish 127.0.0.1:8080:80", command=SERVES),),
    ),
    Scenario(
        name="published-for-some",
        containers=(Container(options="--publish 8080:80", command=SERVES),),
        break_=("iptables -I DOCKER-USER -i eth0 -m conntrack --ctstate NEW ! -s 192.0.2.0/24 -j DROP",),
    ),
    Scenario(name="published-by-nobody-yet", containers=(Container(options="--publish 8080:80"),)),
    Scenario(
        name="published-behind-input-policy",
        containers=(WEB,),
        break_=(
            "iptables -A INPUT -i lo -j ACCEPT",
            "iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "iptables -P INPUT DROP",
        ),
    ),
)
