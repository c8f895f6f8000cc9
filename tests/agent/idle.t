#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: a hundred sessions
"""
What an idle device writes: nothing. A hundred sessions in which nobody has anything to say leave
the state directory as it was, to the byte and the time of change, and the kernel counts no byte
that the agent has dirtied. That it would be seen is shown by one property. How much a block of
session numbers costs, one write in 1,024 sessions, is in store_size_test.c.
"""
import hashlib, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, skip, wait_for
from fakemirror import FakeMirror

SESSIONS = 100

m = FakeMirror().start()
agent = Agent(m.conf())
agent.log_path = "/dev/null"  # it would be counted
state = agent.dir + "/state"


def files():
    """Name, size, time of change and content of each file of the state directory."""
    out = {}
    for name in sorted(os.listdir(state)):
        with open(f"{state}/{name}", "rb") as f:
            s, data = os.fstat(f.fileno()), f.read()
        out[name] = (s.st_ino, s.st_size, s.st_mtime_ns, hashlib.sha256(data).hexdigest())
    return out


def dirtied():
    """Bytes that the agent has caused to be written to a disk."""
    with open(f"/proc/{agent.proc.pid}/io") as f:
        return int(next(line.split()[1] for line in f if line.startswith("write_bytes")))


def sync():
    r = agent.call("sync.now")
    if not r["ok"]:
        raise RuntimeError(r)


agent.start()
for _ in range(3):  # first contact, and a ticket
    sync()
agent.call("property.set", name="before", value=1)
wait_for(lambda: m.held.get("before") == 1, "the property at the mirror")
sync()
before, idle = files(), []
# A file that is read for the first time since it was written gets a time of access, once: so twice.
for _ in range(2):
    bytes_before, requests = dirtied(), len(m.requests)
    for _ in range(SESSIONS):
        sync()
    idle.append(dirtied() - bytes_before)
    ok(len(m.requests) - requests >= SESSIONS, f"{SESSIONS} idle sessions")
equal(files(), before, "no file has changed")
bytes_before = dirtied()
agent.call("property.set", name="before", value=2)
counted = dirtied() - bytes_before
ok(files() != before, "a property changes them")
if counted:
    equal(min(idle), 0, f"bytes dirtied in each hundred: {idle} (a property: {counted})")
else:
    skip("bytes dirtied", f"the kernel does not count them for {state}")
equal(agent.stop(), 0, "the agent ends cleanly")
done()
