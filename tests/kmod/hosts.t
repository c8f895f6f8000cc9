#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""One verdict in the third host, too: the module in a guest, in step with the core.

Debian's 6.1 kernel in QEMU gets heliograph.ko, built with its self-test. verdict plays the table of
cases and random changes to it; score closes 24,000 random seconds. What they print is ours.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../vm", HERE + "/../net"]
import kernels
import vm
from world import BUILD, Tap, skip_all

PROGRAMS = ("verdict", "score")
END_S = 540


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
        root.script("insmod heliograph.ko || exit 1\n" + "".join(
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
    bad = [s for s in said if s.startswith(("splat", "log"))]
    tap.ok("end" in said and not bad, "its kernel said nothing", *bad)
    tap.done()


main()
