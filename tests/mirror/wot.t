#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, what it adds to http.t is the client, and that is not ours
"""
Strangers' tools: the W3C's JSON schema of Thing Description 1.1, and node-wot as a client that reads and
writes a property and invokes an action, with a device (syncclient.py) at the other end.
"""
import json, os, shutil, subprocess, sys
sys.path.insert(0, os.path.dirname(__file__))
from pgworld import BUILD, TOP, equal, ok, done
from syncclient import DONE, Device
from world import MODEL, World

source, home = TOP + "/tests/mirror/wot", BUILD + "/tests/mirror/wot"


def installed():
    """Puts the locked packages into the build directory. Returns why not, or None."""
    if not shutil.which("npm") or not shutil.which("node"):
        return "no npm on this machine"
    os.makedirs(home, exist_ok=True)
    lock = open(source + "/package-lock.json").read()
    stamp = home + "/installed"
    for f in os.listdir(source):
        shutil.copy(f"{source}/{f}", home)
    if os.path.exists(stamp) and open(stamp).read() == lock:
        return None
    r = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=home, capture_output=True, text=True)
    if r.returncode:
        return "npm ci failed: " + (r.stderr.strip().splitlines() or ["?"])[-1]
    open(stamp, "w").write(lock)
    return None


why = installed()
if why:
    print(f"1..0 # SKIP {why}")
    sys.exit(0)

w = World()
w.model({"@context": ["https://www.w3.org/2022/wot/td/v1.1"], "@type": "tm:ThingModel", "hg:model": "bare"})
w.model({"@context": ["https://www.w3.org/2022/wot/td/v1.1"], "@type": ["tm:ThingModel"], "hg:model": "rich",
         "title": "Rich", "titles": {"de": "Reich"}, "description": "all that a model may say", "support": "mailto:a@example.org",
         "version": {"model": "1.2.3"}, "tm:required": ["/properties/n"],
         "properties": {"n": {"title": "N", "type": "integer", "minimum": 0, "exclusiveMaximum": 9, "multipleOf": 2, "default": 4},
                        "o": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "boolean", "const": True}}},
                        "w": {"type": "string", "writeOnly": True, "minLength": 1, "format": "date-time"},
                        "e": {"type": "array", "items": {"type": "number"}, "minItems": 1, "readOnly": True, "observable": False}},
         "actions": {"a": {"title": "A", "description": "does it", "safe": False, "input": {"type": "string"}}}})
w.device("d1"), w.device("bare1", "bare"), w.device("rich1", "rich")
token = w.token("app", "--right", "read", "--right", "write", "--right", "invoke")
w.serve()

tds = w.http("GET", "/things", None, token)[2]
tds.append({k: v for k, v in tds[0].items() if k != "security"})
r = subprocess.run(["node", "validate.mjs"], cwd=home, input=json.dumps(tds), capture_output=True, text=True)
out = json.loads(r.stdout) if r.returncode == 0 else {"schema": r.stderr, "errors": [["?"]] * 4}
print("# schema: " + str(out["schema"])[:200])
for td, errors in zip(tds[:-1], out["errors"]):
    equal(errors, [], f"Thing Description of {td['title']} is valid by the W3C schema")
ok(out["errors"][-1], "and one without security is not")

device = Device(w, "d1")
device.set("temperature", 20.5)
device.sync()
env = dict(os.environ, NODE_EXTRA_CA_CERTS=w.dir + "/ca/ca.crt")
client = subprocess.Popen(["node", "client.mjs", f"https://localhost:{w.http_port}/things/d1", token], cwd=home, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
said = {}
for line in client.stdout:
    line = json.loads(line)
    said[line["step"]] = line["value"]
    if line["step"] == "invoked":
        device.sync()
        command = device.inbox[0]
        device.sync([(command["seq"], DONE, 0, "", f"blinked {command['input']['times']} times")])
error = client.stderr.read()
client.wait(30)
equal(said.get("read"), 24.5, "node-wot writes a property and reads it")
equal(said.get("several"), {"setpoint": 24.5, "temperature": 20.5}, "it reads several at once")
ok("Unprocessable" in said.get("refused", ""), "it hears of a value that the model does not allow", said.get("refused"))
equal(device.mirrored, {"setpoint": 24.5}, "the device has the property")
equal(said.get("invoked", {}).get("status"), "pending", "it invokes an action")
equal((said.get("ended", {}).get("status"), said.get("ended", {}).get("output")), ("completed", "blinked 4 times"),
      "and has the device's answer")
ok(client.returncode == 0, "it ends well", error)
equal(w.stop(), 0, "the mirror ends on SIGTERM")
done()
