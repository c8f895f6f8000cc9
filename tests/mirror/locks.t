#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Transactions of a device, of applications and of the operator that meet at one device: each locks the
device's row of device_sync first and judges after that, so none waits in a circle, and none acts on
what another has just ended.
"""
import hashlib, os, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import equal, ok, done, wait_for
from world import World

w = World()
token = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")
HASH = "'\\x" + hashlib.sha256(token.encode()).hexdigest() + "'"
first, second = w.pg.session(), w.pg.session()
for s in first, second:
    s.run("SET search_path = heliograph; SET deadlock_timeout = '100ms'")


def waiting():
    return w.pg.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") != "0"


def meet(uid, after_lock, other):
    """`first` has locked the device and goes on with after_lock while `other` is under way: what both said."""
    first.run("BEGIN; SELECT FROM device_sync WHERE device_id = '%s' FOR UPDATE" % uid)
    second.begin(other)
    wait_for(waiting, "the second to wait")
    said = first.run(after_lock)
    first.run("COMMIT")
    return said, second.end()


RENEW = "SELECT coalesce(device_renew('%s', 'AB12', now() + interval '1 year'), 'recorded')"
d = w.device("renewing")
equal(meet(d, "UPDATE device SET reason = reason WHERE device_id = 'renewing'; INSERT INTO refusal VALUES ('renewing', 1, 1, 'x', 'y')",
           RENEW % d), ("", "recorded"), "a renewal waits for who holds the device, and holds up nobody")
d = w.device("renewing-2")
equal(meet(d, "SELECT admin_device_revoke('%s')" % d, RENEW % d), ("", "the device is not known, or not active"),
      "and signs nothing for a device that was revoked meanwhile")
equal(w.pg.sql("SELECT count(*) FROM heliograph.device_certificate WHERE device_id = 'renewing-2' AND revoked_at IS NULL"),
      "0", "so none of its certificates is left")


def call(fn, uid, *rest):
    args = ", ".join([HASH, *rest])
    return f"SELECT status FROM {fn}({args})" % uid


for what, statement in (
        ("action", call("api_action_post", "d-action", "'https://localhost'", "'%s'", "'restart'", "NULL")),
        ("write", call("api_property_put", "d-write", "'https://localhost'", "'%s'", "'setpoint'", "'20'", "NULL")),
        ("wish", call("api_property_put", "d-wish", "'https://localhost'", "'%s'", "'mode'", "'\"heat\"'", "NULL"))):
    d = w.device("d-" + what)
    equal(meet(d, "SELECT admin_device_revoke('%s')" % d, statement), ("", "409"),
          f"an application's {what} that waited for a revocation hears of it")
    equal(w.pg.sql(f"SELECT count(*) FROM heliograph.command WHERE device_id = '{d}' AND ended_at IS NULL"), "0",
          f"and no command of that device is open ({what})")

# Who has no right does not hold up a device, not even by waiting for it.
d = w.device("stranger")
for what, fn in (("invoke", "api_action_post('\\x00', 'https://localhost', '%s', 'restart', NULL)"),
                 ("cancel", "api_action_delete('\\x00', '%s', 'restart', 1)")):
    first.run("BEGIN; SELECT FROM device_sync WHERE device_id = '%s' FOR UPDATE" % d)
    equal(second.run("SET statement_timeout = '3s'; SELECT status FROM " + fn % d), "401",
          f"a stranger's {what} is refused without the device's lock")
    first.run("COMMIT")
done()
