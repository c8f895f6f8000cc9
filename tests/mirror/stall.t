#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A connection to the database that stands still, as over a network that loses its packets: the mirror gives it up, and
what lay on it would be carried out long after. A device that came back meanwhile is not taken for two, and no write undone.
"""
import os, signal, subprocess, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import BUILD, equal, ok, done, wait_for
from syncclient import OK, Closed, Device
from world import World, free_port

w = World("database.timeout = 1s\ndatabase.connections = 2\nsync.threads = 1\nsync.busy_interval = 100ms")
token = w.token("app", "--right", "read", "--right", "write")
w.serve()


def backends():
    return set(map(int, w.pg.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'heliograph'").split()))


def state(d):
    return w.pg.sql(f"SELECT state || coalesce(': ' || reason, '') FROM heliograph.device WHERE device_id = '{d.uid}'")


def while_stalled(ask):
    """Asks while all connections stand still; the loop's body comes when the mirror has others; then they go on."""
    wait_for(lambda: len(backends()) == 2, "two connections")
    old = backends()
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    try:
        ask()
        wait_for(lambda: backends() - old and w.healthy(), "another connection")
        yield
    finally:
        for pid in old:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not old <= backends(), "the end of one that was given up")


def sync(d):
    try:
        return d.sync().status
    except (Closed, OSError) as e:
        return repr(e)


d = Device(w, w.device("came-back"))
equal(sync(d), OK, "a device synchronises")
d.set("counter", 1)
for _ in while_stalled(lambda: ok(sync(d) != OK, "its next request gets no answer")):
    equal(wait_for(lambda: sync(d) == OK, "the device", 20), True, "the one after that gets one")
equal(state(d), "active", "the old request is carried out, and nobody is taken for two devices")
d.set("counter", 2)
equal(sync(d), OK, "it is served as before")
equal(w.pg.sql("SELECT value FROM heliograph.property WHERE device_id = 'came-back'"), "2", "with its newest value")


# Likewise with two mirrors, of which the one that has the request stands still, too, and gives nothing up
def arrived():
    """Bytes wait for a backend."""
    return any(w.pg.dir in line and int(line.split()[2]) for line in
               subprocess.run(["ss", "-xH"], capture_output=True, text=True, check=True).stdout.splitlines())


other = free_port()
with open(w.conf) as f, open(w.conf + ".other", "w") as g:
    g.write(f.read().replace(f":{w.sync_port}\n", f":{other}\n").replace(f"listen = 127.0.0.1:{w.http_port}\n", "listen = none\n"))
old = backends()
d.set("counter", 3)
d.connect()
for pid in old:
    os.kill(pid, signal.SIGSTOP)
d.send_raw(d.frame(d.message()))
wait_for(arrived, "the request at the database")
os.kill(w.proc.pid, signal.SIGSTOP)
second = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", BUILD + "/heliograph-mirror", "-c", w.conf + ".other", "serve"],
                          stderr=subprocess.DEVNULL)
d.close(abrupt=True)
w.sync_port, first = other, w.sync_port
equal(wait_for(lambda: sync(d) == OK, "the other mirror", 20), True, "a device that turned to another mirror is served")
w.sync_port = first
for pid in old:
    os.kill(pid, signal.SIGCONT)
wait_for(lambda: not arrived(), "the old request")
os.kill(w.proc.pid, signal.SIGCONT)
wait_for(w.healthy, "the first mirror")
equal((state(d), sync(d)), ("active", OK), "and is not taken for two when the first mirror's request is carried out")
second.terminate()
second.wait(30)


def put(value):
    try:
        return w.http("PUT", "/things/came-back/properties/setpoint", value, token)[0]
    except OSError as e:
        return repr(e)


for _ in while_stalled(lambda: equal(put(20), 503, "an application's write gets no answer")):
    equal(wait_for(lambda: put(21) == 204, "the application", 20), True, "the next one does")
wait_for(lambda: w.http("GET", "/things/came-back/properties/setpoint", None, token)[0] == 200, "an answer")
equal(w.pg.sql("SELECT value FROM heliograph.property WHERE device_id = 'came-back' AND name = 'setpoint'"), "21",
      "and is not undone by the one before")
equal(w.stop(), 0, "the mirror ends on SIGTERM")
done()
