#!/bin/sh
# SPDX-License-Identifier: MIT
# Fault campaign: while applications work on both sides of several devices, everything is killed with SIGKILL,
# cut off, given bad links, other times and full disks, by a schedule that the seed gives (faultplan.py). At the
# end every acknowledged change is on both sides, every command has ended, and none ran twice (history.py judges).
#
#        d1 eth0 10.7.1.2 ── a1 ┐            ┌ b1 ── c1 10.7.1.1  box
#        d2 eth0 10.7.2.2 ── a2 ┤ badlink.c  ├ b2 ── c2 10.7.2.1     10.7.0.1: two mirrors, collector
#        d3 eth0 10.7.3.2 ── a3 ┘     air    └ b3 ── c3 10.7.3.1     PostgreSQL, applications
#
# HG_FAULTS_SEED=N repeats a schedule; HG_FAULTS_SESSIONS=N is how many sessions there are to be at least, and
# HG_FAULTS_SECONDS=N how long it may take; HG_FAULTS_AFTER names parts of aftermath.py. The short form is part of make check,
# the long one is make faults.
# shellcheck disable=SC2034,SC2086 # lists of words; tests/daemons.sh reads what is set here
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"
. "$HG_TOP/tests/daemons.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root"
seed=${HG_FAULTS_SEED:-${HG_SEED:-$(($(od -An -N3 -tu4 /dev/urandom)))}}
sessions=${HG_FAULTS_SESSIONS:-50}
seconds=${HG_FAULTS_SECONDS:-$((sessions / 2 + 120))}
rounds=$((sessions / 500 + 1))
devices=3
aftermath=${HG_FAULTS_AFTER-$([ "$sessions" -lt 500 ] || echo clones restored)}
diag "HG_FAULTS_SEED=$seed, at least $sessions sessions"

# --- The world

ns_add box
ns_add air
in_ns box ip addr add 10.7.0.1/32 dev lo
in_ns box nft -f - <<-EOT
	table inet faults {
		$(for n in $(seq $devices); do echo "chain cuts$n { }"; done)
		chain in { type filter hook input priority filter;
			$(for n in $(seq $devices); do echo "jump cuts$n;"; done)
		}
	}
EOT
# badlink takes frames as they would be on a wire: with their checksums, and no longer than those.
plain() { in_ns "$1" ethtool -K "$2" tx off tso off gso off gro off; }
for n in $(seq $devices); do
	ns_add "d$n"
	link_add "d$n" eth0 "10.7.$n.2/24" air "a$n" -
	link_add air "b$n" - box "c$n" "10.7.$n.1/24"
	route_add "d$n" 10.7.0.1/32 "10.7.$n.1"
	plain "d$n" eth0 >"$tmp/ethtool.log" 2>&1
	plain box "c$n" >>"$tmp/ethtool.log" 2>&1
done
tmpfs_add "$tmp/pg" 300m
pg_start
# Small segments of the log, which are not used again: so a full disk also stops the log.
pg_stop
as_postgres "$pg_bin/pg_resetwal" --wal-segsize=1 -D "$tmp/pg/data" >"$tmp/resetwal.log" 2>&1
cat >>"$tmp/pg/data/postgresql.conf" <<-EOT
	min_wal_size = 2MB
	max_wal_size = 16MB
	wal_recycle = off
EOT
pg_restart

# Integers, so that the checker can tell values apart: m of the mirror, d of the device, s of the device and
# written by command, n of both, c counters; lm and ld are large. Actions: as usual, repeatable, to be delivered and to be begun soon.
model_file=$tmp/model.json
jq '.properties = ([range(12) | { ("m\(.)"): { type: "integer", "hg:owner": "mirror" },
		("d\(.)"): { type: "integer", "hg:owner": "device", readOnly: true } }] | add)
		+ ([range(4) | { ("s\(.)"): { type: "integer", "hg:owner": "device" } }] | add)
		+ ([range(3) | { ("n\(.)"): { type: "integer", "hg:merge": "newest" },
			("c\(.)"): { type: "integer", "hg:merge": "counter" },
			("lm\(.)"): { type: "object", "hg:owner": "mirror" },
			("ld\(.)"): { type: "object", "hg:owner": "device", readOnly: true } }] | add)
	| .actions = ({ append: {}, again: { idempotent: true }, brief: { "hg:deliverWithin": 0.3 },
		hasty: { "hg:executeWithin": 0.05 } } | map_values(. + { input: { type: "object" } }))
	| del(."hg:interval")' "$HG_TOP/scripts/demo.d/model.json" >"$model_file"

mirror_ip=10.7.0.1 collector_ip=10.7.0.1
interval=200ms interval_min=50ms interval_soon=20ms backoff_min=20ms backoff_max=300ms
# A statement must be over sooner than campaign.py writes the same property again. Years may pass, and nothing
# is to be tidied away.
two_mirrors() {
	sed -i -e '/^\[database\]/a timeout = 2s' -e '/^\[sync\]/a busy_interval = 200ms' \
		-e '/^\[http\]/a body_max = 1M' "$tmp/mirror.conf" &&
		printf '[keep]\ncommands = 3650d\noutbox = 3650d\naudit = 3650d\n' >>"$tmp/mirror.conf" &&
		cp "$tmp/mirror.conf" "$tmp/mirror1.conf" &&
		sed -e 's/:4646$/:4647/' -e 's/= 10.7.0.1:8443$/= 10.7.0.1:8444/' "$tmp/mirror.conf" >"$tmp/mirror2.conf"
}
# The handler leaves one line per run, before it may be killed in its pause.
handlers() {
	commands_dir=$tmp/$1.d
	mkdir "$commands_dir"
	cat >"$commands_dir/append" <<-EOT
		#!/bin/sh
		input=\$(cat)
		id=\${input#*'"id":'}
		pause=\${input#*'"pause":'}
		echo "\${id%%[!0-9]*}" >>$tmp/$1/runs
		sleep "\${pause%%[!0-9.]*}"
	EOT
	chmod 755 "$commands_dir/append"
	for action in again brief hasty; do cp -p "$commands_dir/append" "$commands_dir/$action"; done
}
one_device() {
	handlers "$1"
	device_make "$1" || return 1
	: >"$tmp/$1/runs"
	sed -i -e '/^\[agent\]/a log_level = debug' -e '/^\[mirror\]/a port = 4646\nconnect_timeout = 2s' \
		-e '/^\[mirror\]/a session_timeout = 6s\nlinger = 200ms\nbackoff_refused = 300ms' "$tmp/$1/heliographd.conf"
}
check "mirror is set up" mirror_make
check "there are two of it" two_mirrors
check "collector is set up" collector_make
sed -i '/^\[database\]/a keep = 7320d' "$tmp/collector.conf"
for n in $(seq $devices); do
	check "device $n is enrolled" one_device "dev$n"
	tmpfs_add "$tmp/dev$n/state" 6m
done
{
	echo "$token"
	mirror token add guest0 --right invoke --model demo-sensor
} >"$tmp/token"
pg_stop

# --- The campaign

export HG_FAULTS_DIR="$tmp" HG_RUN="$suffix"
in_ns box python3 -B "$HG_TOP/tests/e2e/campaign.py" "$seed" "$devices" "$sessions" "$seconds" "$rounds" \
	$aftermath >"$tmp/campaign.out" 2>&1
is "the campaign ran to its end" "$?" 0
diag "$(tail -n 20 "$tmp/campaign.out")"
if [ -s "$tmp/history.json" ]; then
	asked() { jq -e "$1" "$tmp/history.json"; }
	check "there were $sessions sessions, at least a third of them good" \
		asked "([.sessions[]] | add) >= $sessions and .sessions.good * 3 > ([.sessions[]] | add)"
	check "each program was killed, and each kind of fault came" asked "$(
		cat <<-EOT
			([.kills[]] | min >= 1) and ([.schedule[] | select(.do == "end") | .kind] | unique | length)
				+ (.without | length) == 17
		EOT
	)"
	check "enough was acknowledged to prove something" \
		asked '([.devices[].writes[] | select(.ack)] | length >= 100)
			and ([.devices[].commands[] | select(.ack)] | length >= 30)'
	# A full disk may end a program; so may a database that is not there when a mirror or the collector begins.
	check "no program ended by itself but for a reason" asked '[.deaths | to_entries[] | .key as $name | .value[]
		| select($name != "postgres" and .code != 4 and (.code < 0 or (."disk full" | not)))] == []'
	check "both sides came to rest" asked .settled
	check "the collector hears each device" asked '.heard | all'
	for part in $aftermath; do
		check "afterwards, $part: as aftermath.py says" asked ".after.$part | [.[]] | all(. != false and type != \"string\")"
	done
	is "no change lost, no command lost, none run twice" \
		"$(python3 -B "$HG_TOP/tests/e2e/history.py" "$tmp/history.json" 2>&1 | head -n 30)" ""
	[ "$(jq '.without | length' "$tmp/history.json")" = 0 ] ||
		skip "clocks jump" "no libfaketime here, or sanitizers, which it does not go with"
else
	fail "a history was written"
fi
if [ "$tap_failed" != 0 ] || [ -n "${HG_FAULTS_KEEP:-}" ]; then
	kept=$HG_BUILD/faults-$seed
	rm -rf "$kept"
	mkdir -p "$kept"
	cp "$tmp"/*.log "$tmp/history.json" "$tmp/campaign.out" "$kept" 2>/dev/null
	diag "HG_FAULTS_SEED=$seed; schedule, history and logs are in $kept"
fi
done_testing
