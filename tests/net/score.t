#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seconds are closed and scored in the kernel, with nobody running.

The guard is turned on with a profile and no agent. Its timer scores each second once, whoever
attaches again and with which release; what it tells waits in the ring for a reader; and it ends
with the guard. Where the kernel refuses the timer the guard says that the agent is needed.

    score.t [brief]
"""
import json
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import BUILD, NET4, Tap, World, run, wait_for

OTHER = BUILD + "/tests/net/guard-other.bpf.o"  # other instructions, the same maps
WIDER = BUILD + "/tests/net/guard-wider.bpf.o"  # another map layout
UNTIMED = BUILD + "/tests/net/guard-untimed.bpf.o"  # its timer is refused by every kernel
PROFILE = {"model": "lamp", "firmware": "1", "channels": [
    {"name": "web", "proto": "tcp", "ports": [8080], "remote": "any",
     "envelope": {"1": {"packets": 20000, "bytes": 20000000, "flows": 5, "failed": 2}}}]}


def score(guard, channel=0):
    """The channel's state of score, as the kernel has it."""
    p = run("bpftool", "-j", "map", "lookup", "pinned", guard.pins + "/maps/hg_score", "key",
            *channel.to_bytes(4, sys.byteorder))
    return json.loads(p.stdout)["formatted"]["value"]


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


def events(guard, *words):
    p = guard("events", "--json", *words)
    return [json.loads(line) for line in p.stdout.splitlines()]


def scores(guard, *words):
    return [e for e in events(guard, *words) if e["event"] == "score"]


def until_end(guard, work):
    """What is scored while work() is done, up to the end of an episode."""
    got = []
    with subprocess.Popen(guard.world.cmd("dev", *guard.command("events", "--json", "-t", 40)),
                          stdout=subprocess.PIPE, text=True) as reader:
        work()
        for line in reader.stdout:
            got += [e for e in [json.loads(line)] if e["event"] == "score"]
            if got and got[-1]["news"] == "end":
                break
        reader.terminate()
    return got


def flood(w, seconds, ports=(9,), gap=0.0005):
    """The device sends UDP, one port after the other."""
    with w.at("dev"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        end, n = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            s.sendto(b"x" * 32, (NET4, ports[n % len(ports)]))
            n += 1
            time.sleep(gap)


def kernel_scores(tap, w, guard):
    tap.ok(wait_for(lambda: guard.status()["clock"] == "kernel"), "the kernel's clock runs")
    tap.equal(scores(guard, "--time", "0"), [], "a quiet device: nothing to tell")
    got = until_end(guard, lambda: flood(w, 3))
    tap.equal([e["news"] for e in got if e["news"] != "more"], ["start", "end"],
              "a flood begins and ends once")
    first = got[0]
    tap.ok(first["channel"] == 0 and first["attack"] == "udp-flood" and first["feature"] in
           ("packets", "bytes") and first["value"] > first["bound"] and first["window"] == 1,
           "told as a UDP flood outside the profile, with value and bound", first)
    tap.ok(first["sample"]["udp"] > 100 and first["sample"]["tcp"] == 0,
           "with what was counted", first)


def kept_for_a_reader(tap, w, guard):
    """Nobody reads for long: new flows do not push the score out of the ring."""
    for _ in range(3):  # 1,000 a second are told at most
        flood(w, 1.1, ports=range(20000, 22000), gap=0)
    wait_for(lambda: score(guard)["active"])
    wait_for(lambda: not score(guard)["active"], 30)
    got = events(guard, "-t", "0")
    tap.ok(sum(e["event"] == "flow" for e in got) > 900, "new flows fill their half of the ring",
           len(got))
    news = [e["news"] for e in got if e["event"] == "score"]
    tap.ok(news and news[0] == "start" and news[-1] == "end",
           "what is scored after that is in it all the same", news)


def one_reader(tap, guard):
    with subprocess.Popen(guard.world.cmd("dev", *guard.command("events")),
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        refused = wait_for(lambda: guard("events", "-t", "0", check=False).returncode)
        p = guard("events", "-t", "0", check=False)
        tap.ok(refused and "another process reads them" in p.stderr, "events have one reader",
               p.stderr)
        reader.terminate()
    tap.equal(guard("events", "-n", "1", "-t", "0", check=False).returncode, 0,
              "the next one may when he has gone")
    tap.equal(guard("events", "-n", "x", check=False).returncode, 2, "a bad count is refused")


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
    kernel_scores(tap, w, guard)
    if "brief" in sys.argv:  # where there is no bpftool
        guard.on()
        tap.equal(guard.status()["clock"], "kernel", "attached again: the clock runs")
        guard.off()
        tap.done()
    kept_for_a_reader(tap, w, guard)
    one_reader(tap, guard)
    attached_again(tap, w, guard)
    repaired(tap, w)
    guard = untimed(tap, w)
    off(tap, guard)
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


main()
