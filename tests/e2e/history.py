#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""History checker of the fault campaign: reads what was asked and acknowledged, and what both sides hold
at the end, and says what contradicts the promise. It knows nothing of how the programs work.

    history.py FILE       prints one line per contradiction; exit status 1 if there is any

FILE is one JSON object:
    writes    [{"side": "mirror"|"device", "name", "value", "ack": true|false|null}]  in the order in which
              the one writer of that name made them; null: the answer never came, so it may or may not count;
              values of one name are distinct
    commands  [{"id", "ack": true|false|null, "seq": number|null}]      asked for by the application
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


def check_property(side, name, writes, mirror, device):
    """The last acknowledged value, or one of those of unknown fate after it, on both sides."""
    allowed = []
    for w in writes:
        if w["ack"] is True:
            allowed = [w["value"]]
        elif w["ack"] is None:
            allowed.append(w["value"])
    acknowledged = any(w["ack"] is True for w in writes)
    for where, held in (("mirror", mirror), ("device", device)):
        if name not in held:
            if acknowledged:
                yield f"{side}-owned {name}: acknowledged, but the {where} does not have it"
        elif held[name] not in allowed:
            known = held[name] in [w["value"] for w in writes if w["ack"] is not False]
            what = "an older value" if known else "a value that nobody wrote with success"
            yield f"{side}-owned {name}: the {where} has {held[name]!r}, {what}; allowed: {allowed}"
    if mirror.get(name) != device.get(name):
        yield (f"{side}-owned {name}: mirror has {mirror.get(name)!r}, "
               f"device has {device.get(name)!r}")


def check_commands(asked, held, runs):
    by_id = collections.defaultdict(list)
    for c in held:
        by_id[c["id"]].append(c)
    count = collections.Counter(runs)
    ids = {a["id"] for a in asked}
    for a in asked:
        there = by_id[a["id"]]
        if a["ack"] is True and a["seq"] not in [c["seq"] for c in there]:
            yield f"command {a['id']}: acknowledged as number {a['seq']}, and lost"
        if a["ack"] is False and there:
            yield f"command {a['id']}: refused, yet the mirror has it"
        if len(there) > 1:
            yield f"command {a['id']}: asked for once, queued {len(there)} times"
        if not there and count[a["id"]]:
            yield f"command {a['id']}: ran, yet the mirror does not have it"
    for c in held:
        n = count[c["id"]]
        if c["id"] not in ids:
            yield f"command {c['id']}: nobody asked for it"
        if c["state"] not in ENDED:
            yield f"command {c['id']}: never ended, state {c['state']}"
        if c["state"] == "done" and n == 0:
            yield f"command {c['id']}: reported as done, but never ran"
        if c["state"] in NEVER_RAN and n:
            yield f"command {c['id']}: reported as {c['state']}, but ran"
    for i, n in count.items():
        if n > 1:
            yield f"command {i}: ran {n} times"
        if i not in ids:
            yield f"command {i}: ran, and nobody asked for it"


def check(history):
    mirror, device = history["mirror"]["properties"], history["device"]["properties"]
    writes = collections.OrderedDict()
    for w in history["writes"]:
        writes.setdefault((w["side"], w["name"]), []).append(w)
    for (side, name), ws in writes.items():
        yield from check_property(side, name, ws, mirror, device)
    for name in sorted((set(mirror) | set(device)) - {name for _, name in writes}):
        yield f"{name}: nobody wrote it, yet it is there"
    yield from check_commands(history["commands"], history["mirror"]["commands"], history["runs"])
    alarms = history["alarms"]
    for counter, n in collections.Counter(alarms["stored"]).items():
        if n > 1:
            yield f"alarm {counter}: stored {n} times"
    for counter in sorted(set(alarms["sent"]) - set(alarms["stored"])):
        yield f"alarm {counter}: acknowledged, and lost"


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
