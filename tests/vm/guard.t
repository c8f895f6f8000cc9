#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""Debian's 6.1 kernel takes the guard, and it does there what it does here.

Boots the distribution's kernel in QEMU (vm.py, kernels.py) with Python and our programs, and runs
tests/net/functional.t in it, and the part of tests/net/score.t that needs no tools.
"""
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, HERE + "/../net"]
import kernels
import vm
from world import BUILD, TOP, Tap, skip_all

RELEASE = "6.1"
MODULES = ("veth", "tun", "sch_ingress", "cls_bpf", "act_bpf")
MODES = ("native", "generic", "tc", "l3")
PROGRAMS = ("ip", "nsenter", "ethtool", "mount", "umount")
# What functional.t imports, and what the interpreter imports on the way, late.
PYTHON = ("atexit contextlib ctypes encodings.ascii encodings.idna encodings.utf_8 errno fcntl "
          "json os select shutil signal socket struct subprocess threading time traceback").split()
SCRIPT = f"""
python3 tests/net/functional.t {' '.join(MODES)}
echo "guest: functional $?"
python3 tests/net/score.t brief
echo "guest: score $?"
"""


def fill(root):
    root.modules(*MODULES)
    for name in PROGRAMS:
        root.program(os.path.realpath(shutil.which(name)), "/bin/" + name)
    root.python(*PYTHON)
    root.program(BUILD + "/heliograph", "/t/build/heliograph")
    root.put(BUILD + "/ebpf/heliograph.bpf.o", "/t/build/ebpf/heliograph.bpf.o")
    for name in ("functional.t", "score.t", "scoring.py", "world.py", "packet.py"):
        root.put(TOP + "/tests/net/" + name, "/t/tests/net/" + name)
    root.script(SCRIPT)


def main():
    if vm.missing():
        skip_all(vm.missing())
    kernel = kernels.find(RELEASE)
    if not kernel:
        skip_all(kernels.why())
    tap = Tap()
    with vm.workdir() as tmp:
        root = vm.Root(tmp + "/root", kernel)
        fill(root)
        console = vm.boot(kernel, root)
    said = vm.said(console)
    tap.ok(f"kernel {kernel.release}" in said, "the guest runs " + kernel.release, console)
    results = vm.results(console)
    for good, name in results:
        tap.ok(good, f"{RELEASE}: {name}")
    tap.ok("functional 0" in said and "score 0" in said and len(results) > 55,
           "the tests in the guest ended well", console[-4000:])
    splats = [s for s in said if s.startswith("splat")]
    tap.ok("end" in said and not splats, "its kernel complained of nothing", *splats)
    tap.done()


main()
