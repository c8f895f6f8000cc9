# SPDX-License-Identifier: MIT
"""The device of the module's tests, as files of a guest and as pieces of its script.

    guest "device"                                namespace "net" of the guest
    d0 10.77.0.2  fd77::2  <======veth======>  n0 10.77.0.1  fd77::1    who probes
    eth0 10.0.2.15  <==QEMU's user network==>  10.0.2.2                 the host: mirror, collector

Both interfaces are guarded. The probes are nmap's (guest-probe.c); without a guard they must be
answered, or it proves nothing that they are not.
"""
import contextlib
import os

import cross
import vm
from kernels import NATIVE

CONFIG = """[guard]
interface = d0
host = module
policy = initiated
"""

PLACE = r"""
n=0
ok() { # STATUS NAME: a line of TAP
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}
until_true() { # SECONDS COMMAND...
	end=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt $end ] || return 1
		usleep 100000
	done
}
inside() { hg-guest in net "$@"; }
hg-guest netns net
hg-guest veth d0 - n0 net
for f in all d0 n0; do
	echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad
	inside sh -c "echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad"
done 2>/dev/null
ip addr add 10.77.0.2/24 dev d0
ip -6 addr add fd77::2/64 dev d0
ip link set d0 up
inside ip addr add 10.77.0.1/24 dev n0
inside ip -6 addr add fd77::1/64 dev n0
inside ip link set n0 up
ip route add default via 10.77.0.1
hg-guest serve 8080
hg-guest echo 10.77.0.1 7998
hg-guest echo fd77::1 7999
probes() { # NAME none|some
	for a in "10.77.0.1 10.77.0.2 7998" "fd77::1 fd77::2 7999"; do
		said=$(inside hg-guest probe n0 $a 2>&1)
		case "$2 $said" in
		*"answered 0") [ "$2" = none ]; ok $? "$1, $a: ${said##*probed }" ;;
		*answered*) [ "$2" = some ]; ok $? "$1, $a: ${said##*probed }" ;;
		*) ok 1 "$1, $a" ;;
		esac
		[ "$2" = some ] || echo "$said" | sed 's/^/# /'
	done
}
probes "without a guard probes are answered" some
"""

LOAD = """
insmod /t/heliograph.ko && [ -d /sys/module/heliograph ]
ok $? "insmod"
"""

UNLOAD = """
rmmod heliograph && [ ! -d /sys/module/heliograph ]
ok $? "rmmod"
"""


def fill(root, kernel, module, programs):
    """What every device has; programs: where heliographd and heliograph were built."""
    root.modules("veth")
    for name in ("ipv6", "af_packet"):  # built in almost everywhere; 7.2 does not say so
        with contextlib.suppress(RuntimeError):
            root.modules(name)
    root.put(module, "/t/heliograph.ko")
    root.put(cross.guest(kernel.arch), "/bin/hg-guest")
    for name in ("heliographd", "heliograph"):
        stripped = f"{root.path}.{name}"
        cross.stripped(kernel.arch, f"{programs}/{name}", stripped)
        root.program(stripped, "/bin/" + name)
        os.unlink(stripped)
    if kernel.arch != NATIVE:
        return
    for name in ("heliographd", "heliograph"):
        if not os.path.exists(f"{programs}/{name}"):
            raise RuntimeError(f"no {name} in {programs}; make agent")


def closed(console):
    """What a test says of the guest's kernel: complaints, and messages that it need not have sent."""
    said = vm.said(console)
    splats = [s for s in said if s.startswith("splat")]
    usual = ("taints kernel", "tainting kernel", "link becomes ready", "renamed from", "random:",
             "entered promiscuous", "left promiscuous", "interrupt took", "link up", "RT throttling",
             "usb 1-1", "hub 1-1", "cdc_ether", "spurious 8259A interrupt")
    loud = [s for s in said if s.startswith("log: ") and not any(u in s for u in usual)]
    return splats, loud
