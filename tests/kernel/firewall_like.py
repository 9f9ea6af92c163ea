"""Rule sets of the shape that host firewalls write: ufw, firewalld, a kill switch, kube-proxy, fail2ban."""

from random import Random


def ufw_rules(random: Random, version: int) -> str:
    """As ufw lays its chains out, with routed traffic denied or allowed."""
    six = "6" if version == 6 else ""
    icmp = "-p icmp -m icmp --icmp-type 8" if version == 4 else "-p ipv6-icmp -m icmp6 --icmpv6-type 128"
    policy = random.choice(("DROP", "DROP", "ACCEPT"))
    hooks = ("input", "output", "forward")
    chains = [f"ufw{six}-{when}-{hook}" for when in ("before", "after", "user") for hook in hooks]
    chains += [f"ufw{six}-user-limit", f"ufw{six}-reject-forward", f"ufw{six}-logging-deny"]
    lines = ["*filter", ":INPUT DROP [0:0]", f":FORWARD {policy} [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f":{chain} - [0:0]" for chain in chains]
    for hook in hooks:
        lines += [
            f"-A {hook.upper()} -j ufw{six}-before-{hook}",
            f"-A {hook.upper()} -j ufw{six}-after-{hook}",
        ]
    lines += [
        f"-A ufw{six}-before-input -i lo -j ACCEPT",
        f"-A ufw{six}-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        f"-A ufw{six}-before-input -m conntrack --ctstate INVALID -j ufw{six}-logging-deny",
        f"-A ufw{six}-before-input -m conntrack --ctstate INVALID -j DROP",
        f"-A ufw{six}-before-input {icmp} -j ACCEPT",
        f"-A ufw{six}-before-input -j ufw{six}-user-input",
        f"-A ufw{six}-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        f"-A ufw{six}-before-forward {icmp} -j ACCEPT",
        f"-A ufw{six}-before-forward -j ufw{six}-user-forward",
        f"-A ufw{six}-after-input -p udp -m udp --dport 137 -j DROP",
        f'-A ufw{six}-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "',
        f"-A ufw{six}-user-input -p tcp -m tcp --dport 22 -j ACCEPT",
        f"-A ufw{six}-user-input -p tcp -m multiport --dports 80,443 -j ACCEPT",
        f"-A ufw{six}-user-limit -j REJECT",
    ]
    if random.random() < 0.5:
        lines.append(f"-A ufw{six}-user-forward -i br0 -o eth0 -j ACCEPT")
    if random.random() < 0.3:
        lines.append(f"-A ufw{six}-after-forward -j ufw{six}-reject-forward")
        lines.append(f"-A ufw{six}-reject-forward -j REJECT")
    lines.append("COMMIT")
    return "\n".join(lines) + "\n"


def firewalld_table(random: Random) -> str:
    """As firewalld's nftables backend lays out zones and policies."""
    zones = {"br0": random.choice(("public", "docker", "trusted")), "eth0": "public", "br1": "docker"}
    names = sorted({*zones.values(), "public"})
    target = {"public": "reject with icmpx admin-prohibited", "docker": "accept", "trusted": "accept"}
    lines = ["table inet firewalld {"]
    for hook, key in (("INPUT", "iifname"), ("FORWARD_IN", "iifname"), ("FORWARD_OUT", "oifname")):
        lines.append(f"chain filter_{hook}_ZONES {{")
        prefix = {"INPUT": "IN", "FORWARD_IN": "FWDI", "FORWARD_OUT": "FWDO"}[hook]
        for link, zone in zones.items():
            if random.random() < 0.9:
                lines.append(f'{key} "{link}" goto filter_{prefix}_{zone}')
        lines += [f"goto filter_{prefix}_public", "}"]
    for zone in names:
        verdict = "accept" if target[zone] == "accept" else ""
        reject = target[zone] if target[zone] != "accept" else "accept"
        allow = [
            "tcp dport 22 ct state { new, untracked } accept",
            "udp dport 53 ct state { new, untracked } accept",
        ]
        if random.random() < 0.3:
            allow.append("ip saddr { 10.1.0.0/24, 203.0.113.0/28 } tcp dport { 80, 443 } accept")
        lines += [f"chain filter_IN_{zone}_allow {{", *allow, "}"]
        lines += [f"chain filter_IN_{zone} {{", f"jump filter_IN_{zone}_allow"]
        lines += ["meta l4proto { icmp, ipv6-icmp } accept", reject, "}"]
        lines += [f"chain filter_FWDI_{zone} {{", "meta l4proto { icmp, ipv6-icmp } accept", reject, "}"]
        lines += [f"chain filter_FWDO_{zone} {{", verdict, "}"]
    masquerade = 'oifname != "lo" masquerade' if random.random() < 0.4 else ""
    lines += [
        "chain nat_POST_public {", masquerade, "}",
        "chain nat_POSTROUTING {",
        f"type nat hook postrouting priority srcnat + {random.choice((0, 10))}; policy accept;",
        'oifname "eth0" goto nat_POST_public', "}",
        "chain raw_PREROUTING {", "type filter hook prerouting priority raw + 10; policy accept;",
        "icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept",
        "meta nfproto ipv6 fib saddr . mark . iif oif missing drop", "}",
        "chain filter_INPUT {", "type filter hook input priority filter + 10; policy accept;",
        "ct state { established, related } accept", "ct status dnat accept", 'iifname "lo" accept',
        "ct state invalid drop", "jump filter_INPUT_ZONES", "reject with icmpx admin-prohibited", "}",
        "chain filter_FORWARD {", "type filter hook forward priority filter + 10; policy accept;",
        "ct state { established, related } accept", "ct status dnat accept", 'iifname "lo" accept',
        "ct state invalid drop",
        "jump filter_FORWARD_IN_ZONES", "jump filter_FORWARD_OUT_ZONES", "reject with icmpx admin-prohibited", "}",
        "}",
    ]  # fmt: skip
    return "\n".join(line for line in lines if line) + "\n"


def kill_switch_table(random: Random) -> str:
    """As VPN helpers write it: what does not go through the tunnel is lost, unless marked."""
    mark = random.choice(("0x1", "0xca6c"))
    chosen = [
        "table ip wg-quick-wg0 {",
        "chain preraw {", "type filter hook prerouting priority -300; policy accept;",
        'iifname != "wg0" ip daddr 198.51.100.2 fib saddr type != local drop' if random.random() < 0.4 else "", "}",
        "chain premangle {", "type filter hook prerouting priority -150; policy accept;",
        "meta l4proto udp meta mark set ct mark", "}",
        "chain postmangle {", "type filter hook postrouting priority -150; policy accept;",
        f"meta l4proto udp meta mark {mark} ct mark set meta mark", "}",
        "}",
        "table inet killswitch {",
        "chain forward {", f"type filter hook forward priority {random.choice((-1, 0, 5))}; policy accept;",
        "ct state established,related accept" if random.random() < 0.6 else "",
        f'oifname "eth0" meta mark != {mark} {random.choice(("drop", "reject"))}' if random.random() < 0.7 else "", "}",
        "}",
    ]  # fmt: skip
    return "\n".join(line for line in chosen if line) + "\n"


def kube_rules(random: Random) -> str:
    """As kube-proxy marks, masquerades and drops; and fail2ban's chain beside it."""
    service = random.choice(("203.0.113.10", "10.96.0.10"))
    lines = [
        "*filter", ":INPUT ACCEPT [0:0]", f":FORWARD {random.choice(('DROP', 'ACCEPT'))} [0:0]", ":OUTPUT ACCEPT [0:0]",
        ":KUBE-FORWARD - [0:0]", ":KUBE-FIREWALL - [0:0]", ":f2b-sshd - [0:0]",
        "-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd",
        "-A INPUT -j KUBE-FIREWALL", "-A OUTPUT -j KUBE-FIREWALL",
        '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
        "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
        '-A KUBE-FORWARD -m comment --comment "conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
        "-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP",
        f"-A f2b-sshd -s {random.choice(('10.1.0.2', '192.0.2.7'))}/32 -j REJECT --reject-with icmp-port-unreachable",
        "-A f2b-sshd -j RETURN", "COMMIT",
        "*nat", ":PREROUTING ACCEPT [0:0]", ":INPUT ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", ":POSTROUTING ACCEPT [0:0]",
        ":KUBE-SERVICES - [0:0]", ":KUBE-POSTROUTING - [0:0]", ":KUBE-MARK-MASQ - [0:0]", ":KUBE-SVC-A - [0:0]",
        ":KUBE-SEP-A - [0:0]",
        "-A PREROUTING -j KUBE-SERVICES", "-A OUTPUT -j KUBE-SERVICES",
        '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
        f"-A KUBE-SERVICES -d {service}/32 -p udp -m udp --dport 53 -j KUBE-SVC-A",
        "-A KUBE-SVC-A -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-A" if random.random() < 0.2
        else "-A KUBE-SVC-A -j KUBE-SEP-A",
        "-A KUBE-SEP-A -s 10.2.0.2/32 -j KUBE-MARK-MASQ",
        "-A KUBE-SEP-A -p udp -m udp -j DNAT --to-destination 10.2.0.2:53",
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN" if random.random() < 0.5
        else "-A POSTROUTING -s 10.1.0.0/16 ! -o br+ -j MASQUERADE",
        "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully", "COMMIT",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
