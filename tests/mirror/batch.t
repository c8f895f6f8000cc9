#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: statements that are slow on purpose
"""
Requests of many devices in one transaction: the same as one by one, and one device that fails, is locked, is
unknown, revoked, quarantined or a clone, harms no other.
"""
import json, os, sys, threading
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, ok, done, wait_for
from syncclient import BAD_MESSAGE, BUSY, OK, UNAVAILABLE, UNKNOWN_DEVICE, Closed, Device
from world import World

w = World("database.connections = 4\ndatabase.timeout = 10s\nsync.threads = 3")
token = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")
HEAD = "SET search_path = heliograph; "


def sql(text):
    return w.pg.sql(HEAD + text)


def array(kind, values):
    return f"ARRAY[{', '.join(values)}]::{kind}[]"


def batch(requests):
    """Rows of sync_batch(), one per request: {uid: (status, flags, cursor, changes, commands)}."""
    names = ["device", "epoch", "session", "round", "flags", "mirror_epoch", "mirror_cursor", "command_cursor",
             "changes", "reports", "accepted"]
    kinds = ["text", "bytea", "bigint", "integer", "integer", "bytea", "bigint", "bigint", "jsonb", "jsonb", "bigint"]
    columns = [array(k, [str(r[n]) if isinstance(r[n], int) else f"'{r[n]}'" for r in requests]) for n, k in zip(names, kinds)]
    out = sql("SET statement_timeout = '20s'; SELECT b.n, (b.reply).status, (b.reply).flags, (b.reply).device_cursor, jsonb_array_length((b.reply).changes), "
              f"jsonb_array_length((b.reply).commands) FROM sync_batch({', '.join(columns)}) b ORDER BY n")
    rows = [line.split("|") for line in out.splitlines()]
    equal([int(r[0]) for r in rows], list(range(1, len(requests) + 1)), f"{len(requests)} requests, a row for each")
    return {q["device"]: tuple(int(x or 0) for x in r[1:]) for q, r in zip(requests, rows)}


def request(uid, session, **over):
    r = {"device": uid, "epoch": "\\x" + uid.encode().hex().ljust(32, "0")[:32], "session": session, "round": 0,
         "flags": 0, "mirror_epoch": "", "mirror_cursor": 0, "command_cursor": 0, "changes": "[]", "reports": "[]",
         "accepted": 2**53, **over}  # just now, and none is late
    return r


def epochs():
    return dict(line.split("|") for line in sql("SELECT device_id, mirror_epoch FROM device_sync").splitlines())


def change(seq, value=1):
    return json.dumps([{"seq": seq, "name": "counter", "time": 0, "value": value}])


def one(r):
    """The row of sync_one(), as batch() tells it."""
    out = sql("SELECT status, flags, device_cursor, jsonb_array_length(changes), jsonb_array_length(commands) FROM sync_one("
              + ", ".join(str(v) if isinstance(v, int) else f"'{v}'" for v in r.values()) + ")")
    return tuple(int(x or 0) for x in out.split("|"))


# The function by itself
uids = [w.device(f"b{i}") for i in range(12)]
got = batch([request(u, 1, changes=change(1)) for u in uids])
equal(set(got.values()), {(0, 0, 1, 0, 0)}, "first contact of all, with a change each")
known = epochs()
got = batch([request(u, 2, mirror_epoch=known[u]) for u in uids])
equal(set(got.values()), {(0, 0, 1, 0, 0)}, "all idle")
equal(sql("SELECT DISTINCT session, round, device_cursor, mirror_cursor, command_cursor, session_at = last_seen FROM device_sync"),
      "2|0|1|0|0|f", "and their rows say so")
sql("UPDATE device SET state = 'revoked' WHERE device_id = 'b1'; UPDATE device SET state = 'quarantined' WHERE device_id = 'b2'")
sql("SELECT property_store(t, d, 'setpoint', '21', NULL) FROM token t, device d WHERE device_id = 'b6'")
sql("INSERT INTO command (device_id, seq, action, token_id, repeatable, execute_within_ms, deliver_by) "
    "SELECT 'b7', 1, 'restart', token_id, false, 0, now() + '1 h' FROM token; "
    "UPDATE device_sync SET command_seq = 1 WHERE device_id = 'b7'")
sql("""CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF NEW.device_id IN ('b4', 'b9') AND NEW.value = '7' THEN RAISE EXCEPTION 'spoiled' USING ERRCODE = '22000'; END IF;
       RETURN NEW; END $$;
       CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON property FOR EACH ROW EXECUTE FUNCTION spoil()""")
holder = w.pg.session()
holder.run(HEAD + "BEGIN; SELECT FROM device_sync WHERE device_id = 'b3' FOR UPDATE")
over = {"b4": {"changes": change(2, 7)}, "b5": {"session": 2}, "b8": {"changes": change(2)},
        "b10": {"flags": 1}, "b11": {"session": 2, "round": 1}}
requests = [request(u, 3, mirror_epoch=known[u]) | over.get(u, {}) for u in uids] + [request("nobody", 1)]
got = batch(requests)
equal(got, {"b0": (0, 0, 1, 0, 0), "b1": (4, 0, 0, 0, 0), "b2": (5, 0, 0, 0, 0), "b3": (-1, 0, 0, 0, 0), "b4": (-2, 0, 0, 0, 0),
            "b5": (5, 0, 0, 0, 0), "b6": (0, 0, 1, 1, 0), "b7": (0, 0, 1, 0, 1), "b8": (0, 0, 2, 0, 0),
            "b9": (0, 0, 1, 0, 0), "b10": (0, 0, 1, 0, 0), "b11": (0, 0, 1, 0, 0), "nobody": (4, 0, 0, 0, 0)},
      "idle, revoked, quarantined, held, spoiled, clone, with a change, with a command, unknown: each its own answer")
equal(sql("SELECT device_id, session, round FROM device_sync WHERE device_id IN ('b3', 'b4', 'b11') ORDER BY 1"),
      "b11|2|1\nb3|2|0\nb4|2|0", "what is left out left nothing behind")
equal(sql("SELECT state FROM command WHERE device_id = 'b7'"), "leased", "the command is leased")
equal(sql("SELECT state FROM device WHERE device_id = 'b5'"), "quarantined", "the clone is in quarantine")
got = batch([request("b6", 4, mirror_epoch=known["b6"], mirror_cursor=1), request("b7", 4, mirror_epoch=known["b7"], command_cursor=1),
             request("b0", 4, mirror_epoch=known["b0"], mirror_cursor=9)])
equal((got, sql("SELECT state FROM command WHERE device_id = 'b7'")),
      ({"b6": (0, 0, 1, 0, 0), "b7": (0, 0, 1, 0, 0), "b0": (0, 2, 0, 0, 0)}, "received"),
      "cursors that moved are seen, and one that no mirror gave")

# One that waits for a lock of somebody else
other = w.pg.session()
other.run(HEAD + "BEGIN; UPDATE device SET reason = 'held' WHERE device_id = 'b0'")
got = batch([request("b0", 1, mirror_epoch=known["b0"]), request("b10", 4, mirror_epoch=known["b10"])])
equal(got, {"b0": (-2, 0, 0, 0, 0), "b10": (0, 0, 1, 0, 0)}, "a clone that cannot be put into quarantine yet: the other one is level")
other.run("ROLLBACK")

# The same one by one
over = {"b0": {"mirror_epoch": epochs()["b0"], "mirror_cursor": 9}, "b6": {"mirror_cursor": 0}, "b7": {"command_cursor": 1},
        "b8": {"changes": change(3)}, "b9": {"flags": 2}, "b10": {"flags": 4}, "b11": {"session": 2, "round": 2}}
got = {u: one(request(u, 9, mirror_epoch=known[u]) | over.get(u, {})) for u in uids if u != "b4"}
equal(got, {"b0": (0, 0, 0, 0, 0), "b1": (4, 0, 0, 0, 0), "b2": (5, 0, 0, 0, 0), "b3": (-1, 0, 0, 0, 0), "b5": (5, 0, 0, 0, 0),
            "b6": (0, 0, 1, 1, 0), "b7": (0, 0, 1, 0, 0), "b8": (0, 0, 3, 0, 0), "b9": (0, 0, 1, 0, 0),
            "b10": (0, 0, 1, 0, 0), "b11": (0, 0, 1, 0, 0)}, "a batch of one: the same, and what is held is left")
equal(one(request("nobody", 1))[0], 4, "and the unknown")
equal(one(request("b11", 2, mirror_epoch=known["b11"]))[0], 5, "a request twice is a clone")
equal(sql("SELECT device_id, session, round, session_at < last_seen, mirror_cursor, command_cursor FROM device_sync "
          "WHERE device_id IN ('b3', 'b7', 'b9') ORDER BY 1"), "b3|2|0|f|0|0\nb7|9|0|f|0|1\nb9|9|0|f|0|0", "and their rows say so")
holder.run("ROLLBACK")
sql("UPDATE command SET state = 'received' WHERE device_id = 'b7'")
one(request("b7", 10, mirror_epoch=known["b7"], command_cursor=0, changes=change(2, 2),
            reports=json.dumps([{"seq": 1, "state": "executing", "exit": 0, "detail": ""}])))
equal(sql("SELECT kind, data FROM outbox WHERE device_id = 'b7' ORDER BY seq DESC LIMIT 3"),
      'command|{"state": "unknown"}\ncommand|{"state": "executing"}\nproperty|2', "what ends a command is told after what it reported")
equal(one(request("b3", 9, mirror_epoch=known["b3"]))[0], 0, "let go, it is taken")

# Through the mirror: all at once, some of them bad
many = [Device(w, w.device(f"m{i}")) for i in range(40)]
sql("UPDATE device SET state = 'revoked' WHERE device_id = 'm1'")
sql("CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF NEW.device_id IN ('m2', 'm3') AND NEW.value = '7' THEN RAISE EXCEPTION 'spoiled' USING ERRCODE = '22000'; END IF; "
    "RETURN NEW; END $$")
w.serve()
answers = {}


def sync_of(d):
    try:
        answers[d.uid] = d.sync().status
    except (Closed, OSError) as e:
        answers[d.uid] = repr(e)


def together(devices):
    threads = [threading.Thread(target=sync_of, args=(d,)) for d in devices]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    return {u: s for u, s in answers.items() if s != OK}


equal(together(many), {"m1": UNKNOWN_DEVICE}, "40 devices at once: all but the revoked one are level")
many[2].set("counter", 7)
many[3].set("counter", 7)
for d in many[4:9]:
    d.set("counter", 8)
holder.run("BEGIN; SELECT FROM device_sync WHERE device_id = 'm5' FOR UPDATE")
late = many[5]
waits = threading.Thread(target=sync_of, args=(late,))
answers.clear()
waits.start()
equal(together([d for d in many if d not in (late, many[1])]), {"m2": BAD_MESSAGE, "m3": BAD_MESSAGE},
      "two whose data the database refuses hear so, the others are level")
equal("m5" in answers, False, "the one whose row is held waits, and holds up nobody")
holder.run("COMMIT")
waits.join(20)
equal(answers.get("m5"), OK, "until it is let go")
equal(sql("SELECT count(*) FROM property WHERE name = 'counter' AND device_id LIKE 'm%'"), "5", "their changes are there")

# The database dies under them: nobody is told that something was kept, and afterwards all is well
w.pg.kill()
answers.clear()
got = together(many)
ok(set(got.values()) <= {UNAVAILABLE, BUSY} and len(got) == 40, "without a database: UNAVAILABLE", got)
w.pg.start()
wait_for(w.healthy, "the mirror to find it again")


def all_level():
    answers.clear()
    return set(together(many)) == {"m1", "m2", "m3"}


wait_for(all_level, "all devices", 30)
equal(sql("SELECT count(*) FROM device WHERE state = 'quarantined' AND device_id LIKE 'm%'"), "0", "nobody was mistaken for a clone")
equal(w.stop(), 0, "the mirror ends on SIGTERM")

# Without batches all goes the same way, one by one
with open(w.conf) as f:
    conf = f.read()
with open(w.conf, "w") as f:
    f.write(conf.replace("[sync]\n", "[sync]\nbatch = 1\n"))
w.serve()
many[20].set("counter", 9)
many[21].set("counter", 9)
holder = w.pg.session()
holder.run("SET search_path = heliograph")
holder.run("BEGIN; SELECT FROM device_sync WHERE device_id = 'm5' FOR UPDATE")
answers.clear()
waits = threading.Thread(target=sync_of, args=(late,))
waits.start()
equal(together([d for d in many if d is not late]), {"m1": UNKNOWN_DEVICE, "m2": BAD_MESSAGE, "m3": BAD_MESSAGE}, "batch = 1: the same answers")
holder.run("COMMIT")
waits.join(20)
equal(answers.get("m5"), OK, "and the one whose row was held")
equal(sql("SELECT count(*) FROM property WHERE name = 'counter' AND value = '9'"), "2", "and changes")
equal(w.stop(), 0, "and the end")

# A database that is so slow that a whole batch takes longer than a statement may
with open(w.conf, "w") as f:
    f.write(conf.replace("timeout = 10s", "timeout = 1s").replace("threads = 3", "threads = 1"))
sql("CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END $$")
w.serve()
slow, rounds = many[10:], 0
for d in slow:
    d.set("counter", 5)
while slow and rounds < 10:
    answers.clear()
    together(slow)
    slow = [d for d in slow if answers[d.uid] != OK]
    rounds += 1
ok(not slow, f"30 devices of 0.1 s each, a second for a statement: level after {rounds} rounds", answers)
equal(w.stop(), 0, "and the end")
done()
