# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # variables are shared with scripts/demo
# scripts/demo-screen.sh: what the demo shows and how; scripts/demo sources it.
#
#   act TITLE           a heading            say TEXT     a sentence or two, wrapped
#   run NS CMD..        shows the command at NS's prompt and runs it there; its output is in $out
#   device N CMD..      the same for `heliograph CMD..` of device N
#   seen [LINES]        prints $out, indented, LINES at most, as wide as a screen
#   row WHAT EXPECTED SEEN CMD..   one line of the summary; good if CMD returns 0
#   must WHAT CMD..     the demo cannot go on without it: shows the logs and ends
#   summary             the table; returns 1 if a row was not good

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' cyan=$'\e[36m' plain=$'\e[0m'
else
	bold='' dim='' red='' green='' cyan='' plain=''
fi

rows=() rows_bad=0 act_n=0
out='' status=0

act() {
	act_n=$((act_n + 1))
	printf '\n%s%d  %s%s\n\n' "$bold" "$act_n" "$1" "$plain"
}

say() { fold -s -w 92 <<<"$*" | sed 's/^/   /; s/ *$//'; }

prompt() { printf '   %s%s$%s %s\n' "$cyan" "$1" "$plain" "$2"; }

run() {
	local at=$1
	shift
	prompt "$at" "${shown:-$*}"
	out=$(in_ns "$at" "$@" 2>&1)
	status=$?
}

device() {
	local n=$1
	shift
	shown="heliograph $*" run "dev$n" "$HG_BUILD/heliograph" -c "$tmp/dev$n/heliographd.conf" "$@"
}

seen() {
	[ -z "$out" ] || head -n "${1:-12}" <<<"$out" | cut -c 1-94 | sed "s/^/      $dim/; s/\$/$plain/"
}

mark() {
	if [ "$1" = ok ]; then
		printf '%sok%s' "$green" "$plain"
	else
		printf '%sNOT OK%s' "$red" "$plain"
	fi
}

row() {
	local what=$1 expected=$2 found=$3 verdict=ok
	shift 3
	"$@" >/dev/null 2>&1 || verdict=bad
	[ $verdict = ok ] || rows_bad=$((rows_bad + 1))
	rows+=("$what|$expected|$found|$verdict")
	printf '   => %s: %s  ' "$what" "$found"
	mark $verdict
	echo
}

# The last lines of every log, for the one who has to find out why.
logs() {
	local f
	for f in "$tmp"/*.log; do
		[ -s "$f" ] || continue
		printf '%s--- %s%s\n' "$bold" "${f##*/}" "$plain"
		tail -n 8 "$f"
	done >&2
}

must() {
	local what=$1
	shift
	"$@" && return
	logs
	printf '\n%sdemo: %s: did not happen; the logs are above%s\n' "$red" "$what" "$plain" >&2
	exit 1
}

summary() {
	local line what expected found verdict
	printf '\n%s   %-43s %-30s %-30s%s\n' "$bold" what expected seen "$plain"
	for line in "${rows[@]}"; do
		IFS='|' read -r what expected found verdict <<<"$line"
		printf '   %-43s %-30s %-30s ' "$what" "$expected" "$found"
		mark "$verdict"
		echo
	done
	printf '\n   %d of %d as expected, %d seconds\n' $((${#rows[@]} - rows_bad)) ${#rows[@]} $SECONDS
	[ $rows_bad = 0 ] && [ ${#rows[@]} != 0 ]
}
