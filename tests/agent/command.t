#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# waits: limits of time of commands
"""
Command handlers, driven by a scripted mirror: what is run and how, its limits, what is refused,
and what is left of a command when the agent is killed.
"""
import json, os, signal, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from agent import Agent, done, equal, ok, wait_for
from fakemirror import DONE, EXECUTING, EXPIRED, FAILED, UNKNOWN, FakeMirror

m = FakeMirror().start()
agent = Agent(m.conf() + """
    commands.time_limit = 700ms
    commands.kill_after = 200ms
    commands.concurrent = 2
""")
log = agent.dir + "/ran"


def script(name, body, mode=0o755):
    agent.handler(name, "#!/bin/sh\n" + body, mode)


def run(action, value=None, within=0, repeatable=False):
    """Has the agent run it, and returns its final report: (state, exit status, output, detail)."""
    seq = m.command(action, value, within, repeatable)
    agent.call("sync.now")
    return wait_for(lambda: m.ended(seq), f"the end of {action}", 15)


agent.start()
script("echo", "cat")
equal(run("echo", {"a": [1, 2.5, None, "x"]}), (DONE, 0, {"a": [1, 2.5, None, "x"]}, ""), "input and output")
equal(run("echo"), (DONE, 0, None, ""), "no input is null")
script("silent", "exit 0")
equal(run("silent", 1)[:3], (DONE, 0, m.NOTHING), "no output is no result")
script("args", """printf '["%s","%s","%s"]' "$0" "$1" "$#" """)
equal(run("args"), (DONE, 0, [agent.commands + "/args", "args", "1"], ""), "path and action are its arguments")
script("env", """env | sort | cut -d= -f1 | grep -v -e PWD -e SHLVL -e _ | tr '\\n' ' ' | sed 's/.*/"&"/'""")
equal(run("env")[2], "LANG PATH ", "a clean environment (ours have a _)")
script("fds", """ls /proc/self/fd | tr '\\n' ' ' | sed 's/.*/"&"/'""")
equal(run("fds")[2], "0 1 2 3 ", "no descriptor of the agent (3 is that of ls)")
script("fail", "echo bad luck >&2; exit 9")
equal(run("fail"), (FAILED, 9, m.NOTHING, "bad luck"), "exit status and its last words")
script("signal", "kill -SEGV $$")
equal(run("signal")[:2], (FAILED, -signal.SIGSEGV), "killed by a signal")
script("notjson", "echo hello")
r = run("notjson")
ok(r[0] == FAILED and "not JSON" in r[3], "output that is not JSON", r)
script("much", "head -c 2000000 /dev/zero | tr '\\0' 7; exec tail -f /dev/null")
r = run("much")
ok(r[0] == FAILED and "object_max" in r[3], "more output than is allowed", r)
script("quick", "head -c 2000000 /dev/zero | tr '\\0' 7")
for i in range(5):
    r = run("quick")
    ok(r[0] == FAILED and "object_max" in r[3], "also from one that has ended already", r)
script("orphan", "setsid yes & setsid yes >&2 & echo 1")
ok(run("orphan")[0] in (DONE, FAILED), "what got away and still writes holds up nothing")
script("noisy", "head -c 300000 /dev/zero | tr '\\0' x >&2; echo ' end' >&2; exit 1")
r = run("noisy")
ok(r[0] == FAILED and r[3].endswith("x end") and len(r[3]) <= 256, "only the end of much noise is kept", r)
start = time.monotonic()
script("slow", "exec tail -f /dev/null")
r = run("slow")
ok(r[0] == FAILED and r[1] == -signal.SIGTERM and "time limit" in r[3], "over the time limit", r)
script("deaf", "trap '' TERM; while :; do sleep 0.1; done")
r = run("deaf")
ok(r[0] == FAILED and r[1] == -signal.SIGKILL, "one that ignores SIGTERM is killed", r)
ok(time.monotonic() - start < 10, "in time")
script("children", f"sleep 77.7 & echo $! >{agent.dir}/child; echo 1")
equal(run("children")[:3], (DONE, 0, 1), "a child left behind does not hold it")
with open(agent.dir + "/child") as f:
    child = int(f.read())
wait_for(lambda: not os.path.exists(f"/proc/{child}"), "the child's end")
ok(True, "and is ended with it")
script("greedy", "exec python3 -c 'x = bytearray(1 << 29)'")
equal(run("greedy")[0], FAILED, "more memory than is allowed")

for name in ("n" * 64, "valve.left"):
    script("set-" + name, "echo refused >&2; exit 1")
    equal(run("$set", {"name": name, "value": 1})[3], "refused", f"the handler of {len(name)} bytes is asked")
    ok(not agent.call("property.get", name=name)["ok"], "and its word counts")
equal(run("absent"), (FAILED, 0, m.NOTHING, "no handler absent"), "no handler")
r = run("../fail")
equal(r[0], FAILED, "a path is no name: " + r[3])
script("plain", "exit 0", 0o644)
ok("not executable" in run("plain")[3], "not executable")
script("open", "exit 0", 0o777)
ok("changed by others" in run("open")[3], "writable by others")
script("foreign", "exit 0")
os.chown(agent.commands + "/foreign", 12345, -1)
ok("changed by others" in run("foreign")[3], "owned by another user")
os.symlink("/bin/true", agent.commands + "/link")
ok("not a regular file" in run("link")[3], "a symbolic link")
agent.handler("interp", "#!/nonexistent/shell\n")
r = run("interp")
ok(r[:2] == (FAILED, 127) and "interpreter" in r[3], "no interpreter", r)
os.chmod(agent.commands, 0o777)
ok("changed by others" in run("echo")[3], "a directory that others can write")
os.chmod(agent.commands, 0o755)

script("count", f"echo $HELIOGRAPH_COMMAND >>{log}; sleep 0.3; echo '\"ok\"'")  # lint: sleep ok, what takes this long
seqs = [m.command("count") for _ in range(5)]
start = time.monotonic()
agent.call("sync.now")
for seq in seqs:
    wait_for(lambda: m.ended(seq), "all five")
took = time.monotonic() - start
ok(0.8 < took < 6, f"five commands of 0.3 s ran two at a time ({took:.2f} s)")
with open(log) as f:
    equal(sorted(map(int, f)), seqs, "each once")

seqs = [m.command("count", within=w) for w in (0, 0, 200)]
agent.call("sync.now")
wait_for(lambda: m.ended(seqs[2]), "the third")
equal(m.ended(seqs[2])[0], EXPIRED, "a command that waited over execute_within is not run")
agent.stop()
equal(agent.proc.returncode, 0, "the agent ends cleanly")

# Killed while commands run: the one is not run again, the repeatable one is.
with open(agent.conf) as f:
    text = f.read().replace("time_limit = 700ms", "time_limit = 60s")
with open(agent.conf, "w") as f:
    f.write(text)
os.unlink(log)
script("once", f"echo once >>{log}; sleep 60")
script("again", f"echo again >>{log}; [ $(grep -c again {log}) -ge 2 ] || sleep 60; echo 2")
agent.start()
once, again = m.command("once"), m.command("again", repeatable=True)
agent.call("sync.now")
wait_for(lambda: os.path.exists(log) and len(open(log).readlines()) == 2, "both to run")
wait_for(lambda: m.state(once) == EXECUTING and m.state(again) == EXECUTING, "reports of that")
ok(True, "long commands do not hold a session, and are reported as executing")
agent.stop(signal.SIGKILL)
agent.start()
wait_for(lambda: m.ended(once) and m.ended(again), "both ends", 20)
equal(m.ended(once)[0], UNKNOWN, "after SIGKILL the command is unknown")
equal(m.ended(again)[:3], (DONE, 0, 2), "the repeatable one ran again")
with open(log) as f:
    equal(sorted(f.read().split()), ["again", "again", "once"], "and the other one did not")

# The mirror sends what it sent before: nothing is run twice.
m.resend = True
seq = m.command("echo", 1)
agent.call("sync.now")
wait_for(lambda: m.ended(seq), "the new one")
with open(log) as f:
    equal(len(f.read().split()), 3, "commands that come again are not run again")
equal(agent.stop(), 0, "the agent ends cleanly")
done()
