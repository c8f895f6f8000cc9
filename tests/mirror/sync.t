#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Synchronisation through real TLS with a client written from the specification (syncclient.py):
cursors both ways, commands and their states, refusals, lost stores, an older database, clones.
"""
import os, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, ok, done
from syncclient import (DONE, EXECUTING, FAILED, FULL, MORE, NOTHING, OK, QUARANTINED, RECEIVED, Closed, Device)
from world import MODEL, World

w = World()
bulk = dict(MODEL, **{"hg:model": "bulk", "hg:interval": "PT90S", "actions": {"go": {"input": {"type": "string"}}},
                      "properties": {f"p{i}": {"type": "string"} for i in range(400)}})
w.model(bulk)
token = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")
w.serve()


def put(uid, name, value):
    return w.http("PUT", f"/things/{uid}/properties/{name}", value, token)[0]


def get(uid, name):
    status, _, body = w.http("GET", f"/things/{uid}/properties/{name}", None, token)
    return body if status == 200 else status


def invoke(uid, action, value=None, tok=token):
    status, r, body = w.http("POST", f"/things/{uid}/actions/{action}", value, tok)
    return int(r.getheader("Location").rsplit("/", 1)[1]) if status == 201 else status


def state(uid, seq):
    return w.pg.sql(f"SELECT state FROM heliograph.command WHERE device_id = '{uid}' AND seq = {seq}")


def new(uid, model="thermo"):
    return Device(w, w.device(uid, model))


# Both ways
d = new("both-ways")
r = d.sync()
equal((r.status, r.changes, r.commands, r.flags), (OK, [], [], 0), "first contact: nothing to say")
equal(len(r.mirror_epoch), 16, "the mirror names its epoch")
equal(put(d.uid, "setpoint", 21.7), 204, "an application sets a mirror-owned property")
r = d.sync()
equal(d.mirrored, {"setpoint": 21.7}, "the device has it after its next session")
equal(d.sync().changes, [], "and hears it once")
put(d.uid, "setpoint", 21.7)
equal(d.sync().changes, [], "the same value again is no change")
w.pg.sql("""UPDATE heliograph.model_property SET schema = '{"type": "number"}' WHERE name = 'setpoint'""")
for v in (0.1, -7, 1e300, 123456789012345678, 2.5e-8):
    put(d.uid, "setpoint", v)
    d.sync()
    d.set("temperature", v)
    d.sync()
    equal((d.mirrored["setpoint"], float(get(d.uid, "temperature"))), (v, float(v)), f"{v} survives both ways")
w.model(MODEL)
d.set("counter", 1)
d.set("counter", 2)
r = d.sync()
equal((get(d.uid, "counter"), r.device_cursor), (2, d.seq), "only the newest of the device's changes travels")
d.set("counter", NOTHING)
d.sync()
equal(get(d.uid, "counter"), 404, "a removed property has no value")
version = w.pg.sql("SELECT version FROM heliograph.property WHERE device_id = 'both-ways' AND name = 'temperature'")
d.acked = 0
d.sync()
equal(w.pg.sql("SELECT version FROM heliograph.property WHERE device_id = 'both-ways' AND name = 'temperature'"),
      version, "a change that comes again changes nothing")
r = d.sync(resume=True)
ok(r.size < 60, "an idle response is small", r.size)
d.connect(resume=True)
ok(d.sock.session_reused, "sessions are resumed")
d.close()
full = d.connect().request(full=True)
d.close()
equal([c[1] for c in full.changes], ["setpoint"], "FULL brings everything again")

# Refusals
d = new("refused")
d.set("temperature", "warm")
d.set("setpoint", 20)
d.set("nonsense", 1)
d.set("mode", "boil")
d.set("counter", 5)
r = d.sync()
equal((r.status, r.device_cursor), (OK, 5), "refused changes do not hold the others up")
ok(all(x in r.detail for x in ("temperature (1): must be number", "setpoint (2): the mirror owns")),
   "the refusal says what and why", r.detail)
ok(len(r.detail.encode()) <= 256, "and fits")
equal(w.pg.sql("SELECT string_agg(name || ': ' || reason, '; ' ORDER BY seq) FROM heliograph.refusal"),
      'temperature: must be number, is string; setpoint: the mirror owns this property; '
      'nonsense: the model has no such property; mode: is none of ["off", "heat", "cool"]',
      "every refusal is recorded")
equal(get(d.uid, "counter"), 5, "what was good is kept")
ok("boil" not in str(get(d.uid, "mode")), "what was bad is not")

# More than fits
d = new("bulk", "bulk")
w.pg.sql("""SET search_path = heliograph; DO $$ BEGIN FOR i IN 0..399 LOOP
    PERFORM property_store(t, d, 'p' || i, to_jsonb(repeat('x', 10 + i)), NULL) FROM token t, device d WHERE d.device_id = 'bulk';
    END LOOP; END $$""")
d.connect()
r = d.take(d.request())
rounds = 1
ok(r.flags & MORE, "more than fits: MORE")
equal(r.interval_ms, 90000, "the model's interval is the hint")
while r.flags & MORE:
    r = d.take(d.request())
    rounds += 1
d.close()
equal(len(d.mirrored), 400, f"all arrive in {rounds} rounds")
ids = [invoke(d.uid, "go", "y" * 10000) for _ in range(12)]
d.connect()
r = d.take(d.request())
ok(r.flags & MORE and len(r.commands) < 12, "commands are bounded by bytes, too", len(r.commands))
while r.flags & MORE:
    r = d.take(d.request())
d.close()
equal([c["seq"] for c in d.inbox], ids, "and all come, in order, once")
for i in range(400):
    d.set(f"p{i}", i)
r = d.sync()
equal(w.pg.sql("SELECT count(*) FROM heliograph.refusal WHERE device_id = 'bulk'"), "32",
      "records of refusals are bounded")

# Commands
d = new("commands")
a = invoke(d.uid, "blink", {"times": 2})
equal(state(d.uid, a), "queued", "an invocation is queued")
d.connect()
lost = d.request()
d.close(abrupt=True)
equal(([c["seq"] for c in lost.commands], state(d.uid, a)), ([a], "leased"), "it is leased with the response")
equal(w.http("DELETE", f"/things/{d.uid}/actions/blink/{a}", None, token)[0], 409, "and cannot be cancelled then")
r = d.sync()
equal([c["seq"] for c in d.inbox], [a], "a response that was lost is repeated")
equal((d.inbox[0]["input"], d.inbox[0]["within"], d.inbox[0]["repeatable"]), ({"times": 2}, 60000, False),
      "with input, limit and kind")
d.sync()
equal((state(d.uid, a), len(d.inbox)), ("received", 1), "what the device holds is not sent again")
d.sync([(a, EXECUTING, 0, "")])
equal(state(d.uid, a), "executing", "the device reports")
d.sync([(a, DONE, 0, "", "blinked")])
d.sync([(a, DONE, 0, "", "blinked")])
d.sync([(a, RECEIVED, 0, "")])
d.sync([(a, FAILED, 1, "late")])
equal(state(d.uid, a), "done", "a state never moves back, and a final one never changes")
body = w.http("GET", f"/things/{d.uid}/actions/blink/{a}", None, token)[2]
equal((body["status"], body["output"]), ("completed", "blinked"), "the application has the result")
f = invoke(d.uid, "restart")
d.sync()
d.sync([(f, FAILED, 3, "no power", {"code": 7})])
body = w.http("GET", f"/things/{d.uid}/actions/restart/{f}", None, token)[2]
equal((body["status"], body["exitStatus"], body["error"]["detail"], body["output"]),
      ("failed", 3, "no power", {"code": 7}), "and a failure with its reason")
equal(d.sync([(999, DONE, 0, "")]).status, OK, "a report of an unknown command does no harm")
brief = w.token("brief", "--right", "invoke", "--device", d.uid)
a, b = invoke(d.uid, "restart", tok=brief), invoke(d.uid, "restart")
w.run("token", "revoke", "brief")
d.inbox.clear()
d.sync()
equal((state(d.uid, a), [c["seq"] for c in d.inbox]), ("cancelled", [b]),
      "a requester's right is judged again at delivery")
a = invoke(d.uid, "locate")
w.pg.sql(f"UPDATE heliograph.command SET deliver_by = now() - interval '1 s' WHERE seq = {a} AND device_id = '{d.uid}'")
d.inbox.clear()
d.sync()
equal((state(d.uid, a), d.inbox), ("expired", []), "what is late is not delivered")
a = invoke(d.uid, "locate")
equal(w.http("DELETE", f"/things/{d.uid}/actions/locate/{a}", None, token)[0], 204, "what is queued can be cancelled")
d.sync()
equal((state(d.uid, a), d.inbox), ("cancelled", []), "and is never sent")
equal(put(d.uid, "mode", "heat"), 202, "a write of what the device owns is accepted as a wish")
d.sync()
equal((d.inbox[0]["action"], d.inbox[0]["input"]), ("$set", {"name": "mode", "value": "heat"}), "and becomes $set")
d.set("mode", "heat")
d.sync([(d.inbox[0]["seq"], DONE, 0, "")])
equal(get(d.uid, "mode"), "heat", "the device's own change answers it")

# The device loses its store
d = new("lost-store")
put(d.uid, "setpoint", 22)
blink, locate = invoke(d.uid, "blink", {"times": 1}), invoke(d.uid, "locate")
d.set("temperature", 19.5)
d.sync()
d.sync()
old = (d.epoch, d.session)
d.new_store()
d.set("temperature", 18.5)
d.sync()
equal(d.mirrored, {"setpoint": 22}, "a new store hears everything again")
equal(get(d.uid, "temperature"), 18.5, "and its numbers begin again")
equal((state(d.uid, blink), [c["seq"] for c in d.inbox]), ("unknown", [locate]),
      "what it had taken is unknown and not sent again, but for what is repeatable")
d.epoch, d.session = old
equal(d.sync().status, QUARANTINED, "the old store coming back is a second device")

# An older copy of the database
d = new("restored")
put(d.uid, "setpoint", 10)
d.set("temperature", 1)
d.sync()
w.pg.sql("CREATE SCHEMA copy; CREATE TABLE copy.s AS SELECT * FROM heliograph.device_sync WHERE device_id = 'restored';"
         "CREATE TABLE copy.p AS SELECT * FROM heliograph.property WHERE device_id = 'restored'")
put(d.uid, "setpoint", 11)
a = invoke(d.uid, "blink", {"times": 1})
d.set("temperature", 2)
d.set("counter", 3)
d.sync()
d.sync()
w.pg.sql("SET search_path = heliograph; DELETE FROM property WHERE device_id = 'restored'; INSERT INTO property SELECT * FROM copy.p;"
         "DELETE FROM command WHERE device_id = 'restored'; DELETE FROM outbox WHERE device_id = 'restored';"
         "DELETE FROM audit WHERE device_id = 'restored';"
         "DELETE FROM device_sync WHERE device_id = 'restored'; INSERT INTO device_sync SELECT * FROM copy.s")
before = d.mirror_epoch
d.connect()
r = d.take(d.request())
ok(r.flags & FULL and r.mirror_epoch != before, "numbers it never gave tell the mirror that it is older: new epoch, FULL")
while r.flags & (MORE | FULL) or any(s > d.acked for s, _ in d.own.values()):
    r = d.take(d.request())
d.close()
equal((get(d.uid, "temperature"), get(d.uid, "counter"), d.mirrored["setpoint"], get(d.uid, "setpoint")),
      (2, 3, 10, 10), "both sides are equal again")
b = invoke(d.uid, "blink", {"times": 1})
ok(b > a, "a command number is not given twice", f"{a} then {b}")
equal(w.run("restored").split(), ["devices", w.pg.sql("SELECT count(*) FROM heliograph.device")], "the operator says that it was restored")
epoch = d.mirror_epoch
d.inbox.clear()
r = d.sync()
ok(d.mirror_epoch != epoch and d.mirrored["setpoint"] == 10, "every device hears of it")
equal([c["seq"] for c in d.inbox], [b], "and what was queued is still delivered")

# Clones
d = new("clone")
d.sync()
d.sync()
twin = Device(w, "clone", d.bundle)
twin.__dict__.update({k: v for k, v in d.__dict__.items() if k not in ("sock", "ctx", "session_saved")})
equal(d.sync().status, OK, "a device goes on")
equal(twin.sync().status, QUARANTINED, "a copy of its store does not")
equal(d.sync().status, QUARANTINED, "both are quarantined")
ok("two devices use one identity" in w.run("device", "show", "clone"), "the operator sees why")
equal(put("clone", "setpoint", 9), 204, "applications may still write")
w.run("device", "release", "clone")
equal((d.sync().status, d.mirrored), (OK, {"setpoint": 9}), "released, the next is taken for the true one")
equal(twin.sync().status, QUARANTINED, "and the copy is found again")
w.run("device", "release", "clone")
d.session -= 3
equal(d.sync().status, OK, "its counter counts from there")

# Two connections of one device: the first was given up
d = new("twice")
d.sync()
first = Device(w, "twice", d.bundle)
first.__dict__.update({k: v for k, v in d.__dict__.items() if k not in ("sock", "ctx", "session_saved")})
first.connect()
first.request()
d.session += 1
equal(d.connect().request().status, OK, "a newer session is taken")
try:
    status = first.request().status
except (Closed, OSError):
    status = "closed"
equal(status, "closed", "and ends the older")
equal(d.request().status, OK, "without disturbing the newer")
d.close()
equal(w.pg.sql("SELECT state FROM heliograph.device WHERE device_id = 'twice'"), "active", "nobody is quarantined")
equal(w.pg.sql("SET search_path = heliograph; SELECT sync_admit(s, device_epoch, session - 1, 0, 60000), "
               "sync_admit(s, device_epoch, session - 1, 0, 0) FROM device_sync s WHERE device_id = 'twice'"), "6|5",
      "at another mirror process: late when the connection is older than the newer session, else a clone")
w.pg.sql("UPDATE heliograph.device SET state = 'active' WHERE device_id = 'twice'")
d.connect()
d.send_raw(d.frame(d.message()) + d.frame({**d.message(), 4: 1}))
equal((d.recv().status, d.recv().status), (OK, OK), "two requests in one write are answered one after the other")
d.close()
equal(w.stop(), 0, "the mirror ends on SIGTERM")
ok("Sanitizer" not in w.log(), "and nothing was wrong inside")
done()
