#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: attacks of seconds, and for their ends, ten seconds later
"""The kernel scores with the agent killed, and tells the next one; what goes on with another profile; and a slow scan.
(attacks.py has the drawing.)"""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from attacks import PROFILE, Agent, attack, scan, syn_flood, udp_flood
from world import Tap, World, run, wait_for


def told(agent):
    p = agent.guard("events", "--json", "-t", "1")
    return [e for e in map(json.loads, p.stdout.splitlines()) if e["event"] == "score"]


def without_agent(tap, w, agent):
    agent.stop(signal.SIGKILL)
    udp_flood(w)
    scores = []
    wait_for(lambda: scores.extend(told(agent)) or any(e["news"] == "end" for e in scores), 30)
    tap.ok(scores and scores[0]["news"] == "start" and scores[0]["attack"] == "udp-flood" and
           scores[-1]["news"] == "end",
           "the agent is killed: the kernel scores and tells all the same", scores)
    syn_flood(w)
    since = len(agent.text())
    tap.ok(agent.start(), "the next agent starts")
    tap.ok(wait_for(lambda: any(a[1] == "syn-flood" for a in agent.alarms(since))),
           "and says what came while there was none", agent.text()[since:])
    tap.ok(wait_for(lambda: "ended" in [a[0] for a in agent.alarms(since)], 30), "and that it ended", agent.text()[since:])


def score(guard, channel):
    p = run("bpftool", "-j", "map", "lookup", "pinned", guard.pins + "/maps/hg_score", "key",
            *channel.to_bytes(4, sys.byteorder))
    return json.loads(p.stdout)["formatted"]["value"]


def another_profile(tap, w, agent):
    """One channel with another envelope, one that is new: the first goes on, the other begins."""
    wait_for(lambda: score(agent.guard, 1)["hour_s"] >= 4)
    before = score(agent.guard, 1)
    agent.stop()
    changed = json.loads(json.dumps(PROFILE))
    changed["channels"][0]["envelope"]["1"]["flows"] = 9
    changed["channels"][1]["ports"] = [7778]
    with open(w.tmp + "/profile.json", "w", encoding="ascii") as f:
        json.dump(changed, f)
    agent.start()
    tap.ok(wait_for(lambda: score(agent.guard, 3)["based"]) and not score(agent.guard, 2)["id"],
           "another profile: a new channel has a number of its own")
    now = score(agent.guard, 1)
    tap.ok(now["id"] == before["id"] and now["hour_s"] >= before["hour_s"],
           "one whose envelope changed goes on counting", before["hour_s"], now["hour_s"])


def main():
    tap = Tap()
    w = World()
    guard = w.guard("native", profile=PROFILE)
    agent = Agent(w, guard)
    if not tap.ok(agent.start(), "the agent watches"):
        tap.diag(agent.text())
        tap.done()
    without_agent(tap, w, agent)
    another_profile(tap, w, agent)
    attack(tap, w, agent, "one SYN a second to anybody", lambda w: scan(w, 1, 20), ("scan", "horizontal-scan"), 30,
           ends=False)  # a slow scan may pause for three minutes
    agent.stop()
    guard.off()
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


main()
