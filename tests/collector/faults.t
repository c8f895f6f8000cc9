#!/bin/sh
# SPDX-License-Identifier: MIT
# waits: incidents and blocks to begin and to end
# The collector and PostgreSQL killed at any moment: nothing acknowledged is lost, blocks are what the
# database says. Certificates that expire, are revoked, or are not ours. A flood of junk.
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/collector/lib.sh"

[ "$(id -u)" = 0 ] || skip_all "needs root"

# feed N FIRST: device N sends alarms one after the other and notes what each is answered.
feed() {
	start_in "dev$1" feeder sh -c "n=$2; while [ ! -e '$tmp/enough' ]; do
		echo \"\$n \$('$sender' to=203.0.113.$((4 * $1 + 1)):$port cert='$tmp/pki/dev$1.crt' \
			key='$tmp/pki/dev$1.key' collector='$tmp/pki/collector.crt' kind=alarm class=0 \
			counter=\$n wait=200)\" >>'$tmp/answers'; n=\$((n + 1)); done"
}
answers() { grep -c " stored" "$tmp/answers"; }
answers_over() { [ "$(answers)" -ge "$1" ]; }
more_answers() {
	more_want=$(($(answers) + $1))
	wait_for 15 answers_over $more_want
}
# Every counter that was answered "stored" is in the database.
none_lost() {
	awk '$2 == "stored" { print $1 }' "$tmp/answers" | sort >"$tmp/acked"
	sql "SELECT counter FROM alarm WHERE uid = 'dev1'" | sort >"$tmp/kept"
	[ -z "$(comm -23 "$tmp/acked" "$tmp/kept")" ]
}
elements() { in_ns router nft list set inet heliograph hosts4 | grep -c 'counter packets'; }
elements_are() { [ "$(elements)" = "$1" ]; }
lasting_are() { sql_is "SELECT count(*) FROM decision WHERE ended_at IS NULL AND applied_at IS NOT NULL" "$1"; }

collector_world
quiet=2m
device_crl=$tmp/pki/crl.pem
cat >"$tmp/pki/openssl.cnf" <<-EOT
	[ca]
	default_ca = here
	[here]
	database = $tmp/pki/index
	default_md = sha256
	default_crl_days = 1
	crlnumber = $tmp/pki/crlnumber
EOT
: >"$tmp/pki/index"
echo 01 >"$tmp/pki/crlnumber"
ca() { openssl ca -config "$tmp/pki/openssl.cnf" -cert "$tmp/pki/ca.crt" -keyfile "$tmp/pki/ca.key" "$@"; }
crl() { ca -gencrl -out "$device_crl.new" 2>/dev/null && mv "$device_crl.new" "$device_crl"; }
crl
collector_conf ""
collector migrate >/dev/null
check "the collector starts" collector_start
for i in 1 2 3 4; do
	is "device $i enrols" "$(send $i enrol counter=1)" stored
done

# --- killed while alarms come in
: >"$tmp/answers"
feed 1 1000
check "alarms are taken" more_answers 20
for round in 1 2 3; do
	kill9 collector
	collector_start
	check "collector killed and started again: alarms are taken ($round)" more_answers 20
done
for round in 1 2; do
	pg_kill9
	pg_restart
	check "PostgreSQL killed and started again: alarms are taken ($round)" more_answers 20
done
: >"$tmp/enough"
wait_for 5 gone "$(pid feeder)"
check "no alarm that was acknowledged is lost ($(answers) of $(grep -c . "$tmp/answers"))" none_lost

# --- blocks over a restart
for i in 1 2 3; do
	is "device $i reports" "$(send $i alarm class=2 target=192.0.2.10/32 counter=900000)" stored
	[ $i != 3 ] || kill9 collector
done
collector_start
check "alarms that were stored just before the kill are judged after it" wait_for 10 lasting_are 3
check "device 1 is blocked" wait_for 3 blocked dev1 192.0.2.10
kill9 collector
check "without a collector the block stands" blocked dev1 192.0.2.10
collector restore "$(sql "SELECT decision_id FROM decision WHERE uid = 'dev2'")" >/dev/null
in_ns router nft add element inet heliograph hosts4 '{ 203.0.113.18 . 192.0.2.10 timeout 5m }'
in_ns router nft delete element inet heliograph hosts4 '{ 203.0.113.14 . 192.0.2.10 }'
collector_start
check "started again: what was restored meanwhile is open" wait_for 5 reaches dev2 192.0.2.10
check "what nobody decided is taken out" wait_for 5 reaches dev4 192.0.2.10
check "what was taken out is put back" wait_for 5 blocked dev3 192.0.2.10
check "device 1 is still blocked" blocked dev1 192.0.2.10
in_ns router nft flush set inet heliograph hosts4
check "an emptied set is filled again" wait_for 10 elements_are 2
in_ns router nft delete table inet heliograph
check "a table that was removed is made again" wait_for 15 elements_are 2
check "device 1 is blocked again" blocked dev1 192.0.2.10
pg_stop
check "without the database the block stands" blocked dev1 192.0.2.10
is "an alarm is not acknowledged" "$(send 1 alarm class=0 counter=900001 wait=500)" none
pg_restart
acked() { [ "$(send 1 alarm class=0 counter=900002 wait=500)" = stored ]; }
check "with it, again" wait_for 15 acked

# --- certificates
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=dev1 -keyout "$tmp/pki/dev9.key" \
	-out "$tmp/csr" 2>/dev/null
printf 'subjectAltName=URI:urn:heliograph:device:dev1\nextendedKeyUsage=clientAuth\n' >"$tmp/ext"
openssl x509 -req -in "$tmp/csr" -CA "$tmp/pki/ca.crt" -CAkey "$tmp/pki/ca.key" -days -1 -extfile "$tmp/ext" \
	-out "$tmp/pki/dev9.crt" 2>/dev/null
cp "$tmp/pki/dev4.crt" "$tmp/kept.crt"
cp "$tmp/pki/dev4.key" "$tmp/kept.key"
cp "$tmp/pki/dev9.crt" "$tmp/pki/dev4.crt"
cp "$tmp/pki/dev9.key" "$tmp/pki/dev4.key"
is "an expired certificate is not enrolled" "$(send 4 enrol counter=1 wait=300)" none
pki_ca "$tmp/foreign"
pki_device "$tmp/foreign" dev4
cp "$tmp/foreign/dev4.crt" "$tmp/foreign/dev4.key" "$tmp/pki/"
is "one of a foreign authority neither" "$(send 4 enrol counter=1 wait=300)" none
cp "$tmp/kept.crt" "$tmp/pki/dev4.crt"
cp "$tmp/kept.key" "$tmp/pki/dev4.key"
is "the device's own is known" "$(send 4 alarm class=0 counter=10)" stored
ca -revoke "$tmp/pki/dev4.crt" 2>/dev/null
crl
refused() { [ "$(send 4 alarm class=2 target=192.0.2.10/32 counter=11)" = rejected ]; }
check "revoked, it is refused when the list has been read again" wait_for 15 refused
is "and does not enrol again" "$(send 4 enrol counter=12 wait=300)" none
check "it was counted" wait_for 12 sql_is \
	"SELECT count(*) FROM audit WHERE reason IN ('refused-key', 'enrol-refused')" 2

# --- junk
sed -i 's/^rate = .*/rate = 20/; s/^burst = .*/burst = 40/' "$tmp/collector.conf"
stop collector
collector_start
is "junk is not answered" "$(send 2 junk size=200 times=20000 wait=100)" none
is "other lines are heard" "$(send 3 alarm class=0 counter=900010)" stored
heard() { [ "$(send 2 alarm class=0 counter=900020 wait=300)" = stored ]; }
check "and this one when it has calmed down" wait_for 10 heard
check "the excess was dropped unread" wait_for 12 sql_is \
	"SELECT sum(count) > 10000 FROM audit WHERE reason = 'rate'" t
check "little was looked at" sql_is "SELECT sum(count) < 200 FROM audit WHERE reason = 'malformed'" t

# --- a database that takes nothing for a while
read_only() { sql "ALTER SYSTEM SET default_transaction_read_only = $1"; sql 'SELECT pg_reload_conf()' >/dev/null; }
read_only on
sql 'BEGIN READ WRITE; UPDATE alarm SET correlated = false WHERE alarm_id = (SELECT max(alarm_id) FROM alarm); COMMIT'
check "an alarm that cannot be concluded now is complained about" wait_for 10 \
	grep -q 'decide: database: .*read-only' "$tmp/collector.log"
is "once, not without end" "$(grep -c 'decide: .*read-only' "$tmp/collector.log")" 1
read_only off
check "and is concluded later" wait_for 10 sql_is "SELECT count(*) FROM alarm WHERE NOT correlated" 0
check "not given up" sh -c "! grep 'not concluded' '$tmp/collector.log'"

stop collector
check "it stops in order" grep -q 'collector: stopped' "$tmp/collector.log"
check "and no sanitizer complains" sh -c "! grep -E 'Sanitizer|runtime error' '$tmp/collector.log'"

done_testing
