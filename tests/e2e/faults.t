#!/bin/sh
# SPDX-License-Identifier: MIT
# Fault campaign: while an application and a device application work, agent, mirror, collector and
# PostgreSQL are killed with SIGKILL at random moments and started again. At the end every acknowledged
# change is on both sides, every command has ended, and none ran twice (history.py judges).
#
# HG_SEED=N repeats an order of kills; HG_FAULT_SECONDS=N makes the campaign longer.
# shellcheck disable=SC2034 # tests/daemons.sh reads what is set here
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"
. "$HG_TOP/tests/daemons.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root"
seed=${HG_SEED:-$(($(od -An -N3 -tu4 /dev/urandom)))}
seconds=${HG_FAULT_SECONDS:-30}
diag "seed $seed"

ns_add box
pg_start
# 24 properties of each side; numbers, so that the checker can order them.
model_file=$tmp/model.json
jq '.properties = ([range(24) | { ("m\(.)"): { type: "integer", "hg:owner": "mirror" },
		("d\(.)"): { type: "integer", "hg:owner": "device", readOnly: true } }] | add)
	| .actions = { append: { input: { type: "object" } } } | del(."hg:interval")' \
	"$HG_TOP/scripts/demo.d/model.json" >"$model_file"
# The handler leaves one line per run, before it may be killed in its pause.
commands_dir=$tmp/commands.d
mkdir "$commands_dir"
cat >"$commands_dir/append" <<EOT
#!/bin/sh
input=\$(cat)
id=\${input#*'"id":'}
pause=\${input#*'"pause":'}
echo "\${id%%[!0-9]*}" >>$tmp/runs
sleep "\${pause%%[!0-9.]*}"
EOT
chmod 755 "$commands_dir/append"
: >"$tmp/runs"
interval=200ms interval_min=50ms interval_soon=20ms backoff_min=20ms backoff_max=300ms
check "mirror is set up" mirror_make
check "collector is set up" collector_make
check "device is enrolled" device_make dev1
echo "$token" >"$tmp/token"
pg_stop

in_ns box python3 -B "$HG_TOP/tests/e2e/campaign.py" "$tmp" "$seed" "$seconds" >"$tmp/campaign.out" 2>&1
is "the campaign ran to its end" "$?" 0
diag "$(tail -n 20 "$tmp/campaign.out")"
if [ -s "$tmp/history.json" ]; then
	asked() { jq -e "$1" "$tmp/history.json"; }
	check "each program was killed" asked '[.kills[]] | min >= 1 and add >= 10'
	check "enough was acknowledged to prove something" \
		asked '([.writes[] | select(.ack)] | length >= 100) and ([.commands[] | select(.ack)] | length >= 15)'
	check "both sides came to rest" asked .settled
	is "no change lost, no command lost, none run twice" \
		"$(python3 -B "$HG_TOP/tests/e2e/history.py" "$tmp/history.json" 2>&1 | head -n 30)" ""
else
	fail "a history was written"
fi
if [ "$tap_failed" != 0 ]; then
	diag "seed $seed; logs:"
	for log in agent mirror collector; do
		echo "$log:" && tail -n 15 "$tmp/$log.log"
	done 2>&1 | sed 's/^/#   /'
fi
done_testing
