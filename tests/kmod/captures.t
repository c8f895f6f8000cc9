#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""Captures of real devices through all three hosts: the core in user space, and in step with it the
BPF programs on this machine, and the module in a guest.

Every packet of a capture, twice; tests/core/replay.h says what is compared. The profiles are
learned here, of the files that the manifest names for training. Taken are the captures of at most
PART packets, or all with HG_CAPTURES=all (make check-captures), or those that arguments name. They
are not part of the tree; they are looked for in $HG_DATA, else ../shared/data, and packed into the
guests' files.
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
PART = 12000
GUESTS = 2
# The last is said where the host is busy.
EXPECTED_LOG = r"taints kernel|module verification failed|becomes ready|hrtimer: interrupt took"
END_S = int(os.environ.get("HG_FILE_LIMIT") or 600) - 40
COUNTS = ("captures", "packets", "readings of windows", "events", "scores", "differences")


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


def run_bpf(files, profiles):
    """What the comparison with the BPF programs said."""
    lines = "".join(f"{DATA}/{f['file']} {f['device_mac']} {profiles[f['model']]}\n" for f in files)
    try:
        p = subprocess.run([BUILD + "/tests/bpf/replay"], input=lines, capture_output=True,
                           text=True, check=False, timeout=END_S)
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode() + "\nthe comparison did not end in time\n"
    return p.stdout + p.stderr + f"\nguest: captures {p.returncode}\nguest: run 0\nguest: end\n"


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


def report(tap, host, console):
    """What one comparison said; its counts, or none."""
    for line in console.splitlines():
        if line.startswith("# ") and not line.startswith("# failed at"):
            print(line)
    for good, name in vm.results(console):
        tap.ok(good, f"{host}: {name}")
    said = vm.said(console)
    tap.ok("captures 0" in said and "run 0" in said, f"{host}: it came to its end", console[-3000:])
    bad = [s for s in said if s.startswith(("splat", "log")) and not re.search(EXPECTED_LOG, s)]
    tap.ok("end" in said and not bad, f"{host}: its kernel said nothing", *bad)
    counts = re.search("- " + ", ".join(rf"(\d+) {c}" for c in COUNTS[:-1]) +
                       r": (\d+) differences", console)
    return [int(n) for n in counts.groups()] if counts else None


def compare(tap, kernel, files, profiles, tmp):
    """Runs all; the counts by host, as far as there are any."""
    by_host = {"BPF": [], "module": []}
    with concurrent.futures.ThreadPoolExecutor(GUESTS + 1) as pool:
        module = kernel and kernel.build("CONFIG_HELIOGRAPH_DEBUG=y")
        guests = [pool.submit(run_guest, kernel, module, pile, profiles, f"{tmp}/{i}")
                  for i, pile in enumerate(shares(files) if kernel else [])]
        said = pool.submit(run_bpf, files, profiles).result()
        if skip := re.search(r"^1\.\.0 # SKIP (.*)", said):
            tap.skip("BPF: captures", skip.group(1))
        else:
            by_host["BPF"].append(report(tap, "BPF", said))
        for guest in guests:
            by_host["module"].append(report(tap, "module", guest.result()))
    return {host: [sum(n) for n in zip(*counts)] for host, counts in by_host.items()
            if counts and all(counts)}


def main():
    manifest = DATA + "/manifest.json"
    if not os.path.exists(manifest):
        skip_all(f"no captures: {manifest} is not there; set HG_DATA")
    with open(manifest, encoding="utf-8") as f:
        files = json.load(f)["files"]
    whole = os.environ.get("HG_CAPTURES") == "all"
    wanted = [f for f in files if f["file"] in sys.argv[1:] or
              (len(sys.argv) == 1 and (whole or f["packets"] <= PART))]
    tap = Tap()
    why = vm.missing()
    kernel = None if why else kernels.find("6.1")
    if not kernel:
        tap.skip("module: captures", why or kernels.why())
    with vm.workdir() as tmp:
        profiles = learn(files, tmp)
        by_host = compare(tap, kernel, [f for f in wanted if f["model"] in profiles], profiles, tmp)
    left = [f["file"] for f in wanted if f["model"] not in profiles]
    tap.ok(wanted and not left, f"{len(wanted)} of {len(files)} captures, each with a profile of "
           "its model", *left)
    for host, n in by_host.items():
        tap.ok(n[0] == len(wanted) and n[1] and not n[-1], f"native and {host}: " +
               ", ".join(f"{v} {what}" for v, what in zip(n, COUNTS)))
    if len(by_host) == 2:
        tap.ok(by_host["BPF"] == by_host["module"], "all three hosts judged and told the same")
    tap.done()


main()
