#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Pre-shared keys between the agent and a real mirror: handed out at first contact, kept through
restarts of both, renewed, replaced with the mirror's secret, and worth nothing once the device is
revoked. Each odd key falls back to certificates at once, or at the next session.
"""
import os, signal, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, wait_for
from syncclient import decode, encode
from world import World

w = World("sync.psk_key = @/ca/psk.key\nsync.psk_key_previous = @/previous.key\nsync.psk_life = 1h")
w.run("psk-key", w.dir + "/previous.key")
w.serve()
uid = w.device("dev-1")
b = f"{w.dir}/bundles/{uid}"
agent = Agent(f"""
    device.model = {w.dir}/model.json
    mirror.host = localhost
    mirror.port = {w.sync_port}
    mirror.ca = {w.dir}/ca/ca.crt
    mirror.cert = {b}/device.crt
    mirror.key = {b}/device.key
    mirror.interval = 1h
    mirror.interval_max = 2h
    mirror.interval_min = 50ms
    mirror.backoff_min = 10s
""")
KEY, TICKET = agent.dir + "/state/psk", agent.dir + "/state/ticket"


def status():
    return agent.call("status")["result"]["sync"]


def sync():
    """One session now: what is said of it."""
    code, out, err = agent.cli("sync", "now")
    return out.strip() if code == 0 else f"{code}: {err.strip()}"


def key():
    with open(KEY, "rb") as f:
        return decode(f.read())[0]


def set_key(items):
    """Replaces what the agent that is not running keeps."""
    with open(KEY, "wb") as f:
        f.write(encode(items))


def mirror_conf(line):
    """Puts the line of this name into the mirror's configuration and restarts it."""
    with open(w.conf) as f:
        text = f.read()
    name = line.split(" ")[0]
    old = next(x for x in text.splitlines() if x.startswith(name + " "))
    with open(w.conf, "w") as f:
        f.write(text.replace(old, line))
    w.stop()
    w.serve()


def restart():
    agent.stop()
    agent.start()
    wait_for(lambda: status()["sessions_good"] + status()["sessions_failed"], "the session after a restart")
    return status()["last_text"]


agent.start()
wait_for(lambda: status()["sessions_good"], "the first session")
ok("resumed" not in status()["last_text"], "first contact shows certificates")
equal(os.stat(KEY).st_mode & 0o777, 0o600, "the key it was given is in a file, closed to others")
ok(not os.path.exists(TICKET), "a ticket beside it is not kept")
first = key()
ok(sync().endswith("1 rounds, resumed by key"), "the next session is by key, and one round", status()["last_text"])
equal(key(), first, "and gets no other key")
ok("by key" in restart(), "a restarted agent has its key", status()["last_text"])
agent.stop(signal.SIGKILL)
agent.start()
wait_for(lambda: status()["sessions_good"], "the session after a kill")
ok("by key" in status()["last_text"], "so has a killed one")
w.stop()
w.serve()
ok("by key" in sync(), "a restarted mirror keeps nothing and knows it all the same", status()["last_text"])

# Renewal: the file says that half its life is gone.
agent.stop()
set_key(first[:5] + [1])
ok("by key" in restart(), "a key past half its life still works")
second = wait_for(lambda: key() if key()[2] != first[2] else None, "another key")
ok(second[3] != first[3], "and brings another, of another identity")
ok(second[5] < second[4] <= first[4] + 60000 * 60, "with another half", second)
ok("by key" in sync() and key() == second, "which works, and stays")

# The mirror's secret.
mirror_conf(f"psk_key = {w.dir}/previous.key")
ok("by key" not in sync() and status()["sessions_failed"] == 0,
   "a mirror with another secret takes the certificate in the same handshake", status()["last_text"])
third = key()
ok(third[2] != second[2] and "by key" in sync(), "and gives a key of its own")
w.run("psk-key", w.dir + "/new.key")
mirror_conf(f"psk_key = {w.dir}/new.key")
ok("by key" in sync(), "a mirror that has it as the previous secret knows the key", status()["last_text"])
fourth = key()
ok(fourth[2] != third[2], "and replaces it, unasked")
ok("by key" in sync() and key() == fourth, "once")

# Odd keys.
agent.stop()
bad = list(fourth)
bad[3] = bytes([fourth[3][0] ^ 1]) + fourth[3][1:]
set_key(bad)
text = restart()
equal(status()["last_result"], "tls", "a wrong binder fails the handshake: " + text)
ok("binder" in w.log(), "the mirror says why")
ok(not os.path.exists(KEY), "the key is forgotten")
text = sync()
ok("by key" not in text and "rounds" in text, "the next session shows the certificate", text)
ok("by key" in sync(), "and the one after has a key again")
fifth = key()
for name, items in (("for another mirror or authority", [1, bytes(32)] + fifth[2:]),
                    ("of another form", [2] + fifth[1:]), ("with a short key", fifth[:3] + [b"short"] + fifth[4:]),
                    ("cut", fifth[:5])):
    agent.stop()
    set_key(items)
    text = restart()
    ok("by key" not in text and status()["sessions_failed"] == 0, f"a key {name} is not offered", text)
agent.stop()
set_key(key()[:2] + [bytes([key()[2][0]]) + bytes(54)] + key()[3:])
text = restart()
ok("by key" not in text and status()["sessions_failed"] == 0, "an identity that nobody made is passed over", text)
with open(KEY, "wb") as f:
    f.write(b"\x86\x01" + os.urandom(100))
agent.stop()
ok("by key" not in restart(), "a file of noise is as none")

# A mirror that is not there, or says nothing, costs no key.
sixth = key()
w.stop()
sync()
equal(key(), sixth, "a mirror that is away costs no key")
w.serve()
ok("by key" in sync(), "it is used when the mirror is back", status()["last_text"])

# The key's end, short by the mirror's configuration.
mirror_conf("psk_life = 1s")
agent.stop()
os.unlink(KEY)
agent.start()
wait_for(lambda: status()["sessions_good"], "a session without key")
short = key()
ok(short[4] - sixth[4] < 0, "a key of one second")
wait_for(lambda: "by key" not in sync(), "the end of the key")
ok(status()["sessions_failed"] == 0, "a key that has ended is passed over, and no session fails")

# No more keys: tickets again.
with open(w.conf) as f:
    text = f.read()
with open(w.conf, "w") as f:
    f.write("".join(x + "\n" for x in text.splitlines() if not x.startswith("psk_")))
w.stop()
w.serve()
sync()
ok(sync().endswith("resumed"), "a mirror that hands out no keys gives tickets", status()["last_text"])
ok(not os.path.exists(KEY), "and the device has no key")
with open(w.conf, "w") as f:
    f.write(text.replace("psk_life = 1s", "psk_life = 1h"))
w.stop()
w.serve()
sync()
ok("by key" in sync(), "until it does again")

# Revocation. The mirror is not told of it but by its database.
w.run("device", "revoke", uid)
text = sync()
ok("unknown-device" in text, "a revoked device is refused in spite of its key", text)
equal(status()["last_result"], "refused", "by the answer to its request")

equal(agent.stop(), 0, "the agent ends cleanly")
equal(w.stop(), 0, "so does the mirror")
done()
