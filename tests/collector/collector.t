#!/bin/sh
# SPDX-License-Identifier: MIT
# waits: incidents and blocks to begin and to end
# From datagram to block and back, with a real PostgreSQL, real nftables and real packets.
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/collector/lib.sh"

[ "$(id -u)" = 0 ] || skip_all "needs root"

collector_world
collector_conf ""
exit_of() { # what a command returned, and what it said
	"$@" >"$tmp/said" 2>&1
	echo "$? $(tail -n 1 "$tmp/said")"
}
is "without the schema it says what to do" "$(exit_of collector devices)" "1 heliograph-collector: \
relation \"device_key\" does not exist; run \"heliograph-collector migrate\"?"
is "a word too many is an error" "$(exit_of collector migrate now)" \
	"2 heliograph-collector: now: one word too many; see heliograph-collector --help"
is "so is an unknown option" "$(exit_of collector incidents --jsn)" \
	"2 heliograph-collector: --jsn: no such option; see heliograph-collector --help"
is "and a decision that is not named" "$(exit_of collector history)" \
	"2 heliograph-collector: history: an argument is missing; see heliograph-collector --help"
mkdir "$tmp/old"
cp "$HG_TOP"/collector/sql/000[1-6]-*.sql "$tmp/old"
sed "s|^migrations = .*|migrations = $tmp/old|" "$tmp/collector.conf" >"$tmp/old.conf"
check "an older schema is made" "$HG_BUILD/heliograph-collector" -c "$tmp/old.conf" migrate
sql "INSERT INTO device_key (key_id, uid, certificate) VALUES ('12345678', 'dev0', '')" >/dev/null
sql "SELECT hg_alarm_store('12345678', n, n, (n - 5) * 1000, 4::smallint, 5::smallint, 0, 60, 60, '', '', NULL,
	'203.0.113.6', '203.0.113.4/30', '[]', 0::smallint, 0) FROM generate_series(5, 6) n" >/dev/null
is "which took an alarm without time for one of 1970" \
	"$(sql "SELECT count(*) FROM alarm WHERE device_time = to_timestamp(0)")" 1
check "the schema is made" collector migrate
is "and mends that alarm alone" "$(sql "SELECT string_agg(coalesce(extract(epoch FROM device_time)::int::text, '-'), ' '
	ORDER BY counter) FROM alarm")" "- 1"
sql "DELETE FROM alarm; DELETE FROM device_key" >/dev/null
check "and made again does nothing" collector migrate
check "the collector starts" collector_start

# --- enrolment and what is refused
is "an alarm of an unknown key is told to enrol" "$(send 1 alarm class=0 counter=1)" enrol
for i in 1 2 3 4; do
	is "device $i enrols" "$(send $i enrol counter=2)" stored
done
is "enrolling again is confirmed" "$(send 1 enrol counter=2)" stored
is "a test alarm is stored" "$(send 1 alarm class=0 counter=3 "save=$tmp/dgram")" stored
is "its repeat is confirmed" "$(send 1 alarm "load=$tmp/dgram")" stored
is "but stored once" "$(sql "SELECT count(*) FROM alarm")" 1
is "an altered one is not answered" "$(send 1 alarm "load=$tmp/dgram" flip=9 wait=300)" none
is "one signed by another device's key neither" \
	"$(send 2 alarm class=2 counter=3 uid=dev1 target=192.0.2.10/32 wait=300)" none
is "a datagram too large neither" "$(send 1 junk size=9000 wait=300)" none
is "junk neither" "$(send 1 junk size=300 times=200 wait=300)" none
is "a counter far behind is rejected" \
	"$(send 1 alarm class=0 counter=500 >/dev/null; send 1 alarm class=0 counter=4)" rejected
is "one within the window is stored" "$(send 1 alarm class=0 counter=499)" stored
is "nothing but the three was stored" "$(sql "SELECT count(*) FROM alarm")" 3
check "each refusal is counted: oversized" wait_for 12 audit_is oversized 1
check "malformed" audit_is malformed 200
check "other UID" audit_is other-uid 1
check "altered" audit_is signature 1
check "replayed" audit_is replayed 1
check "duplicate" audit_is duplicate 1

# --- what the kernel sends when an agent is silenced: known, and no reason to block anybody
for i in 1 2 3 4; do
	is "device $i was silenced" "$(send $i alarm class=4 feature=5 value=60 time=0 counter=550)" stored
done
is "it is stored as such" "$(sql "SELECT count(*) FROM alarm
	WHERE class = 4 AND hg_feature_name(feature) = 'heartbeat' AND value = 60")" 4
is "without a time of the device's, for it had none" "$(sql "SELECT count(*) FROM alarm
	WHERE class = 4 AND device_time IS NULL")" 4
is "others keep theirs" "$(sql "SELECT count(*) FROM alarm
	WHERE class = 0 AND device_time = to_timestamp(1700000000)")" 3
check "all are judged" wait_for 5 sql_is "SELECT count(*) FROM alarm WHERE NOT correlated" 0
is "four of them are no incident" "$(sql "SELECT count(*) FROM incident")" 0

# --- two agree, three make an incident
check "before: device 1 reaches the victim" reaches dev1 192.0.2.10
is "device 1 reports a flood" "$(send 1 alarm class=2 target=192.0.2.10/32 port=80 counter=600)" stored
is "device 2 too" "$(send 2 alarm class=2 target=192.0.2.10/32 port=80 counter=600)" stored
is "device 2 says so once more" "$(send 2 alarm class=2 target=192.0.2.10/32 port=80 counter=601)" stored
check "all are judged" wait_for 5 sql_is "SELECT count(*) FROM alarm WHERE NOT correlated" 0
is "two devices are no incident" "$(sql "SELECT count(*) FROM incident")" 0
check "and nothing is blocked" reaches dev1 192.0.2.10
is "device 3 reports a scan of the same host" \
	"$(send 3 alarm class=1 target=192.0.2.10/32 counter=600)" stored
check "three are an incident" wait_for 5 sql_is "SELECT count(*) FROM incident" 1
check "with three blocks" wait_for 5 sql_is \
	"SELECT count(*) FROM decision WHERE state = 'blocked' AND applied_at IS NOT NULL" 3
is "decisions are listed" "$(collector decisions | grep -c '^[0-9]* *blocked .*192.0.2.10/32')" 3
check "device 1 is blocked" blocked dev1 192.0.2.10
check "device 3 is blocked" blocked dev3 192.0.2.10
check "device 4 is not" reaches dev4 192.0.2.10
check "the mirror is still reached" reaches dev1 198.51.100.2
collector incidents >"$tmp/incidents"
check "the incident is listed with both classes" grep -q '192.0.2.10/32 .*flood+scan  *3 ' "$tmp/incidents"
check "as JSON, too" sh -c "'$HG_BUILD/heliograph-collector' -c '$tmp/collector.conf' incidents --json |
	python3 -c 'import json,sys; d = json.load(sys.stdin); assert d[0][\"devices\"] == 3'"
check "hits are counted" wait_for 10 sql_is \
	"SELECT count(*) > 0 FROM decision WHERE hits > 0" t
is "device 4 joins late" "$(send 4 alarm class=2 target=192.0.2.10/32 counter=600)" stored
check "and is blocked at once" wait_for 3 blocked dev4 192.0.2.10

# --- restore
is "device 4 says it is over" "$(send 4 alarm class=5 counter=601 episode=600)" stored
check "it is restored when it has been quiet" wait_for 20 sql_is \
	"SELECT count(*) FROM decision WHERE uid = 'dev4' AND state = 'restored'" 1
check "and reaches the victim" wait_for 3 reaches dev4 192.0.2.10
check "the silent ones are restored, too" wait_for 20 sql_is \
	"SELECT count(*) FROM decision WHERE ended_at IS NULL" 0
check "and reach it" reaches dev1 192.0.2.10
check "the incident is closed" wait_for 10 sql_is "SELECT count(*) FROM incident WHERE closed_at IS NULL" 0
is "a relapse" "$(send 1 alarm class=2 target=192.0.2.10/32 port=80 counter=700)" stored
check "is blocked at once, for twice the time" wait_for 5 sql_is \
	"SELECT relapse = 1 AND ends_at - made_at BETWEEN '9 min' AND '11 min' FROM decision
	WHERE uid = 'dev1' AND ended_at IS NULL" t
check "it is" wait_for 3 blocked dev1 192.0.2.10
id=$(sql "SELECT decision_id FROM decision WHERE ended_at IS NULL")
check "the operator ends it" collector restore "$id"
check "it reaches the victim" wait_for 5 reaches dev1 192.0.2.10
check "ending it twice is an error" sh -c "! '$HG_BUILD/heliograph-collector' -c '$tmp/collector.conf' restore $id"
check "its history says who" sh -c "'$HG_BUILD/heliograph-collector' -c '$tmp/collector.conf' history $id |
	grep -q 'lifted.*by the operator'"

# --- the way to the mirror
for i in 1 2 3; do
	send $i alarm class=2 target=198.51.100.2/32 counter=800 >/dev/null
done
check "three agree on the mirror" wait_for 5 sql_is \
	"SELECT count(*) FROM incident WHERE target = '198.51.100.2/32'" 1
is "nobody is blocked from it" "$(sql "SELECT count(*) FROM decision d WHERE state = 'refused'
	AND reason = 'target is protected'")" 3
for i in 1 2 3; do
	send $i alarm class=1 target=198.51.100.0/24 counter=810 >/dev/null
done
check "its network is blocked" wait_for 5 sql_is \
	"SELECT count(*) FROM decision WHERE target = '198.51.100.0/24' AND applied_at IS NOT NULL" 3
check "the mirror is still reached" reaches dev1 198.51.100.2
check "its neighbours are not" blocked dev1 198.51.100.3

# --- IPv6
for i in 1 2 3; do
	is "device $i reports by IPv6" "$(in_ns dev$i "$sender" "to=2001:db8:$i::1:$port" \
		"cert=$tmp/pki/dev$i.crt" "key=$tmp/pki/dev$i.key" "collector=$tmp/pki/collector.crt" \
		class=2 target=2001:db8:9::2/128 counter=820)" stored
done
check "its line is a /64" wait_for 5 sql_is \
	"SELECT count(*) FROM decision WHERE line = '2001:db8:1::/64' AND applied_at IS NOT NULL" 1
check "and is blocked" blocked dev1 2001:db8:9::2
check "device 4 is not" reaches dev4 2001:db8:9::2

for i in 1 2 3; do
	send $i alarm class=2 target=2001:db8:9::3/128 counter=825 >/dev/null
done
check "three tell over IPv4 of a target in IPv6" wait_for 5 sql_is \
	"SELECT count(*) FROM decision WHERE target = '2001:db8:9::3/128'" 3
is "no block could hold that, and none is claimed" "$(sql "SELECT string_agg(DISTINCT state || ': ' || reason, ',')
	FROM decision WHERE target = '2001:db8:9::3/128'")" "refused: line and target are of different IP versions"

# --- drift is not hostile; bot control is
for i in 1 2 3; do
	send $i alarm class=3 attack=13 window=1 target=198.18.7.7/32 counter=830 >/dev/null
	send $i alarm class=3 attack=10 window=60 target=198.18.8.8/32 counter=831 >/dev/null
done
check "three bots of one controller are an incident" wait_for 5 sql_is \
	"SELECT attacks FROM incident_list WHERE target = '198.18.8.8/32'" "{bot-control}"
check "drift is looked at" wait_for 5 sql_is "SELECT count(*) FROM alarm WHERE NOT correlated" 0
is "but three devices that drift are none" "$(sql "SELECT count(*) FROM incident
	WHERE target >>= '198.18.7.7/32' AND port = 0")" 0
is "nor does drift keep a block" "$(sql "SELECT count(*) FROM episode WHERE episode = 830")" 0
check "it is listed apart" sh -c "'$HG_BUILD/heliograph-collector' -c '$tmp/collector.conf' drift |
	grep -q '^test  *1  *0  *packets  *1  *3  *3 '"
check "incidents say what the attack looks like" sh -c "'$HG_BUILD/heliograph-collector' \
	-c '$tmp/collector.conf' incidents --all | grep -q 'outside  *3 .* bot-control '"

# --- a port scanned everywhere
# shellcheck disable=SC2317 # called through check
connects() { in_ns dev1 python3 -c "
import socket, sys
s = socket.socket()
s.settimeout(1)
try:
    s.connect(('192.0.2.10', $1))
except ConnectionRefusedError:
    pass"; }
check "all lines are restored" wait_for 20 sql_is \
	"SELECT count(*) FROM decision WHERE ended_at IS NULL" 0
check "port 23 of the victim answers" connects 23
# wide N KIND COUNTER: device N, on the line of dev1
wide() {
	in_ns dev1 "$sender" "to=203.0.113.5:$port" "cert=$tmp/pki/dev$1.crt" "key=$tmp/pki/dev$1.key" \
		"collector=$tmp/pki/collector.crt" "kind=$2" class=1 target=0.0.0.0/0 port=23 \
		"counter=$3" wait=10000 >>"$tmp/wide"
}
for n in $(seq 5 24); do
	pki_device "$tmp/pki" "dev$n"
	wide "$n" enrol 1
done
pids=
for n in $(seq 5 24); do
	wide "$n" alarm 2 &
	pids="$pids $!"
done
# shellcheck disable=SC2086 # a list of pids
wait $pids
is "twenty devices scan port 23 of everybody" "$(sort "$tmp/wide" | uniq -c | tr -s ' ')" " 40 stored"
check "that is an incident of the port" wait_for 5 sql_is \
	"SELECT count(*) FROM incident WHERE target = '0.0.0.0/0' AND port = 23" 1
check "the port is blocked for the line" wait_for 5 sql_is "SELECT count(*) > 0 FROM decision
	WHERE target = '0.0.0.0/0' AND port = 23 AND proto = 6 AND applied_at IS NOT NULL" t
is "all decisions about it share an element" \
	"$(in_ns router nft list set inet heliograph ports4 | grep -c 'counter packets')" 1
# shellcheck disable=SC2317 # called through check
blocks_port() { ! connects 23; }
check "port 23 no longer answers" blocks_port
check "port 80 does" connects 80
check "and ping" reaches dev1 192.0.2.10

# --- a key that speaks from other people's lines
decide() { sql "SELECT sum(hg_decide((SELECT max(incident_id) FROM incident), '$1', $2, '192.0.2.10/32', $3, $4))
	FROM generate_series(1, 40) n"; }
is "a stolen key blocks no more lines than a line has blocks" \
	"$(decide thief "('10.9.0.' || n)::cidr" '0::smallint' 0)" 16
is "and is refused once, not once per line" "$(sql "SELECT count(*), min(reason) FROM decision
	WHERE uid = 'thief' AND state = 'refused'")" "1|the device has as many decisions as are allowed"
is "a port of TCP and the same of UDP are two" "$(decide two "'10.9.1.1/32'" \
	"CASE WHEN n % 2 = 0 THEN 6 ELSE 17 END::smallint" 53)" 2

stop collector
check "it stops in order" grep -q 'collector: stopped' "$tmp/collector.log"
check "and no sanitizer complains" sh -c "! grep -E 'Sanitizer|runtime error' '$tmp/collector.log'"

# --- what is old goes, a part at a time
stop collector
sql "INSERT INTO alarm (key_id, uid, counter, episode, received_at, class, feature, channel, value, bound, model, firmware,
	source, line, correlated) SELECT key_id, uid, 100000 + n, 0, now() - interval '91 days', 0, 1, 0, 0, 0, 'm', 'f',
	'192.0.2.1', '192.0.2.1', n <> 1 FROM device_key, generate_series(1, 5000) n WHERE uid = 'dev1';
	INSERT INTO audit VALUES (current_date - 91, 'stored', 1)" >/dev/null
recent=$(sql "SELECT count(*) FROM alarm WHERE received_at > now() - interval '1 day'")
check "the collector starts again" collector_start
check "alarms older than [database] keep go, in more than one part" wait_for 10 sql_is \
	"SELECT count(*) FROM alarm WHERE received_at < now() - interval '90 days'" 0
is "the others stay" "$(sql "SELECT count(*) FROM alarm")" "$recent"
is "old counts of the audit go, too" "$(sql "SELECT count(*) FROM audit WHERE day < current_date - 90")" 0

done_testing
