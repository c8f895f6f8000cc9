#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fault campaign: applications work on both sides while agent, mirror, collector and PostgreSQL are killed
with SIGKILL at random moments. Writes the history for history.py.

    campaign.py DIR SEED SECONDS       DIR as tests/daemons.sh fills it; faults.t starts this

The same seed gives the same order of kills and pauses. Everything runs in the caller's namespace.
"""
import collections
import http.client
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time

DIR, SEED, SECONDS = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
BUILD, SLOW = os.environ["HG_BUILD"], 3 if os.environ.get("HG_SAN", "0") != "0" else 1
UID, NAMES = "dev1", 24
AGENT_CONF = f"{DIR}/{UID}/heliographd.conf"


class Daemon:
    """One program; killed and started again by the campaign only."""

    def __init__(self, name, argv, ready):
        self.name, self.argv, self.ready, self.kills = name, argv, ready, 0
        self.log = open(f"{DIR}/{name}.log", "ab")
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True)

    def kill(self):
        """SIGKILL to it and to its children that lead sessions of their own (PostgreSQL's)."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
        for pid in [self.process.pid] + ([int(p) for p in children.split()] if self.name == "postgres" else []):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.kills += 1

    def alive(self):
        return self.process is not None and self.process.poll() is None


def run(*argv, timeout=10):
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as e:
        return subprocess.CompletedProcess(argv, 124, "", str(e))


def heliograph(*argv, timeout=10):
    return run(f"{BUILD}/heliograph", "-c", AGENT_CONF, *argv, timeout=timeout)


def sql(database, text):
    r = run("psql", "-AtX", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text)
    if r.returncode:
        raise RuntimeError(r.stderr)
    return r.stdout.strip()


def postgres_binaries():
    top = "/usr/lib/postgresql"
    return f"{top}/{max(os.listdir(top), key=float)}/bin"


def wait_for(seconds, condition):
    until = time.monotonic() + seconds * SLOW
    while time.monotonic() < until:
        try:
            if condition():
                return True
        except (OSError, RuntimeError, ValueError):
            pass
        time.sleep(0.05)
    return False


class Api:
    """The mirror's HTTPS API over one connection that is opened again when it broke."""

    def __init__(self, token):
        self.token, self.connection = token, None
        self.context = ssl.create_default_context(cafile=f"{DIR}/ca/ca.crt")
        self.context.check_hostname = False

    def request(self, method, path, body):
        """Returns (status, JSON or None); status None: no answer, so it may or may not have counted."""
        try:
            if not self.connection:
                self.connection = http.client.HTTPSConnection("127.0.0.1", 8443, timeout=10, context=self.context)
            self.connection.request(method, path, json.dumps(body),
                                    {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
            response = self.connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError):
            if self.connection:
                self.connection.close()
            self.connection = None
            return None, None


def acknowledged(status):
    """5xx: the mirror may not know what became of a statement either."""
    if status is None or status >= 500:
        return None
    return 200 <= status < 300


class Campaign:
    def __init__(self, token):
        self.token, self.stop = token, threading.Event()
        self.lock = threading.Lock()
        self.writes, self.commands, self.alarms = [], [], []
        self.values = iter(range(1, 10**9))
        self.errors = collections.Counter()
        pg = postgres_binaries()
        self.daemons = {d.name: d for d in (
            Daemon("postgres", ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups",
                                f"{pg}/postgres", "-D", f"{DIR}/pg/data"],
                   lambda: run(f"{pg}/pg_isready", "-q").returncode == 0),
            Daemon("mirror", [f"{BUILD}/heliograph-mirror", "-c", f"{DIR}/mirror.conf", "serve"],
                   lambda: Api(token).request("GET", "/things", None)[0] == 200),
            Daemon("collector", [f"{BUILD}/heliograph-collector", "-c", f"{DIR}/collector.conf", "serve"],
                   lambda: self.daemons["collector"].alive()),
            Daemon("agent", [f"{BUILD}/heliographd", "-c", AGENT_CONF],
                   lambda: heliograph("status").returncode == 0))}

    def pause(self, rng, most):
        self.stop.wait(rng.uniform(0, most))

    def write(self, side, name, attempt):
        with self.lock:
            entry = {"side": side, "name": name, "value": next(self.values), "ack": None}
            self.writes.append(entry)
        entry["ack"] = attempt(entry["value"])

    def application_writes(self, rng):
        api = Api(self.token)
        while not self.stop.is_set():
            name = f"m{rng.randrange(NAMES)}"
            self.write("mirror", name, lambda v: acknowledged(
                api.request("PUT", f"/things/{UID}/properties/{name}", v)[0]))
            self.pause(rng, 0.02)

    def application_commands(self, rng):
        api, i = Api(self.token), 0
        while not self.stop.is_set():
            i += 1
            entry = {"id": i, "ack": None, "seq": None}
            self.commands.append(entry)
            status, body = api.request("POST", f"/things/{UID}/actions/append",
                                       {"id": i, "pause": rng.choice((0, 0, 0, 0.02, 0.1))})
            entry["ack"] = acknowledged(status)
            if entry["ack"]:
                entry["seq"] = int(body["href"].rsplit("/", 1)[1])
            self.errors[f"command {status}"] += 1
            self.pause(rng, 0.1)

    def device_writes(self, rng):
        while not self.stop.is_set():
            name = f"d{rng.randrange(NAMES)}"
            self.write("device", name, lambda v: heliograph("property", "set", name, str(v)).returncode == 0 or None)
            self.pause(rng, 0.02)

    def device_alarms(self, rng):
        """An alarm counts as acknowledged when the agent that sent it has none waiting any more."""
        while not self.stop.is_set():
            before = self.agent_status()
            sent = heliograph("alarm", "test", "--json")
            if before and sent.returncode == 0:
                counter, until = json.loads(sent.stdout)["counter"], time.monotonic() + 3 * SLOW
                while time.monotonic() < until and not self.stop.is_set():
                    now = self.agent_status()
                    if not now or now["pid"] != before["pid"]:
                        break
                    if now["alarm"]["waiting"] == 0:
                        self.alarms.append(counter)
                        break
                    time.sleep(0.05)
            self.pause(rng, 0.5)

    @staticmethod
    def agent_status():
        r = heliograph("status", "--json")
        return json.loads(r.stdout) if r.returncode == 0 else None

    def chaos(self, rng):
        until = time.monotonic() + SECONDS
        first = rng.sample(list(self.daemons), len(self.daemons))  # each at least once
        while first or time.monotonic() < until:
            time.sleep(rng.uniform(0.02, 0.7))
            names = [first.pop()] if first else rng.choices(list(self.daemons), weights=(2, 4, 2, 5),
                                                            k=rng.choice((1, 1, 1, 2)))
            for name in dict.fromkeys(names):
                self.daemons[name].kill()
            time.sleep(rng.uniform(0, 0.4))
            for name in sorted(set(names), key=list(self.daemons).index):
                self.daemons[name].start()
            if "postgres" in names:
                self.up("postgres")

    def up(self, name):
        d = self.daemons[name]
        if not wait_for(30, d.ready):
            raise RuntimeError(f"{name} does not come back; {'it runs' if d.alive() else 'it ended'}")

    def both_sides(self):
        rows = sql("mirror", "SELECT coalesce(json_object_agg(name, value), '{}') FROM heliograph.property"
                             f" WHERE device_id = '{UID}' AND value IS NOT NULL")
        listed = heliograph("property", "list", "--json")
        if listed.returncode:
            raise RuntimeError(listed.stderr)
        device = {p["name"]: p["value"] for p in json.loads(listed.stdout)}
        commands = json.loads(sql("mirror", "SELECT coalesce(json_agg(json_build_object('seq', seq,"
                                            " 'id', (input->>'id')::int, 'state', state)), '[]')"
                                            f" FROM heliograph.command WHERE device_id = '{UID}'"))
        return {"properties": json.loads(rows), "commands": commands}, {"properties": device}

    def quiet(self):
        heliograph("sync", "now")
        mirror, device = self.both_sides()
        return mirror["properties"] == device["properties"] and not any(
            c["state"] in ("queued", "leased", "received", "executing") for c in mirror["commands"])

    def run(self):
        for name in self.daemons:
            self.daemons[name].start()
            self.up(name)
        work = (self.application_writes, self.application_commands, self.device_writes, self.device_alarms)
        threads = [threading.Thread(target=f, args=(random.Random(SEED * 10 + i),)) for i, f in enumerate(work)]
        for t in threads:
            t.start()
        try:
            self.chaos(random.Random(SEED))
        finally:
            self.stop.set()
            for t in threads:
                t.join()
        for name in self.daemons:
            self.up(name)
        settled = wait_for(40, self.quiet)
        mirror, device = self.both_sides()
        with open(f"{DIR}/runs", encoding="ascii") as f:
            runs = [int(line) for line in f]
        stored = sql("collector", "SELECT counter FROM collector.alarm").split()
        return settled, {"writes": self.writes, "commands": self.commands, "mirror": mirror, "device": device,
                         "runs": runs, "alarms": {"sent": self.alarms,
                                                  "stored": [int(s) for s in stored]}}


def main():
    with open(f"{DIR}/token", encoding="ascii") as f:
        campaign = Campaign(f.read().strip())
    try:
        settled, history = campaign.run()
    finally:
        for d in reversed(list(campaign.daemons.values())):
            if d.alive():
                d.process.send_signal(signal.SIGINT if d.name == "postgres" else signal.SIGTERM)
                d.process.wait(20)
    history["kills"] = {d.name: d.kills for d in campaign.daemons.values()}
    history["settled"] = settled
    with open(f"{DIR}/history.json", "w", encoding="utf-8") as f:
        json.dump(history, f)
    states = collections.Counter(c["state"] for c in history["mirror"]["commands"])
    acks = collections.Counter((w["side"], w["ack"]) for w in history["writes"])
    print(f"kills: {history['kills']}")
    print("writes: " + ", ".join(f"{s}-owned {n} {'acknowledged' if a else 'of unknown fate' if a is None else 'refused'}"
                                 for (s, a), n in sorted(acks.items(), key=str)))
    print(f"commands: {dict(states)}; asked for: {dict(campaign.errors)}")
    print(f"alarms acknowledged: {len(history['alarms']['sent'])}")


main()
