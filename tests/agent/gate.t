#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the kernel does the work; the agent's part is tested under sanitizers in odd.t
# waits: sessions, some seconds apart
"""The gate with real traffic: between sessions nothing comes in, in a session all does.

    device "dev"                            outside "net"
    agent   d0 10.77.0.2 <==veth==> n0 10.77.0.1   a mirror, an echo server
            the guard, gate = services
"""
import os, signal, socket, sys
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE + "/../net", HERE]  # two directories have a world.py; this one's first
import session
from world import BUILD, NET4, NET6, Tap, World, wait_for
from agent import Client
from fakemirror import FakeMirror

tap = Tap()
w = World()
session.serve(w)
m = FakeMirror()
with w.at("net"):
    m.listener = socket.create_server((NET4, 0))
m.port = m.listener.getsockname()[1]
m.start()
held = []   # the mirror's answers wait while there is something in it


def slow(fake, c, r):
    wait_for(lambda: not held, 20)
    c.sendall(fake.frame(fake.answer(r)))


m.script = slow
conf = w.tmp + "/agent.conf"
mirror = "\n".join(line.strip().removeprefix("mirror.") for line in m.conf().splitlines() if "host" not in line)
with open(conf, "w", encoding="ascii") as f:
    f.write(f"""[agent]
socket = {w.tmp}/sock
[device]
state_dir = {w.tmp}/state
[mirror]
host = {NET4}
name = localhost
session_timeout = 6s
{mirror}
[guard]
interface = d0
pin_dir = {w.tmp}/bpf/guard
object = {BUILD}/ebpf/heliograph.bpf.o
host = bpf
gate = services
""")


def call(op, **members):
    c = Client(w.tmp + "/sock", 30)
    try:
        return c.call(op, **members)
    finally:
        c.close()


def status():
    return call("status")["result"]


def gate():
    return status()["guard"]["gate"]


def start():
    log = open(w.tmp + "/agent.log", "ab")
    agent = w.start("dev", BUILD + "/heliographd", "-c", conf, stderr=log)

    def answers():
        try:
            return status()
        except OSError:
            return None
    if not wait_for(answers, 20):
        raise RuntimeError(open(log.name, encoding="utf-8").read())
    return agent


def reaches(addr=NET4, timeout=0.5):
    """Does a new connection of the device get an answer?"""
    try:
        session.connect(w, addr, timeout=timeout).close()
        return True
    except OSError:
        return False


def is_shut():
    """By its time and by what it does: the coarse clock of the guard is behind by a tick."""
    return wait_for(lambda: gate() == "shut", 10) and wait_for(lambda: not reaches(), 2)


def dropped():
    return status()["guard"]["reasons"]["gate"]


tap.ok(reaches() and reaches(NET6), "without a guard the device reaches the server")
before = session.connect(w, NET4)
tap.ok(session.exchange(before), "and has a connection to it")
agent = start()
tap.ok(wait_for(lambda: status()["sync"]["sessions_good"] == 1, 10), "the first session opens the gate for itself",
       status()["sync"])
tap.ok(is_shut(), "some seconds after it the gate is shut", gate())
n = dropped()
tap.ok(not reaches() and not reaches(NET6), "then no new connection gets an answer")
before.settimeout(0.5)
try:
    tap.ok(not session.exchange(before), "nor an old one")
except OSError:
    tap.ok(True, "nor an old one")
tap.ok(dropped() > n + 2, "what was answered is counted", dropped())
w.run("dev", "ip", "neigh", "flush", "dev", "d0")
reaches()
tap.ok(wait_for(lambda: "REACHABLE" in w.run("dev", "ip", "neigh", "show", NET4).stdout, 5), "ARP goes on")
reaches(NET6)
tap.ok(wait_for(lambda: "REACHABLE" in w.run("dev", "ip", "-6", "neigh", "show", NET6).stdout, 5),
       "and neighbour discovery")

held.append(1)
call("property.set", name="a", value=1, urgent=True)
tap.ok(wait_for(lambda: gate() == "open", 10), "a session opens it")
tap.ok(wait_for(reaches, 5) and reaches(NET6), "and while it runs connections get answers")
held.clear()
tap.ok(wait_for(lambda: status()["sync"]["sessions_good"] == 2, 10) and is_shut(),
       "it shuts again", status()["sync"])
tap.ok(not reaches(), "for all")

agent.send_signal(signal.SIGKILL)
agent.wait()
tap.ok(not reaches(), "the agent is killed: it stays shut")
agent = start()
tap.ok(wait_for(lambda: status()["sync"]["sessions_good"] == 1, 10), "a new agent synchronises all the same")

held.append(1)
call("property.set", name="a", value=2, urgent=True)
tap.ok(wait_for(lambda: gate() == "open", 10), "a session is under way")
agent.send_signal(signal.SIGKILL)
agent.wait()
tap.ok(reaches(), "the agent is killed in it: it is open still")
tap.ok(wait_for(lambda: not reaches(), 15), "but shuts by itself once the session would have been over")
held.clear()
agent = start()
tap.ok(wait_for(lambda: status()["sync"]["sessions_good"] == 1, 10), "a new agent synchronises")
agent.send_signal(signal.SIGTERM)
tap.equal(agent.wait(), 0, "and ends cleanly")
w.close()
tap.equal(w.leftovers(), [], "everything created was destroyed")
tap.done()
