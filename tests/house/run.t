#!/bin/sh
# SPDX-License-Identifier: MIT
# san: no, runs no program of ours
# lint: todo ok, TAP calls it so
# The test runner counts what happened: each way in which a test file can go wrong is planted
# in a small tree and must show in the closing line and in the exit status.
set -u
. "$(dirname "$0")/tap.sh"
# expect NAME STATUS CLOSING-LINE: reads the body of a test file, runs it alone beside one that passes.
expect() {
	{ echo '#!/bin/sh'; cat; } >"$tmp/tree/tests/a/b.t"
	chmod +x "$tmp/tree/tests/a/b.t"
	(cd "$tmp/tree" && HG_FILE_LIMIT=5 HG_SUITE_LIMIT=${limit:-60} tests/run --build build) >"$tmp/out" 2>&1
	rc=$?
	[ $rc = "$2" ] && [ "$(tail -n 1 "$tmp/out")" = "$3" ]
	ok $? "$1: $3"
}
said() { # NAME PATTERN: of the last run
	grep -q -- "$2" "$tmp/out"
	ok $? "$1"
}

mkdir -p "$tmp/tree/tests/a" "$tmp/tree/build/tests/a"
cp "$top/tests/run" "$tmp/tree/tests/run"
printf '#!/bin/sh\necho 1..1\necho ok 1 - fine\n' >"$tmp/tree/tests/a/a.t"
chmod +x "$tmp/tree/tests/a/a.t"

expect 'all pass' 0 '3 passed, 0 failed' <<'X'
echo 1..2; echo ok 1; echo ok 2
X
expect 'one fails' 1 '2 passed, 1 failed' <<'X'
echo 1..2; echo ok 1; echo not ok 2
X
expect 'dies before its plan' 1 '2 passed, 1 failed' <<'X'
echo ok 1; kill -9 $$
X
expect 'no plan' 1 '2 passed, 1 failed' <<'X'
echo ok 1
X
expect 'no output at all' 1 '1 passed, 1 failed' <<'X'
:
X
expect 'fewer tests than planned' 1 '2 passed, 1 failed' <<'X'
echo 1..3; echo ok 1
X
expect 'all ok but exit status 1' 1 '2 passed, 1 failed' <<'X'
echo 1..1; echo ok 1; exit 1
X
expect 'a sanitizer found something' 1 '2 passed, 1 failed' <<'X'
echo 1..1; echo ok 1; exit 99
X
expect 'one skipped' 0 '2 passed, 0 failed, 1 skipped' <<'X'
echo 1..2; echo ok 1; echo 'ok 2 - moon # SKIP no rocket'
X
said 'the reason of a skip is shown' '^skipped: tests/a/b.t: moon: no rocket$'
expect 'whole file skipped' 0 '1 passed, 0 failed, 1 skipped' <<'X'
echo '1..0 # SKIP no rocket'
X
said 'the reason of a skipped file is shown' '^skipped: tests/a/b.t: no rocket$'
expect 'a to-do that fails is not a pass' 0 '2 passed, 0 failed, 1 skipped' <<'X'
echo 1..2; echo ok 1; echo 'not ok 2 - moon # TODO build a rocket'
X
expect 'bail out' 1 '1 passed, 1 failed' <<'X'
echo 'Bail out!  no ground'
X
said 'where it bailed out is shown' 'stopped in tests/a/b.t'
expect 'hangs' 1 '2 passed, 1 failed' <<'X'
echo 1..2; echo ok 1; exec sleep 60
X
said 'what hung is shown' 'b.t: took more than 5 s'
limit=12 expect 'leaves a process that holds the output' 1 '2 passed, 1 failed' <<'X'
echo 1..1; echo ok 1; echo $$ >left; exec setsid sh -c 'trap "" TERM; sleep 60 & echo $! >left'
X
kill "$(cat "$tmp/tree/left")" 2>/dev/null
expect 'reads its input: there is none' 0 '2 passed, 0 failed' <<'X'
echo 1..1; read -r x || echo ok 1
X

touch "$tmp/tree/tests/a/gone_test.c"
expect 'a C test that was not built' 1 '2 passed, 1 failed' <<'X'
echo 1..1; echo ok 1
X
rm "$tmp/tree/tests/a/gone_test.c"
printf '#!/bin/sh\necho 1..1; echo not ok 1\n' >"$tmp/tree/build/tests/a/gone_test"
chmod +x "$tmp/tree/build/tests/a/gone_test"
expect 'a program whose source is gone is no test' 0 '2 passed, 0 failed' <<'X'
echo 1..1; echo ok 1
X

printf '#!/bin/sh\n# san: no, too slow\necho 1..1; echo ok 1\n' >"$tmp/tree/tests/a/b.t"
(cd "$tmp/tree" && tests/run --san --build build) >"$tmp/out" 2>&1
[ "$(tail -n 1 "$tmp/out")" = '1 passed, 0 failed' ]
ok $? 'with sanitizers a script may stay out'
said 'and says why' '^left out with sanitizers: tests/a/b.t: too slow$'

# Each waits for what the other says; the first one hears it only if they run at the same time.
meet() { # FILE NEED SAY [MARK]
	cat >"$tmp/tree/tests/a/$1" <<-X
		#!/bin/sh
		${4:-}
		echo 1..1; touch $tmp/$3
		timeout 5 sh -c 'until [ -e $tmp/$2 ]; do sleep 0.05; done' && echo ok 1 || echo not ok 1
	X
	chmod +x "$tmp/tree/tests/a/$1"
}
rm -rf "$tmp"/tree/tests/a/* "$tmp/tree/build/tests/a"
meet b.t one two '# waits: the other'
meet c.t two one '# waits: the other'
(cd "$tmp/tree" && tests/run --build build) >"$tmp/out" 2>&1
[ "$(tail -n 1 "$tmp/out")" = '2 passed, 0 failed' ]
ok $? 'scripts that say that they wait run beside each other'
meet c.t two one
rm "$tmp/one" "$tmp/two"
(cd "$tmp/tree" && tests/run --build build) >"$tmp/out" 2>&1
[ "$(tail -n 1 "$tmp/out")" = '1 passed, 1 failed' ]
ok $? 'others run alone'

rm "$tmp"/tree/tests/a/*
cat >"$tmp/tree/tests/a/b.t" <<-X
	#!/bin/sh
	echo 1..2; echo ok 1 - early
	timeout 5 sh -c 'until grep -q early $tmp/out; do sleep 0.05; done' && echo ok 2 || echo not ok 2
X
chmod +x "$tmp/tree/tests/a/b.t"
(cd "$tmp/tree" && HG_VERBOSE=1 tests/run --build build) >"$tmp/out" 2>&1
[ "$(tail -n 1 "$tmp/out")" = '2 passed, 0 failed' ]
ok $? 'with HG_VERBOSE a line is shown when it comes, also into a file'

rm "$tmp"/tree/tests/a/*
(cd "$tmp/tree" && tests/run --build build) >"$tmp/out" 2>&1
ok $((!$?)) 'no tests at all is a failure'
echo "1..$n"
