# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/demo
# scripts/demo-world.sh: the demo's daemons on the topology of tests/topology.sh, and counters that
# say what became of packets; scripts/demo sources it.


mirror_ip=198.51.100.2 collector_ip=203.0.113.1 mirror_ns=mirror app_ns=app collector_ns=router
victim_ip=192.0.2.10 home1_ip=203.0.113.2 home2_ip=203.0.113.10
guard_if=eth0

# The address of device N in its home.
device_ip() { echo "192.168.$((($1 + 2) / 3)).1$((($1 - 1) % 3 + 1))"; }

# Counters: what each device sends to the victim, seen at its home; what arrives there by line.
counters_up() {
	local n
	for n in 1 2; do
		in_ns home$n nft add table ip sent
		in_ns home$n nft "add chain ip sent forward { type filter hook prerouting priority raw; }"
	done
	for n in 1 2 3 4 5 6; do
		in_ns home$(((n + 2) / 3)) nft add counter ip sent "dev$n"
		in_ns home$(((n + 2) / 3)) nft add rule ip sent forward \
			ip saddr "$(device_ip $n)" ip daddr $victim_ip counter name "dev$n"
	done
	in_ns victim nft add table ip seen
	in_ns victim nft "add chain ip seen input { type filter hook prerouting priority raw; }"
	for n in 1 2; do
		in_ns victim nft add counter ip seen home$n
		local line=home${n}_ip
		in_ns victim nft add rule ip seen input ip saddr "${!line}" counter name home$n
	done
}

# sent N: packets of device N to the victim; arrived HOME: those of a line that arrived there.
sent() { counter home$((($1 + 2) / 3)) sent "dev$1"; }
arrived() { counter victim seen "home$1"; }
counter() { in_ns "$1" nft -j list counter ip "$2" "$3" | jq '.nftables[] | .counter // empty | .packets'; }

world_up() {
	local n
	topology
	bpffs_add "$tmp/bpf"
	counters_up
	pg_start
	must "the mirror answers" mirror_up
	must "the collector answers" collector_up
	for n in 1 2 3 4 5 6; do
		must "device $n is enrolled" device_make dev$n
	done
}
