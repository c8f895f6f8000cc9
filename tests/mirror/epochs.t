#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
What docs/model/sync.pml found, at the mirror itself: requests of another time or of another device
are not believed. Each case failed before mirror/sql/0003-epochs.sql.
"""
import os, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, ok, done
from syncclient import BUSY, DONE, FULL, OK, QUARANTINED, Device
from world import MODEL, World

w = World()
w.model(MODEL)
token = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")
w.serve()


def new(uid):
    return Device(w, w.device(uid, "thermo"))


def twin_of(d):
    twin = Device(w, d.uid, d.bundle)
    for k, v in d.__dict__.items():
        if k not in ("sock", "ctx", "session_saved"):
            setattr(twin, k, type(v)(v) if isinstance(v, (dict, list)) else v)
    return twin


def put(d, name, value):
    return w.http("PUT", f"/things/{d.uid}/properties/{name}", value, token)[0]


def get(d, name):
    status, _, body = w.http("GET", f"/things/{d.uid}/properties/{name}", None, token)
    return body if status == 200 else status


def invoke(d, action, value=None):
    _, r, _ = w.http("POST", f"/things/{d.uid}/actions/{action}", value, token)
    return int(r.getheader("Location").rsplit("/", 1)[1])


def state(d, seq):
    return w.pg.sql(f"SELECT state FROM heliograph.command WHERE device_id = '{d.uid}' AND seq = {seq}")


def device_state(d):
    return w.pg.sql(f"SELECT state FROM heliograph.device WHERE device_id = '{d.uid}'")


def level(d):
    """One session to its end, as a device does it."""
    d.connect()
    r = d.take(d.request())
    for _ in range(8):
        if r.status != OK or not (r.flags or r.changes or r.commands or any(s > d.acked for s, _ in d.own.values())):
            break
        r = d.take(d.request())
    d.close()
    return r


# A copy of the store speaks, both are quarantined, the true device is released
d = new("released")
d.set("temperature", 1)
level(d)
twin = twin_of(d)
twin.set("temperature", 77)
twin.session += 3
equal(level(twin).status, OK, "a copy that skipped numbers is taken for the device")
d.set("temperature", 2)
equal((d.seq, twin.seq), (2, 2), "both have given the same number to another change")
equal(level(d).status, QUARANTINED, "the next of the other one finds them out")
w.run("device", "release", d.uid)
equal((level(d).status, get(d, "temperature")), (OK, 2), "released, the true device's change is not lost")
a = new("released-2")
a.set("temperature", 5)
level(a)
put(a, "setpoint", 20)
thief = Device(w, a.uid, a.bundle)
thief.set("counter", 9)
equal(level(thief).status, OK, "a stolen key with an empty store is taken for a device that lost its own")
equal(level(a).status, QUARANTINED, "the device finds it out")
w.run("device", "release", a.uid)
level(a)
level(a)
equal((get(a, "temperature"), get(a, "counter"), a.mirrored["setpoint"]), (5, 404, 20),
      "released, both sides hold the same: nothing of the thief's, everything of the device's")

# A request of a store that was lost comes late
d = new("late")
d.set("temperature", 1)
level(d)
before, epoch = d.session, d.epoch
d.new_store()
level(d)
r = w.pg.sql(f"SET search_path = heliograph; SELECT (sync('{d.uid}', '\\x{epoch.hex()}', {before + 1}, 0, 0, '', 0, 0, "
             "'[]', '[]', 600000)).status")
equal((r, device_state(d)), (str(BUSY), "active"), "it is too late, and no second device")
d.epoch, keep = epoch, d.epoch
equal(level(d).status, QUARANTINED, "on a new connection the lost store is one")

# The clock of the database is put back by an hour
d = new("clock")
level(d)
ahead = "UPDATE heliograph.device_sync SET session_at = now() + interval '1 hour' WHERE device_id = 'clock'"
w.pg.sql(ahead)
equal(level(d).status, OK, "a newer session is taken, though the last seems to lie ahead")
w.pg.sql(ahead)
d.new_store()
equal(level(d).status, OK, "and so is a new store")

# What a lost store held is not held any more
d = new("forgotten")
d.set("temperature", 1)
d.set("counter", 2)
level(d)
d.new_store()
d.set("counter", 3)
level(d)
equal((get(d, "counter"), get(d, "temperature")), (3, 1), "while the device may have more to say, old values stand")
level(d)
equal((get(d, "counter"), get(d, "temperature")), (3, 404), "when it has no more to say, they are gone")
equal(w.pg.sql("SELECT count(*) FROM heliograph.outbox WHERE device_id = 'forgotten' AND name = 'temperature' "
               "AND data IS NULL"), "1", "and whoever follows the device hears of it")

# The mirror is put back, and gives a number twice before the device speaks
d = new("twice")
level(d)
w.pg.sql("CREATE SCHEMA copy; CREATE TABLE copy.s AS SELECT * FROM heliograph.device_sync WHERE device_id = 'twice'")
first = invoke(d, "blink", {"times": 1})
level(d)
for t in ("command", "outbox", "audit", "device_sync"):
    w.pg.sql(f"DELETE FROM heliograph.{t} WHERE device_id = 'twice'")
w.pg.sql("INSERT INTO heliograph.device_sync SELECT * FROM copy.s")
second = invoke(d, "locate")
equal(first, second, "another command has the number of one that the device took")
d.connect()
r = d.take(d.request([(first, DONE, 0, "", "blinked")]))
d.close()
equal((state(d, second), r.flags & FULL), ("unknown", FULL), "the report of the first does not end the second as done")
third = invoke(d, "locate")
level(d)
ok(third in [c["seq"] for c in d.inbox], "and what is asked for then is delivered")

# Revoked
d = new("revoked")
leased = invoke(d, "blink", {"times": 1})
d.connect().request()
d.close()
queued = invoke(d, "locate")
w.run("device", "revoke", d.uid)
equal((state(d, leased), state(d, queued)), ("unknown", "cancelled"), "a revoked device leaves no command open")
equal(w.stop(), 0, "the mirror ends on SIGTERM")
done()
