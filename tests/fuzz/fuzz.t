#!/bin/sh
# SPDX-License-Identifier: MIT
# san: no, the targets are built with sanitizers of their own
# Every fuzz target: its seeds alone, then a short run from them. `make fuzz` runs longer, and so do
# here, with HG_FUZZ_SECONDS, the readers of profiles, MUD files, captures and DNS answers.
top=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${HG_BUILD:-$top/build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0

ok() { # STATUS NAME
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n - $2" && return
	echo "not ok $n - $2"
	tail -n 25 "$dir/log" | sed 's/^/# /'
	cp "$dir"/crash-* "$dir"/timeout-* "$dir"/oom-* "$build/fuzz/" 2>/dev/null
}

if [ ! -x "$build/fuzz/cbor" ]; then
	echo "1..0 # SKIP no fuzz targets: clang has no libFuzzer runtime (libclang-rt-dev)"
	exit 0
fi
"$top/tests/fuzz/seeds" "$build" "$dir/seeds" || exit 1
for source in "$top"/tests/fuzz/*_fuzz.c; do
	t=$(basename "$source" _fuzz.c)
	case $t in
	capture | dns | mud | profile) seconds=${HG_FUZZ_SECONDS:-3} ;;
	*) seconds=3 ;;
	esac
	seeds=$(find "$dir/seeds/$t" -type f | wc -l)
	"$build/fuzz/$t" -runs=0 -artifact_prefix="$dir/" "$dir/seeds/$t" >"$dir/log" 2>&1
	ok $? "$t: its $seeds seeds"
	mkdir "$dir/$t"
	"$build/fuzz/$t" -max_total_time="$seconds" -timeout=25 -artifact_prefix="$dir/" \
		-print_final_stats=1 "$dir/$t" "$dir/seeds/$t" >"$dir/log" 2>&1
	ok $? "$t: $(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log") inputs in $seconds s"
done
echo "1..$n"
