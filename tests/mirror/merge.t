#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Properties that both sides write, at the mirror: of newest the later write wins and the loser is
named; a counter is the sum of both contributions; nothing of either is lost with a store or a backup.
"""
import os, sys, time
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, later_ms, ok, done
from syncclient import FULL, NOTHING, OK, Device
from world import World

w = World()
w.model({"@context": ["https://www.w3.org/2022/wot/td/v1.1", {"hg": "urn:heliograph:td#"}],
         "@type": "tm:ThingModel", "title": "Both", "hg:model": "both", "properties": {
             "goal": {"type": "number", "maximum": 100, "hg:merge": "newest"},
             "count": {"type": "integer", "maximum": 1000, "hg:merge": "counter"},
             "spare": {"type": "integer", "hg:merge": "counter"},
             "text": {"type": "string", "hg:merge": "newest"},
             "own": {"type": "number", "readOnly": True}}})
token = w.token("app", "--right", "read", "--right", "write")
w.serve()


def now(plus=0):
    return int(time.time() * 1000) + plus


def put(d, name, value, headers=None):
    return w.http("PUT", f"/things/{d.uid}/properties/{name}", value, token, headers)[0]


def add(d, value, name="count", headers=None):
    status, _, body = w.http("POST", f"/things/{d.uid}/properties/{name}", value, token, headers)
    return body if status == 200 else status


def get(d, name):
    status, _, body = w.http("GET", f"/things/{d.uid}/properties/{name}", None, token)
    return body if status == 200 else status


def conflicts(d):
    return w.pg.sql("SELECT coalesce(string_agg(concat_ws(' ', name, data->>'loser', data->>'lost', data->>'kept'), ', '"
                    f" ORDER BY seq), '') FROM heliograph.outbox WHERE device_id = '{d.uid}' AND kind = 'conflict'")


def new(uid):
    return Device(w, w.device(uid, "both"))


def say(d, *changes, first=False):
    """One session: the changes, [(name, value, time)], and what came back."""
    if first:
        d.connect()
    else:
        d.connect(True)
    m = []
    for name, value, made in changes:
        d.seq += 1
        m.append([d.seq, made, name, value])
    r = d.take(d.request(_10=m))
    d.close()
    return r


def hear(d):
    d.connect()
    r = d.take(d.request())
    if r.flags & FULL:
        r = d.take(d.request())
    d.close()
    return r


# Newest
d = new("newest")
say(d, ("goal", 10, now()))
equal(get(d, "goal"), 10, "the device writes")
equal(put(d, "goal", 20), 204, "an application writes over it, at once")
equal(hear(d).changes[-1][1:], ("goal", 20), "the device hears it")
equal(conflicts(d), "", "one after the other is no conflict")
put(d, "goal", 30)
r = say(d, ("goal", 11, now(-5000)))
equal((get(d, "goal"), r.changes[-1][1:]), (30, ("goal", 30)), "an older write of the device loses, and it hears the newer")
equal((r.device_cursor, r.detail), (d.seq, f"refused: goal ({d.seq}): a newer value is held"), "the response says so")
equal(conflicts(d), "goal device 11 30", "so does the outbox")
equal(w.pg.sql(f"SELECT count(*) FROM heliograph.audit WHERE device_id = '{d.uid}' AND what = 'conflict'"), "1", "and the audit")
put(d, "goal", 40)
later_ms()
r = say(d, ("goal", 12, now(5000)))
equal((get(d, "goal"), r.changes), (12, []), "a newer write wins over one that the device has not heard")
equal(conflicts(d), "goal device 11 30, goal mirror 40 12", "and that one is named")
r = say(d, ("goal", 13, now(10 ** 9)))
equal(get(d, "goal"), 13, "a clock that is days ahead: the write counts")
equal(put(d, "goal", 50), 204, "but as one of now: an application writes after it")
equal(hear(d).changes[-1][1:], ("goal", 50), "and the device hears that")
r = say(d, ("goal", 101, now(20000)))
equal((get(d, "goal"), r.changes[-1][1:]), (50, ("goal", 50)), "what the model does not allow is refused, and what stays is heard")
ok("above the maximum" in r.detail, "with the reason", r.detail)
r = say(d, ("goal", NOTHING, now(30000)))
equal(get(d, "goal"), 404, "a removal is a write, too")
put(d, "goal", 60)
n = conflicts(d)
d.connect()
d.seq += 1
one = [d.seq, now(40000), "goal", 61]
d.request(_10=[one])
d.close(abrupt=True)
put(d, "goal", 62)
d.connect()
r = d.take(d.request(_10=[one]))
d.close()
equal((get(d, "goal"), r.changes[-1][1:]), (62, ("goal", 62)), "a change that comes twice counts once: no later write is undone")
ok(conflicts(d) == n + ", goal mirror 60 61", "and is no conflict", conflicts(d))

equal(put(d, "text", "x" * 17000), 413, "a value of both sides that would travel in parts is refused")
equal(put(d, "text", "x" * 16000), 204, "a smaller one is not")

# With the store of the device, or a backup of the mirror
d = new("stores")
say(d, ("goal", 10, now()))
d.new_store()
equal(hear(d).changes[-1][1:], ("goal", 10), "a device that lost its store hears what it wrote")
hear(d)
equal(get(d, "goal"), 10, "and that stays")
say(d, ("goal", 11, now(10)))
w.run("restored")
r = hear(d)
equal((get(d, "goal"), d.mirrored["goal"]), (11, 11), "a mirror that was restored says what it holds of the device's")
r = say(d, ("goal", 12, now(100)), ("goal", 13, now(200)))
equal(get(d, "goal"), 13, "and goes on")

# Counter
d = new("counter")
equal((get(d, "count"), w.http("GET", f"/things/{d.uid}/properties", None, token)[2]["count"]), (0, 0), "a counter begins at 0")
equal(add(d, 5), 5, "an application adds")
say(d, ("count", 3, now()))
equal((get(d, "count"), d.mirrored["count"]), (8, 5), "the device's part is added; it hears the mirror's")
say(d, ("count", 7, now()))
equal(get(d, "count"), 12, "its newer part replaces the older")
equal(add(d, -2), 10, "less is added, too")
equal((hear(d).changes[-1][1:], d.mirrored["count"]), (("count", 3), 3), "the device hears the part, not the sum")
equal((put(d, "count", 100), get(d, "count")), (204, 100), "setting adds what is missing")
etag = w.http("GET", f"/things/{d.uid}/properties/count", None, token)[1].getheader("ETag")
say(d, ("count", 8, now()))
equal(put(d, "count", 5, {"If-Match": etag}), 412, "If-Match: an addition has come between")
equal(get(d, "count"), 101, "which is not lost")
equal((add(d, 900), add(d, 1.5), add(d, "x")), (422, 422, 422), "the model is held against the sum; halves cannot be added")
equal(add(d, 5, "goal"), 405, "nothing can be added to what is no counter")
for v in ("x", 1.5, 2 ** 62, NOTHING, None):
    r = say(d, ("count", v, now()))
    ok(r.status == OK and "whole number" in r.detail and get(d, "count") == 101, f"the device's part cannot be {v!r}", r.detail)
big = 2 ** 62 - 1
say(d, ("spare", big, now()))
equal((add(d, big, "spare"), add(d, 1, "spare")), (2 * big, 422), "more than 62 bits are refused")
say(d, ("spare", -big, now()))
equal(get(d, "spare"), 0, "below zero, too")

d.new_store()
say(d, ("count", 1, now()), first=True)
equal((get(d, "count"), d.mirrored["count"]), (102, 101), "a device that lost its store: the mirror keeps its part, once")
say(d, ("count", 2, now()))
equal(get(d, "count"), 103, "and it goes on from 0")
w.run("restored")
d.connect()
r = d.take(d.request())
equal((r.flags, get(d, "count"), d.mirrored["count"]), (FULL, 103, 101), "a new epoch of the mirror adds nothing")
d.take(d.request(_10=[[d.seq, now(), "count", 2]]))
d.take(d.request())
d.close()
equal((get(d, "count"), get(d, "spare")), (103, 0), "what the device says again is the same part")
w.run("restored")
hear(d)
equal(hear(d).status, OK, "but if it says nothing again")
equal(get(d, "count"), 101, "then it has no part: it was another device's")

# The model
def model(props):
    return w.model({"@type": "tm:ThingModel", "hg:model": "bad", "properties": {"p": props}}, check=False)


for props, why in (({"type": "number", "hg:merge": "counter"}, '/properties/p/type: a counter is an "integer"'),
                   ({"type": "number", "hg:merge": "oldest"}, '/properties/p/hg:merge: is "newest" or "counter"'),
                   ({"type": "number", "hg:merge": 1}, '/properties/p/hg:merge: is "newest" or "counter"'),
                   ({"type": "number", "hg:owner": "newest"}, '/properties/p/hg:owner: is "mirror" or "device"'),
                   ({"type": "number", "hg:merge": "newest", "hg:owner": "device"}, "both sides write it")):
    r = model(props)
    ok(r.returncode != 0 and why in r.stderr, f"a model is refused: {why}", r.stderr)
td = w.http("GET", f"/things/{d.uid}", None, token)[2]
equal((td["properties"]["goal"].get("hg:merge"), td["properties"]["goal"].get("hg:owner")), ("newest", None), "the Thing Description tells the rule")
r = w.model({"@type": "tm:ThingModel", "hg:model": "both", "properties": {"goal": {"type": "number"}}}, check=False)
ok("the rule stays newest" in r.stderr, "the rule stays while there are devices", r.stderr)
done()
