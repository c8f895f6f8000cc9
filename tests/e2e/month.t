#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A device was off for a month: thousands of changes and 200 commands wait for it, thousands of its own
wait for the mirror. It is level after one contact, and neither side needs more memory for it than
for an idle session and some messages.
"""
import os, sys, time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE + "/../agent")
from agent import Agent, done, equal, ok, wait_for
from world import World

SAN = os.environ.get("HG_SAN", "0") != "0"
CHANGES, COMMANDS = (1000, 50) if SAN else (5000, 200)
ROOM_KIB = 1 << 20 if SAN else 4096  # above an idle session; a message has at most 256 KiB
MONTH = 31 * 86400
MODEL = {
    "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"hg": "urn:heliograph:td#"}],
    "@type": "tm:ThingModel", "title": "Archive", "hg:model": "archive",
    "properties": {**{f"w{i}": {"type": "integer"} for i in range(CHANGES)},
                   **{f"r{i}": {"type": "integer", "readOnly": True} for i in range(CHANGES)}},
    "actions": {"log": {"input": {"type": "integer"}, "output": {"type": "integer"}, "hg:deliverWithin": "P60D"},
                "late": {"hg:deliverWithin": "P30D"}},
}

w = World()
w.model(MODEL)
w.serve()
uid = w.device("dev-1", "archive")
bundle = f"{w.dir}/bundles/{uid}"
token = w.token("all", "--right", "read", "--right", "write", "--right", "invoke", "--device", uid)
agent = Agent(f"""
    device.model = {w.dir}/model.json
    device.properties_max = {2 * CHANGES}
    mirror.host = localhost
    mirror.port = {w.sync_port}
    mirror.ca = {w.dir}/ca/ca.crt
    mirror.cert = {bundle}/device.crt
    mirror.key = {bundle}/device.key
    mirror.interval = 1h
    mirror.interval_soon = 1h
    mirror.changes_many = 65536
    mirror.linger = 20s
""")
agent.handler("log", f"#!/bin/sh\nread n; echo $n >>{agent.dir}/ran; echo $n\n")
agent.handler("late", f"#!/bin/sh\necho late >>{agent.dir}/ran\n")


def sync():
    return agent.call("status")["result"]["sync"]


def peak(pid):
    """The most memory it ever had since reset(), KiB."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))


def reset(*pids):
    for pid in pids:
        with open(f"/proc/{pid}/clear_refs", "w") as f:
            f.write("5")


def api(call):
    """A function of the application's side, for each number of a series."""
    h = f"sha256('{token}')"
    return sql(f"""
        DO $$ DECLARE r api_reply; BEGIN
            FOR i IN 0..{call[0] - 1} LOOP
                r := {call[1].format(h=h)};
                IF r.status >= 300 THEN RAISE '%', r; END IF;
            END LOOP;
        END $$""")


def sql(text):
    return w.pg.sql("SET search_path TO heliograph; " + text)


# The month before: the device is level.
agent.start()
wait_for(lambda: sync()["sessions_good"] == 1, "the first contact", 30)
reset(agent.proc.pid, w.proc.pid)
code, out, err = agent.cli("sync", "now")
ok(code == 0 and " 1 rounds" in out, "an idle session: " + out.strip(), err)
idle = peak(agent.proc.pid), peak(w.proc.pid)

# While it is off: the device writes without a mirror, the applications without a device.
w.stop()
for at in range(0, CHANGES, 64):
    r = agent.call("property.set", values={f"r{i}": i for i in range(at, min(at + 64, CHANGES))})
    if not r["ok"]:
        raise RuntimeError(r)
agent.stop()
api((CHANGES, "api_property_put({h}, '', '%s', 'w' || i, to_jsonb(i), NULL)" % uid))
api((COMMANDS, "api_action_post({h}, '', '%s', 'log', to_jsonb(i))" % uid))
api((2, "api_action_post({h}, '', '%s', 'late', NULL)" % uid))
sql(f"""UPDATE command SET created_at = created_at - interval '{MONTH} s', deliver_by = deliver_by - interval '{MONTH} s';
        UPDATE property SET made_ms = made_ms - {MONTH * 1000}, changed_at = changed_at - interval '{MONTH} s';
        UPDATE device_sync SET session_at = session_at - interval '{MONTH} s'""")
w.serve()

began = time.monotonic()
agent.start()
reset(agent.proc.pid, w.proc.pid)
wait_for(lambda: sync()["sessions_good"] == 1, "the session", 120)
took = time.monotonic() - began
much = peak(agent.proc.pid), peak(w.proc.pid)
text = sync()["last_text"]
print("# " + text + f"; {took:.1f} s", flush=True)
equal(sync()["sessions_failed"], 0, "one contact after a month, and it is good")
equal(int(sql("SELECT session FROM device_sync")), sync()["last_number"], "the mirror saw no other")
equal(int(sql(f"SELECT count(*) FROM property WHERE owner = 'device' AND name LIKE 'r%' AND value = to_jsonb(substr(name, 2)::integer)")),
      CHANGES, "the mirror has every change of the device")
held, after = {}, ""
while after is not None:
    r = agent.call("property.list", after=after)["result"]
    held.update({p["name"]: p["value"] for p in r["properties"]})
    after = r.get("next")
equal({k: v for k, v in held.items() if k[0] == "w"}, {f"w{i}": i for i in range(CHANGES)},
      "the device has every change of the mirror")
with open(agent.dir + "/ran") as f:
    ran = f.read().split()
equal(sorted(map(int, ran)), list(range(COMMANDS)), "every command ran once")
equal(sql("SELECT state || ' ' || count(*) FROM command WHERE action = 'log' GROUP BY state"), f"done {COMMANDS}",
      "and the mirror has every end")
equal(sql("SELECT state || ' ' || count(*) FROM command WHERE action = 'late' GROUP BY state"), "expired 2",
      "what had to be delivered within 30 days expired")
code, out, err = agent.cli("sync", "now")
ok(out.startswith("0 sent, 0 received, 0 commands, 0 reports, 1 rounds"), "nothing remains: " + out.strip(), err)
for name, a, b in (("agent", idle[0], much[0]), ("mirror", idle[1], much[1])):
    print(f"# {name}: VmHWM {a} KiB after an idle session, {b} KiB after this one", flush=True)
    ok(b <= a + ROOM_KIB, f"the {name} needed at most {ROOM_KIB} KiB more than for an idle session", f"{a} {b}")
equal(agent.stop(), 0, "the agent ends cleanly")
equal(w.stop(), 0, "the mirror, too")
done()
