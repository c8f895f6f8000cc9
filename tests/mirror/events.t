#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`heliograph-mirror events`: nothing is missed, nothing comes twice, whatever order transactions end in."""
import json, os, signal, subprocess, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import BUILD, equal, ok, done, wait_for
from world import World

w = World()
ADD = "SELECT heliograph.outbox_add('%s', 'property', '%s', '%d')"


def run(*args, ok_=0):
    r = subprocess.run([BUILD + "/heliograph-mirror", "-c", w.conf, "events", *args], capture_output=True, text=True)
    return r.returncode, [json.loads(line) for line in r.stdout.splitlines()], r.stderr


def names(*args):
    return [e["name"] for e in run(*args)[1]]


def add(name, n=1, device="d1"):
    w.pg.sql("SET search_path = heliograph;" + ADD % (device, name, n))


w.device("d1")
w.device("d2")
code, first, err = run()
equal((code, err, [(e["device"], e["kind"], e["name"]) for e in first]),
      (0, "", [("d1", "device", "enrolled"), ("d2", "device", "enrolled")]), "enrolments are told")
ok(set(first[0]) == {"cursor", "device", "kind", "name", "data", "time"}, "what an event says", first[0])
last = first[-1]["cursor"]
equal(run("--after", last)[1], [], "nothing after the last one")
equal(names("--after", first[0]["cursor"]), ["enrolled"], "one after the first")

# A transaction that began first and ends last: what began later waits for it.
slow = w.pg.session()
slow.run("SET search_path = heliograph")
slow.run("BEGIN")
slow.run(ADD % ("d1", "slow", 1))
add("fast", 2, "d2")
equal(names("--after", last), [], "a younger transaction is not told while an older one is open")
slow.run("COMMIT")
equal(names("--after", last), ["slow", "fast"], "then both are, the older one first")

# Pages and limits.
w.pg.sql("SET search_path = heliograph; SELECT outbox_add('d1', 'property', 'p' || i, to_jsonb(i)) FROM generate_series(1, 2500) i")
last = run("--after", last)[1][1]["cursor"]
got = run("--after", last)[1]
equal([e["data"] for e in got], list(range(1, 2501)), "2,500 of one transaction, in order")
equal([e["data"] for e in run("--after", last, "--limit", "1200")[1]], list(range(1, 1201)), "--limit")
equal([e["data"] for e in run("--after", got[1499]["cursor"])[1]], list(range(1501, 2501)), "and on in the middle of it")
last = got[-1]["cursor"]

# Following, while the database goes and comes back.
out = open(w.dir + "/out", "w")
p = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", BUILD + "/heliograph-mirror", "-c", w.conf, "events", "--follow", "--after", last],
                     stdout=out, stderr=subprocess.DEVNULL)


def followed():
    with open(w.dir + "/out") as f:
        return [json.loads(line)["name"] for line in f.read().splitlines()]


add("one")
wait_for(lambda: followed() == ["one"], "the first event")
w.pg.kill()
w.pg.start()
add("two")
ok(wait_for(lambda: followed() == ["one", "two"], "the second event", 60), "--follow goes on after the database was away")
p.send_signal(signal.SIGTERM)
equal(p.wait(10), 0, "and ends with a signal")

# What was removed before it was read.
w.pg.sql("UPDATE heliograph.outbox SET happened_at = now() - interval '9 days' WHERE name LIKE 'p%'")
w.pg.sql("SET search_path = heliograph; SELECT prune('7 days', '90 days', '365 days')")
code, events, err = run("--after", first[-1]["cursor"])
equal((code, [e["name"] for e in events]), (0, ["slow", "fast", "one", "two"]), "what is left is told")
ok(f"some after {first[-1]['cursor']} were removed" in err and err.count("\n") == 1, "with a warning, once", err)
equal(run("--after", events[-2]["cursor"])[2], "", "who had read them is not warned")

# A cursor of another database.
ahead = f"{10**12}/d1/5"
for words, code, text in ((["--after", "x"], 1, "x is no cursor"), (["--after", "1/d1/"], 1, "is no cursor"), (["--after", ahead], 1, "lies ahead"),
                          (["--limit", "0"], 2, "a number from 1"), (["--limit", "1x"], 2, "a number from 1"),
                          (["--after", "9" * 200], 2, "too long"), (["x"], 2, "one word too many")):
    r = run(*words)
    ok(r[0] == code and text in r[2], f"{' '.join(words)[:40]}: {text}", r)
w.pg.sql(f"UPDATE heliograph.outbox SET xid = '{10**12}' WHERE name = 'two'")
equal(names("--after", events[-2]["cursor"]), [], "rows of a dump from another cluster wait ...")
w.run("restored")
equal(names("--after", events[-2]["cursor"]), ["two"], "... until `restored`")
full = subprocess.run(f"{BUILD}/heliograph-mirror -c {w.conf} events >/dev/full", shell=True, capture_output=True, text=True)
ok(full.returncode == 1 and "No space left" in full.stderr, "a full disk behind standard output is an error", full)
done()
