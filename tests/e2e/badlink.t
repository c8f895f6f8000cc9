#!/bin/sh
# SPDX-License-Identifier: MIT
# waits: packets that are late
# The bad link of the fault campaign does what it says, told by ping.
#
#   left eth0 10.9.0.1 ── a1 │ badlink │ b1 ── eth0 10.9.0.2 right
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root"
seed=${HG_SEED:-$(($(od -An -N3 -tu4 /dev/urandom)))}
diag "HG_SEED=$seed"

ns_add left
ns_add right
ns_add air
link_add left eth0 10.9.0.1/24 air a1 -
link_add air b1 - right eth0 10.9.0.2/24
mkfifo "$tmp/commands"
# shellcheck disable=SC2016 # sh's, not ours
start_in air badlink sh -c 'exec "$1" "$2" a1 b1 <"$3"' sh "$HG_BUILD/tests/e2e/badlink" "$seed" "$tmp/commands"
exec 3>"$tmp/commands"
answers() { wc -l <"$tmp/badlink.log"; }
said() { [ "$(answers)" -gt "$before" ]; }
say() {
	before=$(answers)
	echo "$*" >&3
	wait_for 5 said && tail -n 1 "$tmp/badlink.log"
}
# ping N..: "RECEIVED DUPLICATES"
pinged() { in_ns left ping -q -i 0.002 -W 1 "$@" 10.9.0.2 >"$tmp/ping"; ping_sum; }
ping_sum() {
	awk '/transmitted/ { for (i = 1; i <= NF; i++) { if ($i ~ /^received/) r = $(i-1); if ($i ~ /duplicates/) d = $(i-1) } }
		END { print r + 0, 0 + substr(d, 2) + (d ~ /^[0-9]/ ? d : 0) }' "$tmp/ping"
}
check "a link that nobody spoilt is perfect" eval '[ "$(pinged -c 100)" = "100 0" ]'
is "it is told what to do" "$(say 0 loss=100)" ok
check "all lost" eval '[ "$(pinged -c 20)" = "0 0" ]'
say 0 loss=30 >"$tmp/out"
pinged -c 400 >"$tmp/got"
diag "30 % lost on each way: $(cut -d' ' -f1 "$tmp/got") of 400 answered"
check "30 % lost on each way: about half of the answers come" eval 'read -r n _ <"$tmp/got"; [ "$n" -gt 130 ] && [ "$n" -lt 262 ]'
say 0 double=100 >"$tmp/out"
in_ns left ping -c 10 -i 0.05 -W 1 10.9.0.2 >"$tmp/ping"
check "doubled on each way: answers come more than once" grep -q 'DUP' "$tmp/ping"
say 0 delay=40 >"$tmp/out"
in_ns left ping -c 3 -i 0.2 -W 2 10.9.0.2 >"$tmp/ping"
check "delayed on each way" eval '[ "$(sed -n "s/.*time=\([0-9]*\).*/\1/p" "$tmp/ping" | sort -n | head -n 1)" -ge 80 ]'
say 0 delay=20 late=50 >"$tmp/out"
in_ns left ping -c 60 -i 0.005 -W 1 10.9.0.2 | sed -n 's/.*icmp_seq=\([0-9]*\).*/\1/p' >"$tmp/order"
check "late ones are overtaken" eval '! sort -nc "$tmp/order" 2>/dev/null'
is "and none is lost" "$(sort -nu "$tmp/order" | wc -l)" 60
say 0 loss=0 >"$tmp/out"
before_hole=$(say 0 count)
is "a hole is dug" "$(say 0 hole=10,300)" ok
pinged -c 200 >"$tmp/got"
diag "hole after 10 frames, 300 ms: $(cat "$tmp/got") of 200; counts $before_hole -> $(say 0 count)"
check "some frames pass, then none, then all" eval 'read -r n _ <"$tmp/got"; [ "$n" -ge 5 ] && [ "$n" -lt 195 ]'
check "and it is over" eval 'wait_for 5 eval "[ \"\$(pinged -c 20)\" = \"20 0\" ]"'
is "nonsense is refused" "$(say 0 loss=101)" "error: cannot read 'loss=101'"
is "another link, too" "$(say 1 loss=1)" "error: no such link"
exec 3>&-
ended() { ! alive badlink; }
check "it ends with its input" wait_for 5 ended
done_testing
