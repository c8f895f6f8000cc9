#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""The guard as a kernel module on Debian's 6.1 kernel: loads, hides the device, counts each hostile
frame and answers none, unloads, is silent.

`make check-arch` does this and more on other architectures and kernels (tests/vm/arch), `make
check-debug` more of the frames. HG_FUZZ_FRAMES of them of each kind (500), HG_FUZZ_SEED to repeat.
"""
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, HERE + "/../net"]
import device
import kernels
import vm
from world import BUILD, Tap, skip_all

RELEASE = "6.1"
TEXT_MAX = 64 << 10
FRAMES = int(os.environ.get("HG_FUZZ_FRAMES", "500"))
SEED = int(os.environ.get("HG_FUZZ_SEED", "0"), 0) or random.SystemRandom().getrandbits(32)
SCRIPT = device.PLACE + device.LOAD + """
heliograph -c /t/conf guard on
ok $? "the guard is attached"
probes "guarded, probes are answered by nothing" none
heliograph -c /t/conf guard status --json | tr -d '\\n' | grep -q '"drop[^}]*[1-9]'
ok $? "what was dropped is counted"
memory=$(heliograph -c /t/conf guard status --json | grep -o '"memory": [0-9]*' | grep -o '[0-9]*')
[ -n "$memory" ] && [ "$memory" -le 1048576 ]
ok $? "with the default tables it holds $memory bytes, which is no more than 1 MiB"
heliograph -c /t/conf guard off
ok $? "the guard is taken off"
probes "without the guard again they are answered" some
""" + f"""
drill packets {SEED} {FRAMES} >/tmp/packets
ok $? "in a namespace of its own, hostile frames are counted and not answered, seed {SEED}"
sed 's/^/# /' /tmp/packets
""" + device.UNLOAD


def main():
    if vm.missing():
        skip_all(vm.missing())
    kernel = kernels.find(RELEASE)
    if not kernel:
        skip_all(kernels.why())
    tap = Tap()
    module = kernel.build()
    code, text, data = device.cross.module_sizes(kernel.arch, module)
    tap.ok(code and text <= TEXT_MAX, f"the module's text is {text} bytes, {code} of it code; data {data}")
    with vm.workdir() as tmp:
        root = vm.Root(tmp + "/root", kernel)
        device.fill(root, kernel, module, BUILD)
        root.program(BUILD + "/tests/kmod/drill")
        root.write("/t/conf", device.CONFIG)
        root.script(SCRIPT)
        console = vm.boot(kernel, root)
    for good, name in vm.results(console):
        tap.ok(good, f"{RELEASE}: {name}")
    tap.ok("run 0" in vm.said(console) and "end" in vm.said(console) and
           len(vm.results(console)) == 13, "the test in the guest ended well", console[-4000:])
    for line in console.splitlines():
        if line.startswith("# ") and "packets:" in line:
            print(line)
    splats, loud = device.closed(console)
    tap.ok(not splats, "the guest's kernel complained of nothing", *splats)
    tap.ok(not loud, "and said nothing", *loud)
    tap.done()


main()
