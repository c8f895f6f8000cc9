#!/bin/sh
# SPDX-License-Identifier: MIT
# A wrong line of a configuration file is named with file and line, by every program; nothing starts.
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"

# wrong NAME LINE WORD FILE-TEXT: both lines of PROGRAM's file before LINE are good.
wrong() {
	printf '%b' "$4" >"$tmp/x.conf"
	# shellcheck disable=SC2086 # a program and its words
	timeout 10 "$HG_BUILD/$program" -c "$tmp/x.conf" $words >"$tmp/out" 2>&1
	is "$program: $1: exit status" "$?" 3
	check "$program: $1: line $2 and '$3' are named" grep -q "$tmp/x.conf:$2:.*$3" "$tmp/out"
	is "$program: $1: one line" "$(wc -l <"$tmp/out")" 1
}

for program in heliographd "heliograph status" "heliograph-mirror serve" "heliograph-collector serve"; do
	words=${program#* }
	[ "$words" != "$program" ] || words=""
	program=${program%% *}
	case $program in
	heliographd | heliograph) s=agent l=log_level n=mirror k=port ;;
	heliograph-mirror) s=log l=level n=sync k=public_port ;;
	heliograph-collector) s=collector l=log_level n=collector k=port ;;
	esac
	good="[$s]\n$l = info\n"
	wrong "unknown key" 3 colour "${good}colour = red\n"
	wrong "unknown section" 4 nowhere "${good}[nowhere]\nx = 1\n"
	wrong "not a number" 4 "$k" "${good}[$n]\n$k = many\n"
	wrong "out of range" 4 "$k" "${good}[$n]\n$k = 70000\n"
	wrong "a key given twice" 3 "$l" "${good}$l = error\n"
	wrong "no such value" 2 "$l" "[$s]\n$l = loud\n"
	wrong "no key at all" 3 "" "${good}just words\n"
	# shellcheck disable=SC2086 # a program and its words
	timeout 10 "$HG_BUILD/$program" -c "$tmp/none.conf" $words >"$tmp/out" 2>&1
	is "$program: no such file: exit status" "$?" 3
	check "$program: no such file: it is named" grep -q "$tmp/none.conf" "$tmp/out"
done
done_testing
