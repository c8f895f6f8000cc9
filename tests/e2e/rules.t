#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Agent and mirror write the same properties, offline and at once, while sessions break at any byte and
both are killed: they end equal, no addition is lost or counted twice, no value goes without a word.
"""
import os, random, shutil, signal, socket, sys, threading
TOP = os.environ.get("HG_TOP") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path[:0] = [TOP + "/tests/agent", TOP + "/tests/mirror"]
from agent import Agent, done, equal, ok, wait_for  # noqa: E402
from pgworld import later_ms  # noqa: E402
from world import World, free_port  # noqa: E402

SEED = int(os.environ.get("HG_SEED", "1"))
STEPS = int(os.environ.get("HG_STEPS", "120"))
MODEL = {"@context": ["https://www.w3.org/2022/wot/td/v1.1", {"hg": "urn:heliograph:td#"}],
         "@type": "tm:ThingModel", "title": "Both", "hg:model": "both", "properties": {
             "goal": {"type": "integer", "hg:merge": "newest"},
             "count": {"type": "integer", "hg:merge": "counter"}}}


class Link:
    """Between agent and mirror: off, on, or cut when so many bytes of the mirror have passed."""

    def __init__(self, to):
        self.to, self.left, self.lock = to, None, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", free_port()))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            near = self.listener.accept()[0]
            try:
                far = socket.create_connection(("127.0.0.1", self.to), 5)
            except OSError:
                near.close()
                continue
            threading.Thread(target=self.pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, True), daemon=True).start()

    def passes(self, n):
        with self.lock:
            if self.left is None:
                return n
            n = min(n, self.left)
            self.left -= n
            return n

    def pump(self, a, b, counted):
        try:
            while data := a.recv(65536):
                n = self.passes(len(data)) if counted else len(data)
                b.sendall(data[:n])
                if n < len(data):
                    break
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


w = World()
w.model(MODEL)
token = w.token("app", "--right", "read", "--right", "write")
w.device("both-1", "both")
w.serve()
link = Link(w.sync_port)
bundle = w.dir + "/bundles/both-1"
agent = Agent(f"""
    mirror.host = localhost
    mirror.port = {link.port}
    mirror.ca = {w.dir}/ca/ca.crt
    mirror.cert = {bundle}/device.crt
    mirror.key = {bundle}/device.key
    mirror.interval = 1h
    mirror.interval_max = 2h
    mirror.interval_min = 50ms
    mirror.interval_soon = 1h
    mirror.backoff_min = 1h
    mirror.backoff_max = 2h
    device.model = {w.dir}/model.json
""")
agent.start()
PATH = "/things/both-1/properties/"


def there(name):
    status, _, body = w.http("GET", PATH + name, None, token)
    return body if status == 200 else None


def session(left=None):
    """One that may be cut; True: it came through."""
    link.left = left
    good = agent.call("sync.now")["ok"]
    link.left = None
    return good


def level():
    wait_for(session, "a session", 30)


parents, added = {}, 0  # value -> what the writer held; what was acknowledged in all
steps = random.Random(SEED)
number = 0
cut = through = 0


def write(on_device):
    global number
    number += 1
    held = agent.get("goal") if on_device else there("goal")
    if on_device:
        assert agent.call("property.set", name="goal", value=number)["ok"], agent.log()
    else:
        assert w.http("PUT", PATH + "goal", number, token)[0] == 204, w.log()
    parents[number] = held


def add(on_device):
    global added
    by = steps.choice((-3, 1, 2, 1000))
    if on_device:
        assert agent.call("property.add", name="count", by=by)["ok"], agent.log()
    else:
        assert w.http("POST", PATH + "count", by, token)[0] == 200, w.log()
    added += by


def restart(what):
    if what == "agent":
        agent.stop(signal.SIGKILL)
        link.left = 0
        agent.start()
    else:
        w.stop(signal.SIGKILL)
        w.serve()


for step in range(STEPS):
    what = steps.choices(("write", "add", "cut", "session", "agent", "mirror"), (30, 30, 25, 10, 3, 2))[0]
    if what in ("write", "add"):
        {"write": write, "add": add}[what](steps.random() < 0.5)
    elif what in ("cut", "session"):
        good = session(steps.randrange(900) if what == "cut" else None)
        through += good
        cut += not good
    else:
        restart(what)
level()
level()
print(f"# seed {SEED}: {STEPS} steps, {len(parents)} writes; {through} sessions came through, {cut} did not")
ok(cut > 4 and through > 4, "sessions broke, and sessions came through")
equal(agent.get("goal"), there("goal"), "both have the same value")
equal((agent.get("count"), there("count")), (added, added), "the counter is the sum of what was added")

lost = {c.get("value") for c in agent.call("property.conflicts")["result"]["conflicts"]}
named = w.pg.sql("SELECT coalesce(string_agg(data->>'lost', ' '), '') FROM heliograph.outbox WHERE kind = 'conflict'")
theirs = {int(v) for v in named.split()}
replaced = set(parents.values())
silent = [v for v in parents if v not in replaced | lost | theirs | {there("goal")}]
equal(silent, [], "each value stands, was replaced by somebody who had seen it, or is named as lost")
ok(lost | theirs, f"{len(lost)} values are named by the device, {len(theirs)} by the mirror")
code, out, _ = agent.cli("property", "conflicts")
equal((code, len(out.splitlines())), (0, len(agent.call("property.conflicts")["result"]["conflicts"])), "the command line prints them")

# Two writes that do not know of each other, in both orders
for first in (True, False):
    write(first)
    later_ms()
    write(not first)
    level()
    level()
    equal((agent.get("goal"), there("goal")), (number, number), f"the later write wins, that of the {'mirror' if first else 'device'}")
watcher = agent.client()
watcher.call("property.watch", names=["goal"])
agent.call("property.set", name="goal", value=-1)
later_ms()
w.http("PUT", PATH + "goal", -2, token)
level()
events = [watcher.recv() for _ in range(3)]
ok(any(e.get("event") == "conflict" and e["conflict"]["value"] == -1 for e in events), "a watcher hears of the value that lost", str(events))
watcher.close()
ok("goal" in agent.log() and "won against one of the device: -1" in agent.log(), "the log has it")

# The device's store is lost
level()
before = agent.get("count")
agent.stop()
shutil.rmtree(agent.dir + "/state")
agent.start()
level()
level()
equal((agent.get("goal"), there("goal")), (-2, -2), "a device without its store has the value again")
equal((agent.get("count"), there("count")), (before, before), "and the counter's, nothing lost and nothing twice")
agent.call("property.add", name="count", by=7)
w.http("POST", PATH + "count", 8, token)
level()
equal((agent.get("count"), there("count")), (before + 15, before + 15), "and it goes on")

# An old copy of the store comes back
agent.stop()
shutil.copytree(agent.dir + "/state", agent.dir + "/old")
agent.start()
for by in (100, 200):
    agent.call("property.add", name="count", by=by)
level()
agent.stop()
shutil.rmtree(agent.dir + "/state")
os.rename(agent.dir + "/old", agent.dir + "/state")
link.left = 0
agent.start()
session(0)  # leaves the numbers behind that the other life has used: else it is found out as a copy
agent.stop()
agent.start()
agent.call("property.add", name="count", by=1000)
wait_for(lambda: session() and agent.get("count") == there("count"), "one value of the counter", 30)
equal((agent.get("count"), there("count")), (before + 1315, before + 1315), "an old copy of the store: what was added before and after counts")
done()
