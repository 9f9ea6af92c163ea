"""What a run of dockerdiag must leave as it was."""

from tests.lab.host import LabHost

IN_EACH_NAMESPACE = """
for pid in 1 $(docker ps --quiet | xargs --no-run-if-empty docker inspect --format '{{.State.Pid}}' | sort -n); do
    nsenter --target "$pid" --net sh -c '%s' | sed "s/^/$pid: /"
done
"""
# Where no table is registered, to save them would register some.
LEGACY = """
for prefix in ip ip6; do
    cat "/proc/thread-self/net/${prefix}_tables_names" 2>/dev/null | sort
    [ -z "$(cat "/proc/thread-self/net/${prefix}_tables_names" 2>/dev/null)" ] ||
        "${prefix}tables-legacy-save" | grep -v "^#" | sed "s/ .[0-9]*:[0-9]*.$//"
done
"""
STATE = {
    "modules": "cut -d' ' -f1 /proc/modules | sort",
    "legacy tables": IN_EACH_NAMESPACE % LEGACY,
    # Counters move with the traffic; handles count every rule that was ever made.
    "nft rules": IN_EACH_NAMESPACE % "nft --stateless --handle list ruleset",
    "iptables-nft rules": "iptables-nft-save | grep -v '^#' | sed 's/ \\[[0-9:]*\\]$//'",
    "sysctls": "sysctl -a --ignore -r '^net[.]' 2>/dev/null | grep -v -e _count -e _time -e random | sort",
    # A bridge learns again whose frames it sees, and forgets.
    "links": IN_EACH_NAMESPACE
    % 'ip -oneline -details link | sed "s/ qlen .*//; s/_timer  *[0-9.]*//g; s/fdb_n_learned [0-9]*//"',
    "addresses": IN_EACH_NAMESPACE % 'ip -oneline address | sed "s/ valid_lft.*//"',
    "routes": IN_EACH_NAMESPACE
    % 'ip route show table all; ip -6 route show table all | sed "s/ expires [0-9]*sec//"',
    "rules": IN_EACH_NAMESPACE % "ip rule; ip -6 rule",
    "permanent neighbours": IN_EACH_NAMESPACE
    % "ip neighbour show nud permanent; ip -6 neighbour show nud permanent",
    "namespaces": "ls /run/netns /run/docker/netns 2>/dev/null; lsns --noheadings --output TYPE,NS | sort",
    "mounts": "cut -d' ' -f4- /proc/1/mountinfo | sort",
    "sets": "ipset list -name",
    "units": "systemctl list-units --no-legend --plain --state=active,failed | awk '{print $1, $3}' | sort",
    "processes": "ps -eo pid=,comm= | grep -v -E ' (sh|ps|grep|nsenter|env|bash)$'",
    "containers": "docker ps --all --format '{{.ID}} {{.State}}'",
    "changed files": "find / /run /tmp /dev/shm /var/lib/docker /var/lib/containerd -xdev"
    " \\( -path /proc -o -path /sys -o -path /run/systemd/journal -o -path /tmp/marker \\) -prune -o"
    " -cnewer /tmp/marker -not -type d -print 2>/dev/null | grep -v -e ^/var/log/ -e ^/dev/ -e /io.containerd.metadata | sort -u",
    "files": "find /etc /run /tmp /dev/shm /root /home /var/lib -xdev -path /run/docker/runtime-runc -prune -o"
    " -print 2>/dev/null | sort",
}
# A fresh IPv6 address settles by itself within two seconds.
SETTLE = "timeout 30 sh -c 'while ip -6 address | grep -q tentative; do sleep 0.1; done'"
MARK = "touch /tmp/marker; sleep 0.05"


def settle(host: LabHost) -> None:
    """Waits for what a host that was just changed still does by itself."""
    host.run_all((SETTLE, MARK))


def fingerprint(host: LabHost) -> dict[str, str]:
    return {name: host.run(command).stdout for name, command in STATE.items()}


def differences(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[list[str], list[str]]]:
    """Of each part that changed, the lines that went and those that came."""
    found = {}
    for name, text in before.items():
        old, new = text.splitlines(), after[name].splitlines()
        if old != new:
            found[name] = ([one for one in old if one not in new], [one for one in new if one not in old])
    return found
