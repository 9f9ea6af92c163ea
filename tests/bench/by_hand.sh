#!/bin/sh
# What dockerdiag reads, collected by hand: what it is measured against. Prints everything.
set -u
docker info
docker network inspect $(docker network ls --quiet) 2>&1
docker inspect $(docker ps --all --quiet) 2>&1
nft -j list ruleset
iptables-nft-save -c
ip6tables-nft-save -c
# As dockerdiag: asked where tables are registered, for to ask would register them.
[ -z "$(cat /proc/net/ip_tables_names 2>/dev/null)" ] || iptables-legacy-save -c
[ -z "$(cat /proc/net/ip6_tables_names 2>/dev/null)" ] || ip6tables-legacy-save -c
ip -j -details addr
ip -j -details link
ip -j route show table all
ip -j -6 route show table all
ip -j rule
ip -j -6 rule
ip -j neigh
# The same keys as dockerdiag: `sysctl --all` would have the kernel try every namespace at every step.
cd /proc/sys/net
grep -s '' ipv4/ip_forward ipv4/ip_local_port_range ipv4/ip_no_pmtu_disc ipv4/fib_multipath_hash_policy \
    ipv4/neigh/default/gc_thresh? ipv6/neigh/default/gc_thresh? \
    netfilter/nf_conntrack_count netfilter/nf_conntrack_max netfilter/nf_conntrack_tcp_be_liberal bridge/*
cd ipv4/conf
for link in *; do
    grep -s '' "$link/forwarding" "$link/rp_filter" "$link/route_localnet" "$link/arp_ignore" "$link/arp_filter" \
        "$link/accept_local" "$link/src_valid_mark" "$link/send_redirects" "$link/ignore_routes_with_linkdown" \
        "$link/log_martians" "$link/proxy_arp"
done
cd ../../ipv6/conf
for link in *; do
    grep -s '' "$link/forwarding" "$link/force_forwarding" "$link/accept_ra" "$link/disable_ipv6" "$link/proxy_ndp" \
        "$link/ignore_routes_with_linkdown"
done
cd /
systemctl cat docker.service
systemctl show docker.service
cat /etc/docker/daemon.json /etc/resolv.conf /etc/hosts 2>/dev/null
for pid in $(docker ps --quiet | xargs --no-run-if-empty docker inspect --format '{{.State.Pid}}'); do
    nsenter --target "$pid" --net sh -c 'ip -j addr; ip -j route; iptables-nft-save -c; nft -j list ruleset'
    cat "/proc/$pid/root/etc/resolv.conf"
done
