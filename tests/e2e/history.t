#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, runs none of our programs
"""The history checker itself: it accepts a true history, and each falsified one is refused for the
reason that was put in, and for no other. Then random histories, which are true, with one random change each:
it is found, or the history as changed is as true as before, for a reason that is named.

HG_SEED=N repeats the random part, HG_HISTORY_MUTANTS=N makes it longer."""
import collections
import copy
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import history  # noqa: E402

TRUE = {
    "writes": [
        {"side": "mirror", "name": "m1", "value": 1, "ack": True},
        {"side": "device", "name": "n2", "value": 45, "ack": True, "both": True},
        {"side": "device", "name": "n2", "value": 46, "ack": True, "both": True},
        {"side": "device", "name": "c2", "value": 2, "ack": True, "add": True},
        {"side": "mirror", "name": "c2", "value": 3, "ack": True, "add": True},
        {"side": "mirror", "name": "m1", "value": 2, "ack": True},
        {"side": "mirror", "name": "m2", "value": 3, "ack": True},
        {"side": "mirror", "name": "m2", "value": 4, "ack": None},
        {"side": "mirror", "name": "m2", "value": 5, "ack": False},
        {"side": "mirror", "name": "m3", "value": 6, "ack": None},
        {"side": "device", "name": "d1", "value": 7, "ack": True},
        {"side": "device", "name": "d2", "value": 8, "ack": True},
        {"side": "device", "name": "d3", "value": 9, "ack": True},
        {"side": "device", "name": "n3", "value": 47, "ack": True, "both": True},
        {"side": "device", "name": "n4", "value": 49, "ack": True, "both": True},
        {"reset": True},
        {"side": "device", "name": "n3", "value": 48, "ack": True, "both": True},
        {"side": "mirror", "name": "n4", "value": 50, "ack": True, "both": True},
        {"side": "device", "name": "n4", "value": 51, "ack": True, "both": True},
        {"side": "device", "name": "d1", "value": 10, "ack": True},
        {"side": "device", "name": "d3", "value": 11, "ack": None},
        {"side": "mirror", "name": "m4", "value": 29, "ack": True},
        {"side": "mirror", "name": "m4", "value": 30, "ack": True, "forgotten": True},
        {"side": "device", "name": "d4", "value": 32, "ack": True},
        {"side": "device", "name": "d4", "value": 33, "ack": True},
        {"side": "device", "name": "n1", "value": 40, "ack": True, "both": True},
        {"side": "mirror", "name": "n1", "value": 41, "ack": True, "both": True},
        {"side": "mirror", "name": "n1", "value": 42, "ack": True, "both": True},
        {"side": "device", "name": "n1", "value": 43, "ack": True, "both": True},
        {"side": "mirror", "name": "n1", "value": 44, "ack": False, "both": True},
        {"side": "device", "name": "c1", "value": 5, "ack": True, "add": True},
        {"side": "mirror", "name": "c1", "value": 6, "ack": True, "add": True},
        {"side": "mirror", "name": "c1", "value": 3, "ack": None, "add": True},
        {"side": "device", "name": "c1", "value": 4, "ack": False, "add": True},
    ],
    "commands": [
        {"id": 1, "ack": True, "seq": 1},
        {"id": 2, "ack": True, "seq": 2},
        {"id": 3, "ack": None, "seq": None},
        {"id": 4, "ack": None, "seq": None},
        {"id": 5, "ack": False, "seq": None},
        {"id": 6, "ack": True, "seq": 4},
        {"id": 7, "ack": True, "seq": 5, "cancel": True},
        {"id": 8, "ack": True, "seq": 6, "repeatable": True},
        {"id": 9, "ack": False, "seq": None, "barred": True},
        {"id": 10, "ack": True, "seq": 7, "set": ["s1", 20]},
        {"id": 11, "ack": True, "seq": 9, "set": ["s1", 21]},
        {"id": 12, "ack": True, "seq": 8, "set": ["s1", 22]},
        {"id": 13, "ack": True, "seq": 10, "forgotten": True},
    ],
    "mirror": {
        "properties": {"m1": 2, "m2": 4, "d1": 10, "s1": 22, "m4": 29, "d4": 33, "n1": 43, "n2": 46, "n3": 48, "n4": 51, "c1": 11, "c2": 5},
        "commands": [
            {"seq": 1, "id": 1, "state": "done"},
            {"seq": 2, "id": 2, "state": "unknown"},
            {"seq": 3, "id": 3, "state": "done"},
            {"seq": 4, "id": 6, "state": "expired"},
            {"seq": 5, "id": 7, "state": "cancelled"},
            {"seq": 6, "id": 8, "state": "done"},
            {"seq": 7, "id": 10, "state": "done"},
            {"seq": 8, "id": 12, "state": "done"},
            {"seq": 9, "id": 11, "state": "unknown"},
        ],
    },
    "device": {"properties": {"m1": 2, "m2": 4, "d1": 10, "s1": 22, "m4": 29, "d4": 33, "n1": 43, "n2": 46, "n3": 48, "n4": 51, "c1": 11, "c2": 5}},
    "runs": [1, 3, 8, 8, 13],
    "alarms": {"sent": [1, 2], "stored": [1, 2, 3]},
}

count = 0
failed = 0


def ok(good, name, found=()):
    global count, failed
    count += 1
    failed += not good
    print(f"{'' if good else 'not '}ok {count} - {name}")
    if not good:
        for line in found or ["nothing was found"]:
            print(f"# {line}")


def judge(h):
    """What is wrong with a world of this one device."""
    return list(history.check({"devices": {"dev1": h}}))


def falsified(name, words, change):
    """Words: of the only contradiction, or of all of them."""
    h = copy.deepcopy(TRUE)
    change(h)
    found = judge(h)
    words = [words] if isinstance(words, str) else words
    good = found and all(any(w in line for line in found) for w in words)
    ok(good and all(any(w in line for w in words) for line in found), f"refused: {name}", found)


def both(h, name, value):
    for side in ("mirror", "device"):
        h[side]["properties"][name] = value


def ran(h, i, times=1):
    h["runs"] += [i] * times


found = judge(TRUE)
ok(not found, "a true history is accepted", found)
h = copy.deepcopy(TRUE)
both(h, "m2", 3)
both(h, "m3", 6)
both(h, "s1", 21)
both(h, "d3", 11)
both(h, "m4", 30)
both(h, "n1", 42)
both(h, "n2", 45)
both(h, "n3", 47)
both(h, "n4", 50)
both(h, "c1", 14)
both(h, "c2", 3)
h["mirror"]["commands"][1]["state"] = "failed"
ran(h, 2)
found = judge(h)
ok(not found, "so is another one that the same answers allow", found)


def gone(h, name, *sides):
    for side in sides or ("mirror", "device"):
        h[side]["properties"].pop(name)


def command(h, i, **what):
    next(c for c in h["mirror"]["commands"] if c["id"] == i).update(what)


def queued(h, seq, i):
    h["mirror"]["commands"].append({"seq": seq, "id": i, "state": "cancelled"})


falsified("a change lost on both sides", ("m1: acknowledged, but the device does not", "m1: acknowledged, but the mirror does not"),
          lambda h: gone(h, "m1"))
falsified("a change lost on the device", ("the device does not have it", "mirror has 2, device has None"),
          lambda h: gone(h, "m1", "device"))
falsified("a change lost on the mirror", ("the mirror does not have it", "mirror has None, device has 10"),
          lambda h: gone(h, "d1", "mirror"))
falsified("an older value on both sides", "an older value", lambda h: both(h, "m1", 1))
falsified("an older value on the device", "device has 1", lambda h: h["device"]["properties"].update(m1=1))
falsified("both sides differ within what is allowed", "mirror has 4, device has 3",
          lambda h: h["device"]["properties"].update(m2=3))
falsified("only one side has what is allowed", "mirror has 11, device has None",
          lambda h: h["mirror"]["properties"].update(d3=11))
falsified("a refused value", "a value that nobody wrote", lambda h: both(h, "m2", 5))
falsified("a value from nowhere", "a value that nobody wrote", lambda h: both(h, "d1", 99))
falsified("a property from nowhere", "nobody wrote it", lambda h: both(h, "x", 1))
falsified("a value from before the store was lost", "d2: the", lambda h: both(h, "d2", 8))
falsified("a change lost after the store was", "d1: acknowledged, but the", lambda h: gone(h, "d1"))
falsified("a write by command lost", "s1: acknowledged, but the", lambda h: gone(h, "s1"))
falsified("an older write by command", "s1: the", lambda h: both(h, "s1", 20))
falsified("a write by a command that was cancelled", "s1: the", lambda h: both(h, "s1", 21) or command(h, 11, state="cancelled"))
falsified("a command lost", "acknowledged as number 2, and lost", lambda h: h["mirror"]["commands"].pop(1))
falsified("a command under another number", "acknowledged as number 1, and lost", lambda h: command(h, 1, seq=19))
falsified("a command that never ended", "never ended, state leased", lambda h: command(h, 1, state="leased"))
falsified("a command run twice", "command 1: ran 2 times", lambda h: ran(h, 1))
falsified("one of unknown end run twice", "command 2: ran 2 times", lambda h: ran(h, 2, 2))
falsified("a command queued twice", "queued 2 times", lambda h: queued(h, 15, 2))
falsified("done without a run", "reported as done, but never ran", lambda h: h["runs"].remove(3))
falsified("a repeatable one done without a run", "reported as done, but never ran", lambda h: h.update(runs=[1, 3, 13]))
falsified("expired, and run", "reported as expired, but ran", lambda h: ran(h, 6))
falsified("cancelled, and run", "reported as cancelled, but ran", lambda h: ran(h, 7))
falsified("withdrawn, and not cancelled", "withdrawn, but its state is expired", lambda h: command(h, 7, state="expired"))
falsified("a refused command queued", "refused, yet the mirror has it", lambda h: queued(h, 15, 5))
falsified("a command without the right", ("right was withdrawn before", "refused, yet"), lambda h: queued(h, 15, 9))
falsified("a run of a command that is not there", "ran, yet the mirror does not have it", lambda h: ran(h, 4))
falsified("a run that nobody asked for", "nobody asked for it", lambda h: ran(h, 77))
falsified("a command that nobody asked for", "nobody asked for it", lambda h: queued(h, 15, 77))
falsified("a command run twice that the mirror forgot", "command 13: ran 2 times", lambda h: ran(h, 13))
falsified("a change lost after the mirror was put back", "m4: acknowledged, but the",
          lambda h: h["writes"].append({"side": "mirror", "name": "m4", "value": 31, "ack": True}) or gone(h, "m4"))
falsified("a value from before both what was lost and the mirror's next", "an older value", lambda h: both(h, "n4", 49))
falsified("a device's change lost with the mirror's", "d4: the", lambda h: both(h, "d4", 32))
falsified("of both sides' writes an older one of the mirror", "an older value", lambda h: both(h, "n1", 41))
falsified("an older one of the device", "an older value", lambda h: both(h, "n1", 40))
falsified("one that was refused", "nobody wrote with success", lambda h: both(h, "n1", 44))
falsified("none of them", "n1: acknowledged, but the", lambda h: gone(h, "n1"))
falsified("another at each side", "n1: mirror has 42, device has 43", lambda h: h["mirror"]["properties"].update(n1=42))
falsified("an addition lost", "c1: the", lambda h: both(h, "c1", 6))
falsified("an addition counted twice", "c1: the", lambda h: both(h, "c1", 17))
falsified("an addition that was refused", "c1: the", lambda h: both(h, "c1", 15))
falsified("a counter that is another at each side", "c1: mirror has 14, device has 11",
          lambda h: h["mirror"]["properties"].update(c1=14))
falsified("the mirror's addition lost with the device's store", "c2: the", lambda h: both(h, "c2", 2))
falsified("an alarm lost", "alarm 2: acknowledged, and lost", lambda h: h["alarms"]["stored"].remove(2))
falsified("an alarm stored twice", "alarm 2: stored 2 times", lambda h: h["alarms"]["stored"].append(2))
ok(list(history.check({"devices": {}})), "refused: a history of no device")
two = {"devices": {"dev1": copy.deepcopy(TRUE), "dev2": copy.deepcopy(TRUE)}}
two["devices"]["dev2"]["runs"].append(1)
found = list(history.check(two))
ok(len(found) == 1 and found[0].startswith("dev2: "), "refused: what is wrong with the second device only", found)


# --- Random histories with one random change each

def made(rng):
    """A true history: a world that does what it should, with answers that get lost."""
    h = {"writes": [], "commands": [], "mirror": {"properties": {}, "commands": []}, "device": {},
         "runs": [], "alarms": {"sent": [], "stored": []}}
    world, n = h["mirror"]["properties"], 0
    for _ in range(rng.randrange(5, 40)):
        n += 1
        if rng.random() < 0.04:
            h["writes"].append({"reset": True})
            for name in [name for name in world if name[0] == "d"]:
                world.pop(name)
            continue
        side, ack = rng.choice(("mirror", "device")), rng.choice((True, True, None, None, False))
        name = f"{side[0]}{rng.randrange(3)}"
        h["writes"].append({"side": side, "name": name, "value": n, "ack": ack})
        if ack or (ack is None and rng.random() < 0.5):
            world[name] = n
    for i in range(1, rng.randrange(2, 14)):
        a = {"id": i, "ack": rng.choice((True, True, True, None, False)), "seq": None}
        if rng.random() < 0.2:
            a["set"] = [f"s{rng.randrange(2)}", 1000 + i]
        elif rng.random() < 0.2:
            a["repeatable"] = True
        h["commands"].append(a)
        if a["ack"] is False or (a["ack"] is None and rng.random() < 0.5):
            a.update({"barred": True} if rng.random() < 0.3 else {})
            continue
        state = rng.choice(("done", "done", "failed", "unknown", "expired", "cancelled"))
        h["mirror"]["commands"].append({"seq": i, "id": i, "state": state})
        a["seq"] = i if a["ack"] else None
        if state == "cancelled" and rng.random() < 0.5:
            a["cancel"] = rng.choice((True, None))
        if "set" in a:
            if state == "done" or (state == "unknown" and rng.random() < 0.5):
                world[a["set"][0]] = a["set"][1]
        elif state == "done" or (state in ("failed", "unknown") and rng.random() < 0.5):
            h["runs"] += [i] * (2 if a.get("repeatable") and rng.random() < 0.5 else 1)
    h["device"]["properties"] = dict(world)
    h["alarms"]["stored"] = list(range(1, rng.randrange(2, 6)))
    h["alarms"]["sent"] = [c for c in h["alarms"]["stored"] if rng.random() < 0.7]
    return h


def asked_for(h, i):
    return next(a for a in h["commands"] if a["id"] == i)


def mutate(h, rng):
    """Changes H; returns what was done, and None or the reason for which it is as true as before."""
    kind = rng.choice(("value", "drop", "drop both", "state", "forget", "renumber", "run", "unrun", "alarm", "unalarm", "store",
                       "other"))
    held, commands = h["mirror"]["properties"], h["mirror"]["commands"]
    if kind in ("value", "drop", "drop both") and held:
        name, side = rng.choice(sorted(held)), rng.choice(("mirror", "device"))
        if kind == "value":
            h[side]["properties"][name] = rng.choice((-1, h[side]["properties"][name] + 1))
            return f"{name} changed on the {side}", None
        h[side]["properties"].pop(name)
        if kind == "drop":
            return f"{name} dropped on the {side}", None
        for other in ("mirror", "device"):
            h[other]["properties"].pop(name, None)
        return f"{name} dropped on both sides", "nothing of it was acknowledged" if not promised(h, name) else None
    if kind in ("state", "forget", "renumber", "other") and commands:
        c = rng.choice(commands)
        a = asked_for(h, c["id"])
        what = f"command {c['id']} ({c['state']}): {kind}"
        if kind == "state":
            c["state"] = rng.choice(("queued", "leased", "received", "executing", "failed"))
            if c["state"] != "failed" or a.get("cancel") is True:
                return what, None
            return what, "may have failed" if "set" not in a else why_set(h, a)
        if kind == "forget":
            commands.remove(c)
            if a["ack"] is None and c["id"] not in h["runs"]:
                return what, "never acknowledged, never ran" if "set" not in a else why_set(h, a)
            return what, None
        if kind == "renumber":
            c["seq"] += 100
            if a["ack"] is None:
                return what, "its number was never told" if "set" not in a else why_set(h, a)
            return what, None
        c["id"] += 50
        return what, None
    if kind == "run":
        i = rng.randrange(1, len(h["commands"]) + 3)
        h["runs"].append(i)
        state = {c["id"]: c["state"] for c in commands}.get(i)
        a = next((a for a in h["commands"] if a["id"] == i), {})
        if state and (a.get("repeatable") or h["runs"].count(i) == 1 and (state not in ("expired", "cancelled") or "set" in a)):
            return f"run of {i}", "it may have run"
        return f"run of {i}", None
    if kind == "unrun" and h["runs"]:
        i = rng.choice(h["runs"])
        h["runs"].remove(i)
        state = {c["id"]: c["state"] for c in commands}[i]
        return f"no run of {i}", "it may not have run" if state != "done" else "it ran twice" if i in h["runs"] else None
    if kind in ("alarm", "unalarm") and h["alarms"]["stored"]:
        n = rng.choice(h["alarms"]["stored"])
        if kind == "alarm":
            h["alarms"]["stored"].append(n)
            return f"alarm {n} twice", None
        h["alarms"]["stored"].remove(n)
        return f"alarm {n} gone", None if n in h["alarms"]["sent"] else "nobody heard that it was taken"
    both(h, "x9", 1)
    return "x9 from nowhere", None


def promised(h, name):
    """True if the last that was said of NAME leaves no doubt that it is there."""
    if name[0] == "s":
        order = sorted((c["seq"], c["state"]) for c in h["mirror"]["commands"]
                       if asked_for(h, c["id"]).get("set", [None])[0] == name)
        return any(state == "done" for _, state in order)
    there = False
    for w in h["writes"]:
        if w.get("reset"):
            there = there and name[0] != "d"
        elif w["name"] == name:
            there = there or w["ack"] is True
    return there


def why_set(h, a):
    """A write by command was changed: what the world holds must still follow from the others."""
    name = a["set"][0]
    order = sorted((c["seq"], c["state"], asked_for(h, c["id"])["set"][1]) for c in h["mirror"]["commands"]
                   if asked_for(h, c["id"]).get("set", [None])[0] == name)
    last = max([n for n, (_, state, _) in enumerate(order) if state == "done"], default=-1)
    may = [v for n, (_, state, v) in enumerate(order) if n == last or (n > last and state == "unknown")]
    value = h["mirror"]["properties"].get(name)
    if value in may or (value is None and last < 0):
        return "the others explain what is there"
    return None


seed = int(os.environ.get("HG_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
rng = random.Random(seed)
mutants = int(os.environ.get("HG_HISTORY_MUTANTS", "3000"))
wrong, missed, shrill, why = [], [], [], collections.Counter()
for _ in range(mutants):
    h = made(rng)
    wrong += judge(h)
    what, reason = mutate(h, rng)
    found = judge(h)
    why[reason or "found"] += 1
    if reason and found:
        shrill.append(f"{what} ({reason}): {found[0]}")
    if not reason and not found:
        missed.append(what)
print(f"# HG_SEED={seed}: {mutants} random changes; " + ", ".join(f"{n} {r}" for r, n in why.most_common()))
ok(not wrong, "random true histories are accepted", wrong[:5])
ok(not missed and why["found"] > mutants / 3, "each random change that matters is found", missed[:5])
ok(not shrill, "and none that is explained", shrill[:5])

print(f"1..{count}")
sys.exit(1 if failed else 0)
