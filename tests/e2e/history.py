#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""History checker of the fault campaign: reads what was asked and acknowledged, and what both sides hold
at the end, and says what contradicts the promise. It knows nothing of how the programs work.

    history.py FILE       prints one line per contradiction; exit status 1 if there is any

FILE is one JSON object; "devices" in it has for each UID:
    writes    [{"side": "mirror"|"device", "name", "value", "ack": true|false|null}]  in the order in which
              the one writer of that name made them; null: the answer never came, so it may or may not count,
              but not after the next write of that name; values of one name are distinct.
              {"reset": true} among them: here the device lost its store; "forgotten": true: the mirror was put
              back to before this, so an acknowledgement of the mirror's side proves nothing
              "both": true: both sides write it, and the newest wins; "add": true: the value is added to a counter
    commands  [{"id", "ack": true|false|null, "seq": number|null}]      asked for by the application; and, where
              they are so: "repeatable": true; "cancel": true (withdrawn, which was acknowledged; null: perhaps);
              "barred": true (asked for after the withdrawal of the right was acknowledged);
              "set": [name, value] (no run of a handler but a write to what the device owns; not asked
              of a device that loses its store); "forgotten": true, as above
    mirror    {"properties": {name: value}, "commands": [{"seq", "id", "state"}]}     at the end
    device    {"properties": {name: value}}                                            at the end
    runs      [id]                                  what the handler wrote down, once per run
    alarms    {"sent": [counter], "stored": [counter]}           acknowledged by the collector; its table
"""
import collections
import json
import sys

ENDED = {"done", "failed", "expired", "cancelled", "unknown"}
NEVER_RAN = {"expired", "cancelled"}
ABSENT = object()


def check_held(where, allowed, known, mirror, device):
    """Both sides hold the same, and something that is allowed."""
    name = where.rsplit(" ", 1)[1]
    for side, held in (("mirror", mirror), ("device", device)):
        value = held.get(name, ABSENT)
        if value in allowed:
            continue
        shown = [a for a in allowed if a is not ABSENT]
        if value is ABSENT:
            yield f"{where}: acknowledged, but the {side} does not have it"
        else:
            what = "an older value" if value in known else "a value that nobody wrote with success"
            yield f"{where}: the {side} has {value!r}, {what}; allowed: {shown}"
    if mirror.get(name) != device.get(name):
        yield f"{where}: mirror has {mirror.get(name)!r}, device has {device.get(name)!r}"


def check_writes(h, mirror, device):
    """The last acknowledged value, or one of those of unknown fate after it."""
    allowed, known = {}, collections.defaultdict(list)
    for w in h["writes"]:
        if w.get("reset"):
            allowed.update({key: [ABSENT] for key in allowed if key[0] == "device"})
            continue
        if w.get("add") or w.get("both"):
            continue
        key = w["side"], w["name"]
        before = allowed.setdefault(key, [ABSENT])
        if w["ack"] is not False:
            allowed[key] = [w["value"]] if sure(w) else before + [w["value"]]
            known[key].append(w["value"])
    for (side, name), values in allowed.items():
        yield from check_held(f"{side}-owned {name}", values, known[side, name], mirror, device)


def sure(w):
    return w["ack"] is True and not w.get("forgotten")


def check_newest(h, mirror, device):
    """The last acknowledged value of either side, or one of unknown fate after it. Which of the two sides' is
    newer only their clocks could say. A lost store may take with it what the mirror has not heard yet; what the
    mirror has heard of the device is its own then, and may be newer by a clock than what the device writes next."""
    allowed, known = collections.defaultdict(dict), collections.defaultdict(list)
    for w in h["writes"]:
        if w.get("reset"):
            for name, sides in allowed.items():
                sides["mirror"] = sides.get("mirror", [ABSENT]) + known[name]
                sides["device"] = known[name] + [ABSENT]
        elif w.get("both") and w["ack"] is not False:
            before = allowed[w["name"]].setdefault(w["side"], [ABSENT])
            allowed[w["name"]][w["side"]] = [w["value"]] if sure(w) else before + [w["value"]]
            known[w["name"]].append(w["value"])
    for name, sides in allowed.items():
        values = sum(sides.values(), [])
        if not all(ABSENT in of_side for of_side in sides.values()):
            values = [v for v in values if v is not ABSENT]
        yield from check_held(f"newest of both {name}", values, known[name], mirror, device)


def check_counters(h, mirror, device):
    """What was acknowledged, and some of what is of unknown fate; what a device added before it lost its store is
    of unknown fate."""
    resets = [i for i, w in enumerate(h["writes"]) if w.get("reset")]
    last_reset = max(resets, default=-1)
    least, perhaps = collections.Counter(), collections.defaultdict(list)
    for i, w in enumerate(h["writes"]):
        if not w.get("add") or w["ack"] is False:
            continue
        if sure(w) and (w["side"] == "mirror" or i > last_reset):
            least[w["name"]] += w["value"]
        else:
            perhaps[w["name"]].append(w["value"])
    for name in sorted({*least, *perhaps}):
        sums = 1  # bit n: n can be what those of unknown fate come to
        for value in perhaps[name]:
            sums |= sums << value
        for side, held in (("mirror", mirror), ("device", device)):
            value = held.get(name, 0)
            if value < least[name] or not sums >> (value - least[name]) & 1:
                yield (f"counter {name}: the {side} has {value}; acknowledged are {least[name]},"
                       f" of unknown fate {perhaps[name]}")
        if mirror.get(name, 0) != device.get(name, 0):
            yield f"counter {name}: mirror has {mirror.get(name)}, device has {device.get(name)}"


def check_sets(h, mirror, device):
    """Writes by command: the last in the mirror's order that is done, or one of unknown end after it."""
    state = {c["id"]: (c["seq"], c["state"]) for c in h["mirror"]["commands"]}
    names = collections.defaultdict(list)
    for a in h["commands"]:
        if "set" in a:
            names[a["set"][0]].append((state.get(a["id"], (0, "lost")), a["set"][1]))
    for name, asked in names.items():
        allowed = [ABSENT]
        for (_, end), value in sorted(asked, key=lambda x: x[0][0]):
            if end == "done":
                allowed = [value]
            elif end == "unknown":
                allowed.append(value)
        known = [v for (_, end), v in asked if end in ("done", "unknown")]
        yield from check_held(f"by command {name}", allowed, known, mirror, device)


def check_asked(a, there, runs):
    """One command as its application knows it."""
    if a.get("forgotten") and not there:
        return
    if a["ack"] is True and a["seq"] not in [c["seq"] for c in there]:
        yield f"command {a['id']}: acknowledged as number {a['seq']}, and lost"
    if a["ack"] is False and there:
        yield f"command {a['id']}: refused, yet the mirror has it"
    if a.get("barred") and there:
        yield f"command {a['id']}: taken though the right was withdrawn before"
    if len(there) > 1:
        yield f"command {a['id']}: asked for once, queued {len(there)} times"
    if not there and runs:
        yield f"command {a['id']}: ran, yet the mirror does not have it"
    if a.get("cancel") is True and any(c["state"] != "cancelled" for c in there):
        yield f"command {a['id']}: withdrawn, but its state is {there[0]['state']}"


def check_ended(c, a, runs):
    """One command as the mirror has it; A: what its application knows."""
    if c["state"] not in ENDED:
        yield f"command {c['id']}: never ended, state {c['state']}"
    if "set" in a:
        return
    if c["state"] == "done" and runs == 0:
        yield f"command {c['id']}: reported as done, but never ran"
    if c["state"] in NEVER_RAN and runs and not a.get("repeatable"):
        yield f"command {c['id']}: reported as {c['state']}, but ran"


def check_commands(asked, held, runs):
    by_id = collections.defaultdict(list)
    for c in held:
        by_id[c["id"]].append(c)
    count = collections.Counter(runs)
    known = {a["id"]: a for a in asked}
    for a in asked:
        yield from check_asked(a, by_id[a["id"]], count[a["id"]])
    for c in held:
        if c["id"] not in known:
            yield f"command {c['id']}: nobody asked for it"
        yield from check_ended(c, known.get(c["id"], {}), count[c["id"]])
    for i, n in count.items():
        if n > 1 and not known.get(i, {}).get("repeatable"):
            yield f"command {i}: ran {n} times"
        if i not in known:
            yield f"command {i}: ran, and nobody asked for it"


def check_alarms(alarms):
    for counter, n in collections.Counter(alarms["stored"]).items():
        if n > 1:
            yield f"alarm {counter}: stored {n} times"
    for counter in sorted(set(alarms["sent"]) - set(alarms["stored"])):
        yield f"alarm {counter}: acknowledged, and lost"


def check_device(h):
    mirror, device = h["mirror"]["properties"], h["device"]["properties"]
    yield from check_writes(h, mirror, device)
    yield from check_newest(h, mirror, device)
    yield from check_counters(h, mirror, device)
    yield from check_sets(h, mirror, device)
    written = {w["name"] for w in h["writes"] if "name" in w} | {a["set"][0] for a in h["commands"] if "set" in a}
    for name in sorted((set(mirror) | set(device)) - written):
        yield f"{name}: nobody wrote it, yet it is there"
    yield from check_commands(h["commands"], h["mirror"]["commands"], h["runs"])
    yield from check_alarms(h["alarms"])


def check(history):
    if not history["devices"]:
        yield "no device: a history of nothing proves nothing"
    for uid, h in history["devices"].items():
        for line in check_device(h):
            yield f"{uid}: {line}"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: history.py FILE")
    with open(sys.argv[1], encoding="utf-8") as f:
        found = list(check(json.load(f)))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
