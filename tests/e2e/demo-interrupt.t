#!/bin/sh
# SPDX-License-Identifier: MIT
# san: no, it is about the demo's cleaning up
# The demo leaves nothing behind when it is interrupted or something in it fails.
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root"

# ended WHEN TEXT ACTION STATUS: a run in which ACTION happens as soon as TEXT is on screen.
ended() {
	rm -f "$tmp/demo.log"
	start demo env --default-signal=INT NO_COLOR=1 "$HG_TOP/scripts/demo"
	demo_pid=$(pid demo)
	check "$1: there is something to clean up" wait_for 30 demo_made_something
	wait_for 100 grep -q "$2" "$tmp/demo.log" || fail "$1: the demo gets there"
	$3
	check "$1: it ends soon" wait_for 30 gone "$demo_pid"
	wait "$demo_pid"
	demo_status=$?
	# What else ended it is its last line.
	[ "$demo_status" = "$4" ] || demo_status="$demo_status: $(tail -n 1 "$tmp/demo.log")"
	is "$1: exit status" "$demo_status" "$4"
	is "$1: nothing is left behind" "$(leftovers "${demo_suffix:-none}")" ""
	stop demo
}

# The suffix of its namespaces and directory stands in the environment of all it starts; between two
# children of the demo there is none to read it from.
demo_made_something() {
	demo_suffix=$(grep -lsaz "^HG_RUN=" /proc/[0-9]*/environ | demo_environments)
	[ -n "$demo_suffix" ] && [ -n "$(leftovers "$demo_suffix")" ]
}

# The HG_RUN of a process whose parent is the demo.
demo_environments() {
	while IFS=/ read -r _ _ env_pid _; do
		grep -qs "^PPid:	$demo_pid\$" "/proc/$env_pid/status" || continue
		tr '\0' '\n' <"/proc/$env_pid/environ" | sed -n 's/^HG_RUN=//p'
	done | grep -vx "$suffix" | head -n 1
}

ctrl_c() { kill -s INT -- "-$demo_pid"; }
term() { kill -TERM "$demo_pid"; }
kill_mirror() {
	# shellcheck disable=SC2046 # one pid
	kill -9 $(grep -lsaz "^HG_RUN=$demo_suffix\$" /proc/[0-9]*/environ | demo_named heliograph-mir)
}
demo_named() {
	while IFS=/ read -r _ _ named_pid _; do
		grep -qs "^Name:	$1" "/proc/$named_pid/status" && echo "$named_pid"
	done
}

ended "Ctrl-C while it is set up" "cleans" ctrl_c 130
ended "Ctrl-C during the flood" "hping3 -S -p 23 --flood" ctrl_c 130
ended "SIGTERM during the attack" "dev5. hping3" term 143
ended "the mirror dies" "2  An application" kill_mirror 1
done_testing
