#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: limits of time and backoff
"""
A mirror that answers oddly. After each oddity the agent must still run, hold nothing of the bad
answer, back off, and be in order again with the next good one.
"""
import os, re, socket, sys, threading, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, wait_for
from fakemirror import FakeMirror
from syncclient import NOTHING, encode

m = FakeMirror().start()
agent = Agent(m.conf() + """
    mirror.connect_timeout = 500ms
    mirror.session_timeout = 1500ms
    mirror.rounds_max = 20
""").start()
change = [1, 1000, "goal", 5]


def now():
    """The time in ms, which an answer must have for its hints to count."""
    return time.time_ns() // 1_000_000


def status():
    return agent.call("status")["result"]


def good():
    """The next good session: everything is in order."""
    m.script = None
    return wait_for(lambda: agent.call("sync.now")["ok"], "a good session", 10)


def odd(name, script, want, hint=""):
    """One session with this script must fail with a text that holds `want`."""
    m.script = script
    r = agent.call("sync.now")
    text = r.get("error", {}).get("message", "a good session")
    ok(not r["ok"] and want in text, f"{name}: {text}", f"wanted: {want}")
    if not good() or agent.get("goal") is not None or agent.proc.poll() is not None:
        ok(False, name + ": and nothing of it was kept")


def send(data, close=True):
    def script(fake, c, r):
        c.sendall(data)
        if close:
            raise ConnectionError
        c.recv(1)  # until the agent gives up
    return script


def answer(**over):
    return lambda fake, c, r: c.sendall(fake.frame(fake.answer(r, **over)))


def raw(body):
    return send(len(body).to_bytes(4, "big") + body, close=False)


good()
whole = m.frame(m.answer({}, _8=[change]))
body = whole[4:]

odd("closes without an answer", send(b""), "without an answer")
odd("closes in the middle of the length", send(b"\0\0"), "in the middle")
odd("closes in the middle of an answer", send(whole[:-1]), "in the middle")
odd("stops in the middle", send(whole[:-1], close=False), "session_timeout")
odd("says nothing", send(b"", close=False), "session_timeout")
odd("an answer of length 0", send(b"\0\0\0\0"), "length")
odd("an answer that is too long", send(b"\0\4\0\1"), "length")
odd("an answer of 4 GiB", send(b"\xff\xff\xff\xff" + b"x" * 1000), "length")
odd("not CBOR", raw(b"\xff" * 40), "malformed")
odd("an array", raw(b"\x80"), "malformed")
odd("bytes behind the answer", raw(body + b"\0"), "malformed")
odd("cut inside", raw(body[:-3]), "malformed")
odd("a longer head than needed", raw(bytes([0xb8, body[0] & 31]) + body[1:]), "malformed")
odd("indefinite length", raw(b"\xbf" + body[1:] + b"\xff"), "malformed")
odd("two answers", send(whole + whole, close=False), "more than one")
odd("an unknown key below 64", answer(_40=1, _8=[change]), "malformed")
odd("another version", lambda f, c, r: c.sendall(f.frame({**f.answer(r, _8=[change]), 0: 2})), "malformed")
odd("change number 0", answer(_8=[[0, 1, "goal", 1]]), "malformed")
odd("changes that go back", answer(_8=[[2, 1, "goal", 1], [1, 1, "goal", 2]]), "malformed")
odd("a name that is too long", answer(_8=[[1, 1, "g" * 65, 1]]), "malformed")
odd("a value that is too large", answer(_8=[[1, 1, "goal", "v" * 20000]]), "malformed")
odd("a name that is not UTF-8", raw(body.replace(b"goal", b"g\xffal")), "malformed")
odd("too many changes", answer(_8=[[i + 1, 1, f"goal{i}", 1] for i in range(257)]), "malformed")
odd("an epoch of the wrong length", answer(_3=b"short"), "malformed")
odd("an unknown status", lambda f, c, r: c.sendall(f.frame({0: 1, 1: 99, 2: "odd", 6: now()})), "odd")
for number, name in ((1, "bad"), (2, "version"), (3, "uid"), (4, "unknown"), (5, "quarantined"), (6, "busy"),
                     (7, "unavailable")):
    odd(f"status {number}", lambda f, c, r: c.sendall(f.frame({0: 1, 1: number, 2: "because", 6: now()})), "because")
odd("a status with terminal control characters in its detail",
    lambda f, c, r: c.sendall(f.frame({0: 1, 1: 6, 2: "\x1b[2J\nfoo", 6: now()})), "?[2J?foo")
for number, name in ((6, "BUSY"), (7, "UNAVAILABLE")):
    came = []

    def later(fake, c, r):
        came.append(time.monotonic())
        c.sendall(fake.frame({0: 1, 1: number, 6: now(), 7: 600}) if len(came) < 3 else fake.frame(fake.answer(r)))

    m.script = later
    agent.call("sync.now")
    wait_for(lambda: len(came) >= 3, "the third try", 10)
    gaps = [b - a for a, b in zip(came, came[1:])]
    ok(min(gaps[:2]) >= 0.6, f"after {name} nobody comes before the interval of the answer", gaps)
good()
rounds = len(m.requests)
odd("more for ever", answer(_4=1), "rounds_max")
ok(len(m.requests) - rounds <= 22, "but no more than rounds_max requests were made", len(m.requests) - rounds)
odd("everything again for ever", answer(_4=2), "rounds_max")


def unasked(fake, c, r):
    c.sendall(fake.frame(fake.answer(r)))
    c.sendall(fake.frame(fake.answer(r)))
    c.recv(1)


m.script = unasked
r = agent.call("sync.now")
ok(agent.proc.poll() is None, "an answer that nobody asked for does no harm")
good()

# A cursor beyond what we ever sent: our store is an old copy. A new epoch begins.
epoch = m.requests[-1][2]
agent.call("property.set", name="mine", value=1)
good()
m.script = answer(_5=1000)
equal(agent.call("sync.now")["ok"], False, "a mirror that holds more than we ever made")
m.device_cursor = 0
good()
ok(m.requests[-1][2] != epoch and m.held.get("mine") == 1, "begins a new epoch and gets all again")

# TLS that goes wrong
other = FakeMirror()


def refuse(port_owner, name, want):
    agent.stop()
    with open(agent.conf) as f:
        text = f.read()
    with open(agent.conf, "w") as f:
        f.write(text.replace(f"port = {m.port}", f"port = {port_owner}"))
    agent.start()
    text2 = agent.call("sync.now").get("error", {}).get("message", "good")
    ok(want in text2, f"{name}: {text2}")
    agent.stop()
    with open(agent.conf, "w") as f:
        f.write(text)
    agent.start()


other.start()
refuse(other.port, "a mirror of another authority", "tls")


def plain(reply, wait=2):
    s = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            c, _ = s.accept()
            if reply:
                c.sendall(reply)
            threading.Timer(wait, c.close).start()
    threading.Thread(target=serve, daemon=True).start()
    return s.getsockname()[1]


refuse(plain(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "a server of another protocol", "tls")
refuse(plain(b""), "one that never answers the hello", "busy: 127.0.0.1:")
refuse(plain(b"", 0), "one that closes at once", "busy: 127.0.0.1:")
good()

# Backoff: with a mirror that is gone, few attempts, at random moments.
agent.stop()
with open(agent.conf) as f:
    text = f.read()
with open(agent.conf, "w") as f:
    f.write(text.replace("backoff_min = 50ms", "backoff_min = 200ms").replace("backoff_max = 100ms",
                                                                              "backoff_max = 10s"))
agent.start()
good()
m.script = send(b"")
n = len(m.requests)
agent.call("sync.now")
time.sleep(3)  # lint: sleep ok, attempts within a time are counted
tries = len(m.requests) - n
s = status()["sync"]
ok(s["next_why"] == "backoff" and s["policy"]["failed"] == {"protocol": s["sessions_failed"]},
   "status: backing off, with class and count", s)
out = agent.cli("status")[1]
ok(re.search(r": backing off, protocol \d+ in a row", out), "and the command line says so", out)
ok(2 <= tries <= 12, f"a failing mirror is tried ever less often ({tries} times in 3 s from 200 ms on)")
for i in range(50):
    agent.call("property.set", name="busy", value=i, urgent=True)
ok(len(m.requests) - n <= tries + 2, "urgent writes do not break the backoff")
good()
s = status()["sync"]
ok(s["next_why"] == "interval" and s["policy"]["failed"] == {}, "a good session ends it", s)
n, began = len(m.requests), time.monotonic()
for i in range(200):
    agent.call("property.set", name="busy", value=i + 1000, urgent=True)
wait_for(lambda: m.held.get("busy") == 1199, "the last value")
took = time.monotonic() - began
ok(len(m.requests) - n <= 12 + took, f"200 urgent writes made {len(m.requests) - n} requests, at most one a second",
   f"{took:.1f} s")
# Changes bring the next session forward: after interval_soon, or at once when many wait.
agent.stop()
with open(agent.conf) as f:
    text = f.read()
with open(agent.conf, "w") as f:
    f.write(text.replace("interval_soon = 10ms", "interval_soon = 30m\nchanges_many = 3"))
agent.start()
good()
n = len(m.requests)
for i in range(10):
    agent.call("property.set", name="one", value=i)
left, why = (status()["sync"][k] for k in ("next_in_ms", "next_why"))
ok(len(m.requests) == n and left > 1500000, "ten changes of one property wait for interval_soon", left)
equal(why, "change", "status: the next session is because of them")
out = agent.cli("status")[1]
ok("next in 29 min: a property changed" in out or "next in 30 min: a property changed" in out,
   "and the command line says so", out)
agent.call("property.set", name="two", value=1)
agent.call("property.set", name="three", value=1)
wait_for(lambda: m.held.get("three") == 1, "changes_many")
ok(m.held.get("one") == 9, "changes of changes_many properties do not")
m.changes.append([1 << 40, 1000, 'n"\x1b[2J', 5])
good()
ok('n"\\x1b[2J ' in agent.cli("property", "list")[1], "a name from the mirror cannot speak to a terminal")
equal(agent.stop(), 0, "the agent ends cleanly")
done()
