#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The agent's socket: each operation, each error, each limit; and the command line on top of it."""
import json, os, signal, socket, stat, subprocess, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import BUILD, Agent, Client, done, equal, ok, wait_for

agent = Agent("""
    agent.clients = 8
    agent.socket_mode = 0640
    device.properties_max = 100
    device.object_max = 16K
""").start()


def code(r):
    return r["error"]["code"] if not r["ok"] else "ok"


c = agent.client()
equal(c.call("property.set", name="a", value={"x": [1, -2, 2.5, "ü", None, True]})["result"], {"changed": 1}, "set")
r = c.call("property.get", name="a")["result"]
equal((r["value"], r["owner"], r["synced"]), ({"x": [1, -2, 2.5, "ü", None, True]}, "device", False), "get")
equal(c.call("property.set", name="a", value={"x": [1, -2, 2.5, "ü", None, True]})["result"], {"changed": 0},
      "an equal value is no change")
equal(code(c.call("property.set", values={"b": 1, "c": 2})), "ok", "several at once")
equal(code(c.call("property.set", values={"d": 1, "bad name": 2})), "invalid", "one bad name among them")
equal(code(c.call("property.get", name="d")), "unknown", "and none is set")
equal(code(c.call("property.remove", name="b")), "ok", "remove")
equal(code(c.call("property.remove", name="b")), "unknown", "twice")
for v in (9223372036854775807, -9223372036854775808, 0.1, 1e300, "", [], {}, False, None):
    c.call("property.set", name="v", value=v)
    got = c.call("property.get", name="v")["result"]["value"]
    if got != v:
        ok(False, f"value {v!r} comes back", got)
ok(True, "extreme values come back as they were")

bad = [b"", b"{", b"[]", b"17", b'"x"', b"\xff\xfe", b'{"op":"property.get"}', b'{"op":"property.get","name":7}',
       b'{"op":"nonsense"}', b'{"op":7}', b"{}", b'{"op":"status","extra":1}', b'{"op":"property.set","name":"a"}',
       b'{"op":"property.set","name":"a","value":1,"values":{}}', b'{"op":"property.set","values":[1]}',
       b'{"op":"property.set","values":{}}', b'{"op":"property.set","name":"a","value":1,"urgent":"yes"}',
       b'{"op":"property.set","name":"","value":1}', b'{"op":"property.set","name":"' + b"n" * 65 + b'","value":1}',
       b'{"op":"property.watch","names":"a"}', b'{"op":"property.watch","names":[1]}',
       b'{"op":"property.list","after":1}', b'{"op":"property.set","name":"a","value":"\\u0000"}', b'{"op":"status","op":"status"}',
       b'{"op":"property.set","name":"a","value":"' + b"v" * 20000 + b'"}',
       b'{"op":"property.set","name":"a","value":' + b"[" * 40 + b"]" * 40 + b"}",
       b'{"op":"property.set","values":{' + b",".join(b'"k%d":1' % i for i in range(65)) + b"}}"]
wrong = []
for line in bad:
    c.send(line + b"\n")
    r = c.recv()
    if r is None or code(r) not in ("invalid",):
        wrong.append((line[:60], r))
equal(wrong, [], f"{len(bad)} bad requests are each answered as invalid")
equal(code(c.call("sync.now")), "unavailable", "no mirror is configured")
equal(code(c.call("alarm.test")), "unavailable", "no collector is configured")
equal(c.call("guard.status")["result"], None, "no guard is configured")
s = c.call("status")["result"]
ok(s["pid"] == agent.proc.pid and s["store"]["changes"] > 3 and "sync" not in s, "status", s)
c.send(b'{"op":"status","id":[1,"x"]}\n')
equal(c.recv()["id"], [1, "x"], "any id comes back")
c.send(b'{"op":"property.get","name":"a","id":1}\n{"op":"property.get","name":"c","id":2}\n')
equal([c.recv()["id"], c.recv()["id"]], [1, 2], "requests in one packet are answered in order")

long = agent.client()
long.send(b"x" * 90000)
equal(long.recv(), None, "a line without end is dropped")
many = []
for i in range(12):
    try:
        many.append(agent.client())
    except OSError:
        break
alive = 0
for x in many:
    try:
        alive += x.call("guard.status") is not None
    except OSError:
        pass
equal(alive, 7, "no more clients than configured (eight, with ours)")
for x in many:
    x.close()
wait_for(lambda: code(agent.call("guard.status")) == "ok", "room for others")
ok(True, "who leaves makes room")

big = "v" * 15000
for i in range(60):
    c.call("property.set", name=f"big{i}", value=big)
names, after = [], None
while True:
    r = c.call("property.list", **({"after": after} if after else {}))["result"]
    names += [p["name"] for p in r["properties"]]
    after = r.get("next")
    if not after:
        break
equal(sorted(names), sorted(["a", "c", "v"] + [f"big{i}" for i in range(60)]), "all are listed, over pages")
for i in range(100):
    r = c.call("property.set", name=f"q{i}", value=1)
    if not r["ok"]:
        break
equal(code(r), "quota", "no more properties than configured: " + r.get("error", {}).get("message", ""))

w1, w2 = agent.client(), agent.client()
w1.call("property.watch")
w2.call("property.watch", names=["a"])
c.call("property.set", values={"a": 5, "c": 6})
c.call("property.remove", name="c")
got = [w1.recv()["property"] for _ in range(3)]
equal([(p["name"], p.get("value"), p.get("removed")) for p in got],
      [("a", 5, None), ("c", 6, None), ("c", None, True)], "a watcher is told")
c.call("property.set", name="v", value=1)
c.call("property.set", name="a", value=7)
equal([w2.recv()["property"]["value"] for _ in range(2)], [5, 7], "another one only what it asked for")
slow = agent.client()
slow.call("property.watch", names=["big0"])
for i in range(200):
    c.call("property.set", name="big0", value=str(i) + big)
ok("does not read: dropped" in agent.log(), "a watcher that does not read is dropped")
equal(code(c.call("guard.status")), "ok", "and the others go on")
glut = agent.client()
try:
    glut.s.settimeout(2)
    for i in range(400):
        glut.send(b'{"op":"property.get","name":"big1"}\n' * 100)
except OSError:
    pass
rss = int([x for x in open(f"/proc/{agent.proc.pid}/status") if x.startswith("VmRSS")][0].split()[1])
limit = 60000 if os.environ.get("HG_SAN", "0") == "0" else 600000
ok(rss < limit, f"one that asks and does not read fills nothing ({rss} KiB resident)")
equal(code(c.call("guard.status")), "ok", "and the others go on")
glut.close()

half = agent.client()
half.send(b'{"op":"property.get","name":"a","id":5}\n')
half.s.shutdown(socket.SHUT_WR)
equal((half.recv()["id"], half.recv()), (5, None), "one that sends no more still gets its answer")
st = os.stat(agent.socket)
equal(stat.S_IMODE(st.st_mode), 0o640, "the socket's mode is as configured")

equal(agent.cli("property", "get", "a"), (0, "7\n", ""), "heliograph property get")
equal(json.loads(agent.cli("--json", "property", "get", "a")[1])["name"], "a", "with --json")
equal(agent.cli("property", "get", "nothing")[0], 1, "of one that is not there")
equal(agent.cli("property", "set", "a", "x")[0], 2, "a value that is not JSON")
equal(agent.cli("property", "set", "a")[0], 2, "too few words")
equal(agent.cli("frobnicate")[0], 2, "no such subcommand")
equal(agent.cli("property", "set", "a", '"text"', "v", "[1,2]"), (0, "", ""), "two properties")
ok("a                        device \"text\"" in agent.cli("property", "list")[1], "heliograph property list")
equal(agent.cli("property", "remove", "v")[0], 0, "heliograph property remove")
code_, out, err = agent.cli("status")
ok(code_ == 0 and "none configured" in out, "heliograph status", out + err)
p = subprocess.Popen([BUILD + "/heliograph", "-c", agent.conf, "property", "watch", "a"], stdout=subprocess.PIPE,
                     stderr=subprocess.DEVNULL, text=True)
line = ""
for i in range(100):  # until it watches
    agent.call("property.set", name="a", value=i)
    if os.read(p.stdout.fileno(), 100) if __import__("select").select([p.stdout], [], [], 0.1)[0] else b"":
        line = "seen"
        break
equal(line, "seen", "heliograph property watch")
p.kill()
p.wait()

r = subprocess.run([BUILD + "/heliographd", "-c", agent.conf], capture_output=True, text=True)
ok(r.returncode != 0 and "another agent" in r.stderr, "a second agent does not start", r.stderr)
agent.stop(signal.SIGKILL)
ok(os.path.exists(agent.socket), "SIGKILL leaves the socket's file")
equal(agent.cli("status")[0], 4, "nobody is there")
ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ready.bind(agent.dir + "/notify")
ready.settimeout(10)
agent.start({"NOTIFY_SOCKET": agent.dir + "/notify"})
equal(ready.recv(100), b"READY=1", "the service manager is told when it is ready")
equal(agent.get("a") is not None, True, "the next agent replaces it, and has everything")
equal(agent.stop(), 0, "SIGTERM ends it")
equal(ready.recv(100), b"STOPPING=1", "and the service manager is told")
ok(not os.path.exists(agent.socket), "and removes the socket")

with open(agent.conf, "a") as f:
    f.write("[device]\nnonsense = 1\n")
r = subprocess.run([BUILD + "/heliographd", "-c", agent.conf], capture_output=True, text=True)
n = len(open(agent.conf).readlines())
ok(r.returncode == 3 and f":{n}:" in r.stderr and "nonsense" in r.stderr, "a wrong line is named", r.stderr)
done()
