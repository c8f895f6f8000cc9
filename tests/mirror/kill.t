#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Devices synchronise and an application writes and invokes without pause, while the mirror, single database
sessions and the whole database are killed again and again. Afterwards the history is checked: everything
that was acknowledged is there on both sides, and no command ran twice.
"""
import http.client, json, os, random, signal, subprocess, sys, threading, time
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, ok, done, wait_for
from syncclient import DONE, EXECUTING, MORE, OK, QUARANTINED, Closed, Device
from world import World

DEVICES, KILLS, GAP = 6, 14, (0.15, 0.7)
seed = int(os.environ.get("HG_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
print(f"# HG_SEED={seed}")
rng = random.Random(seed)
w = World("database.timeout = 2s\ndatabase.connections = 4\nsync.busy_interval = 100ms")
w.model({"@type": "tm:ThingModel", "hg:model": "m", "properties": {
    "target": {"type": "integer"}, "reading": {"type": "integer", "readOnly": True}},
    "actions": {"run": {"input": {"type": "integer"}}, "again": {"idempotent": True}}})
uids = [w.device(f"k{i}", "m") for i in range(DEVICES)]
token = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")
w.serve()
stop = threading.Event()
statuses = {}


class Agent(threading.Thread):
    """A device that keeps what it took (a real one: in its store) and loses only its connection."""

    def __init__(self, uid):
        super().__init__(daemon=True)
        self.d = Device(w, uid)
        self.runs, self.reports, self.reading, self.syncs, self.trouble = {}, {}, 0, 0, None

    def take(self, r, sent):
        self.d.take(r)
        for seq in sent:
            self.reports.pop(seq, None)
        for c in self.d.inbox:
            key = c["seq"]
            self.runs[key] = self.runs.get(key, 0) + 1
            self.reports[key] = (key, DONE, 0, "", c["input"] if isinstance(c["input"], int) else None)
        self.d.inbox.clear()

    def round(self):
        self.reading += 1
        self.d.set("reading", self.reading)
        self.d.connect(resume=random.random() < 0.7)
        for _ in range(50):
            sent = sorted(self.reports)
            r = self.d.request([self.reports[s] for s in sent])
            statuses[r.status] = statuses.get(r.status, 0) + 1
            if r.status != OK:
                if r.status == QUARANTINED:
                    self.trouble = r.detail
                break
            self.take(r, sent)
            self.syncs += 1
            if not self.reports and not r.flags & MORE:
                break
        self.d.close(abrupt=random.random() < 0.3)

    def run(self):
        while not stop.is_set() and not self.trouble:
            try:
                self.round()
            except (OSError, Closed):
                self.d.close(abrupt=True)
                time.sleep(0.02)
            except Exception as e: # what a device must never see
                self.trouble = repr(e)


class Application(threading.Thread):
    def __init__(self, uid):
        super().__init__(daemon=True)
        self.uid, self.written, self.acked, self.invoked, self.n = uid, [], None, {}, 0
        self.codes = {}

    def ask(self, method, path, value):
        try:
            s, r, b = w.http(method, f"/things/{self.uid}/{path}", value, token)
        except (OSError, http.client.HTTPException):
            s, b = 0, None
        self.codes[s] = self.codes.get(s, 0) + 1
        return s, b

    def run(self):
        while not stop.is_set():
            self.n += 1
            self.written.append(self.n)
            if self.ask("PUT", "properties/target", self.n)[0] == 204:
                self.acked = self.n
            s, b = self.ask("POST", "actions/run", self.n)
            if s == 201:
                self.invoked[int(b["href"].rsplit("/", 1)[1])] = self.n
            if s == 0:
                time.sleep(0.02)


def kill_mirror():
    w.stop(signal.SIGKILL)
    w.serve()


def kill_sessions():
    pids = subprocess.run(["psql", "-XAtq", "-d", w.pg.conninfo, "-c", "SELECT pid FROM pg_stat_activity WHERE "
                           "application_name = 'heliograph'"], capture_output=True, text=True).stdout.split()
    for pid in rng.sample(pids, min(2, len(pids))):
        # One that dies of SIGKILL makes the server restart all; SIGTERM ends just this one.
        os.kill(int(pid), rng.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGKILL]))


def kill_database():
    w.pg.kill()
    w.pg.start()


agents, apps = [Agent(u) for u in uids], [Application(u) for u in uids]
for t in agents + apps:
    t.start()
for i in range(KILLS):
    time.sleep(rng.uniform(*GAP))
    [kill_mirror, kill_sessions, kill_sessions, kill_database][i % 4]()
before = [a.syncs for a in agents]
wait_for(lambda: all(a.syncs > b or a.trouble for a, b in zip(agents, before)), "devices to get on", 30)
stop.set()
for t in agents + apps:
    t.join(60)
wait_for(w.healthy, "the mirror", 30)


def settle(a):
    """One more round that takes and acknowledges everything."""
    a.round()
    return not a.reports


for a in agents:
    wait_for(lambda: settle(a) and settle(a), f"{a.d.uid} to settle")
total = sum(a.syncs for a in agents)
print(f"# {total} syncs, statuses {statuses}, answers to applications {[p.codes for p in apps][:2]}")
equal([a.trouble for a in agents], [None] * DEVICES, "no device was mistaken for two, none met what it must not")
ok(total > DEVICES * 5 and sum(p.codes.get(204, 0) for p in apps) > DEVICES, "there was something to lose", total)
for a, p in zip(agents, apps):
    uid = a.d.uid
    sql = lambda q: w.pg.sql("SET search_path = heliograph; " + q)
    mirror = sql(f"SELECT value FROM property WHERE device_id = '{uid}' AND name = 'target'")
    maybe = [v for v in p.written if p.acked is None or v >= p.acked]
    ok(int(mirror) in maybe, f"{uid}: the last acknowledged write is there, or a later one", f"{mirror} not in {maybe[:9]}")
    equal(a.d.mirrored["target"], int(mirror), f"{uid}: the device has it")
    equal(sql(f"SELECT value FROM property WHERE device_id = '{uid}' AND name = 'reading'"), str(a.d.own["reading"][1]),
          f"{uid}: the mirror has the device's last change")
    rows = dict(line.split("|") for line in sql(f"SELECT seq, state || ' ' || coalesce(output::text, '-') FROM command "
                                                f"WHERE device_id = '{uid}'").splitlines())
    lost = [s for s in p.invoked if str(s) not in rows]
    equal(lost, [], f"{uid}: none of {len(p.invoked)} acknowledged commands is lost")
    wrong = {s: rows[str(s)] for s, n in p.invoked.items() if rows.get(str(s)) != f"done {n}"}
    equal(wrong, {}, f"{uid}: each is done, with its own result")
    equal({s: n for s, n in a.runs.items() if n != 1}, {}, f"{uid}: none ran twice")
    equal(sorted(a.runs), sorted(int(s) for s, v in rows.items() if v.startswith("done")), f"{uid}: what ran is what is done")
equal(w.pg.sql("SELECT count(*) FROM heliograph.device WHERE state <> 'active'"), "0", "nobody is quarantined")
equal(w.stop(), 0, "the mirror ends on SIGTERM")
ok("Sanitizer" not in w.log(), "and nothing was wrong inside")
done()
