#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A connection to the database that stands still, as over a network that loses its packets: the mirror gives it up, and
what lay on it is carried out long after. A device that came back meanwhile is not taken for two.
"""
import os, signal, sys, threading
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, ok, done, wait_for
from syncclient import OK, Closed, Device
from world import World

w = World("database.timeout = 1s\ndatabase.connections = 2\nsync.threads = 1\nsync.busy_interval = 100ms")
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
equal(w.stop(), 0, "the mirror ends on SIGTERM")
done()
