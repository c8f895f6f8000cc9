#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, runs none of our programs
"""The schedule of the fault campaign: what faults.t relies on, for many seeds."""
import collections
import itertools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import faultplan  # noqa: E402
import faults  # noqa: E402

SEEDS, STEPS, DEVICES = range(60), 600, 3
A_ROUND = sum(n for _, n, _, _ in faultplan.ROUND)
count = failed = 0


def ok(good, name, why=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {name}")
    if not good:
        print(f"# {why}")


def steps(seed, n=STEPS, without=()):
    return list(itertools.islice(faultplan.schedule(seed, DEVICES, without), n))


def overlaps(plan):
    """Pairs of one thing that begin before the one before has ended."""
    busy = set()
    for s in plan:
        if s["do"] == "end":
            busy.remove(s["on"])
        elif s["on"] in busy:
            yield s
        else:
            busy.add(s["on"])


plans = {seed: steps(seed) for seed in SEEDS}
ok(all(plans[seed] == steps(seed) for seed in SEEDS), "one seed gives one schedule")
ok(len({str(p) for p in plans.values()}) == len(SEEDS), "each seed another")
ok(all(a["t"] <= b["t"] for p in plans.values() for a, b in zip(p, p[1:])), "steps come in order of time")
found = [s for p in plans.values() for s in overlaps(p)]
ok(not found, "of one thing no two faults at a time", found[:1])
for seed in SEEDS:
    begun = [s["kind"] for s in plans[seed] if s["do"] == "begin"][:A_ROUND]
    if collections.Counter(begun) != collections.Counter({kind: n for kind, n, _, _ in faultplan.ROUND}):
        break
else:
    seed = None
ok(seed is None, "a round has each kind as often as it says", f"seed {seed}")
first = {seed: {s["on"] for s in plans[seed][:2 * A_ROUND] if s["kind"].startswith("kill")} for seed in SEEDS}
ok(all(len(killed) == DEVICES + faultplan.MIRRORS + 2 for killed in first.values()), "which kills each program")
ends = collections.Counter(s["do"] for p in plans.values() for s in p)
ok(ends["begin"] - ends["end"] < 20 * len(SEEDS), "what begins ends", ends)
lost = {s["on"] for p in plans.values() for s in p if s["kind"] == "store lost"}
ok(lost == {f"agent{DEVICES}"}, "only the last device loses its store", lost)
without = [kind for kind in faultplan.KINDS if kind.startswith("clock")]
ok(all([s for s in plans[seed] if s["kind"] not in without][:300] == steps(seed, 300, without) for seed in SEEDS),
   "kinds that are left out change nothing else")
missing = [kind for kind in faultplan.KINDS if not hasattr(faults.Faults, faults.name_of(kind))]
ok(not missing, "each kind can be done", missing)
ok(all(any(s.get("jump", 0) == sign * faultplan.JUMPS[-1] for p in plans.values() for s in p) for sign in (-1, 1)),
   "clocks jump by years, both ways")
print(f"1..{count}")
sys.exit(1 if failed else 0)
