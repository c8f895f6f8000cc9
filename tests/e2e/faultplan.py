# SPDX-License-Identifier: MIT
"""The schedule of a fault campaign: from a seed and the number of devices alone, so that one seed gives the
same schedule on any machine. Endless; the campaign takes as much of it as it needs.

A step is {"t": seconds from the start, "kind", "on": what it befalls, "do": "begin"|"end", ...what else the kind
has}. Faults of different things overlap; of one thing they do not, but that a new one may begin when the old
one ends. Whoever adds a kind gives it a line in ROUND and a method in faults.py.
"""
import collections
import heapq
import random

# One round: each of these, so often, in random order. What it befalls; seconds that it lasts.
ROUND = (
    ("kill agent", 4, "agent", (0, 0.4)),
    ("kill mirror", 3, "mirror", (0, 0.4)),
    ("kill postgres", 2, "postgres", (0, 0.4)),
    ("kill collector", 1, "collector", (0, 0.4)),
    ("bad link", 3, "link", (2, 6)),
    ("link down", 2, "link", (0.2, 2)),
    ("hole", 3, "link", (0.2, 1.5)),
    ("cut", 2, "link", (0.05, 0.3)),
    ("clock of agent", 2, "clock-agent", (1.5, 4)),
    ("clock of mirror", 1, "clock-mirror", (1.5, 4)),
    ("clock of collector", 1, "clock-collector", (1.5, 4)),
    ("clock of postgres", 1, "clock-postgres", (1.5, 4)),
    ("disk of agent full", 2, "disk-agent", (0.5, 3)),
    ("disk of postgres full", 1, "disk-postgres", (1, 3)),
    ("store lost", 1, "agent", (0, 0.4)),
    ("other mirror", 1, "agent", (0, 0.4)),
    ("right withdrawn", 1, "right", (0.3, 1)),
)
KINDS = tuple(kind for kind, _, _, _ in ROUND)
GAP = 1.2  # seconds between beginnings, at most
MIRRORS = 2
JUMPS = (3, 90, 3600, 40 * 86400, 3 * 365 * 86400)  # seconds, forwards and backwards


def target(rng, kind, what, devices, hits):
    """Numbered from 1; one of those that this kind befell least often. Only the last device loses its store: the
    others' histories are to have no gap."""
    if kind == "store lost":
        return f"{what}{devices}"
    if not what.endswith(("mirror", "agent", "link")):
        return what
    every = [f"{what}{n}" for n in range(1, 1 + (MIRRORS if what.endswith("mirror") else devices))]
    on = rng.choice([x for x in every if hits[kind, x] == min(hits[kind, y] for y in every)])
    hits[kind, on] += 1
    return on


def details(rng, kind, hold):
    if kind == "bad link":
        return {"loss": 30, "delay": rng.choice((0, 5, 20)), "jitter": rng.choice((0, 10, 30)),
                "late": rng.choice((0, 25)), "double": rng.choice((0, 5))}
    if kind == "hole":
        return {"frames": rng.randint(0, 24), "ms": int(1000 * hold)}
    if kind.startswith("clock"):
        return {"jump": rng.choice((-1, 1)) * rng.choice(JUMPS)}
    if kind.startswith("disk"):
        return {"spare": 4096 * rng.choice((0, 0, 1, 2, 4, 8, 16))}
    return {}


def schedule(seed, devices, without=()):
    """Yields steps in order of time. WITHOUT: kinds that this machine cannot do; they stay out, all else the same."""
    rng = random.Random(seed)
    t, free, ends, n = 0.5, {}, [], 0
    hits = collections.Counter()
    while True:
        deck = [entry for entry in ROUND for _ in range(entry[1])]
        rng.shuffle(deck)
        for kind, _, what, (least, most) in deck:
            on, hold = target(rng, kind, what, devices, hits), round(rng.uniform(least, most), 3)
            begin = round(max(t + rng.uniform(0.05, GAP), free.get(on, 0)), 3)
            step = {"t": begin, "kind": kind, "on": on, "do": "begin", **details(rng, kind, hold)}
            end = round(begin + hold, 3)
            t, free[on] = begin, end
            while ends and ends[0][0] <= begin:
                yield heapq.heappop(ends)[2]
            if kind in without:
                continue
            yield step
            n += 1
            heapq.heappush(ends, (end, n, {**step, "t": end, "do": "end"}))
