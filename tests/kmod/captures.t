#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""Captures of real devices through the module in a guest, in step with the core.

Every packet of every capture, twice; tests/kmod/captures.c says what is compared. The profiles are
learned here, of the files that the manifest names for training. Arguments: names of files of the
manifest, instead of all. The captures are not part of the tree; they are looked for in $HG_DATA,
else ../shared/data, and packed into the guest's files.
"""
import concurrent.futures
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../vm", HERE + "/../net"]
import kernels
import vm
from world import BUILD, TOP, Tap, skip_all

DATA = os.environ.get("HG_DATA") or TOP + "/../shared/data"
GUESTS = 2
# The last is said where the host is busy.
EXPECTED_LOG = r"taints kernel|module verification failed|becomes ready|hrtimer: interrupt took"
END_S = int(os.environ.get("HG_FILE_LIMIT") or 600) - 40


def learn(files, to):
    """A profile of each model: {model: path}."""
    profiles = {}
    for model in sorted({f["model"] for f in files}):
        train = [f for f in files if f["model"] == model and
                 (f.get("role") or "").startswith("train")]
        if not train:
            continue
        path = f"{to}/{model}.json"
        p = subprocess.run([BUILD + "/heliograph", "profile", "learn", "--accept", "--model", model,
                            "--firmware", "1", "--device", train[0]["device_mac"], "--output", path,
                            *(f"{DATA}/{f['file']}" for f in train)], capture_output=True,
                           text=True, check=False)
        if p.returncode:
            raise RuntimeError(f"learning {model}: {p.stderr[-500:]}")
        profiles[model] = path
    return profiles


def shares(files):
    """The files, dealt to the guests so that each has about as many packets."""
    piles = [[] for _ in range(GUESTS)]
    for f in sorted(files, key=lambda f: -f["packets"]):
        min(piles, key=lambda pile: sum(g["packets"] for g in pile)).append(f)
    return [p for p in piles if p]


def run_guest(kernel, module, files, profiles, tmp):
    root = vm.Root(tmp, kernel)
    root.put(module, "/t/heliograph.ko")
    root.program(BUILD + "/tests/kmod/captures")
    for path in profiles.values():
        root.put(path, "/t/" + os.path.basename(path))
    for f in files:
        root.put(f"{DATA}/{f['file']}", "/t/data/" + f["file"])
    root.write("/t/list", "".join(f"/t/data/{f['file']} {f['device_mac']} /t/{f['model']}.json\n"
                                  for f in files))
    root.script("insmod heliograph.ko || exit 1\ncaptures <list\necho guest: captures $?\n"
                "rmmod heliograph\n")
    # Two processors, so that instructions are not counted: that takes twice as long.
    return vm.boot(kernel, root, END_S, memory=1024, smp=2)


def report(tap, console):
    for line in console.splitlines():
        if line.startswith("# ") and not line.startswith("# failed at"):
            print(line)
    for good, name in vm.results(console):
        tap.ok(good, name)
    said = vm.said(console)
    tap.ok("captures 0" in said and "run 0" in said, "the guest came to its end", console[-3000:])
    bad = [s for s in said if s.startswith(("splat", "log")) and not re.search(EXPECTED_LOG, s)]
    tap.ok("end" in said and not bad, "its kernel said nothing", *bad)


def main():
    manifest = DATA + "/manifest.json"
    if not os.path.exists(manifest):
        skip_all(f"no captures: {manifest} is not there; set HG_DATA")
    why = vm.missing()
    kernel = None if why else kernels.find("6.1")
    if not kernel:
        skip_all(why or kernels.why())
    with open(manifest, encoding="utf-8") as f:
        files = json.load(f)["files"]
    wanted = [f for f in files if not sys.argv[1:] or f["file"] in sys.argv[1:]]
    tap = Tap()
    with vm.workdir() as tmp, concurrent.futures.ThreadPoolExecutor(GUESTS) as pool:
        profiles = learn(files, tmp)
        module = kernel.build("CONFIG_HELIOGRAPH_DEBUG=y")
        guests = [pool.submit(run_guest, kernel, module, pile, profiles, f"{tmp}/{i}")
                  for i, pile in enumerate(shares([f for f in wanted if f["model"] in profiles]))]
        for guest in guests:
            report(tap, guest.result())
    left = [f["file"] for f in wanted if f["model"] not in profiles]
    tap.ok(not left, f"{len(wanted)} captures, each with a profile of its model", *left)
    tap.done()


main()
