#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the failing library is preloaded, and the sanitizers' runtime would have to come first
"""
The n-th call into libpq fails, n = 1, 2, ... until none does any more: each time the mirror goes on, the
device and the application come through with repeating, and nothing is stored twice.
"""
import os, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import BUILD, equal, ok, done, wait_for
from syncclient import DONE, OK, Device
from world import World

w = World("database.connections = 1\ndatabase.timeout = 1s\nsync.busy_interval = 100ms")
d = Device(w, w.device("d"))
token = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")
os.environ["LD_PRELOAD"] = BUILD + "/tests/mirror/pqfail.so"
runs, failed, n, value = {}, [], 0, 0


def one_round():
    d.connect()
    r = d.take(d.request())
    d.close()
    return r.status == OK


while True:
    n += 1
    value += 1
    os.environ["HG_PQFAIL"] = str(n)
    before = w.log().count("failed ") if n > 1 else 0
    w.serve()
    wait_for(lambda: w.http("PUT", "/things/d/properties/setpoint", 5 + value % 25, token)[0] == 204, "a write")
    wait_for(lambda: w.http("POST", "/things/d/actions/blink", {"times": 1}, token)[0] == 201, "an invocation")
    d.set("counter", value)
    try:
        wait_for(one_round, "a sync")
    except TimeoutError:
        print(w.log()[-1500:], w.run("device", "show", "d"))
        raise
    for c in d.inbox:
        runs[c["seq"]] = runs.get(c["seq"], 0) + 1
    wait_for(lambda: d.connect().request([(c["seq"], DONE, 0, "") for c in d.inbox]).status == OK, "a report")
    d.close()
    d.inbox.clear()
    code = w.stop()
    what = [line for line in w.log().splitlines() if line.startswith("failed ")][before:]
    good = (d.mirrored["setpoint"], code) == (5 + value % 25, 0)
    ok(good, f"call {n}: {what[0] if what else 'none failed'}", w.log()[-800:])
    if not what or not good or n == 60:
        break
    failed += what
os.environ.pop("LD_PRELOAD")
ok(not what and n > 10, f"after {n} calls all went well: {', '.join(sorted(set(x.split()[1] for x in failed)))}")
equal({k: v for k, v in runs.items() if v != 1}, {}, "no command came twice")
equal(w.pg.sql("SELECT count(*) FROM heliograph.command WHERE state <> 'done'"), "0", "all are done")
equal(w.pg.sql("SELECT value FROM heliograph.property WHERE name = 'counter'"), str(value), "the device's last change is there")
done()
