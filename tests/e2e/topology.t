#!/bin/sh
# SPDX-License-Identifier: MIT
# san: no, runs none of our programs
# waits: what is not reached
# The ground on which the other tests stand: namespaces, NAT, PostgreSQL, cleaning up.
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"

[ "$(id -u)" = 0 ] || skip_all "needs root"

topology
check "a device reaches the mirror" in_ns dev1 ping -c1 -W2 -q 198.51.100.2
check "from the other home, too" in_ns dev6 ping -c1 -W2 -q 198.51.100.2
check "the application reaches the mirror" in_ns app ping -c1 -W2 -q 198.51.100.2
# shellcheck disable=SC2317 # called through check
no_answer() { ! in_ns attacker ping -c1 -W1 -q "$1"; }
check "the home router answers nobody" no_answer 203.0.113.2
check "the attacker reaches no device" no_answer 192.168.1.11

start_in victim dump tcpdump -nn --immediate-mode -l -i wan icmp
wait_for 5 grep -q 'listening on' "$tmp/dump.log"
in_ns dev4 ping -c1 -W2 -q 192.0.2.10 >/dev/null
check "a device's line is its home's public address" \
	wait_for 5 grep -q 'IP 203.0.113.10 > 192.0.2.10: ICMP echo request' "$tmp/dump.log"

pg_start
check "PostgreSQL answers" psql -Atqc 'create table t as select 1 as n'
pg_kill9
pg_restart
is "PostgreSQL keeps what it committed over SIGKILL" "$(psql -Atqc 'select n from t')" 1
pg_stop
check "PostgreSQL stops" pg_gone

bpffs_add "$tmp/bpf"
check "an own BPF file system" grep -q " $tmp/bpf bpf " /proc/self/mounts

pki_ca "$tmp/pki"
pki_server "$tmp/pki" mirror mirror.example 198.51.100.2
pki_device "$tmp/pki" cam-1
check "certificates verify" openssl verify -CAfile "$tmp/pki/ca.crt" "$tmp/pki/mirror.crt" "$tmp/pki/cam-1.crt"

# dash forgets a signal that comes while it starts a program (onsig() returns when vforked is set),
# so it is sent until the child has ended; cleanup ignores all but the first that it saw.
signalled() {
	[ -z "$1" ] || kill -"$1" "$child_pid" 2>/dev/null
	gone "$child_pid"
}

# A child run that makes one of each thing and is then ended in three ways leaves nothing.
child() {
	sh -eu -c '. "$HG_TOP/tests/lib.sh"; ns_add one; start_in one sleeper sleep 600; bpffs_add "$tmp/bpf"
		echo "$suffix"; '"$1" >"$tmp/child.out" 2>"$tmp/child.err" &
	child_pid=$!
	wait_for 10 test -s "$tmp/child.out"
	child_suffix=$(cat "$tmp/child.out")
	wait_for 20 signalled "${2:-}" || {
		diag "it does not end; it does: $(ps -o pid,stat,wchan:20,args --ppid "$child_pid" --pid "$child_pid")"
		kill -9 "$child_pid"
	}
	wait "$child_pid"
	child_status=$?
	leftovers "${child_suffix:-none}" >"$tmp/left"
}
child 'false'
is "a failed command ends a run: its status" "$child_status" 1
is "a failed command ends a run: nothing is left" "$(cat "$tmp/left")" ""
child 'sleep 600 & wait' TERM
is "SIGTERM ends a run: its status" "$child_status" 143
is "SIGTERM ends a run: nothing is left" "$(cat "$tmp/left")" ""
child 'wait_for 30 false' HUP
is "SIGHUP ends a run: its status" "$child_status" 129
is "SIGHUP ends a run: nothing is left" "$(cat "$tmp/left")" ""

done_testing
