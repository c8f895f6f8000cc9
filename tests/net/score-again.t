#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: seconds that are scored
"""The guard's timer scores each second once, whoever attaches again and with which release, and it ends with
the guard. Where the kernel refuses the timer the guard says that the agent is needed.
"""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scoring import PROFILE, score
from world import BUILD, Tap, World, run, wait_for

OTHER = BUILD + "/tests/net/guard-other.bpf.o"  # other instructions, the same maps
WIDER = BUILD + "/tests/net/guard-wider.bpf.o"  # another map layout
UNTIMED = BUILD + "/tests/net/guard-untimed.bpf.o"  # its timer is refused by every kernel


def object_id(guard, kind, name):
    p = run("bpftool", "-j", kind, "show", "pinned", f"{guard.pins}/{kind}s/{name}", check=False)
    return json.loads(p.stdout)["id"] if p.returncode == 0 else None


def prog_id(guard):
    return object_id(guard, "prog", "hg_timer_start")


def map_id(guard):
    return object_id(guard, "map", "hg_timer")


def is_gone(kind, number):
    return wait_for(lambda: run("bpftool", kind, "show", "id", number, check=False).returncode, 10)


def pace(guard):
    """Scored seconds per second, over eight of them: a second here or there is an eighth."""
    first, began = score(guard)["hour_s"], time.monotonic()
    assert wait_for(lambda: score(guard)["hour_s"] >= first + 8, 40)
    return (score(guard)["hour_s"] - first) / (time.monotonic() - began)


def attached_again(tap, w, guard):
    timer, began = prog_id(guard), score(guard)
    guard.on()
    tap.ok(prog_id(guard) == timer and 0.6 < pace(guard) < 1.5,
           "attached again: one timer, each second is scored once")
    other = w.guard("native", object=OTHER, profile=PROFILE).on()
    tap.ok(is_gone("prog", timer), "another release: the timer has its code, the old one is gone")
    tap.ok(0.6 < pace(other) < 1.5, "and each second is scored once")
    tap.ok(score(other)["hour_s"] >= began["hour_s"] + 6, "the score goes on",
           began["hour_s"], score(other)["hour_s"])
    was = map_id(other)
    wider = w.guard("native", object=WIDER, profile=PROFILE).on()
    tap.ok(map_id(wider) != was and is_gone("map", was), "other maps: the old timer is gone")
    tap.ok(wait_for(lambda: score(wider)["based"]) and 0.6 < pace(wider) < 1.5,
           "and the new one scores")


def repaired(tap, w):
    guard = w.guard("native", profile=PROFILE).on()
    value = ["0"] * 24
    run("bpftool", "map", "update", "pinned", guard.pins + "/maps/hg_timer", "key", 0, 0, 0, 0,
        "value", *value)
    tap.equal(guard.status()["clock"], "stopped", "a timer that somebody ended is seen")
    guard.on()
    tap.ok(guard.status()["clock"] == "kernel" and 0.6 < pace(guard) < 1.5,
           "attached again: it runs again")


def untimed(tap, w):
    guard = w.guard("native", profile=PROFILE)
    timer = prog_id(guard)
    guard = w.guard("native", object=UNTIMED, profile=PROFILE).on()
    tap.equal(guard.status()["clock"], "agent", "a kernel that refuses the timer: agent needed")
    tap.ok(is_gone("prog", timer), "the timer of the release before has ended")
    first = score(guard)["hour_s"]
    guard.on()
    tap.ok(guard.status()["clock"] == "agent" and score(guard)["hour_s"] == first,
           "attached again: still no timer")
    guard = w.guard("native", profile=PROFILE).on()
    tap.ok(guard.status()["clock"] == "kernel" and 0.6 < pace(guard) < 1.5,
           "a release that it takes scores in the kernel again")
    return guard


def off(tap, guard):
    timer, clock = prog_id(guard), map_id(guard)
    with subprocess.Popen(guard.world.cmd("dev", *guard.command("events")),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader:
        wait_for(lambda: guard("events", "-t", "0", check=False).returncode)
        guard.off()
        tap.ok(is_gone("prog", timer), "off: the timer has ended, though somebody still looks on")
        reader.terminate()
    tap.ok(is_gone("map", clock), "and its map is gone")


def main():
    tap = Tap()
    w = World()
    guard = w.guard("native", profile=PROFILE).on()
    tap.ok(wait_for(lambda: guard.status()["clock"] == "kernel"), "the kernel's clock runs")
    tap.ok(wait_for(lambda: score(guard)["based"]), "and scores")
    attached_again(tap, w, guard)
    repaired(tap, w)
    guard = untimed(tap, w)
    off(tap, guard)
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


main()
