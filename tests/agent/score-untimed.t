#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: attacks of seconds, and for their ends, ten seconds later
"""Without the kernel's timer the agent closes each second, and says the same of attacks (attacks.py has the drawing)."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from attacks import PROFILE, Agent, attack, syn_flood, udp_flood
from world import BUILD, Tap, World

UNTIMED = BUILD + "/tests/net/guard-untimed.bpf.o"  # its timer is refused by every kernel


def main():
    tap = Tap()
    w = World()
    guard = w.guard("native", profile=PROFILE, object=UNTIMED)
    p = guard("on", check=False)
    tap.ok(p.returncode == 0, "the guard is on", p.stdout, p.stderr)
    agent = Agent(w, guard)
    if not tap.ok(agent.start(), "the agent watches"):
        tap.diag(agent.text())
        tap.done()
    tap.equal(guard.status()["clock"], "agent", "the agent closes the seconds")
    attack(tap, w, agent, "UDP flood", udp_flood, ("flood", "udp-flood"), 10)
    attack(tap, w, agent, "SYN flood", syn_flood, ("flood", "syn-flood"), 10)
    agent.stop()
    guard.off()
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


main()
