#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The guard outlives who attached it, and is taken over without a gap.

While a prober sends what must not arrive, and a session of the device goes on: the same guard is
attached again, another release of it, one with other maps, in every mode; and attachers are killed
at many places on their way. Not one packet of the prober may arrive, and the session must not fail.
"""
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import session
from world import BUILD, DEV4, NET4, Tap, World, run, wait_for

PORT = 8081
OBJECT = BUILD + "/ebpf/heliograph.bpf.o"
OTHER = BUILD + "/tests/net/guard-other.bpf.o"  # other instructions, the same maps
WIDER = BUILD + "/tests/net/guard-wider.bpf.o"  # another map layout
# System calls by which an attacher changes the kernel.
STEPS = ("bpf", "sendto", "renameat", "mkdir", "unlink", "unlinkat", "rmdir")


class Prober:
    """Sends to an open port of the device all the time; counts what arrives."""

    def __init__(self, w):
        with w.at("net"):
            self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with w.at("dev"):
            self.arrived = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.arrived.bind(("0.0.0.0", PORT))
        self.arrived.setblocking(False)
        self.sent, self.stop = 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop:
            try:
                self.out.sendto(b"probe", (DEV4, PORT))
            except OSError:
                pass  # what an earlier answer left at the socket
            self.sent += 1
            time.sleep(0.0002)

    def leaked(self):
        """How many arrived since the last call; at least ten were sent meanwhile."""
        until = self.sent + 10
        assert wait_for(lambda: self.sent >= until)
        n = 0
        try:
            while True:
                self.arrived.recv(99)
                n += 1
        except BlockingIOError:
            return n

    def close(self):
        self.stop = True
        self.thread.join()
        self.out.close()
        self.arrived.close()


class Talker:
    """The device's long session, in turns all the time."""

    def __init__(self, w):
        self.s = session.connect(w, NET4, timeout=10)
        self.turns, self.failed, self.stop = 0, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop and not self.failed:
            try:
                if not session.exchange(self.s):
                    self.failed = "closed"
            except OSError as e:
                self.failed = repr(e)
            self.turns += 1
            time.sleep(0.001)

    def works(self):
        before = self.turns
        return wait_for(lambda: self.turns > before + 2 or self.failed) and not self.failed

    def close(self):
        self.stop = True
        self.thread.join()
        self.s.close()


def programs(guard):
    """The numbers of the pinned programs."""
    out = {}
    for name in os.listdir(guard.pins + "/programs"):
        p = run("bpftool", "-j", "prog", "show", "pinned", f"{guard.pins}/programs/{name}")
        out[name] = json.loads(p.stdout)["id"]
    return out


# The leak checker of a sanitizer build cannot work beside strace(1).
TRACED = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")


def attach_killed(guard, *strace):
    """`guard on` with a fault from strace(1); its exit status."""
    p = guard.world.run(guard.ns, "strace", "-f", "-o", guard.world.tmp + "/strace.txt", *strace,
                        *guard.command("on"), check=False, env=TRACED)
    return p.returncode


def calls_of_attach(guard):
    """How many of each system call an attach makes."""
    out = guard.world.tmp + "/calls.txt"
    guard.world.run(guard.ns, "strace", "-f", "-e", "trace=" + ",".join(STEPS), "-o", out,
                    *guard.command("on"), env=TRACED)
    with open(out, encoding="utf-8") as f:
        names = [line.split()[1].split("(")[0] for line in f if "(" in line]
    return {name: names.count(name) for name in STEPS}


def places(calls, limit):
    """Where to kill: early, late and in between, `limit` places per system call at most."""
    for name, n in calls.items():
        step = max(1, n // limit)
        for when in sorted(set(range(1, n + 1, step)) | set(range(max(1, n - 2), n + 1))):
            yield name, when


def takeovers(tap, w, prober, talker):
    guard = w.guard("native")
    tap.ok(prober.leaked(), "without the guard the prober's packets arrive")
    status = attach_killed(guard, "-e", "inject=exit_group:signal=SIGKILL")
    tap.ok(status in (-9, 137), "the attacher was killed with SIGKILL", status)
    prober.leaked()
    tap.ok(not prober.leaked() and talker.works(), "the guard goes on without it")
    before, was = programs(guard), {(f["local_port"], f["remote_port"]) for f in guard.flows()}
    guard.on()
    tap.equal(programs(guard), before, "attached again: the programs stay")
    now = {(f["local_port"], f["remote_port"]) for f in guard.flows()}
    tap.ok(was and was <= now, "attached again: the flows stay", was, now)
    opened = [f for f in guard.flows() if f["remote_port"] == session.SERVER][0]
    w.guard("native", object=OTHER).on()
    tap.ok(not set(programs(guard).values()) & set(before.values()),
           "another release replaces them")
    after = [f for f in guard.flows() if f["remote_port"] == session.SERVER][0]
    tap.ok(after["packets_out"] >= opened["packets_out"], "and the flows stay", opened, after)
    tap.ok(not prober.leaked() and talker.works(), "no gap and no break so far")
    w.guard("native", object=WIDER).on()
    tap.ok(not prober.leaked() and talker.works(), "other maps: no gap, the session goes on")
    for mode in ("generic", "tc", "native", "tc", "generic", "native"):
        guard = w.guard(mode).on()
        got = guard.status()["interfaces"][0]["mode"]
        tap.ok(got == mode and not prober.leaked() and talker.works(),
               f"changed to {mode}: no gap, the session goes on", got, talker.failed)
    return guard


def killed_takeovers(tap, w, guard, prober, talker):
    """The attacher of another release dies at each place; then the guard is attached again."""
    killed = leaks = 0
    wrong = []
    calls = calls_of_attach(w.guard("native", object=OTHER))
    for n, (name, when) in enumerate(places(calls, 5)):
        other = w.guard("native", object=OBJECT if n % 2 else OTHER)
        status = attach_killed(other, "-e", f"inject={name}:signal=SIGKILL:when={when}")
        killed += status in (-9, 137)
        leaks += prober.leaked()
        if not talker.works() or guard("on", check=False).returncode or prober.leaked():
            wrong.append((name, when, talker.failed))
    tap.ok(killed >= 12, f"attachers of another release killed at {killed} places", calls)
    tap.equal(leaks, 0, "no gap whatever place they died at")
    tap.equal(wrong, [], "and the guard could be attached again each time")


def left_over(w, guard):
    """What is there after off that was not before on."""
    out = [f"pin {guard.pins}"] if os.path.exists(guard.pins) else []
    for part in ("xdp", "tc"):
        text = w.run("dev", "bpftool", "net", "show", "dev", "d0").stdout
        out += [part for line in text.splitlines() if "hg_" in line]
    qdisc = w.run("dev", "tc", "qdisc", "show", "dev", "d0").stdout
    return out + ["clsact"] * ("clsact" in qdisc)


def killed_beginnings(tap, w, prober):
    """The first attacher dies at each place; both `on` and `off` must put things right."""
    guard = w.guard("native")
    calls = calls_of_attach(guard)
    guard.off()
    killed, wrong = 0, []
    for n, (name, when) in enumerate(places(calls, 5)):
        status = attach_killed(guard, "-e", f"inject={name}:signal=SIGKILL:when={when}")
        killed += status in (-9, 137)
        if n % 2:
            guard.on()
            prober.leaked()
            if prober.leaked():
                wrong.append((name, when, "leaks"))
        guard("off", check=False)
        if left_over(w, guard):
            wrong.append((name, when, left_over(w, guard)))
    tap.ok(killed >= 12, f"first attachers killed at {killed} places", calls)
    tap.equal(wrong, [], "on guards and off leaves nothing, whatever place they died at")


def ids_gone(kind, ids):
    return wait_for(lambda: not any(
        run("bpftool", kind, "show", "id", i, check=False).returncode == 0 for i in ids), 10)


def off(tap, w, guard, prober):
    progs = list(programs(guard).values())
    maps = []
    for name in os.listdir(guard.pins + "/maps"):
        p = run("bpftool", "-j", "map", "show", "pinned", f"{guard.pins}/maps/{name}")
        maps.append(json.loads(p.stdout)["id"])
    guard.off()
    tap.equal(left_over(w, guard), [], "off: no pin, no program on the interface, no qdisc")
    tap.ok(ids_gone("prog", progs) and ids_gone("map", maps),
           f"off: the kernel has freed {len(progs)} programs and {len(maps)} maps")
    tap.ok(prober.leaked(), "off: packets arrive again")


def main():
    tap = Tap()
    w = World()
    session.serve(w)
    prober, talker = Prober(w), Talker(w)
    guard = takeovers(tap, w, prober, talker)
    killed_takeovers(tap, w, guard, prober, talker)
    talker.close()
    off(tap, w, guard, prober)
    killed_beginnings(tap, w, prober)
    prober.close()
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


main()
