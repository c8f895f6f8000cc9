#!/bin/sh
# SPDX-License-Identifier: MIT
# Who is who: another device's UID, a foreign authority's certificate, a certificate revoked in the
# middle of its life, and two agents with one identity. Each is refused, and both sides say why.
# shellcheck disable=SC2034 # tests/daemons.sh reads what is set here
set -u
HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$HG_TOP/tests/lib.sh"
. "$HG_TOP/tests/daemons.sh"
[ "$(id -u)" = 0 ] || skip_all "needs root"

ns_add box
pg_start
interval=500ms interval_min=100ms interval_soon=50ms backoff_min=100ms
check "the mirror answers" mirror_up
for uid in dev1 dev2 dev3; do check "$uid is enrolled" device_make $uid; done

state_of() { mirror device show "$1" | grep -E '^ *(state|reason) '; }
session() { in_ns box python3 -B "$HG_TOP/tests/e2e/raw_session.py" "$mirror_ip" "$tmp/ca/ca.crt" "$@"; }
value_is() { [ "$(agent "$1" property get limit 2>/dev/null)" = "$2" ]; }
refused() { ! agent "$1" sync now; }

# --- another device's UID
check "a request under the own UID is answered" \
	eval 'session "$tmp/dev3/device.crt" "$tmp/dev3/device.key" dev3 | grep "^status 0"'
session "$tmp/dev2/device.crt" "$tmp/dev2/device.key" dev1 >"$tmp/out"
check "another device's UID is refused as that (status 3)" grep -q '^status 3' "$tmp/out"
diag "$(cat "$tmp/out")"
check "the mirror's log names both" grep -q 'dev2.*dev1\|dev1.*dev2' "$tmp/mirror.log"
check "the device whose UID it was is not harmed" eval '! state_of dev1 | grep -q quarantined'

# --- a foreign authority
pki_ca "$tmp/foreign"
pki_device "$tmp/foreign" dev1
session "$tmp/foreign/dev1.crt" "$tmp/foreign/dev1.key" dev1 >"$tmp/out"
check "a foreign authority's certificate ends in the handshake" grep -q '^tls\|^closed' "$tmp/out"
diag "$(cat "$tmp/out")"

# --- two agents with one identity
device_up dev1 box
check "dev1 synchronises" wait_for 15 agent dev1 sync now
stop dev1
cp -a "$tmp/dev1" "$tmp/copy"
sed -i "s#$tmp/dev1/#$tmp/copy/#" "$tmp/copy/heliographd.conf"
device_up dev1 box
device_up copy box
quarantined() { state_of dev1 | grep -q quarantined; }
check "a copied store: the identity is quarantined" wait_for 20 quarantined
check "the mirror says why" eval 'state_of dev1 | grep "two devices use one identity"'
for who in dev1 copy; do
	check "$who is refused" wait_for 10 refused $who
	check "$who's agent says why" wait_for 10 grep -q 'quarantined.*identity\|identity.*quarantined' "$tmp/$who.log"
	check "$who's agent goes on" alive $who
done
http PUT /things/dev1/properties/limit 7 >"$tmp/out" 2>&1
agent dev1 sync now >"$tmp/out" 2>&1
check "nothing is given to either" eval '! value_is dev1 7 && ! value_is copy 7'
stop copy
mirror device release dev1 >"$tmp/out" 2>&1
is "the operator releases it" "$?" 0
check "then the one that is left works again" eval 'wait_for 10 agent dev1 sync now && wait_for 10 value_is dev1 7'

# --- revoked in the middle of its life
device_up dev2 box
check "dev2 synchronises" wait_for 15 agent dev2 sync now
http POST /things/dev2/actions/selftest '{}' >"$tmp/action"
mirror device revoke dev2 >"$tmp/out" 2>&1
is "revoked" "$?" 0
check "refused from the next session on, without a restart of the mirror" wait_for 10 refused dev2
kill -HUP "$(pid mirror)"
refused_by_tls() { agent dev2 sync now 2>&1 | grep -q 'revoked'; }
check "after the list is read again, already in the handshake" wait_for 10 refused_by_tls
session "$tmp/dev2/device.crt" "$tmp/dev2/device.key" dev2 >"$tmp/out"
check "also for a new connection without resumption" grep -q '^tls' "$tmp/out"
check "its agent goes on" alive dev2
check "applications hear it: 409" \
	eval 'http PUT /things/dev2/properties/limit 1 2>&1 | grep -q "409"'
check "others are not harmed" agent dev1 sync now
done_testing
