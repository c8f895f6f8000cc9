#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, LeakSanitizer does not work under strace
"""
SIGKILL at each step: the agent dies as it enters the n-th write or sync to its store, or the n-th
write to anything, for n = 1, 2, ... until it lives through the whole of it: making its store, an
application's write, a session that brings changes and commands, their ends. Each time it is
started again, and then nothing that was acknowledged may be lost and nothing run twice.
"""
import os, shutil, signal, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import BUILD, Agent, done, equal, ok, wait_for
from fakemirror import DONE, UNKNOWN, FakeMirror

m = FakeMirror().start()
agent = Agent(m.conf())
runs = agent.dir + "/runs"
for name in ("once", "again"):
    agent.handler(name, f"#!/bin/sh\necho {name} >>{runs}\necho 1\n")


def begin(syscall, n):
    """An agent of a new device that will die at that step."""
    shutil.rmtree(agent.dir + "/state", True)
    if os.path.exists(runs):
        os.unlink(runs)
    m.epoch, m.device_cursor = os.urandom(16), 0
    m.commands.clear(), m.reports.clear(), m.held.clear()
    m.changes[:] = [[1, 1, "goal", n], [2, 1, "label", "x" * 3000]]
    with open(agent.log_path, "wb") as log:
        return subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", "trace=" + syscall, "-e",
                                 f"inject={syscall}:signal=KILL:when={n}", BUILD + "/heliographd", "-c", agent.conf],
                                stdout=log, stderr=log)


def settled():
    return m.ended(1) and m.ended(2) and agent.get("goal") is not None


def work(proc, n):
    """Lets it work; returns what the application's write was answered (None: nothing)."""
    agent.proc = proc
    wait_for(agent.answers, "the agent", 30)
    once, again = m.command("once"), m.command("again", repeatable=True)
    assert (once, again) == (1, 2)
    acked = agent.call("property.set", name="mine", value=n)
    agent.call("sync.now")
    wait_for(lambda: proc.poll() is not None or settled(), "the end", 30)
    return acked


def judge(n, acked):
    """Returns what is wrong now that all is settled, or an empty list."""
    ran = open(runs).read().split() if os.path.exists(runs) else []
    once, again = m.ended(1)[0], m.ended(2)[0]
    wrong = []
    if acked and acked["ok"] and m.held.get("mine") != n:
        wrong.append(f"an acknowledged write is not at the mirror: {m.held}")
    if agent.get("goal") != n or agent.get("label") != "x" * 3000:
        wrong.append("the mirror's changes are not here")
    if ran.count("once") > 1 or (once == DONE and not ran.count("once")) or once not in (DONE, UNKNOWN):
        wrong.append(f"once ran {ran.count('once')} times and ended in state {once}")
    if not ran.count("again") or again != DONE:
        wrong.append(f"again ran {ran.count('again')} times and ended in state {again}")
    return wrong


def step(syscall, n):
    """One death. Returns (died, what was wrong)."""
    proc, acked = begin(syscall, n), None
    try:
        acked = work(proc, n)
        if settled():
            os.kill(agent.call("status")["result"]["pid"], signal.SIGTERM)
    except (OSError, RuntimeError, TypeError):  # it died meanwhile
        pass
    if proc.wait(30) == 0:
        return False, []  # it lived: nothing to judge
    while len(m.commands) < 2:
        m.command(["once", "again"][len(m.commands)], repeatable=len(m.commands) == 1)
    agent.start()
    agent.call("sync.now")
    wait_for(lambda: settled() and (not acked or m.held.get("mine") == n), "all to settle", 30)
    wrong = judge(n, acked)
    if agent.stop():
        wrong.append("the agent did not end cleanly")
    return True, wrong


# Each sync of the store; of the many writes every fifth, of those to anything every second.
for syscall, stride in (("fdatasync", 1), ("pwrite64", 5), ("write", 2)):
    bad, n, died = [], 1, True
    while died and n < 400:
        died, wrong = step(syscall, n)
        bad += [f"{syscall} {n}: {w}" for w in wrong]
        n += stride
    deaths = (n - 1) // stride - 1
    ok(not bad and deaths >= 5, f"SIGKILL at {syscall}: {deaths} deaths, nothing lost, nothing run twice", "\n".join(bad))
done()
