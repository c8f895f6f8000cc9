# SPDX-License-Identifier: MIT
# shellcheck shell=dash disable=SC2154 # variables of tests/lib.sh
# tests/collector/lib.sh: an operator's router with four subscribers' lines, and a collector on it.
#
#   dev1 203.0.113.6    2001:db8:1::2 ─┐                        ┌─ victim 192.0.2.10  2001:db8:9::2
#   dev2 203.0.113.10   2001:db8:2::2 ─┼──────── router ────────┤
#   dev3 203.0.113.14   2001:db8:3::2 ─┤  collector: each of    └─ mirror 198.51.100.2, a neighbour .3
#   dev4 203.0.113.18   2001:db8:4::2 ─┘  the router's addresses

. "$HG_TOP/tests/lib.sh"

sender="$HG_BUILD/tests/collector/sender"
port=4647

collector_world() {
	ns_add router
	router_on router
	in_ns router sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
	for i in 1 2 3 4; do
		ns_add "dev$i"
		in_ns "dev$i" sysctl -qw net.ipv6.conf.default.accept_dad=0
		link_add router "dev$i" "203.0.113.$((4 * i + 1))/30" "dev$i" eth0 "203.0.113.$((4 * i + 2))/30"
		in_ns router ip addr add "2001:db8:$i::1/64" dev "dev$i"
		in_ns "dev$i" ip addr add "2001:db8:$i::2/64" dev eth0
		route_add "dev$i" default "203.0.113.$((4 * i + 1))"
		in_ns "dev$i" ip -6 route add default via "2001:db8:$i::1"
	done
	for n in victim mirror; do
		ns_add $n
		in_ns $n sysctl -qw net.ipv6.conf.default.accept_dad=0
	done
	link_add router victim 192.0.2.9/29 victim eth0 192.0.2.10/29
	in_ns router ip addr add 2001:db8:9::1/64 dev victim
	in_ns victim ip addr add 2001:db8:9::2/64 dev eth0
	in_ns victim ip -6 route add default via 2001:db8:9::1
	route_add victim default 192.0.2.9
	link_add router mirror 198.51.100.1/29 mirror eth0 198.51.100.2/29
	in_ns mirror ip addr add 198.51.100.3/29 dev eth0
	route_add mirror default 198.51.100.1
	pg_start
	pki_ca "$tmp/pki"
	pki_server "$tmp/pki" collector collector.example
	for i in 1 2 3 4; do pki_device "$tmp/pki" "dev$i"; done
	chmod 600 "$tmp/pki/collector.key"
}

# collector_conf LINE..: the configuration with more lines at its end
collector_conf() {
	cat >"$tmp/collector.conf" <<-EOT
		[collector]
		log_level = debug
		cert = $tmp/pki/collector.crt
		key = $tmp/pki/collector.key
		device_ca = $tmp/pki/ca.crt
		port = $port
		${device_crl:+device_crl = $device_crl}
		[database]
		conninfo = host=$tmp/pg user=postgres dbname=postgres
		migrations = $HG_TOP/collector/sql
		timeout = 2s
		[limits]
		rate = 1000
		burst = 1000
		[decide]
		quiet = ${quiet:-4s}
		block = ${block:-5m}
		protected = 198.51.100.2
		protected = 2001:db8:53::/64
	EOT
	printf '%s\n' "$@" >>"$tmp/collector.conf"
}

collector() { "$HG_BUILD/heliograph-collector" -c "$tmp/collector.conf" "$@"; }

collector_start() {
	start_in router collector "$HG_BUILD/heliograph-collector" -c "$tmp/collector.conf" serve
	wait_for 10 collector_up
}
collector_up() { in_ns router ss -Hlun "sport = :$port" | grep -q .; }

# send N KIND OPTION..: device N speaks; prints what it is answered
send() {
	send_n=$1 send_kind=$2
	shift 2
	in_ns "dev$send_n" "$sender" "to=203.0.113.$((4 * send_n + 1)):$port" "cert=$tmp/pki/dev$send_n.crt" \
		"key=$tmp/pki/dev$send_n.key" "collector=$tmp/pki/collector.crt" "kind=$send_kind" "$@"
}

# sql QUERY: one value
sql() { PGOPTIONS="-c search_path=collector" psql -Atqc "$1"; }

audit() { sql "SELECT coalesce(sum(count), 0) FROM audit WHERE reason = '$1'"; }
audit_is() { [ "$(audit "$1")" = "$2" ]; }
sql_is() { [ "$(sql "$1")" = "$2" ]; }
reaches() { in_ns "$1" ping -c1 -W1 -q "$2"; }
blocked() { ! in_ns "$1" ping -c1 -W1 -q "$2"; }
