#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
When the first session begins: a fleet that starts at one moment spreads over start_within, and a device that has
something to say does not wait for that.
"""
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, wait_for
from fakemirror import FakeMirror

FLEET, WITHIN_MS = 12, 3600 * 1000

m = FakeMirror().start()


def sync(a):
    return a.call("status")["result"]["sync"]


def agent(more):
    return Agent(m.conf() + more).start()


fleet = [agent("mirror.start_within = 1h\n") for _ in range(FLEET)]
first = [sync(a) for a in fleet]
equal({s["next_why"] for s in first}, {"start"}, "agents that start together wait for their first session")
due = sorted(s["next_in_ms"] for s in first)
ok(0 < due[0] and due[-1] <= WITHIN_MS, "within start_within", due)
# Evenly spread, all are in one quarter in 1 of 4,200,000 runs.
quarters = {d * 4 // (WITHIN_MS + 1) for d in due}
ok(len(quarters) > 1 and len(set(due)) == FLEET, f"and not at one moment: {[d // 60000 for d in due]} minutes", due)
ok(not m.requests, "nobody has come yet")
fleet[0].call("property.set", name="a", value=1, urgent=True)
wait_for(lambda: sync(fleet[0])["sessions_good"] == 1, "a session")
ok(True, "an urgent change is reason to come at once")
fleet[1].call("property.set", name="a", value=1)
wait_for(lambda: sync(fleet[1])["sessions_good"] == 1, "a session")
ok(True, "another one, to come soon")
m.device_cursor = 0  # another device's
equal(fleet[2].cli("sync", "now")[0], 0, "and so is a person")
equal(len(m.requests), 3, "the others wait on")
equal({a.stop() for a in fleet}, {0}, "all end well")

m.device_cursor = 0
a = agent("")
wait_for(lambda: sync(a)["sessions_good"] == 1, "a session")
ok(True, "without start_within an agent comes at once")
a.stop()
done()
