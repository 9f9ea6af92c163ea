"""What a run of dockerdiag must leave as it was."""

from tests.lab.host import LabHost

# Counters move with the traffic, so no rule set is read with its own.
STATE = {
    "modules": "cut -d' ' -f1 /proc/modules | sort",
    "legacy tables": "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null | sort",
    "nft rules": "nft --stateless list ruleset",
    "iptables-nft rules": "iptables-nft-save | grep -v '^#' | sed 's/ \\[[0-9:]*\\]$//'",
    "sysctls": "sysctl -a --ignore -r '^net[.]' 2>/dev/null | grep -v -e _count -e _time -e random | sort",
    "links": "ip -oneline link | sed 's/ qlen .*//'",
    "addresses": "ip -oneline address | sed 's/ valid_lft.*//'",
    "routes": "ip route show table all; ip -6 route show table all | sed 's/ expires [0-9]*sec//'",
    "rules": "ip rule; ip -6 rule",
    "namespaces": "ls /run/netns /run/docker/netns 2>/dev/null; lsns --noheadings --output TYPE,NS | sort",
    "sets": "ipset list -name",
    "units": "systemctl list-units --no-legend --plain --state=active,failed | awk '{print $1, $3}' | sort",
    "containers": "docker ps --all --format '{{.ID}} {{.State}}'",
    "files": "find / -xdev \\( -path /proc -o -path /sys -o -path /tmp/marker \\) -prune -o"
    " -newer /tmp/marker -not -type d -print | grep -v -e ^/var/log/ -e ^/opt/dockerdiag/.*[.]pyc | sort",
}
# A fresh IPv6 address settles by itself within two seconds.
SETTLE = "timeout 10 sh -c 'while ip -6 address | grep -q tentative; do sleep 0.1; done'"
MARK = "touch /tmp/marker; sleep 0.05"


def fingerprint(host: LabHost) -> dict[str, str]:
    return {name: host.run(command).stdout for name, command in STATE.items()}
