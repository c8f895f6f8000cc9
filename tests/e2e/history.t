#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, runs none of our programs
"""The history checker itself: it accepts a true history, and each falsified one is refused for the
reason that was put in."""
import copy
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import history  # noqa: E402

TRUE = {
    "writes": [
        {"side": "mirror", "name": "m1", "value": 1, "ack": True},
        {"side": "mirror", "name": "m1", "value": 2, "ack": True},
        {"side": "mirror", "name": "m2", "value": 3, "ack": True},
        {"side": "mirror", "name": "m2", "value": 4, "ack": None},
        {"side": "mirror", "name": "m2", "value": 5, "ack": False},
        {"side": "mirror", "name": "m3", "value": 6, "ack": None},
        {"side": "device", "name": "d1", "value": 7, "ack": True},
    ],
    "commands": [
        {"id": 1, "ack": True, "seq": 1},
        {"id": 2, "ack": True, "seq": 2},
        {"id": 3, "ack": None, "seq": None},
        {"id": 4, "ack": None, "seq": None},
        {"id": 5, "ack": False, "seq": None},
        {"id": 6, "ack": True, "seq": 4},
    ],
    "mirror": {
        "properties": {"m1": 2, "m2": 4, "d1": 7},
        "commands": [
            {"seq": 1, "id": 1, "state": "done"},
            {"seq": 2, "id": 2, "state": "unknown"},
            {"seq": 3, "id": 3, "state": "done"},
            {"seq": 4, "id": 6, "state": "expired"},
        ],
    },
    "device": {"properties": {"m1": 2, "m2": 4, "d1": 7}},
    "runs": [1, 3],
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


def falsified(name, words, change):
    h = copy.deepcopy(TRUE)
    change(h)
    found = list(history.check(h))
    ok(any(words in line for line in found), f"refused: {name}", found)


def both(h, name, value):
    for side in ("mirror", "device"):
        h[side]["properties"][name] = value


def ran(h, i, times=1):
    h["runs"] += [i] * times


found = list(history.check(TRUE))
ok(not found, "a true history is accepted", found)
h = copy.deepcopy(TRUE)
both(h, "m2", 3)
both(h, "m3", 6)
h["mirror"]["commands"][1]["state"] = "failed"
ran(h, 2)
found = list(history.check(h))
ok(not found, "so is another one that the same answers allow", found)

falsified("a change lost on the device", "the device does not have it", lambda h: h["device"]["properties"].pop("m1"))
falsified("a change lost on the mirror", "the mirror does not have it", lambda h: h["mirror"]["properties"].pop("d1"))
falsified("an older value on both sides", "an older value", lambda h: both(h, "m1", 1))
falsified("an older value on the device", "device has 1", lambda h: h["device"]["properties"].update(m1=1))
falsified("both sides differ within what is allowed", "mirror has 4, device has 3",
          lambda h: h["device"]["properties"].update(m2=3))
falsified("a refused value", "a value that nobody wrote", lambda h: both(h, "m2", 5))
falsified("a value from nowhere", "a value that nobody wrote", lambda h: both(h, "d1", 99))
falsified("a property from nowhere", "nobody wrote it", lambda h: both(h, "x", 1))
falsified("a command lost", "acknowledged as number 1, and lost", lambda h: h["mirror"]["commands"].pop(0))
falsified("a command under another number", "acknowledged as number 1, and lost",
          lambda h: h["mirror"]["commands"][0].update(seq=9))
falsified("a command that never ended", "never ended, state leased",
          lambda h: h["mirror"]["commands"][0].update(state="leased"))
falsified("a command run twice", "command 1: ran 2 times", lambda h: ran(h, 1))
falsified("one of unknown end run twice", "command 2: ran 2 times", lambda h: ran(h, 2, 2))
falsified("a command queued twice", "queued 2 times",
          lambda h: h["mirror"]["commands"].append({"seq": 5, "id": 1, "state": "cancelled"}))
falsified("done without a run", "reported as done, but never ran", lambda h: h["runs"].remove(3))
falsified("expired, and run", "reported as expired, but ran", lambda h: ran(h, 6))
falsified("a refused command queued", "refused, yet the mirror has it",
          lambda h: h["mirror"]["commands"].append({"seq": 5, "id": 5, "state": "cancelled"}))
falsified("a run of a command that is not there", "ran, yet the mirror does not have it", lambda h: ran(h, 4))
falsified("a run that nobody asked for", "nobody asked for it", lambda h: ran(h, 77))
falsified("a command that nobody asked for", "nobody asked for it",
          lambda h: h["mirror"]["commands"].append({"seq": 5, "id": 77, "state": "cancelled"}))
falsified("an alarm lost", "alarm 2: acknowledged, and lost", lambda h: h["alarms"]["stored"].remove(2))
falsified("an alarm stored twice", "alarm 2: stored 2 times", lambda h: h["alarms"]["stored"].append(2))

print(f"1..{count}")
sys.exit(1 if failed else 0)
