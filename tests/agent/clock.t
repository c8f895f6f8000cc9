#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A device whose clock is wrong, in either direction, synchronises all the same; a mirror that lives in
the past of what the device knows does not get through.
"""
import glob, os, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, skip, wait_for
from fakemirror import FakeMirror
from world import World

FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") + [None])[0]
if os.environ.get("HG_SAN", "0") != "0":
    FAKETIME = None
WHY = "no libfaketime, or a build with sanitizers, before which it cannot be loaded"

w = World("sync.psk_key = @/ca/psk.key\nsync.psk_life = 1h").serve()
uid = w.device("dev-1")


def agent(*lines):
    b = f"{w.dir}/bundles/{uid}"
    return Agent(f"""
        mirror.host = localhost
        mirror.port = {w.sync_port}
        mirror.ca = {w.dir}/ca/ca.crt
        mirror.crl = {w.dir}/ca/ca.crl
        mirror.cert = {b}/device.crt
        mirror.key = {b}/device.key
        mirror.backoff_min = 50ms
    """ + "\n".join(lines))


def first(a, when):
    """The result of the first session of an agent that believes it is `when`."""
    a.start({"LD_PRELOAD": FAKETIME, "FAKETIME": when, "DONT_FAKE_MONOTONIC": "1"})
    def status():
        s = a.call("status")["result"]["sync"]
        return s if s["sessions_good"] + s["sessions_failed"] else None
    return wait_for(status, "the first session")


for when, strict in (("@1970-01-02 00:00:00", "not yet valid"), ("@2090-01-01 00:00:00", "expired")):
    year = when[1:5]
    if not FAKETIME:
        skip(f"a clock in {year}", WHY)
        continue
    a = agent()
    r = first(a, when)
    equal(r["last_result"], "none", f"with a clock in {year} the first session is good: " + r["last_text"])
    code, out, err = a.cli("sync", "now")
    ok("by key" in out, f"{year}: the second is by key", out + err)
    with open(a.dir + "/state/psk", "rb") as f:
        key = f.read()
    a.cli("sync", "now")
    with open(a.dir + "/state/psk", "rb") as f:
        ok(f.read() == key, f"{year}: and the key is not renewed for nothing")
    a.stop()
    ok(first(a, when)["last_text"].endswith("by key"), f"{year}: after a restart too")
    a.stop()
    a = agent("mirror.clock = strict")
    r = first(a, when)
    ok(r["last_result"] == "tls" and strict in r["last_text"], f"clock = strict refuses in {year}", r["last_text"])
    a.stop()
w.stop()

# The mirror's time.
f = FakeMirror().start()
f.years = 0
f.script = lambda fake, c, r: c.sendall(fake.frame(fake.answer(r, _6=int((time.time() + f.years * 31557600) * 1000))))
a = Agent(f.conf())
os.mkdir(a.dir + "/state", 0o700)
with open(a.dir + "/state/clock", "w") as file:
    file.write(f"{int(time.time() * 1000)}\n")
a.start()
equal(a.cli("sync", "now")[0], 0, "a mirror with the right time")
f.changes.append([1, 0, "setpoint", 20])
f.years = -2
code, out, err = a.cli("sync", "now")
ok(code and "the mirror's clock says" in err, "one that is two years behind what is known is refused: " + err.strip())
equal(a.get("setpoint"), None, "and nothing of its answer is taken")
script = f.script
for status, what in ((0, "an answer"), (6, "a refusal")):
    m = {0: 1, 3: f.epoch, 6: int((time.time() - 2 * 31557600) * 1000), 7: 3600000}
    if status:
        m = {0: 1, 1: status, 6: m[6], 7: m[7]}
    f.script = lambda fake, c, r, m=m: c.sendall(fake.frame(m))
    err = a.cli("sync", "now")[2]
    s = a.call("status")["result"]["sync"]
    equal((s["policy"]["hint_ms"], s["last_result"]), (0, "protocol"), f"nor is its hint, be it {what}: " + err.strip())
f.script = script
f.years = 70
equal(a.cli("sync", "now")[0], 0, "one that is 70 years ahead is taken")
equal(a.get("setpoint"), 20, "with what it says")
f.years = 0
equal(a.cli("sync", "now")[0], 0, "and does no harm: the right time is good again")
a.stop()
with open(a.dir + "/state/clock", "w") as file:
    file.write(f"{int((time.time() + 40 * 86400) * 1000)}\n")
os.unlink(a.dir + "/state/ticket")
a.start()
code, out, err = a.cli("sync", "now")
ok(code and "expired" in err, "a certificate that ended before the known time is refused: " + err.strip())
a.stop()
done()
