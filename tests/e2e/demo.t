#!/bin/sh
# SPDX-License-Identifier: MIT
# san: no, its traffic is made for full speed; the other tests run the same paths
# The demo is a test, too: its summary says that all was as expected, in time, and nothing stays.
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root"

NO_COLOR=1 "$HG_TOP/scripts/demo" >"$tmp/demo.out" 2>"$tmp/demo.err"
is "the demo's exit status" "$?" 0
# What ended it is its last line; the logs before it are shown at the end.
is "it complains about nothing" "$(tail -n 1 "$tmp/demo.err")" ""
sed -n '/^   what  *expected/,$p' "$tmp/demo.out" >"$tmp/summary"
lines() { grep -c "$1" "$tmp/summary"; }
is "lines of the summary that are not ok" "$(lines 'NOT OK$')" 0
check "its summary has all lines" [ "$(lines ' ok$')" -ge 16 ]
for what in "nmap of 1000 ports, guard on" "answers that left dev1" "session during the flood" \
	"written over HTTPS, read on dev1" "set on dev1, read over HTTPS" "its result from dev1" \
	"incidents raised" "devices blocked" "reach the victim, blocked" "action on dev2 while" \
	"session and other traffic" "still blocked" "one packet of dev2"; do
	check "summary: $what" grep -q "$what.* ok$" "$tmp/summary"
done
took=$(sed -n 's/.* as expected, \([0-9]*\) seconds$/\1/p' "$tmp/summary")
check "it takes less than three minutes (${took:-?} s)" [ "${took:-999}" -lt 180 ]
check "no escape codes with NO_COLOR" [ "$(grep -c "$(printf '\033')" "$tmp/demo.out")" = 0 ]
check "it says that nothing is left" grep -q 'Nothing is left behind' "$tmp/demo.out"
if [ "$tap_failed" != 0 ]; then
	diag "$(tail -n 60 "$tmp/demo.out" "$tmp/demo.err")"
fi
done_testing
