#!/bin/sh
# SPDX-License-Identifier: MIT
# waits: sessions and backoff
# The device's disk is full: what cannot be kept is refused and not acknowledged, nothing breaks, and
# when there is room again everything arrives without a restart.
# shellcheck disable=SC2034 # tests/daemons.sh reads what is set here
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"
. "$HG_TOP/tests/daemons.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root"

ns_add box
pg_start
interval=500ms interval_min=100ms interval_soon=50ms backoff_min=50ms backoff_max=500ms
model_file=$tmp/model.json
jq '.properties.note = { type: "string", readOnly: true, "hg:owner": "device" }
	| .properties.config = { type: "string", "hg:owner": "mirror" }' \
	"$HG_TOP/scripts/demo.d/model.json" >"$model_file"
commands_dir=$tmp/commands.d
mkdir "$commands_dir"
printf '#!/bin/sh\necho run >>%s\necho null\n' "$tmp/runs" >"$commands_dir/selftest"
chmod 755 "$commands_dir/selftest"
: >"$tmp/runs"
check "the mirror answers" mirror_up
check "dev1 is enrolled" device_make dev1
tmpfs_add "$tmp/dev1/state" 1m
device_up dev1 box
check "dev1 synchronises" wait_for 15 agent dev1 sync now
check "a value is kept" agent dev1 property set temperature 20
mirror_has() { [ "$(http GET "/things/dev1/properties/$1" 2>/dev/null)" = "$2" ]; }
device_has() { [ "$(agent dev1 property get "$1" 2>/dev/null)" = "$2" ]; }
check "and arrives" wait_for 10 mirror_has temperature 20

dd if=/dev/zero bs=1k 2>/dev/null >"$tmp/dev1/state/fill"
note=$(printf '"%08000d"' 0)
agent dev1 property set note "$note" >"$tmp/out" 2>&1
status=$?
is "full: a new value is refused: exit status" "$status" 1
check "full: the reason is told" grep -qi 'full\|no space' "$tmp/out"
diag "$(cat "$tmp/out")"
check "full: the value is not half-applied" eval '! agent dev1 property get note'
# A small value fits into what the store has in reserve, or is refused: never both.
if agent dev1 property set temperature 21 >/dev/null 2>&1; then kept=21; else kept=20; fi
check "full: the last value that was acknowledged stands" device_has temperature $kept
# What comes together is taken together: a large value makes the small one and the command wait.
config=$(printf '"%014000d"' 0)
check "full: the application can still write" http PUT /things/dev1/properties/config "$config"
check "full: and again" http PUT /things/dev1/properties/limit 50
http POST /things/dev1/actions/selftest '{}' >"$tmp/action"
href=$(jq -r .href "$tmp/action")
href=/${href#*://*/}
complained() { grep -qi 'full\|no space' "$tmp/dev1.log"; }
check "full: the agent says it in its log" wait_for 10 complained
agent dev1 sync now >"$tmp/out" 2>&1
check "full: a session that brings something fails" [ "$?" != 0 ]
check "full: the agent goes on" agent dev1 status
check "full: nothing is half-applied" eval '! device_has limit 50 && ! agent dev1 property get config'
is "full: the command did not run" "$(wc -l <"$tmp/runs")" 0

rm "$tmp/dev1/state/fill"
check "room again: a value is kept" agent dev1 property set temperature 70
check "room again: also a large one" agent dev1 property set note "$note"
check "room again: the mirror gets both" wait_for 15 mirror_has note "$note"
check "room again: the mirror gets it" wait_for 15 mirror_has temperature 70
check "room again: the application's changes arrive" \
	eval 'wait_for 15 device_has limit 50 && device_has config "$config"'
ended() { http GET "$href" | jq -e '.status == "completed"'; }
check "room again: the command runs" wait_for 15 ended
is "room again: it ran once" "$(wc -l <"$tmp/runs")" 1
kill9 dev1
device_up dev1 box
check "after SIGKILL all is there" eval 'wait_for 15 device_has limit 50 && device_has temperature 70'
done_testing
