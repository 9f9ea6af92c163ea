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
sysctl --all --ignore --pattern '^net\.(ipv4\.(ip_|conf|neigh)|ipv6\.(conf|neigh)|bridge|netfilter)' 2>/dev/null
systemctl cat docker.service
systemctl show docker.service
cat /etc/docker/daemon.json /etc/resolv.conf /etc/hosts 2>/dev/null
for pid in $(docker ps --quiet | xargs --no-run-if-empty docker inspect --format '{{.State.Pid}}'); do
    nsenter --target "$pid" --net sh -c 'ip -j addr; ip -j route; iptables-nft-save -c; nft -j list ruleset'
    cat "/proc/$pid/root/etc/resolv.conf"
done
