#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""The module's gate with real traffic, in QEMU: opened and shut by netlink, and shut by itself."""
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../vm", HERE + "/../net"]
import kernels
import vm
from world import BUILD, Tap, skip_all

SCRIPT = """insmod heliograph.ko || exit 1
/bin/ip netns add net
/bin/ip link add d0 type veth peer name n0 netns net
/bin/ip link set d0 up
/bin/ip addr add 10.9.0.2/24 dev d0
/bin/ip netns exec net /bin/ip link set n0 up
/bin/ip netns exec net /bin/ip addr add 10.9.0.1/24 dev n0
guard() { heliograph -c /t/conf guard "$@"; }
gate() { guard status | awk '$1 == "gate" { print $2; exit }'; }
pings() { ping -c 1 -W 10 10.9.0.1 >/dev/null && echo answered || echo silent; }
guard on
echo "guest: begins $(gate) $(pings)"
guard gate 60
echo "guest: opened $(gate) $(pings)"
guard gate 0
echo "guest: closed $(gate) $(pings)"
guard gate 3
echo "guest: three $(gate) $(pings)"
n=0
while [ "$(gate)" = open ] && [ $n -lt 100 ]; do sleep 0.2; n=$((n + 1)); done # lint: sleep ok, between two looks
echo "guest: later $(gate) $(pings)"
echo "guest: counted $(guard status | grep -c 'gate [1-9]')"
guard off
rmmod heliograph
echo "guest: rmmod $?"
"""
EXPECTED = (("begins shut silent", "attached, it is shut: what the device asks is not answered"),
            ("opened open answered", "opened by netlink, it is"),
            ("closed shut silent", "shut by netlink, it is not"),
            ("three open answered", "open for three seconds"),
            ("later shut silent", "and shut by itself"),
            ("counted 1", "what it kept out is counted"),
            ("rmmod 0", "the module goes"))


def main():
    why = vm.missing()
    kernel = None if why else kernels.find("6.1")
    if not kernel:
        skip_all(why or kernels.why())
    tap = Tap()
    with vm.workdir() as tmp:
        root = vm.Root(tmp + "/root", kernel)
        root.put(kernel.build(), "/t/heliograph.ko")
        root.program(BUILD + "/heliograph", "/bin/heliograph")
        root.program(os.path.realpath(shutil.which("ip")), "/bin/ip")
        root.modules("veth")
        root.write("/t/conf", "[guard]\ninterface = d0\nhost = module\ngate = strict\n")
        root.script(SCRIPT)
        console = vm.boot(kernel, root)
    said = vm.said(console)
    for line, name in EXPECTED:
        tap.ok(line in said, name, *said)
    bad = [s for s in said if s.startswith("splat")]
    tap.ok("end" in said and not bad, "its kernel said nothing", *bad)
    tap.done()


main()
