#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Attaching is all or nothing, says what is wrong, and spares what belongs to others."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import BUILD, DEV4, NET4, Tap, World

FRAMES = BUILD + "/tests/bench/frames"  # has an XDP program that is not ours
EXIT_FAILED, EXIT_USAGE, EXIT_CONFIG, EXIT_UNAVAILABLE = 1, 2, 3, 4


def state(w, dev="d0"):
    """Everything on the interface that an attach could have changed."""
    out = []
    for cmd in (("ip", "-d", "link", "show", dev), ("tc", "qdisc", "show", "dev", dev),
                ("tc", "filter", "show", "dev", dev, "ingress"),
                ("tc", "filter", "show", "dev", dev, "egress")):
        out += [line for line in w.run("dev", *cmd, check=False).stdout.splitlines()
                if "prog/xdp" in line or "clsact" in line or "pref" in line]
    return out


def refused(tap, w, name, guard, said, status=EXIT_FAILED):
    """`guard on` fails, says why, and leaves everything as it was."""
    before, had_pins = state(w), os.path.exists(guard.pins)
    p = guard("on", check=False)
    tap.ok(p.returncode == status and said in p.stderr, f"{name}: refused, and says why",
           p.returncode, p.stderr)
    tap.ok(state(w) == before and os.path.exists(guard.pins) == had_pins,
           f"{name}: nothing has changed", before, state(w))


def bad_requests(tap, w):
    refused(tap, w, "an interface that is not there", w.guard("auto", interface=["d0", "nope0"]),
            "interface nope0 does not exist")
    refused(tap, w, "the loopback", w.guard("auto", interface=["d0", "lo"]), "loopback")
    refused(tap, w, "an interface twice", w.guard("auto", interface=["d0", "d0"]), "twice")
    refused(tap, w, "no such object", w.guard("auto", object="/nonexistent.bpf.o"),
            "cannot read /nonexistent.bpf.o")
    refused(tap, w, "a file of another kind", w.guard("auto", object="/etc/passwd"),
            "not a BPF object")
    broken = w.tmp + "/broken.bpf.o"
    with open(BUILD + "/ebpf/heliograph.bpf.o", "rb") as f, open(broken, "wb") as out:
        out.write(f.read()[:5000])
    refused(tap, w, "half an object", w.guard("auto", object=broken), broken)
    refused(tap, w, "the object of something else",
            w.guard("auto", object=BUILD + "/tests/bench/frames.bpf.o"), "frames.bpf.o")
    refused(tap, w, "pins outside a bpffs", w.guard("auto", pin_dir=w.tmp + "/pins"),
            "is not on a bpffs")
    refused(tap, w, "a bad prefix", w.guard("auto", trusted="10.0.0.0/33"), "10.0.0.0/33",
            EXIT_CONFIG)
    guard = w.guard("auto")
    for verb in ("off", "status", "flows"):
        p = guard(verb, check=False)
        tap.ok(p.returncode == EXIT_UNAVAILABLE and "no guard runs here" in p.stderr,
               f"guard {verb} without a guard says so", p.returncode, p.stderr)


def refused_while_on(tap, w):
    """The same with a guard that runs: it goes on as it was."""
    guard = w.guard("native").on()
    was = guard.status()["interfaces"]
    refused(tap, w, "an interface more that is not there",
            w.guard("tc", interface=["d0", "nope0"]), "nope0")
    tap.equal(guard.status()["interfaces"], was, "the guard that ran is what it was")
    guard.off()


def others(tap, w):
    """XDP, clsact and filters of somebody else."""
    w.run("dev", FRAMES, "drop", "d0")
    refused(tap, w, "another XDP program", w.guard("native"), "another XDP program")
    guard = w.guard("auto").on()
    tap.equal(guard.status()["interfaces"][0]["mode"], "tc",
              "auto: beside another's XDP it takes tc")
    guard.off()
    w.run("dev", "ip", "link", "set", "d0", "xdp", "off")
    w.run("dev", "tc", "qdisc", "add", "dev", "d0", "clsact")
    before = state(w)
    w.guard("tc").on().off()
    tap.equal(state(w), before, "a clsact of somebody else stays")
    w.run("dev", "tc", "qdisc", "del", "dev", "d0", "clsact")
    guard = w.guard("tc").on()
    # cls_bpf is there wherever the guard is; other classifiers may not be.
    w.run("dev", "tc", "filter", "add", "dev", "d0", "egress", "pref", "9", "bpf", "da",
          "bytecode", "1,6 0 0 4294967295")
    guard.off()
    left = state(w)
    tap.ok(any("pref 9" in s for s in left) and any("clsact" in s for s in left),
           "a filter that somebody put into our clsact stays, and so does the qdisc", left)
    tap.ok(not any("hg_" in s for s in left), "the guard's own filters are gone", left)
    w.run("dev", "tc", "qdisc", "del", "dev", "d0", "clsact")


def at_once(tap, w):
    guard = w.guard("native")
    started = [subprocess.Popen(w.cmd("dev", *guard.command("on")), stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [p.communicate(timeout=60)[1] for p in started]
    tap.ok(not any(p.returncode for p in started), "four attachers at once all succeed", *said)
    tap.equal(len([s for s in state(w) if "hg_" in s]), 2, "and there is one guard")
    started = [subprocess.Popen(w.cmd("dev", *guard.command(v)), stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True) for v in ("off", "on") * 2]
    said = [p.communicate(timeout=60)[1] for p in started]
    tap.ok(all(p.returncode in (0, EXIT_UNAVAILABLE) for p in started),
           "on and off at once: each does it or says that there is none", said)
    guard("off", check=False)
    tap.ok(not state(w) and not os.path.exists(guard.pins), "and nothing is left at the end",
           state(w))


def changes_of_interfaces(tap, w):
    w.run("dev", "ip", "link", "add", "x0", "type", "veth", "peer", "name", "x1")
    guard = w.guard("native", interface=["d0", "x0"]).on()
    w.run("dev", "ip", "link", "set", "x0", "name", "y0")
    names = {i["name"]: i["mode"] for i in guard.status()["interfaces"]}
    tap.equal(names, {"d0": "native", "y0": "native"}, "a renamed interface is still guarded")
    w.run("dev", "ip", "link", "del", "y0")
    p = guard("status", check=False)
    tap.ok(p.returncode == EXIT_FAILED and "gone" in p.stdout,
           "status fails for one that has gone", p.stdout)
    guard = w.guard("native").on()
    tap.equal([i["name"] for i in guard.status()["interfaces"]], ["d0"], "and on forgets it")
    w.run("dev", "tc", "qdisc", "del", "dev", "d0", "clsact")
    p = guard("status", check=False)
    tap.ok(p.returncode == EXIT_FAILED and "taken away" in p.stdout,
           "status fails when somebody took the programs away", p.stdout)
    guard.on()
    tap.equal(guard("status", check=False).returncode, 0, "and on puts them back")
    p = w.run("net", *guard.command("off"), check=False)
    tap.ok(p.returncode == EXIT_FAILED and "another network namespace" in p.stderr,
           "off in another network namespace is refused", p.stderr)
    guard.off()
    tap.equal(state(w), [], "off leaves nothing")


def settings(tap, w):
    """Policy and trusted prefixes, while it runs."""
    ping = ("ping", "-c1", "-W1", DEV4)
    w.guard("native", trusted=["10.77.0.1/32", "fd77::/64"]).on()
    tap.equal(w.run("net", *ping, check=False).returncode, 0, "a trusted prefix comes in")
    guard = w.guard("native", trusted="10.78.0.0/16").on()
    tap.ok(w.run("net", *ping, check=False).returncode, "not any more when it is taken out")
    guard("policy", "monitor")
    tap.equal(w.run("net", *ping, check=False).returncode, 0, "policy monitor drops nothing")
    tap.ok(guard.status()["dropped"]["icmp"] >= 2, "but counts what it would drop")
    guard("policy", "sealed")
    tap.ok(w.run("dev", "ping", "-c1", "-W1", NET4, check=False).returncode,
           "policy sealed: the answer of one who is no peer is dropped")
    p = guard("policy", "open", check=False)
    tap.ok(p.returncode == EXIT_USAGE and "monitor|initiated|sealed" in p.stderr,
           "an unknown policy is refused", p.stderr)
    guard.off()


def probe(tap, w):
    before = state(w)
    found = json.loads(w.guard("auto")("probe", "--json").stdout)
    facts = found["hosts"]["bpf"]["facts"]
    tap.ok(found["chosen"] == "bpf" and found["hosts"]["bpf"]["whole"],
           "probe chooses BPF on a kernel that has all for it", found)
    tap.ok(all(facts[f]["good"] for f in ("programs", "jit", "timer", "xdp generic", "tc", "bpffs",
                                          "d0")) and "native" in facts["d0"]["text"],
           "and says what it found, the interface's XDP too", facts)
    tap.equal(state(w), before, "without touching the interface")
    p = w.guard("auto", object="/nowhere.o")("probe", check=False)
    tap.ok(p.returncode == EXIT_FAILED and "cannot read /nowhere.o" in p.stderr and
           "chosen: none" in p.stdout, "it fails, and says why, where no host can guard", p.stderr)
    p = w.guard("auto", interface="nothere")("probe")
    tap.ok("nothere" in p.stdout and "does not exist" in p.stdout,
           "an interface that will come is no obstacle", p.stdout)


def main():
    tap = Tap()
    w = World()
    for part in (bad_requests, refused_while_on, others, at_once, changes_of_interfaces, settings,
                 probe):
        part(tap, w)
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


main()
