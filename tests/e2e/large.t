#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# A mebibyte each way and a large output between agent, mirror and PostgreSQL, through a relay that counts bytes and
# breaks connections, with SIGKILL of each side and of PostgreSQL in the middle: it goes on where it ended, and both are equal.
import os
import random
import signal
import socket
import sys
import threading
import time

TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path[:0] = [TOP + "/tests/agent", TOP + "/tests/mirror"]
from agent import Agent, done, equal, ok, wait_for  # noqa: E402
from world import World, free_port  # noqa: E402

MODEL = {
    "@type": "tm:ThingModel", "title": "Camera", "hg:model": "camera",
    "properties": {
        "picture": {"type": "string", "readOnly": True},
        "count": {"type": "integer", "readOnly": True},
        "short": {"type": "string", "readOnly": True, "maxLength": 100},
        "map": {"type": "string"},
        "note": {"type": "string", "hg:merge": "newest"},
        "name": {"type": "string", "hg:owner": "device"},
    },
    "actions": {"log": {"output": {"type": "string"}}},
}
UID, SIZE = "cam-1", 1000000
random.seed(7)


def text(n):
    return "".join(random.choices("abcdefghijklmnopqrstuvwxyz ", k=n))


class Relay:
    """Between agent and mirror. up, down: bytes so far. limit: after so many more bytes each way all ends."""
    def __init__(self, port):
        self.up = self.down = 0
        self.limit = None
        self.cut = 0
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            a, _ = self.listener.accept()
            try:
                b = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                a.close()
                continue
            for pair in ((a, b, "up"), (b, a, "down")):
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, a, b, way):
        try:
            while True:
                data = a.recv(16384)
                if not data:
                    break
                b.sendall(data)
                setattr(self, way, getattr(self, way) + len(data))
                if self.limit is not None and getattr(self, way) > self.limit:
                    self.cut += 1
                    break
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def reset(self, limit=None):
        self.up = self.down = self.cut = 0
        self.limit = limit


w = World("http.body_max = 2M\nhttp.request_timeout = 20s\ndatabase.timeout = 20s")
w.model(MODEL)
w.device(UID, "camera")
t = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")
w.serve()
relay = Relay(w.sync_port)
a = Agent(f"""
    mirror.host = localhost
    mirror.port = {relay.port}
    mirror.ca = {w.dir}/ca/ca.crt
    mirror.cert = {w.dir}/bundles/{UID}/device.crt
    mirror.key = {w.dir}/bundles/{UID}/device.key
    mirror.interval = 1h
    mirror.interval_min = 50ms
    mirror.interval_soon = 10ms
    mirror.backoff_min = 50ms
    mirror.backoff_max = 200ms
""").start()


def read(name):
    status, _, body = w.http("GET", f"/things/{UID}/properties/{name}", token=t)
    return body if status == 200 else None


def sync():
    return a.call("sync.now")


# From the device.
sync()
relay.reset()
first = text(SIZE)
ok(a.call("property.set", name="picture", value=first)["ok"], "a large value")
ok(a.call("property.set", name="count", value=1)["ok"], "and a small one behind it")
wait_for(lambda: read("count") == 1, "the small one", 30)
ok(read("picture") == first, "both reach the mirror")
whole = relay.up
ok(SIZE < whole < SIZE * 1.1, f"{whole} bytes for {SIZE}")

relay.reset(limit=400000)
second = text(SIZE)
a.call("property.set", name="picture", value=second)
wait_for(lambda: relay.cut, "the cut", 30)
equal(read("picture") == first, True, "the old value stays until the new one is whole")
relay.limit = None
wait_for(lambda: read("picture") == second, "the value", 30)
ok(relay.up < whole + 250000, f"the connection cut: {relay.up} bytes in all, not {whole} and 400000 again")

for victim in ("agent", "mirror", "PostgreSQL"):
    relay.reset(limit=500000)
    third = text(SIZE)
    a.call("property.set", name="picture", value=third)
    wait_for(lambda: relay.cut, "the cut", 30)
    if victim == "agent":
        a.stop(signal.SIGKILL)
    elif victim == "mirror":
        w.stop(signal.SIGKILL)
    else:
        w.pg.kill()
    relay.limit = None
    if victim == "agent":
        a.start()
    elif victim == "mirror":
        w.serve()
    else:
        w.pg.start()
    sync()
    wait_for(lambda: sync() and read("picture") == third, "the value", 60)
    ok(relay.up < whole + 300000, f"the {victim} killed: {relay.up} bytes in all")
equal(w.pg.sql("SELECT count(*) FROM heliograph.partial").strip(), "0", "nothing is left of them")

# Refused when whole.
r = a.call("property.set", name="short", value="x" * 20000)
sync()
a.call("property.set", name="count", value=2)
wait_for(lambda: read("count") == 2, "the next change", 30)
ok(read("short") is None and "refused" in a.log(), "a large value that the model does not allow is refused")

# To the device.
down = text(SIZE)
status, _, body = w.http("PUT", f"/things/{UID}/properties/map", down, token=t)
equal(status, 204, "an application writes a large value")
relay.reset()
sync()
wait_for(lambda: a.get("map") == down, "the value", 30)
whole_down = relay.down
ok(SIZE < whole_down < SIZE * 1.1, f"{whole_down} bytes for {SIZE}")
for victim in ("connection", "agent", "mirror", "PostgreSQL"):
    down = text(SIZE)
    w.http("PUT", f"/things/{UID}/properties/map", down, token=t)
    relay.reset(limit=400000)
    c = a.client()
    c.send({"op": "sync.now", "id": 1})
    wait_for(lambda: relay.cut, "the cut", 30)
    if victim == "agent":
        a.stop(signal.SIGKILL)
    elif victim == "mirror":
        w.stop(signal.SIGKILL)
    elif victim == "PostgreSQL":
        w.pg.kill()
    relay.limit = None
    if victim == "agent":
        a.start()
    elif victim == "mirror":
        w.serve()
    elif victim == "PostgreSQL":
        w.pg.start()
    sync()
    wait_for(lambda: sync() and a.get("map") == down, "the value", 60)
    ok(relay.down < whole_down + 250000, f"{victim} gone in the middle: {relay.down} bytes in all")

# A newer value, while the older one is on its way.
relay.reset(limit=300000)
w.http("PUT", f"/things/{UID}/properties/map", text(SIZE), token=t)
a.client().send({"op": "sync.now", "id": 1})
wait_for(lambda: relay.cut, "the cut", 30)
w.http("PUT", f"/things/{UID}/properties/map", "short now", token=t)
relay.limit = None
sync()
wait_for(lambda: a.get("map") == "short now", "the newer value", 30)
ok(True, "a newer value takes the place of one on its way")

# Outputs.
a.handler("log", "#!/bin/sh\nprintf '\"'; head -c 900000 /dev/zero | tr '\\0' l; printf '\"'\n")
relay.reset(limit=300000)
status, r, body = w.http("POST", f"/things/{UID}/actions/log", token=t)
equal(status, 201, "a command")
href = body["href"].split("/", 3)[3]
sync()
wait_for(lambda: relay.cut, "the cut", 30)
relay.limit = None
wait_for(lambda: w.http("GET", "/" + href, token=t)[2]["state"] == "done", "its end", 60)
equal(w.http("GET", "/" + href, token=t)[2]["output"] == "l" * 900000, True, "its large output is there")
ok(relay.up < 1200000, f"{relay.up} bytes in all, the connection cut at 300000")

# Limits.
status, _, body = w.http("PUT", f"/things/{UID}/properties/map", "x" * (1 << 20), token=t)
ok(status == 413 and "1048576" in body["detail"], "over object_max is refused in words", body)
status, _, body = w.http("PUT", f"/things/{UID}/properties/name", "x" * 20000, token=t)
ok(status == 413 and "command" in body["detail"], "what a command carries stays small", body)

status, _, body = w.http("PUT", f"/things/{UID}/properties/note", "x" * 20000, token=t)
ok(status == 413 and "both sides" in body["detail"], "so does what both sides write", body)

with open(f"/proc/{a.proc.pid}/status") as f:
    peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
ok(peak < 64 << 10 or os.environ.get("HG_SAN", "0") != "0", f"the agent's peak memory: {peak} KiB")
equal(a.stop(), 0, "the agent ends well")
equal(w.stop(), 0, "so does the mirror")
done()
