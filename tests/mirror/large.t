#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Values in parts at the mirror, against devices that do as they like: what does not fit is not taken and said so,
# what is held is bounded, and each quota of a device is a clear refusal.
from pgworld import done, equal, ok, wait_for
from syncclient import OK, Device, decode, encode
from world import World

PART = 98304
BAD_MESSAGE, MORE_TO_SAY = 1, 4
MODEL = {
    "@type": "tm:ThingModel", "title": "Camera", "hg:model": "camera",
    "properties": dict({f"p{i}": {"type": "string", "readOnly": True} for i in range(80)},
                       short={"type": "string", "readOnly": True, "maxLength": 10},
                       map={"type": "string"}, plan={"type": "string"}),
    "actions": {"log": {"output": {"type": "string"}}},
}

w = World("http.body_max = 2M\ndatabase.timeout = 20s\nsync.message_timeout = 20s\nsync.idle_timeout = 5m")
w.model(MODEL)
w.serve()
token = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")


class Client(Device):
    def ask(self, **over):
        """One request of the open session, taken. Returns the response; its partials are in .partial."""
        r = self.take(self.request(**over))
        return r

    def recv(self):
        n = int.from_bytes(self.read(4), "big")
        m = decode(self.read(n))[0]
        from syncclient import Response
        parts = [c for c in m.get(8, []) if len(c) > 4]
        m[8] = [c for c in m.get(8, []) if len(c) <= 4]
        r = Response(m)
        r.size, r.partial, r.parts = n, m.get(12, []), parts
        return r

    def part(self, seq, name, value, offset, size=PART, time=5, total=None, **over):
        data = encode(value) if not isinstance(value, bytes) else value
        return self.ask(_10=[[seq, time, name, total or len(data), offset, data[offset:offset + size]]], **over)

    def report_part(self, seq, value, offset, size=PART, state=4):
        data = encode(value)
        return self.ask(_11=[[seq, state, 0, "", len(data), offset, data[offset:offset + size]]])


def new(uid):
    w.device(uid, "camera")
    d = Client(w, uid).connect()
    d.ask()
    return d


def value(d, name):
    s, _, body = w.http("GET", f"/things/{d.uid}/properties/{name}", token=token)
    return body if s == 200 else None


def held(uid):
    return w.pg.sql(f"SELECT coalesce(sum(length(bytes)), 0) FROM heliograph.partial_part WHERE device_id = '{uid}'")


# Parts in order, and parts that do not belong.
d = new("cam-1")
v = "v" * 250000
r = d.part(3, "p1", v, 0)
equal((r.status, r.partial, r.device_cursor), (OK, [[0, 3, PART]], 0), "the first part is held, the cursor waits")
for name, kw in (("one behind a gap", {"offset": PART + 1}), ("one that overlaps", {"offset": PART - 1})):
    r = d.part(3, "p1", v, **kw)
    equal(r.partial, [[0, 3, PART]], f"{name} is not taken")
for name, kw in (("of another time", {"time": 6}), ("of another size", {"total": 250010}), ("of another number", {"seq": 4}),
                 ("of another name", {"name": "p2"})):
    kw = dict({"seq": 3, "name": "p1"}, **kw)
    r = d.part(value=v, offset=PART, **kw)
    equal(r.partial, [[0, kw["seq"], 0]], f"one {name} is not taken")
equal(d.ask(_5=MORE_TO_SAY).partial, [[0, 3, PART]], "an empty request hears what is held")
equal(d.part(3, "p1", v, 0, size=1000).partial, [[0, 3, 1000]], "offset 0 begins again")
d.close()
d.connect()
equal(d.ask(_5=MORE_TO_SAY).partial, [[0, 3, 1000]], "held in the next session, too")
equal(d.part(3, "p1", v, 1000).partial, [[0, 3, 1000 + PART]], "it goes on")
equal(value(d, "p1"), None, "no value yet")
r = d.part(3, "p1", v, 1000 + PART)
r = d.part(3, "p1", v, 1000 + 2 * PART)
equal((r.partial, r.device_cursor, value(d, "p1") == v, held("cam-1")), ([], 3, True, "0"),
      "whole: the cursor passes it, and nothing is held")
r = d.part(3, "p1", v, 0)
equal((r.partial, held("cam-1")), ([], "0"), "a part of what is held whole is not kept")
r = d.part(4, "p2", "w" * 20000, 0)
equal((r.device_cursor, value(d, "p2")), (4, "w" * 20000), "a single part can be a whole value")

# A newer number takes the place of an older one, whole or not.
d.part(5, "p1", v, 0)
equal(d.part(6, "p1", v, 0, size=500).partial, [[0, 6, 500]], "a newer one takes its place")
equal(held("cam-1"), "500", "and its room")
r = d.ask(_10=[[7, 5, "p1", "small"]])
equal((r.partial, r.device_cursor, value(d, "p1")), ([], 7, "small"), "a small value that is newer ends it")

# Refused, and the cursor passes.
for name, kw, why in (("over object_max", {"value": b"\x7a\x00\x20\x00\x00" + b"x" * 2000, "total": 2097157, "offset": 0}, "object_max"),
                      ("no CBOR when whole", {"value": b"\xff" * 20000, "offset": 0}, "no value"),
                      ("two values", {"value": encode("a" * 20000) + encode(1), "offset": 0}, "no value"),
                      ("too long for the model", {"value": "a" * 20000, "offset": 0, "name": "short"}, "longer than 10")):
    seq = d.device_seq = getattr(d, "device_seq", 7) + 1
    r = d.part(seq, kw.pop("name", "p3"), kw.pop("value"), **kw)
    ok(r.device_cursor == seq and why in r.detail, f"{name}: refused in words", (r.device_cursor, r.detail))
equal(value(d, "p3"), None, "none of them is there")

# Broken messages.
data = encode(v)
for name, over in (("beside a later change", {"_10": [[20, 5, "p1", len(data), 0, data[:10]], [21, 5, "p2", "x"]]}),
                   ("of a value that fits whole", {"_10": [[20, 5, "p1", 16384, 0, data[:10]]]}),
                   ("past the end", {"_10": [[20, 5, "p1", 20000, 19995, data[:10]]]}),
                   ("over 96 KiB", {"_10": [[20, 5, "p1", len(data), 0, data[:PART + 1]]]})):
    equal(d.ask(**over).status, BAD_MESSAGE, f"a part {name} is no message")
    d.close()
    d.connect()
d.close()

# A device that says everything anew, with a large value first: what comes behind it is not taken away meanwhile.
d = new("cam-2")
d.ask(_10=[[1, 5, "p1", "one"], [2, 5, "p2", "two"]])
d.close()
d.new_store()
d.connect()
d.ask()
equal(d.ask(_5=MORE_TO_SAY).status, OK, "a new store, with more to say")
d.part(1, "p0", v, 0)
equal((value(d, "p1"), value(d, "p2")), ("one", "two"), "what it has not said yet stays")
d.part(1, "p0", v, PART)
d.part(1, "p0", v, 2 * PART)
d.ask(_10=[[2, 5, "p1", "one"]])
d.ask()
equal((value(d, "p1"), value(d, "p2")), ("one", None), "when it has said everything the rest goes")
d.part(3, "p4", v, 0)
ok(int(held("cam-2")) == PART, "a part is held")
d.close()
d.new_store()
d.connect()
d.ask()
equal((d.ask(_5=MORE_TO_SAY).partial, held("cam-2")), ([], "0"), "a new epoch drops it")
d.part(1, "p4", v, 0)
d.close()
w.run("restored")
d.connect()
d.ask(_5=MORE_TO_SAY)
equal((d.ask(_5=MORE_TO_SAY).partial, held("cam-2")), ([], "0"), "so does a restored mirror")
d.close()

# To the device.
d = new("cam-3")
w.http("PUT", "/things/cam-3/properties/plan", "before", token=token)
w.http("PUT", "/things/cam-3/properties/map", v, token=token)
r = d.ask()
equal((d.mirrored.get("plan"), r.parts, r.flags & 1), ("before", [], 1), "what is before a large value comes alone, with MORE")
r = d.ask()
seq, _, name, total, offset, piece = r.parts[0]
equal((name, total, offset, len(piece)), ("map", len(encode(v)), 0, PART), "then its first part")
got = piece
for have in (PART, PART, 2 * PART - 5):
    r = d.ask(_12=[[0, seq, have]])
    equal(r.parts[0][4], have, f"from {have} on, as asked")
    got = got[:have] + r.parts[0][5]
r = d.ask(_12=[[0, seq, len(got)]])
got += r.parts[0][5] if r.parts else b""
equal(decode(got)[0] == v, True, "together they are the value")
for name, over in (("of another number", [[0, seq + 1, 10]]), ("beyond the end", [[0, seq, total + 5]]), ("of a report", [[1, seq, 10]])):
    equal(d.ask(_12=over).parts[0][4], 0, f"a partial {name} counts as none")
w.http("PUT", "/things/cam-3/properties/map", "y" * 30000, token=token)
r = d.ask(_12=[[0, seq, PART]])
equal((r.parts[0][0] > seq, r.parts[0][3], r.parts[0][4]), (True, 30005 - 2, 0), "a newer value begins anew")
w.http("PUT", "/things/cam-3/properties/map", "small", token=token)
d.ask(_12=[[0, seq, PART]])
equal(d.mirrored["map"], "small", "a small one comes whole")
d.close()

# Outputs.
d = new("cam-4")
_, _, c = w.http("POST", "/things/cam-4/actions/log", token=token)
path = "/" + c["href"].split("/", 3)[3]
r = d.ask()
n = r.commands[0]["seq"]
r = d.report_part(n, v, 0)
equal((r.partial, w.http("GET", path, token=token)[2]["state"]), ([[1, n, PART]], "received"), "an output in parts: the end waits for the last")
equal(d.report_part(n, v, 5).partial, [[1, n, PART]], "one that does not continue is not taken")
d.report_part(n, v, PART)
r = d.report_part(n, v, 2 * PART)
body = w.http("GET", path, token=token)[2]
equal((r.partial, body["state"], body["output"] == v), ([], "done", True), "the last ends it")
_, _, c = w.http("POST", "/things/cam-4/actions/log", token=token)
path = "/" + c["href"].split("/", 3)[3]
n = d.ask().commands[0]["seq"]
d.ask(_11=[[n, 4, 0, "", 2000000, 0, b"\x7a\x00\x1e\x84\x7b"]])
body = w.http("GET", path, token=token)[2]
ok(body["state"] == "done" and "output" not in body, "an output over object_max is left out, the end counts", body)
ok("object_max" in w.pg.sql("SELECT detail FROM heliograph.command WHERE device_id = 'cam-4' ORDER BY seq DESC LIMIT 1"),
   "and its detail says so")

# Quotas. What counts is what lies in the database, so these values are such as do not compress.
d2 = new("cam-5")
w.pg.sql("""INSERT INTO heliograph.property (device_id, name, owner, value, seq, made_ms)
    SELECT 'cam-5', 'p' || i, 'device', to_jsonb(r), 1, 1 FROM generate_series(1, 66) i,
        (SELECT string_agg(md5(j::text), '') AS r FROM generate_series(1, 31700) j OFFSET 0) x""")
r = d2.part(2, "p70", "v" * 90000, 0)
equal((r.device_cursor, r.detail), (2, ""), "large values of a device may take 64 MiB")
w.pg.sql("UPDATE heliograph.property SET name = 'p78' WHERE device_id = 'cam-5' AND name = 'p1'")
w.pg.sql("INSERT INTO heliograph.property (device_id, name, owner, value, seq, made_ms)"
         " SELECT device_id, 'p1', owner, value, seq, made_ms FROM heliograph.property WHERE device_id = 'cam-5' AND name = 'p78'")
r = d2.part(3, "p71", "v" * 90000, 0)
ok(r.device_cursor == 3 and "allowed" in r.detail, f"and no more: {r.detail}")
s, _, body = w.http("PUT", "/things/cam-5/properties/map", "x" * 50000, token=token)
ok(s == 413 and "allowed" in body["detail"], "of an application neither", body)
seq = 3
equal(d2.ask(_10=[[seq + 1, 5, "p79", "small"]]).detail, "", "a small one is still taken")
d2.close()
w.pg.sql("""INSERT INTO heliograph.command (device_id, seq, action, token_id, repeatable, execute_within_ms, deliver_by)
    SELECT 'cam-1', i, 'log', 1, false, 0, now() + interval '1 day' FROM generate_series(1, 999) i;
    UPDATE heliograph.device_sync SET command_seq = 999 WHERE device_id = 'cam-1'""")
s, _, body = w.http("POST", "/things/cam-1/actions/log", token=token)
equal(s, 201, "a thousandth command is queued")
s, _, body = w.http("POST", "/things/cam-1/actions/log", token=token)
ok(s == 429 and "1000 commands" in body["detail"], "one more is not", (s, body))
s, _, body = w.http("PUT", "/things/cam-1/properties/map", "x" * (1 << 20), token=token)
ok(s == 413 and "1048576" in body["detail"], "a value of an application over object_max", body)
equal(w.pg.sql("SELECT max(n) FROM (SELECT count(*) AS n FROM heliograph.partial GROUP BY device_id) x") or "0", "0",
      "nothing unfinished is left")
ok(int(w.pg.sql("SELECT max(octet_length(data::text)) FROM heliograph.outbox")) < 70000, "the outbox keeps no large values")
ok(int(w.pg.sql("SELECT max(octet_length(data::text)) FROM heliograph.audit")) < 70000, "nor does the audit")
equal(w.stop(), 0, "the mirror ends well")
done()
