#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Properties that the Thing Model gives to both sides, as applications on the device meet them: the
socket, libheliograph and the command line. There is no mirror here; see tests/e2e/rules.t.
"""
import json, os, sys, tempfile
sys.path.insert(0, os.path.dirname(__file__))
from agent import Agent, done, equal, ok  # noqa: E402

MODEL = {"@type": "tm:ThingModel", "title": "Both", "properties": {
    "goal": {"type": "string", "maxLength": 20000, "hg:merge": "newest"},
    "count": {"type": "integer", "maximum": 100, "hg:merge": "counter"},
    "wide": {"type": "integer", "hg:merge": "counter"},
    "theirs": {"type": "integer"}}}
path = tempfile.NamedTemporaryFile("w", suffix=".json")
json.dump(MODEL, path)
path.flush()
agent = Agent(f"device.model = {path.name}")
agent.start()


def add(name, by, **more):
    r = agent.call("property.add", name=name, by=by, **more)
    return r["result"]["value"] if r["ok"] else (r["error"]["code"], r["error"]["message"])


equal((add("count", 5), add("count", -7), agent.get("count")), (5, -2, -2), "a counter takes more and less")
ok(agent.call("property.set", name="count", value=90)["ok"] and agent.get("count") == 90, "it can be set")
r = agent.call("property.get", name="count")["result"]
equal((r["merge"], r["synced"]), ("counter", False), "a property tells its rule")
for name, by, code, word in (("count", 11, "invalid", "above the maximum"), ("count", 1.5, "invalid", "whole number"),
                             ("count", "x", "invalid", "whole number"), ("goal", 1, "invalid", "not a counter"),
                             ("theirs", 1, "invalid", "not a counter"), ("none", 1, "invalid", "not a counter"),
                             ("wide", 2 ** 62, "invalid", "cannot take so much"),
                             ("wide", 2 ** 63 - 1, "invalid", "cannot take so much")):
    r = add(name, by)
    ok(r[0] == code and word in r[1], f"adding {by!r} to {name} is refused: {word}", str(r))
add("wide", 2 ** 62 - 1)
ok("cannot take so much" in add("wide", 1)[1] and agent.get("wide") == 2 ** 62 - 1, "nor is a counter filled up, and it stays as it was")
ok(not agent.call("property.remove", name="count")["ok"] and agent.get("count") == 90, "a counter is not removed")
equal((agent.cli("property", "add", "count", "4")[:2], agent.get("count")), ((0, "94\n"), 94), "the command line adds")
equal(agent.cli("property", "add", "count", "4x")[0], 2, "a number with a tail is a mistake in its use")
equal(agent.cli("property", "add", "count", "99999999999999999999")[0], 2, "one that is too long, too")
ok("above the maximum" in agent.cli("property", "add", "count", "50")[2], "the agent's word is passed on")

ok(agent.call("property.set", name="goal", value="a")["ok"], "both sides' newest can be set here")
r = agent.call("property.set", name="goal", value="x" * 17000)
ok(not r["ok"] and "16384 bytes" in r["error"]["message"], "but not to what would travel in parts", str(r))
ok(agent.call("property.remove", name="goal")["ok"] and agent.get("goal") is None, "and removed")
ok(agent.call("property.set", name="theirs", value=1)["error"]["code"] == "denied", "what the mirror owns is denied")
equal(agent.call("property.conflicts")["result"], {"conflicts": []}, "nothing has lost yet")
agent.stop()
agent.start()
equal((agent.get("count"), agent.get("wide")), (94, 2 ** 62 - 1), "counters are there after a restart")
agent.stop()

bad = dict(MODEL, properties={"p": {"type": "integer", "hg:merge": "oldest"}})
path.seek(0)
path.truncate()
json.dump(bad, path)
path.flush()
try:
    agent.start()
    ok(False, "a model with another rule is refused")
except RuntimeError as e:
    ok('properties.p.hg:merge: is "newest" or "counter"' in str(e), "a model with another rule is refused, and the place named")
done()
