#!/bin/sh
# SPDX-License-Identifier: MIT
# waits: what must not be answered, and the agent's look at its interfaces
# The agent and its guard: attached at start, kept over SIGKILL and restart, put back when an
# interface comes again, never silently absent; mirror and name servers are its peers.
#
#   dev (10.9.0.2) ---- net (10.9.0.1)
set -u
. "$(dirname "$0")/../lib.sh"

ns_add dev
ns_add net
link_add dev eth0 10.9.0.2/24 net eth0 10.9.0.1/24
bpffs_add "$tmp/bpf"
pki_ca "$tmp/pki"
pki_device "$tmp/pki" dev1
pki_server "$tmp/pki" collector 10.9.0.1

conf() {
	cat >"$tmp/conf" <<-EOT
		[agent]
		socket = $tmp/sock
		[device]
		state_dir = $tmp/state
		[mirror]
		host = 10.9.0.1
		ca = $tmp/pki/ca.crt
		cert = $tmp/pki/dev1.crt
		key = $tmp/pki/dev1.key
		[collector]
		host = 10.9.0.1
		cert = $tmp/pki/collector.crt
		[guard]
		pin_dir = $tmp/bpf/heliograph
		object = $HG_BUILD/ebpf/heliograph.bpf.o
		dns = 10.9.0.53
		$1
	EOT
}

hg() { nsenter --net="/run/netns/$(ns dev)" "$HG_BUILD/heliograph" -c "$tmp/conf" "$@"; }
says() { hg status | grep -q "$1"; }
agent() { start_in dev agent "$HG_BUILD/heliographd" -c "$tmp/conf"; }
# What is to be answered may take long on a busy machine; what is not, is waited for in vain.
pings() { in_ns "$1" ping -c 1 -W "${3:-10}" "$2"; }
refused() { ! pings "$1" "$2" 1; }
connects() {
	in_ns dev python3 -c "import socket; socket.create_connection(('10.9.0.1', $1), ${2:-10})"
}
cannot() { ! connects "$1" 1; }

conf "interface = nothere"
starts() { in_ns dev "$HG_BUILD/heliographd" -c "$tmp/conf" >"$tmp/out" 2>&1; }
does_not_start() { ! starts; }
check "an agent that cannot guard what it must does not start" does_not_start
check "it says why, and that it is the guard" grep -q "guard: .*nothere" "$tmp/out"

conf "interface = nothere
required = no"
agent
check "with required = no it does" wait_for 10 hg status
check "but says loudly that the device is open" grep -q "NOT GUARDED" "$tmp/agent.log"
check "also in its status" says "OFF: .*nothere"
stop agent

conf "interface = late
required = no
[profile]
file = $HG_TOP/package/profile.json"
agent
wait_for 10 hg status
check "without a guard nothing is watched" sh -c "! grep 'is watched' '$tmp/agent.log'"
in_ns dev ip link add late type veth peer name later
in_ns dev ip link set late up
check "an interface that comes late is guarded" wait_for 15 says " on late"
check "and watched" wait_for 5 grep -q 'traffic is watched by the profile of' "$tmp/agent.log"
in_ns dev ip link del late
stop agent
wait_for 5 hg guard off

start_in net listeners python3 -c "import select, socket
ports = [socket.create_server(('10.9.0.1', p)) for p in (4646, 8080)]
while True:
    for s in select.select(ports, [], [])[0]:
        s.accept()"
wait_for 10 connects 8080

conf "interface = eth0"
check "before: the device answers to anybody" pings net 10.9.0.2
agent
check "the guard is on" wait_for 10 says "initiated on eth0"
check "the device does not answer any more" refused net 10.9.0.2
check "but may ask" pings dev 10.9.0.1
check "a test alarm is sent" hg alarm test
check "and counted" wait_for 5 sh -c "nsenter --net=/run/netns/$(ns dev) $HG_BUILD/heliograph -c $tmp/conf \
	--json status | grep -q '\"sent\": [1-9]'"

kill9 agent
check "after SIGKILL of the agent the device still does not answer" refused net 10.9.0.2
check "and may still ask" pings dev 10.9.0.1
agent
check "the next agent takes it over" wait_for 10 says "initiated on eth0"
check "the device still does not answer" refused net 10.9.0.2

in_ns dev ip link set eth0 down
in_ns dev ip link set eth0 name other0
check "an interface that is gone is told" wait_for 25 grep -q "not all interfaces are guarded" "$tmp/agent.log"
in_ns dev ip link set other0 name eth0
in_ns dev ip link set eth0 up
check "when it is back it is guarded" wait_for 25 says "on eth0 (native)\|on eth0 (generic)"
check "and does not answer" refused net 10.9.0.2

check "guard off" hg guard off
check "the agent that still runs puts it back" wait_for 25 refused net 10.9.0.2
stop agent
check "an agent that is stopped leaves it on" refused net 10.9.0.2

conf "interface = eth0
confine = yes
police = yes"
agent
check "confine and police: told by the agent's status" wait_for 10 says "initiated, confine, police on eth0"
check "without a profile confine is said to leave peers only" grep -q 'confine without \[profile\]' "$tmp/agent.log"
check "and police to have nothing to hold" grep -q 'police without \[profile\]' "$tmp/agent.log"
check "confine: the mirror can be reached" connects 4646
check "confine: others cannot" cannot 8080
refusals() { hg guard status --json | jq -e ".dropped.$1 > 0" >"$tmp/out"; }
check "confine: that is counted by its reason" refusals confined
shows() { hg guard status | grep -q "^$1 *$2\$"; }
check "guard status shows confine" shows confine yes
check "and police" shows police yes
check "guard confine no" hg guard confine no
check "is shown" shows confine no
check "and lets out again" connects 8080
check "police was left alone" shows police yes
check "guard police no" hg guard police no
check "is shown in JSON" sh -c "nsenter --net=/run/netns/$(ns dev) $HG_BUILD/heliograph -c $tmp/conf guard status --json |
	jq -e '.police == false and .confine == false' >'$tmp/out'"
says_usage() { hg guard "$@" >"$tmp/out" 2>&1; [ $? = 2 ] && grep -q 'yes|no' "$tmp/out"; }
check "guard confine maybe: usage" says_usage confine maybe
check "guard police: usage" says_usage police
check "guard confine yes" hg guard confine yes
check "is shown" shows confine yes
hg guard policy monitor
check "under monitor nothing is held" connects 8080
stop agent

conf "interface = eth0
policy = sealed"
agent
check "sealed: the next agent brings another policy" wait_for 10 says "sealed on eth0"
check "sealed: the mirror is a peer" connects 4646
check "sealed: others are not" cannot 8080
stop agent
check "guard off" hg guard off
check "then the device answers again" wait_for 5 pings net 10.9.0.2

# An agent that cannot start, after the machine has: the device is not to be open for that.
not_open() { does_not_start && refused net 10.9.0.2 && pings dev 10.9.0.1 && wait_for 5 hg guard off; }
conf "interface = eth0"
mv "$tmp/state/store.db" "$tmp/store.db"
echo "no database" >"$tmp/state/store.db"
check "a damaged store: the agent does not start, but the device is guarded" not_open
check "it says both" sh -c "grep -q 'store.db.*move it away' '$tmp/out' && grep -q 'guarded all the same' '$tmp/out'"
mv "$tmp/store.db" "$tmp/state/store.db"
mv "$tmp/pki/dev1.crt" "$tmp/dev1.crt"
check "the same without a certificate" not_open
mv "$tmp/dev1.crt" "$tmp/pki/dev1.crt"
conf "interface = eth0
[profile]
file = $tmp/conf"
check "and with a profile that is none" not_open
conf "interface = eth0"
agent
wait_for 10 says "initiated on eth0"
kill9 agent
echo "no database" >"$tmp/state/store.db"
check "a guard that runs" does_not_start
check "stays as it is" sh -c "! grep -q 'all the same' '$tmp/out'"
check "and guards" refused net 10.9.0.2
hg guard off
done_testing
