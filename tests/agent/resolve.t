#!/bin/sh
# SPDX-License-Identifier: MIT
# waits: name servers that do not answer
# How the agent finds its mirror by name: name servers of the moment, several addresses, names that
# do not exist, servers that do not answer. Nobody listens at the addresses: which of them was
# tried shows that the name was resolved.
set -u
. "$(dirname "$0")/../lib.sh"
command -v dnsmasq >/dev/null || skip_all "no dnsmasq"

ns_add box
for n in 54 55; do in_ns box ip addr add 127.0.0.$n/8 dev lo 2>/dev/null; done
in_ns box ip link add d0 type veth peer name d1
in_ns box ip link set d0 up
in_ns box ip link set d1 up
in_ns box ip addr add 10.1.0.1/24 dev d0
pki_ca "$tmp/pki"
pki_device "$tmp/pki" dev1

dns() { # NAME ADDRESS HOST-RECORD..
	dns_name=$1 dns_addr=$2
	shift 2
	start_in box "$dns_name" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \
		--pid-file= --user=root --bind-interfaces --listen-address="$dns_addr" --except-interface=none "$@"
}

cat >"$tmp/conf" <<EOT
[agent]
socket = $tmp/sock
[device]
state_dir = $tmp/state
[mirror]
host = mirror.example
port = 4999
ca = $tmp/pki/ca.crt
cert = $tmp/pki/dev1.crt
key = $tmp/pki/dev1.key
connect_timeout = 1500ms
EOT
now() { in_ns box "$HG_BUILD/heliograph" -c "$tmp/conf" sync now 2>&1; }
says() { now | grep -q "$1"; }

dns dns1 127.0.0.53 --host-record=mirror.example,127.0.0.9
echo "nameserver 127.0.0.53" >"$tmp/resolv.conf"
# A mount namespace of its own: its resolv.conf and hosts are ours.
echo "127.0.0.1 localhost" >"$tmp/hosts"
start_in box agent unshare --mount sh -c "mount --bind $tmp/resolv.conf /etc/resolv.conf &&
	mount --bind $tmp/hosts /etc/hosts && exec $HG_BUILD/heliographd -c $tmp/conf"
wait_for 10 test -S "$tmp/sock"
check "a name is resolved" wait_for 10 says "connect: 127.0.0.9:4999: Connection refused"

stop dns1
check "a name server that is gone is a failure of that kind" says "^heliograph: sync now: dns: mirror.example"
dns dns2 127.0.0.54 --host-record=mirror.example,127.0.0.7,::1
echo "nameserver 127.0.0.54" >"$tmp/resolv.conf"
check "the next session asks the name server of now" wait_for 10 says "connect: .*:4999: Connection refused"
check "of several addresses the last was tried, too" wait_for 10 grep -q "127.0.0.7:4999\|\[::1\]:4999" "$tmp/agent.log"
stop dns2
dns dns3 127.0.0.54 --address=/example/
check "a name that does not exist is told" wait_for 10 says "dns: mirror.example: .*\(nodename\|unknown\|not known\)"
echo "127.0.0.5 mirror.example" >"$tmp/hosts"
check "the hosts file counts, and is read anew" wait_for 10 says "127.0.0.5:4999"
: >"$tmp/hosts"
: >"$tmp/resolv.conf"
check "without name servers it fails, and goes on" wait_for 10 says "dns: mirror.example"
# The device moves to a network without IPv4.
dns dns4 127.0.0.55 --host-record=mirror.example,fd00:1::9
echo "nameserver 127.0.0.55" >"$tmp/resolv.conf"
check "where there is IPv4 only, no IPv6 address is asked for" wait_for 10 says "dns: mirror.example"
in_ns box ip addr del 10.1.0.1/24 dev d0
in_ns box ip addr add fd00:1::1/64 dev d0 nodad
check "where there is IPv6 only, it is" wait_for 10 says "connect: .fd00:1::9.:4999"
check "the agent is well" in_ns box "$HG_BUILD/heliograph" -c "$tmp/conf" status
stop agent
done_testing
