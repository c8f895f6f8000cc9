#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
What comes as early data and is not the idle request that may: nothing of it counts before the handshake is done, then
it counts as any request does. Copies of what may are in tests/agent/early.t.
"""
import os, subprocess, sys, threading
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pgworld import BUILD, done, equal, ok, wait_for
from syncclient import BAD_MESSAGE, OK, UNKNOWN_DEVICE, WRONG_UID, Device, Response, decode
from world import World

KEY = 2
w = World("sync.psk_key = @/ca/psk.key\nsync.psk_life = 1h\nsync.early = yes\nsync.idle_timeout = 1s\n"
          "sync.message_timeout = 1s\ndatabase.timeout = 5m\nsync.handshake_timeout = 1m").serve()
w.device("dev-1")
d = Device(w, "dev-1")
token = w.token("all", "--right", "write", "--right", "invoke", "--device", "dev-1")


def first_contact():
    d.connect()
    r = d.take(d.request(full=True, _5=1 | KEY))
    d.take(d.request())
    d.close()
    return r.psk[0].hex(), r.psk[1].hex()


def early(data, *more, key=None):
    """A session of which this is the early data: (accepted or rejected, the first response or why there is none)."""
    r = subprocess.run([BUILD + "/tests/mirror/earlyclient", str(w.sync_port), d.bundle, w.dir + "/ca/ca.crt", *(key or psk), *more],
                       input=data, capture_output=True, timeout=60)
    lines = dict(x.split(": ", 1) for x in r.stdout.decode().splitlines())
    if r.returncode:
        raise RuntimeError(r.stderr)
    answer = lines.get("answer")
    return lines.get("early"), Response(decode(bytes.fromhex(answer)[4:])[0]) if answer else lines["end"]


def request(**over):
    """The idle request of the next session, but for what is said."""
    d.session += 1
    d.round = 0
    return d.frame(d.message(**over))


def recorded():
    """The session that the mirror has heard of last."""
    return tuple(map(int, w.pg.sql("SELECT session, round FROM heliograph.device_sync WHERE device_id = 'dev-1'").split("|")))


def settled(what):
    wait_for(lambda: recorded() == (d.session, 0), what, 20)
    ok(True, what)


psk = first_contact()
how, r = early(request())
equal((how, r.status, r.changes, r.commands), ("accepted", OK, [], []), "an idle request that comes early is answered")
equal((r.mirror_epoch, r.device_cursor), (d.mirror_epoch, d.acked), "by what the device knows already")
settled("and recorded")

d.set("temperature", 20.5)
how, r = early(request())
equal((how, r.status, r.device_cursor), ("accepted", OK, d.seq), "a change that comes early is taken all the same, after the handshake")
d.take(r)
settled("once")
how, r = early(request(_5=KEY))
ok(how == "accepted" and r.status == OK and r.psk, "and a key is handed out, after the handshake")
psk_2 = r.psk[0].hex(), r.psk[1].hex()
ok(early(request(), key=psk_2)[1].status == OK, "with which early data is taken, too")
w.http("PUT", "/things/dev-1/properties/setpoint", 21, token)
w.http("POST", "/things/dev-1/actions/blink", {"times": 1}, token)
how, r = early(request())
equal((how, [c[1] for c in r.changes], [c["action"] for c in r.commands]), ("accepted", ["setpoint"], ["blink"]),
      "what there is to hear is told after the handshake")
d.take(r)
how, r = early(request(reports=[(1, 4, 0, "")]))
equal((how, r.status), ("accepted", OK), "a report is taken after it")
equal(w.pg.sql("SELECT state FROM heliograph.command"), "done", "and counts")
settled("in its session")

base = recorded()
how, r = early(request()[:-1])
ok(how == "accepted" and "reading" in r, "half a request that comes early is half a request: no answer", r)
how, r = early(b"\0\0\0\1\xff")
equal((how, r.status), ("accepted", BAD_MESSAGE), "no CBOR: refused")
how, r = early(b"\0\0\0\0")
equal((how, r.status), ("accepted", BAD_MESSAGE), "a length of 0: refused")
how, r = early(b"\xff\xff\xff\xff")
equal((how, r.status), ("accepted", BAD_MESSAGE), "a length over the limit: refused")
how, r = early(request(_1="dev-2"))
equal((how, r.status), ("accepted", WRONG_UID), "another UID than the key's: refused")
how, r = early(request() + bytes(1024), "16384")
ok("unexpected message" in r, "more early data than is allowed ends the handshake", r)
how, r = early(bytes(1024))
equal((how, r.status), ("accepted", BAD_MESSAGE), "as much as is allowed does not")
equal(recorded(), base, "nothing of this counts")
two = request() + d.frame(d.message(_4=1))
how, r = early(two)
equal((how, r.status), ("accepted", OK), "two requests at once come one after the other")
wait_for(lambda: recorded() == (d.session, 1), "the second one", 20)
ok(True, "and both count")

other = ("00" + "11" * 54, psk[1])
how, r = early(request(), key=other)
ok(how == "rejected" and "reading" in r, "with a key that nobody made early data is not read, and the request waited for", (how, r))

def question_waits():
    """The request of the session is at the database, so its handshake is done."""
    return w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query !~ 'sync_early'") != "0"


lock = w.pg.session()
lock.run("BEGIN; LOCK TABLE heliograph.device_sync IN ACCESS EXCLUSIVE MODE")
answers = []
slow = threading.Thread(target=lambda: answers.append(early(request(), key=psk_2)))
slow.start()
wait_for(question_waits, "the request after the handshake", 60)
ok(True, "a database that does not answer does not hold the handshake up")
lock.run("COMMIT")
slow.join()
equal((answers[0][0], answers[0][1].status), ("accepted", OK), "and the answer comes when it does")
settled("of a request that counts once")

w.run("device", "revoke", "dev-1")
how, r = early(request())
equal((how, r.status), ("accepted", UNKNOWN_DEVICE), "a revoked device hears that it is, not that nothing waits")
equal(w.stop(), 0, "the mirror ends cleanly")
done()
