#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""One verdict in the third host, too: the module in a guest, in step with the core.

Debian's 6.1 kernel in QEMU gets heliograph.ko, built with its self-test. verdict plays the table of
cases and random changes to it; score closes 24,000 random seconds; wire sends the IP part of the
table through the hooks. What they print is ours.
"""
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../vm", HERE + "/../net"]
import kernels
import vm
from world import BUILD, Tap, skip_all

PROGRAMS = ("verdict", "score", "wire")
END_S = int(os.environ.get("HG_FILE_LIMIT") or 600) - 40
# The device's address is on no interface; routes lead to d0 whatever is sent. Then the kernel's own
# words about its new interface are waited for, until it has said nothing for 15 seconds (most such
# words come within 10 of each other: router solicitations 4, MLD reports 10), 120 at most: no packet
# of wire's may be mistaken for them. With its path, for busybox's shell would take its own ip.
LINK = """
/bin/ip netns add net
/bin/ip link add d0 type veth peer name n0 netns net
/bin/ip link set d0 arp off addrgenmode none mtu 9000 up
/bin/ip netns exec net /bin/ip link set n0 arp off addrgenmode none mtu 9000 up
for f in all default d0; do echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done
echo 0 >/proc/sys/net/ipv6/conf/d0/accept_ra
/bin/ip address add 10.99.0.1/24 dev d0
/bin/ip -6 address add fd99::1/64 dev d0 nodad
/bin/ip route add default dev d0
/bin/ip -6 route add default dev d0
/bin/ip -6 route add fe80::/64 dev d0
said=none still=0 looks=0
while [ $still -lt 15 ] && [ $looks -lt 120 ]; do
	sleep 1 # lint: sleep ok, one look a second
	now=$(cat /sys/class/net/d0/statistics/tx_packets)
	if [ "$now" = "$said" ]; then still=$((still + 1)); else still=0; fi
	said=$now looks=$((looks + 1))
done
"""
# The last is said where the host is busy.
EXPECTED_LOG = r"taints kernel|module verification failed|becomes ready|hrtimer: interrupt took"


def main():
    why = vm.missing()
    kernel = None if why else kernels.find("6.1")
    if not kernel:
        skip_all(why or kernels.why())
    tap = Tap()
    with vm.workdir() as tmp:
        root = vm.Root(tmp + "/root", kernel)
        root.put(kernel.build("CONFIG_HELIOGRAPH_DEBUG=y"), "/t/heliograph.ko")
        for name in PROGRAMS:
            root.program(f"{BUILD}/tests/kmod/{name}")
        root.program(os.path.realpath(shutil.which("ip")), "/bin/ip")
        root.modules("veth")
        root.script("insmod heliograph.ko || exit 1\n" + LINK + "".join(
            f"{name}; echo guest: {name} $?\n" for name in PROGRAMS) + "rmmod heliograph\n")
        console = vm.boot(kernel, root, END_S)
    results, said = vm.results(console), vm.said(console)
    for good, name in results:
        tap.ok(good, name)
    for line in console.splitlines():
        if line.startswith("# ") and not line.startswith("# failed at"):
            print(line)
    tap.ok(all(f"{name} 0" in said for name in PROGRAMS) and "run 0" in said and len(results) > 700,
           "the tests in the guest ended well", console[-4000:])
    bad = [s for s in said if s.startswith(("splat", "log")) and not re.search(EXPECTED_LOG, s)]
    tap.ok("end" in said and not bad, "its kernel said nothing", *bad)
    tap.done()


main()
