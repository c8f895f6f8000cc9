#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The agent with a real mirror on a real PostgreSQL: both directions of properties, commands with
results, resumption, refusals. (Kills at every step are in tests/e2e.)
"""
import json, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, wait_for
from world import World

w = World().serve()
uid = w.device("dev-1")
b = f"{w.dir}/bundles/{uid}"
token = w.token("all", "--right", "read", "--right", "write", "--right", "invoke", "--device", uid)
model = w.dir + "/model.json"
agent = Agent(f"""
    device.model = {model}
    mirror.host = localhost
    mirror.port = {w.sync_port}
    mirror.ca = {w.dir}/ca/ca.crt
    mirror.cert = {b}/device.crt
    mirror.key = {b}/device.key
    mirror.interval = 1h
    mirror.interval_max = 2h
    mirror.interval_min = 50ms
    mirror.interval_soon = 10ms
    mirror.backoff_min = 100ms
    commands.time_limit = 3s
""")
agent.handler("blink", """#!/bin/sh
echo "$2 $HELIOGRAPH_ACTION $HELIOGRAPH_UID $HELIOGRAPH_COMMAND $(cat)" >>%s/ran
echo '"blinked"'
""" % agent.dir)
agent.handler("restart", "#!/bin/sh\necho no way >&2\nexit 7\n")
agent.handler("set-mode", "#!/bin/sh\nread v; [ \"$v\" != '\"cool\"' ] || { echo no cooler >&2; exit 1; }\n")
agent.start()


def http(method, path, body=None):
    return w.http(method, path, body, token)


def status():
    return agent.call("status")["result"]


def invoke(name, value=None):
    s, r, body = http("POST", f"/things/{uid}/actions/{name}", value)
    ok(s in (200, 201, 202), f"action {name} is accepted", f"{s} {body}")
    return r.getheader("Location")


def ended(where):
    s, _, body = http("GET", where)
    return body if s == 200 and body.get("status") in ("completed", "failed") else None


def result(where):
    return wait_for(lambda: ended(where), "the action's end", 10)


wait_for(lambda: status()["sync"]["sessions_good"] >= 1, "the first session")
ok(True, "the first session begins by itself")

code, out, err = agent.cli("property", "set", "temperature", "21.5")
equal((code, err), (0, ""), "an application of the device sets a property")
wait_for(lambda: http("GET", f"/things/{uid}/properties/temperature")[0] == 200, "the change")
equal(http("GET", f"/things/{uid}/properties/temperature")[2], 21.5, "the mirror has it after a session")
wait_for(lambda: agent.call("property.get", name="temperature")["result"]["synced"], "the acknowledgement")
ok(True, "and the device knows that")

watcher = agent.client()
watcher.call("property.watch", names=["setpoint"])
equal(http("PUT", f"/things/{uid}/properties/setpoint", 18.5)[0] // 100, 2, "an application sets over HTTPS")
code, out, err = agent.cli("sync", "now")
equal(code, 0, "sync now: " + out.strip() + err.strip())
equal(agent.get("setpoint"), 18.5, "the device has it after that session")
equal(watcher.recv(), {"event": "property", "property": agent.call("property.get", name="setpoint")["result"]},
      "a watcher was told")
ok("resumed" in out, "that session was resumed")

where = invoke("blink", {"times": 3})
code, out, err = agent.cli("sync", "now")
body = result(where)
equal((body["status"], body.get("output")), ("completed", "blinked"), "a handler's result comes back")
with open(agent.dir + "/ran") as f:
    words = f.read().split(" ", 4)
equal((words[1], words[2], words[4].strip()), ("blink", uid, '{"times":3}'), "it was run once, with its input")
ok("1 commands, 1 reports" in out, "in one session", out)

where = invoke("restart")
agent.cli("sync", "now")
body = result(where)
equal(body["status"], "failed", "a handler that fails is reported")
ok("no way" in json.dumps(body), "with its words", body)

where = invoke("locate")
agent.cli("sync", "now")
body = result(where)
ok(body["status"] == "failed" and "no handler locate" in json.dumps(body), "no handler is a failure", body)

s, r, body = http("PUT", f"/things/{uid}/properties/mode", "heat")
equal(s // 100, 2, "a write of the device's property is accepted as a command")
agent.cli("sync", "now")
equal(agent.get("mode"), "heat", "the device has set it")
agent.cli("sync", "now")
wait_for(lambda: http("GET", f"/things/{uid}/properties/mode")[2] == "heat", "the way back")
ok(True, "and the mirror has the device's value")
http("PUT", f"/things/{uid}/properties/mode", "cool")
agent.cli("sync", "now")
equal(agent.get("mode"), "heat", "a value that the handler set-mode refuses is not set")

code, _, err = agent.cli("property", "set", "setpoint", "20")
equal(code, 5, "a property of the mirror cannot be set on the device: " + err.strip())
code, _, err = agent.cli("property", "set", "temperature", '"warm"')
equal(code, 2, "nor a value of the wrong type: " + err.strip())
code, _, err = agent.cli("property", "set", "nothing", "1")
equal(code, 1, "nor one that the model does not have: " + err.strip())

before = os.stat(agent.dir + "/state/store.db").st_mtime_ns
code, out, err = agent.cli("sync", "now")
ok(out.startswith("0 sent, 0 received, 0 commands, 0 reports, 1 rounds"), "an idle session is one round: " + out.strip())
equal(os.stat(agent.dir + "/state/store.db").st_mtime_ns, before, "and writes nothing to the store")

key = f"{b}/device.key"
os.rename(key, key + ".away")
agent.proc.send_signal(1)
wait_for(lambda: "the old ones stay in use" in agent.log(), "the failed reload")
equal(agent.cli("sync", "now")[0], 0, "SIGHUP with a key that is gone leaves the old one in use")
os.rename(key + ".away", key)
agent.proc.send_signal(1)
wait_for(lambda: "certificates read again" in agent.log(), "the reload")
equal(agent.cli("sync", "now")[0], 0, "SIGHUP reads keys and certificates again")

w.stop()
code, out, err = agent.cli("sync", "now")
equal(code, 4, "without the mirror: " + err.strip())
equal(agent.cli("property", "set", "counter", "7")[0], 0, "the device goes on alone")
w.serve()
wait_for(lambda: http("GET", f"/things/{uid}/properties/counter")[2] == 7, "the change", 60)
ok(True, "and catches up by itself")

equal(agent.stop(), 0, "the agent ends cleanly")
ok(os.stat(agent.dir + "/state/ticket").st_mode & 0o777 == 0o600, "its session ticket is closed to others")
agent.start()
wait_for(lambda: status()["sync"]["sessions_good"] >= 1, "the first session after a restart")
ok("resumed" in status()["sync"]["last_text"], "a restarted agent resumes", status()["sync"]["last_text"])

w.run("device", "revoke", uid)
w.run("ca", "crl")
w.proc.send_signal(1)
wait_for(lambda: agent.cli("sync", "now")[0] != 0, "the revocation")
r = status()["sync"]
ok(r["last_result"] in ("tls", "refused"), f"a revoked device is refused ({r['last_result']}: {r['last_text']})")
equal(agent.stop(), 0, "the agent ends cleanly")
w.stop()
done()
