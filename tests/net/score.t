#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: seconds that are scored
"""Seconds are closed and scored in the kernel, with nobody running.

The guard is turned on with a profile and no agent. What its timer tells waits in the ring for a
reader. (score-again.t attaches it again.)

    score.t [brief]
"""
import json
import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from scoring import PROFILE, score
from world import NET4, Tap, World, wait_for


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
    guard.off()
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


main()
