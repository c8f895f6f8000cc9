#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fault campaign: applications work on both sides of several devices while faults befall everything, by the
schedule of faultplan.py. Writes the history for history.py.

    campaign.py SEED DEVICES SESSIONS SECONDS ROUNDS [AFTERMATH...]      faults.t starts this; HG_FAULTS_DIR has what it made

It goes on until SESSIONS sessions have ended and each kind of fault has come as often as ROUNDS rounds of the
schedule have it, and each program was killed, but no longer than SECONDS. The seed gives schedule and work; what
meets what does not repeat. AFTERMATH are names of functions in aftermath.py. Runs in the mirrors' namespace.
"""
import collections
import contextlib
import http.client
import json
import os
import random
import ssl
import sys
import threading
import time

import aftermath
import faultplan
import faults
import faultworld
from faultworld import DIR, SLOW, run, sql, wait_for

ADDRESS, PROPERTIES, SETTABLE, SHARED = "10.7.0.1", 12, 4, 3
LARGE = (17000, 150000)  # bytes
REST_S = 3.0  # of a property whose write was not answered; longer than any statement may take (faults.t)
OPEN = ("queued", "leased", "received", "executing")


class Api:
    """A mirror's HTTPS API over one connection; when that breaks the next mirror is tried."""

    def __init__(self, token, rng):
        self.token, self.rng, self.connection = token, rng, None
        self.context = ssl.create_default_context(cafile=f"{DIR}/ca/ca.crt")
        self.context.check_hostname = False

    def request(self, method, path, body=None, token=None):
        """Returns (status, JSON or None); status None: no answer, so it may or may not have counted."""
        try:
            if not self.connection:
                port = 8443 + self.rng.randrange(faultplan.MIRRORS)
                self.connection = http.client.HTTPSConnection(ADDRESS, port, timeout=10, context=self.context)
            self.connection.request(method, path, None if body is None else json.dumps(body), {
                "Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"})
            response = self.connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError):
            self.close()
            return None, None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def acknowledged(status):
    """5xx: the mirror may not know what became of a statement either."""
    if status is None or status >= 500:
        return None
    return 200 <= status < 300


def large(number, size):
    """A value that travels in parts; small() tells it by its number, and whether it is whole."""
    return {"number": number, "text": (f"{number} " * (size // 2))[:size], "size": size}


def small(value):
    if not isinstance(value, dict):
        return value
    return value["number"] if value == large(value["number"], value["size"]) else "a large value that is not whole"


class Right:
    """A token of its own that is withdrawn now and then, and replaced by another."""

    def __init__(self, world, token):
        self.world, self.token, self.barred, self.n, self.withdrawn = world, token, False, 0, 0

    def withdraw(self):
        if not self.barred and self.world.mirror("token", "revoke", f"guest{self.n}").returncode == 0:
            self.barred = True
            self.withdrawn += 1

    def restore(self):
        if not self.barred:
            return
        added = self.world.mirror("token", "add", f"guest{self.n + 1}", "--right", "invoke", "--model", "demo-sensor")
        if added.returncode == 0:
            self.n, self.token, self.barred = self.n + 1, added.stdout.strip(), False


class Device:
    """One device's applications, on both sides, and what they know."""

    def __init__(self, campaign, n):
        self.campaign, self.n, self.uid = campaign, n, f"dev{n}"
        self.loses_store = n == len(campaign.world.sessions)
        self.may_set = not self.loses_store  # nobody could say which writes by command came before the loss
        self.lock = threading.Lock()  # held while the device's own application writes, and while its store is lost
        self.writes, self.commands, self.alarms = [], [], []
        self.resting = {}
        self.asked = collections.Counter()

    def pause(self, rng, most):
        self.campaign.stop.wait(rng.uniform(0, most))

    def write(self, side, rng, attempt):
        """To a property of this side, to one that both sides write, to a counter, or a large value."""
        kind = rng.choices((side[0], "n", "c", f"l{side[0]}"), (32, 8, 4, 1))[0]
        name = f"{kind}{rng.randrange(PROPERTIES if kind == side[0] else SHARED)}"
        if self.resting.get((side, name), 0) > time.monotonic():
            return
        entry = {"side": side, "name": name, "value": self.campaign.number(), "ack": None}
        if kind == "n":
            entry["both"] = True
        elif kind == "c":
            entry.update(value=rng.randint(1, 9), add=True)
        self.writes.append(entry)
        sent = large(entry["value"], rng.randint(*LARGE)) if kind[0] == "l" else entry["value"]
        entry["ack"] = attempt(name, sent, kind == "c")
        if entry["ack"] is None:
            self.resting[side, name] = time.monotonic() + REST_S * SLOW

    def application_writes(self, rng):
        api = Api(self.campaign.token, rng)
        while not self.campaign.stop.is_set():
            self.write("mirror", rng, lambda name, value, add: acknowledged(
                api.request("POST" if add else "PUT", f"/things/{self.uid}/properties/{name}", value)[0]))
            self.pause(rng, 0.1)
        api.close()

    def application_commands(self, rng):
        api = Api(self.campaign.token, rng)
        while not self.campaign.stop.is_set():
            self.ask(api, rng)
            self.pause(rng, 0.3)
        api.close()

    def ask(self, api, rng):
        """One command: of any kind, as guest or not, and perhaps withdrawn."""
        kind = rng.choices(("append", "again", "brief", "hasty", "set"), (8, 3, 2, 2, 2))[0]
        if kind == "set" and not self.may_set:
            kind = "append"
        right, entry = self.campaign.right, {"id": self.campaign.number(), "ack": None, "seq": None}
        guest = kind != "set" and rng.random() < 0.3
        token = right.token if guest else None
        if guest and right.barred:
            entry["barred"] = True
        if kind == "again":
            entry["repeatable"] = True
        self.commands.append(entry)
        if kind == "set":
            entry["set"] = [f"s{rng.randrange(SETTABLE)}", entry["id"]]
            status, body = api.request("PUT", f"/things/{self.uid}/properties/{entry['set'][0]}", entry["id"])
        else:
            status, body = api.request("POST", f"/things/{self.uid}/actions/{kind}",
                                       {"id": entry["id"], "pause": rng.choice((0, 0, 0, 0.02, 0.1, 0.5))}, token)
        entry["ack"] = acknowledged(status)
        self.asked[f"{kind} {status}"] += 1
        if not entry["ack"]:
            return
        entry["seq"] = self.number_of(body)
        if kind in ("append", "again") and rng.random() < 0.2:
            self.pause(rng, 0.3)
            gone = acknowledged(api.request("DELETE", f"/things/{self.uid}/actions/{kind}/{entry['seq']}")[0])
            if gone is not False:
                entry["cancel"] = gone
            self.asked[f"withdrawn {gone}"] += 1

    @staticmethod
    def number_of(body):
        return int(body["href"].rsplit("/", 1)[1])

    def device_writes(self, rng):
        while not self.campaign.stop.is_set():
            with self.lock:
                self.write("device", rng, self.set)
            self.pause(rng, 0.1)

    def set(self, name, value, add):
        if isinstance(value, dict):
            with open(f"{DIR}/{self.uid}/large", "w", encoding="ascii") as f:
                json.dump(value, f)
            r = self.heliograph("property", "set", name, "--file", f"{DIR}/{self.uid}/large")
        else:
            r = self.heliograph("property", "add" if add else "set", name, str(value))
        if r.returncode and ("full" in r.stderr or "space" in r.stderr):
            return False
        return r.returncode == 0 or None

    def heliograph(self, *argv, timeout=10):
        return self.campaign.world.heliograph(self.n, *argv, timeout=timeout)

    def device_alarms(self, rng):
        """An alarm counts as acknowledged when the agent that sent it has none waiting any more, and refused none."""
        while not self.campaign.stop.is_set():
            before, sent = self.status(), self.heliograph("alarm", "test", "--json")
            if before and sent.returncode == 0:
                counter, until = json.loads(sent.stdout)["counter"], time.monotonic() + 3 * SLOW
                while time.monotonic() < until and not self.campaign.stop.is_set():
                    now = self.status()
                    if not now or now["pid"] != before["pid"]:
                        break
                    if now["alarm"]["waiting"] == 0:
                        kept = all(now["alarm"][what] == before["alarm"][what] for what in ("refused", "given_up"))
                        self.asked[f"alarm {'acknowledged' if kept else 'refused or given up'}"] += 1
                        self.alarms += [counter] if kept else []
                        break
                    time.sleep(0.05)
            self.pause(rng, 1)

    def is_heard(self):
        """A test alarm is acknowledged; what was refused before, while a clock was wrong, decides nothing."""
        before, sent = self.status(), self.heliograph("alarm", "test", "--json")
        if not before or sent.returncode:
            return False
        counter = json.loads(sent.stdout)["counter"]
        wait_for(5, lambda: self.status()["alarm"]["waiting"] == 0)
        if self.status()["alarm"]["acknowledged"] > before["alarm"]["acknowledged"]:
            self.alarms.append(counter)
            return True
        return False

    def status(self):
        r = self.heliograph("status", "--json")
        return json.loads(r.stdout) if r.returncode == 0 else None

    def both_sides(self):
        status, values = Api(self.campaign.token, self.campaign.rng).request("GET", f"/things/{self.uid}/properties")
        if status != 200:
            raise RuntimeError(f"{self.uid}: the mirror answers {status}")
        listed = self.heliograph("property", "list", "--json")
        if listed.returncode:
            raise RuntimeError(listed.stderr)
        device = {p["name"]: p["value"] for p in json.loads(listed.stdout)}
        commands = json.loads(sql("mirror", "SELECT coalesce(json_agg(json_build_object('seq', seq, 'id',"
                                            " coalesce((input->>'id')::int, (input->>'value')::int), 'state', state)),"
                                            f" '[]') FROM heliograph.command WHERE device_id = '{self.uid}'"))
        values, device = ({name: small(v) for name, v in held.items() if name[0] != "c" or v != 0}
                          for held in (values, device))
        return {"properties": values, "commands": commands}, {"properties": device}

    def quiet(self):
        self.heliograph("sync", "now")
        mirror, device = self.both_sides()
        return mirror["properties"] == device["properties"] and not any(c["state"] in OPEN for c in mirror["commands"])

    def history(self):
        mirror, device = self.both_sides()
        with open(f"{DIR}/{self.uid}/runs", encoding="ascii") as f:
            runs = [int(line) for line in f]
        stored = sql("collector", f"SELECT counter FROM collector.alarm WHERE uid = '{self.uid}'").split()
        return {"writes": self.writes, "commands": self.commands, "mirror": mirror, "device": device, "runs": runs,
                "alarms": {"sent": self.alarms, "stored": [int(s) for s in stored]}}


class Campaign:
    def __init__(self, seed, devices):
        self.seed, self.rng, self.after = seed, random.Random(seed), {}
        self.stop, self.counter, self.lock = threading.Event(), 0, threading.Lock()
        with open(f"{DIR}/token", encoding="ascii") as f:
            self.token = f.readline().strip()
            guest = f.readline().strip()
        self.world = faultworld.World(seed, devices)
        self.right = Right(self.world, guest)
        self.withdraw, self.restore = self.right.withdraw, self.right.restore
        self.devices = [Device(self, n) for n in range(1, devices + 1)]
        self.faults = faults.Faults(self.world, self)

    def number(self):
        with self.lock:
            self.counter += 1
            return self.counter

    @contextlib.contextmanager
    def lost(self, n):
        device = self.devices[n - 1]
        with device.lock:
            yield
            device.writes.append({"reset": True})

    def ready(self, name):
        if name == "postgres":
            return run(f"{faultworld.postgres_binaries()}/pg_isready", "-q").returncode == 0
        if name.startswith("agent"):
            return self.world.heliograph(int(name[5:]), "status").returncode == 0
        if name.startswith("mirror"):
            port = 8443 + int(name[6:]) - 1
            return run("curl", "-sk", "-o", "/dev/null", "-m", "2", "-H", f"Authorization: Bearer {self.token}",
                       f"https://{ADDRESS}:{port}/things").returncode == 0
        return self.world.daemons[name].alive()

    def begin(self, devices):
        """The work of all applications, in threads; end() ends it."""
        self.stop.clear()
        self.threads = []
        for d in devices:
            work = (d.application_writes, d.application_commands, d.device_writes, d.device_alarms)
            self.threads += [threading.Thread(target=f, args=(random.Random(self.rng.random()),)) for f in work]
        for t in self.threads:
            t.start()

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()

    def work(self, seconds, devices, sets=True, at_end=lambda: None):
        """Some of it without faults."""
        for d in devices:
            d.may_set = sets and not d.loses_store
        self.begin(devices)
        time.sleep(seconds)
        at_end()
        self.end()

    def settle(self):
        for name in self.world.daemons:
            self.world.up(name, self.ready)
        return all([wait_for(40, d.quiet) for d in self.devices])

    def run(self, sessions, seconds, rounds):
        wanted = {kind: rounds * n for kind, n, _, _ in faultplan.ROUND if kind not in self.world.without}
        began = time.monotonic()

        def enough(done):
            came = collections.Counter(s["kind"] for s in done if s["do"] == "end")
            return time.monotonic() - began > seconds or (
                self.world.count().total() >= sessions and all(came[kind] >= n for kind, n in wanted.items())
                and all(d.kills for d in self.world.daemons.values()))

        self.world.start(self.ready)
        self.begin(self.devices)
        try:
            self.faults.run(faultplan.schedule(self.seed, len(self.devices), self.world.without), enough)
        finally:
            self.end()
        self.world.heal()
        settled = self.settle()
        self.heard = [wait_for(30, d.is_heard) for d in self.devices]
        self.sessions = collections.Counter(self.world.count())
        return settled

    def history(self):
        return {"seed": self.seed, "devices": {d.uid: d.history() for d in self.devices},
                "schedule": self.faults.done, "without": self.world.without, "sessions": self.sessions, "after": self.after,
                "heard": self.heard,
                "kills": {d.name: d.kills for d in self.world.daemons.values()},
                "deaths": {d.name: d.deaths for d in self.world.daemons.values() if d.deaths},
                "rights": self.right.withdrawn,
                "frames": [self.world.links.say(n, "count") for n in range(1, len(self.devices) + 1)]}


def tell(h, devices):
    """For people."""
    acks, states = collections.Counter(), collections.Counter()
    for d in h["devices"].values():
        acks.update((w["side"], w["ack"]) for w in d["writes"] if "side" in w)
        states.update(c["state"] for c in d["mirror"]["commands"])
    known = {True: "acknowledged", None: "of unknown fate", False: "refused"}
    listed = lambda counter: ", ".join(f"{n} {what}" for what, n in sorted(counter.items()))  # noqa: E731
    print(f"sessions: {sum(h['sessions'].values())}: {listed(h['sessions'])}")
    print(f"killed: {listed(h['kills'])}")
    print(f"faults: {listed(collections.Counter(s['kind'] for s in h['schedule'] if s['do'] == 'begin'))}")
    print("writes: " + ", ".join(f"{side}-owned {n} {known[a]}" for (side, a), n in sorted(acks.items(), key=str)))
    print(f"commands: {listed(states)}; asked for: {listed(sum((d.asked for d in devices), collections.Counter()))}")
    print(f"runs: {sum(len(d['runs']) for d in h['devices'].values())}; rights withdrawn: {h['rights']}; alarms"
          f" acknowledged: {sum(len(d['alarms']['sent']) for d in h['devices'].values())}")
    print("frames passed, lost, doubled, late: " + "; ".join(" ".join(map(str, f)) for f in h["frames"]))
    print(f"ended by themselves: {h['deaths']}; left out: {h['without']}")
    for name, seen in h["after"].items():
        print(f"{name}: {', '.join(f'{what}: {value}' for what, value in seen.items())}")


def main():
    seed, devices, sessions, seconds, rounds = map(int, sys.argv[1:6])
    campaign = Campaign(seed, devices)
    try:
        settled = campaign.run(sessions, seconds, rounds)
        for name in sys.argv[6:]:
            campaign.after[name] = getattr(aftermath, name)(campaign)
        history = campaign.history()
    finally:
        campaign.world.close()
    history["settled"] = settled
    with open(f"{DIR}/history.json", "w", encoding="utf-8") as f:
        json.dump(history, f)
    tell(history, campaign.devices)


main()
