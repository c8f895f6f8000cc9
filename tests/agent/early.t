#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Early data between the agent and a real mirror, through a relay that keeps what passes: an idle session by key takes
one flight of the mirror; whoever sends a first flight again, before or after the device's own, changes nothing;
whatever has something to say or to hear waits for the handshake.
"""
import os, queue, shutil, socket, sys, threading
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, wait_for
from world import World


class Relay:
    """One connection after the other from the device to the mirror."""

    def __init__(self, to):
        self.to, self.held, self.cut = to, None, False
        self.ended = 0  # connections that the mirror has closed
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.last = None  # of the newest connection: [from the device?, bytes] of each turn
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            device = self.listener.accept()[0]
            self.last = []
            threading.Thread(target=self.begin, args=(device, self.last), daemon=True).start()

    def begin(self, device, turns):
        """The mirror hears of a connection when there is something to say to it."""
        turns.append([True, device.recv(65536)])
        self.pause(turns)
        mirror = socket.create_connection(("127.0.0.1", self.to))
        mirror.sendall(turns[0][1])
        threading.Thread(target=self.carry, args=(mirror, device, False, turns), daemon=True).start()
        self.carry(device, mirror, True, turns)

    def pause(self, turns):
        if self.held and len(turns) == self.held[0]:
            held = self.held
            held[1].put(turns[-1][1])
            held[2].get()

    def carry(self, a, b, ours, turns):
        try:
            while data := a.recv(65536):
                if turns and turns[-1][0] == ours:
                    turns[-1][1] += data
                else:
                    turns.append([ours, data])
                if ours:
                    self.pause(turns)
                if not (self.cut and ours and len(turns) > 1):
                    b.sendall(data)
            self.ended += not ours
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def hold(self, turn=1):
        """This turn of the next session, a device's, waits until the second queue has something; the first gets it."""
        self.held = turn, queue.Queue(), queue.Queue()
        return self.held[1:]


def records(data):
    """Types of TLS records, and how long they are."""
    out = []
    while data:
        n = int.from_bytes(data[3:5], "big")
        out.append((data[0], n))
        data = data[5 + n:]
    return out


def send(flight):
    """As somebody who has copied it: the connection, and what the mirror says in its first turn."""
    s = socket.create_connection(("127.0.0.1", w.sync_port), timeout=20)
    s.sendall(flight)
    said = b""
    while True:
        try:
            part = s.recv(65536)
        except TimeoutError:
            break
        if not part:
            break
        said += part
        s.settimeout(0.3)
    return s, said


w = World("sync.psk_key = @/ca/psk.key\nsync.psk_life = 1h\nsync.early = yes\nsync.handshake_timeout = 10m")
w.serve()
uid = w.device("dev-1")
b = f"{w.dir}/bundles/{uid}"
relay = Relay(w.sync_port)
agent = Agent(f"""
    device.model = {w.dir}/model.json
    mirror.host = localhost
    mirror.port = {relay.port}
    mirror.ca = {w.dir}/ca/ca.crt
    mirror.cert = {b}/device.crt
    mirror.key = {b}/device.key
    mirror.early = yes
    mirror.interval = 1h
    mirror.interval_max = 2h
    mirror.interval_soon = 1h
    mirror.backoff_min = 20m
    mirror.linger = 20s
    mirror.changes_many = 100
""")
token = w.token("all", "--right", "read", "--right", "write", "--right", "invoke", "--device", uid)


def status():
    return agent.call("status")["result"]["sync"]


def sync():
    code, out, err = agent.cli("sync", "now")
    return out.strip() if code == 0 else f"{code}: {err.strip()}"


def background():
    """A session now, in a thread, which puts what is said of it into a queue."""
    out = queue.Queue()
    threading.Thread(target=lambda: out.put(sync()), daemon=True).start()
    return out


def stored():
    """All that the mirror keeps of the device, but when it was last seen."""
    tables = {"device": "device_id, state, reason", "device_sync": "*", "property": "*", "command": "*", "outbox": "*", "audit": "*"}
    return [w.pg.sql(f"SELECT {what} FROM heliograph.{t} ORDER BY 1") for t, what in tables.items()]


def session():
    return int(w.pg.sql("SELECT session FROM heliograph.device_sync"))


def recorded(number):
    """The request is recorded once the device's last flight is here: it does not wait for that."""
    wait_for(lambda: session() == number, "the record of the session", 20)


agent.start()
wait_for(lambda: status()["sessions_good"], "the first session")
ok("early" not in status()["last_text"], "first contact sends nothing early", status()["last_text"])
before = session()
text = sync()
ok(text.endswith("1 rounds, resumed by key, early"), "an idle session by key is early", text)
recorded(before + 1)
ok(True, "and recorded")
wait_for(lambda: len(relay.last) >= 3, "the last flight")
equal([t[0] for t in relay.last[:3]], [True, False, True], "one turn each way and the device's last: two round trips with TCP's")
early = relay.last[0][1]
types = [t for t, n in records(early)]
ok(types[0] == 22 and types[-1] == 23, "the first flight has encrypted data", types)
answered = len(relay.last[1][1])

# Copies sent after the original.
base = stored()
copies = [send(early) for _ in range(3)]
ok(all(len(said) for s, said in copies), "a copy of its first flight is not turned away")
ok(all(len(said) < answered - 40 for s, said in copies), "but gets no answer beside the mirror's part of the handshake",
   ([len(said) for s, said in copies], answered))
for s, said in copies:
    s.close()
equal(stored(), base, "and changes nothing")
w.stop()
w.serve()
copies = [send(early)]
ok(all(0 < len(said) < answered - 40 for s, said in copies), "nor from a mirror that has forgotten it", ([len(said) for s, said in copies], answered))
equal(stored(), base, "which changes nothing, too")

# Copies sent before the original.
took, let = relay.hold()
in_background = background()
flight = took.get(timeout=20)
copies = [send(flight) for _ in range(3)]
equal([len(said) >= answered - 2 for s, said in copies], [True, False, False],
      "a copy that is sent before the original is answered once, for whoever can read it")
equal(stored(), base, "and changes nothing")
w.stop()
w.serve()
copies = [send(flight)]
ok(len(copies[0][1]) >= answered - 2, "once more by a mirror that has forgotten it")
w.stop()
w.serve()
relay.held = None
before = session()
let.put(1)
text = in_background.get(timeout=20)
ok(text.endswith("1 rounds, resumed by key, early"), "the original is served as if there had been none", text)
recorded(before + 1)
equal(w.pg.sql("SELECT state FROM heliograph.device"), "active", "nobody is in quarantine")

# A session with something to say, or to hear.
agent.call("property.set", name="temperature", value=20.5)
text = sync()
ok("1 sent" in text and "early" not in text, "changes do not go early", text)
before = session()
w.http("PUT", f"/things/{uid}/properties/setpoint", 21, token)
text = sync()
ok("1 received" in text and text.endswith("2 rounds, resumed by key, early"), "what there is to hear comes after the handshake", text)
equal((agent.get("setpoint"), session()), (21, before + 1), "and is taken, in one session")

# Something to hear that comes between the answer and the device's last flight.
took, let = relay.hold(3)
in_background = background()
took.get(timeout=20)
w.http("PUT", f"/things/{uid}/properties/setpoint", 22, token)
w.http("POST", f"/things/{uid}/actions/restart", None, token)
before = session()
relay.held = None
let.put(1)
text = in_background.get(timeout=20)
ok("0 received, 0 commands" in text and text.endswith("early"), "what comes behind an early answer is not part of it", text)
recorded(before + 1)
text = sync()
ok("1 received, 1 commands" in text, "it is told in the next session", text)
equal(agent.get("setpoint"), 22, "and taken")
equal(w.pg.sql("SELECT state, leases FROM heliograph.command"), "failed|2", "the command was leased twice and run once: there is no handler")
w.pg.sql("DELETE FROM heliograph.command")

# Copies while a session of the device is open.
agent.handler("blink", f"#!/bin/sh\nwhile ! [ -e {w.dir}/go ]; do sleep 0.05; done\n")
w.http("POST", f"/things/{uid}/actions/blink", {"times": 1}, token)
in_background = background()
wait_for(lambda: w.pg.sql("SELECT state FROM heliograph.command") == "leased", "the command with the device", 20)
copies = [send(early), send(flight)]
open(w.dir + "/go", "w").close()
text = in_background.get(timeout=30)
ok("1 commands, 2 reports" in text or "1 commands, 1 reports" in text, "copies do not end a session that is under way", text)
for s, said in copies:
    s.close()
equal(w.pg.sql("SELECT state FROM heliograph.command"), "done", "of which the command ends well")

# The device's last flight comes when its next session is open already.
os.remove(w.dir + "/go")
took, let = relay.hold(3)
text = sync()
ok(text.endswith("early"), "the device is done with a session before the mirror is", text)
took.get(timeout=20)
relay.held = None
w.http("POST", f"/things/{uid}/actions/blink", {"times": 2}, token)
in_background = background()
wait_for(lambda: w.pg.sql("SELECT max(seq) FROM heliograph.command WHERE state = 'leased'"), "the next command with the device", 20)
ended = relay.ended
let.put(1)
wait_for(lambda: relay.ended > ended, "the end of the older session", 20)
open(w.dir + "/go", "w").close()
text = in_background.get(timeout=30)
ok("1 commands, 2 reports" in text or "1 commands, 1 reports" in text, "what comes late ends itself, not the newer session", text)
equal(w.pg.sql("SELECT state FROM heliograph.device"), "active", "and is no clone")

# The device's last flight does not come: the session is not recorded, its number passed over.
base = stored()
took, let = relay.hold()
in_background = background()
cut = took.get(timeout=20)
relay.held, relay.cut = None, True
let.put(1)
text = in_background.get(timeout=30)
ok(text.endswith("early"), "an answer without which the mirror hears no more is good to the device", text)
w.stop()
relay.cut = False
equal(stored(), base, "and changes nothing at the mirror")
w.serve()
before = session()
text = sync()
ok(text.endswith("early"), "the next session is as any other", text)
recorded(before + 2)
equal(w.pg.sql("SELECT state FROM heliograph.device"), "active", "still nobody is in quarantine")

# A copied store: the other device's numbers are found out, early or not.
agent.stop()
shutil.copytree(agent.dir + "/state", w.dir + "/copy")
agent.start()
wait_for(lambda: status()["sessions_good"], "the session of one")
ok(status()["last_text"].endswith("early"), "one of two devices with one store comes", status()["last_text"])
agent.stop()
shutil.rmtree(agent.dir + "/state")
shutil.move(w.dir + "/copy", agent.dir + "/state")
agent.start()
wait_for(lambda: status()["sessions_failed"], "the session of the other")
ok("quarantined" in status()["last_text"], "and then the other, which is found out", status()["last_text"])
w.run("device", "release", uid)
ok("rounds" in sync(), "until it is released", status()["last_text"])
ok(sync().endswith("early"), "and then early again", status()["last_text"])

# A key of the previous secret is to be replaced, which takes the whole handshake.
w.run("psk-key", w.dir + "/new.key")
w.stop()
with open(w.conf) as f:
    text = f.read()
with open(w.conf, "w") as f:
    f.write(text.replace("ca/psk.key", "new.key\npsk_key_previous = " + w.dir + "/ca/psk.key"))
w.serve()
text = sync()
ok(text.endswith("1 rounds, resumed by key"), "a key of the previous secret is taken, but nothing early", text)
ok(sync().endswith("early"), "with the next key it is again", status()["last_text"])

# A copy before the original at a mirror that remembers.
took, let = relay.hold()
in_background = background()
copy = send(took.get(timeout=20))[0]
before = session()
relay.held = None
let.put(1)
text = in_background.get(timeout=20)
ok(text.endswith("1 rounds, resumed by key"), "an original that comes second is sent again after the handshake", text)
equal(session(), before + 1, "and counts")
copy.close()
agent.stop()
agent.start()
wait_for(lambda: status()["sessions_good"], "a session after a restart")
ok(status()["last_text"].endswith("early"), "and early data is sent again after a day, or a restart", status()["last_text"])

# A mirror that takes none.
w.stop()
with open(w.conf) as f:
    text = f.read()
with open(w.conf, "w") as f:
    f.write(text.replace("early = yes", "early = no"))
w.serve()
text = sync()
ok(text.endswith("1 rounds, resumed by key") and status()["sessions_failed"] == 0,
   "a mirror that takes no early data is sent the request again", text)
size = len(relay.last[0][1])
sync()
ok(len(relay.last[0][1]) < size - 60, "and no early data the next time", (size, len(relay.last[0][1])))

equal(agent.stop(), 0, "the agent ends cleanly")
equal(w.stop(), 0, "so does the mirror")
done()
