#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Attacks of a live device, and what the agent says of them; and that the kernel says so without it.

    dev (10.77.0.2, guard and agent) ---- net (10.77.0.1, servers; behind it everybody else)

    score.t [brief]

brief: only where the kernel refuses the guard's timer, and the agent closes the seconds.
"""
import json
import os
import random
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../net")
from world import BUILD, NET4, Tap, World, run, wait_for

UNTIMED = BUILD + "/tests/net/guard-untimed.bpf.o"  # its timer is refused by every kernel
WEB, SSH = 8080, 22
VICTIM = "198.51.100.7"
DOWNLOAD = 64 << 20
PROFILE = {"model": "lamp", "firmware": "1", "channels": [
    {"name": "web", "proto": "tcp", "ports": [WEB], "remote": "any",
     "envelope": {"1": {"packets": 200000, "bytes": 20000000, "flows": 5, "failed": 2}}},
    {"name": "spare", "proto": "udp", "ports": [7777], "remote": "any",
     "envelope": {"1": {"packets": 10, "bytes": 10000, "flows": 5, "failed": 2}}}]}


class Agent:
    def __init__(self, w, guard):
        self.w, self.guard, self.process = w, guard, None
        self.log = w.tmp + "/agent.log"
        with open(guard.conf, "a", encoding="ascii") as f:
            f.write(f"[agent]\nsocket = {w.tmp}/sock\n[device]\nstate_dir = {w.tmp}/state\n")

    def start(self):
        with open(self.log, "ab") as log:
            since = log.tell()
            self.process = self.w.start("dev", BUILD + "/heliographd", "-c", self.guard.conf, stdout=log, stderr=log)
        return wait_for(lambda: "traffic is watched" in self.text()[since:], 60)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(20)

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def alarms(self, since=0):
        """(class, attack, feature, channel) of each alarm that was logged."""
        return re.findall(r"alarm: ([\w-]+): ([\w?-]+): ([\w-]+) \d+, bound \d+, in \d+ s, channel (\w+)",
                          self.text()[since:])


def checksum_less_syn(port, dport):
    return port.to_bytes(2, "big") + dport.to_bytes(2, "big") + b"\0\0\0\1\0\0\0\0\x50\2\xff\xff\0\0\0\0"


def syns(w, rate, seconds, target, dport):
    """SYNs from a raw socket; target() is asked for each."""
    gap = 1 / rate
    with w.at("dev"), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as s:
        for n in range(int(rate * seconds)):
            s.sendto(checksum_less_syn(1024 + n % 60000, dport), (target(), 0))
            time.sleep(gap)


def anybody():
    return f"{random.choice((45, 81, 122))}.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def scan(w, rate, seconds):
    syns(w, rate, seconds, anybody, 23)


def syn_flood(w):
    syns(w, 600, 3, lambda: VICTIM, 80)


def udp_flood(w):
    with w.at("dev"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(3000):
            s.sendto(b"x" * 400, (VICTIM, 9999))
            time.sleep(0.001)


def guess(w):
    """A dictionary against one SSH server: banner, a guess, refused; fifteen a second."""
    for _ in range(90):
        with w.at("dev"), socket.socket() as s:
            s.settimeout(5)
            s.connect((NET4, SSH))
            s.recv(100)
            s.send(b"SSH-2.0-guess\r\n" + b"x" * 200)
            s.recv(100)
        time.sleep(0.06)


def download(w):
    """As much as goes, for some seconds."""
    got = 0
    with w.at("dev"), socket.socket() as s:
        s.settimeout(10)
        s.connect((NET4, WEB))
        while got < DOWNLOAD:
            piece = s.recv(1 << 20)
            if not piece:
                break
            got += len(piece)
    return got


def serve(w):
    """Net side: something like SSH, and a large file."""
    def each(listener, talk):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            with c:
                try:
                    talk(c)
                except OSError:
                    pass

    def ssh(c):
        c.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        c.recv(1000)
        c.send(b"denied\r\n")
        c.recv(1000)

    for port, talk in ((SSH, ssh), (WEB, lambda c: c.sendall(bytes(DOWNLOAD)))):
        with w.at("net"):
            listener = socket.create_server((NET4, port))
        threading.Thread(target=each, args=(listener, talk), daemon=True).start()


def attack(tap, w, agent, name, what, wanted, within, ends=True):
    since = len(agent.text())
    thread = threading.Thread(target=what, args=(w,), daemon=True)
    began = time.monotonic()
    thread.start()
    seen = wait_for(lambda: agent.alarms(since), within)
    took = time.monotonic() - began
    thread.join()
    alarms = agent.alarms(since)
    tap.ok(seen and alarms[0][:2] == wanted, f"{name}: {wanted[1]}, after {took:.1f} s", alarms)
    if not ends:
        return
    tap.ok(wait_for(lambda: ("ended",) == tuple(a[0] for a in agent.alarms(since)[-1:]), 240), f"{name}: it ends", agent.alarms(since))


def told(agent):
    p = agent.guard("events", "--json", "-t", "1")
    return [e for e in map(json.loads, p.stdout.splitlines()) if e["event"] == "score"]


def without_agent(tap, w, agent):
    agent.stop(signal.SIGKILL)
    udp_flood(w)
    scores = []
    wait_for(lambda: scores.extend(told(agent)) or any(e["news"] == "end" for e in scores), 30)
    tap.ok(scores and scores[0]["news"] == "start" and scores[0]["attack"] == "udp-flood" and
           scores[-1]["news"] == "end",
           "the agent is killed: the kernel scores and tells all the same", scores)
    syn_flood(w)
    since = len(agent.text())
    tap.ok(agent.start(), "the next agent starts")
    tap.ok(wait_for(lambda: any(a[1] == "syn-flood" for a in agent.alarms(since))),
           "and says what came while there was none", agent.text()[since:])
    tap.ok(wait_for(lambda: "ended" in [a[0] for a in agent.alarms(since)], 30), "and that it ended", agent.text()[since:])


def score(guard, channel):
    p = run("bpftool", "-j", "map", "lookup", "pinned", guard.pins + "/maps/hg_score", "key",
            *channel.to_bytes(4, sys.byteorder))
    return json.loads(p.stdout)["formatted"]["value"]


def another_profile(tap, w, agent):
    """One channel with another envelope, one that is new: the first goes on, the other begins."""
    wait_for(lambda: score(agent.guard, 1)["hour_s"] >= 4)
    before = score(agent.guard, 1)
    agent.stop()
    changed = json.loads(json.dumps(PROFILE))
    changed["channels"][0]["envelope"]["1"]["flows"] = 9
    changed["channels"][1]["ports"] = [7778]
    with open(w.tmp + "/profile.json", "w", encoding="ascii") as f:
        json.dump(changed, f)
    agent.start()
    tap.ok(wait_for(lambda: score(agent.guard, 3)["based"]) and not score(agent.guard, 2)["id"],
           "another profile: a new channel has a number of its own")
    now = score(agent.guard, 1)
    tap.ok(now["id"] == before["id"] and now["hour_s"] >= before["hour_s"],
           "one whose envelope changed goes on counting", before["hour_s"], now["hour_s"])


def agent_closes(tap, w, guard):
    """Without the kernel's timer the agent closes each second, and says the same."""
    p = guard("on", check=False)
    tap.ok(p.returncode == 0, "no timer: the guard is on", p.stdout, p.stderr)
    agent = Agent(w, guard)
    if not tap.ok(agent.start(), "no timer: the agent watches"):
        tap.diag(agent.text())
        return
    tap.equal(guard.status()["clock"], "agent", "no timer: the agent closes the seconds")
    attack(tap, w, agent, "no timer: UDP flood", udp_flood, ("flood", "udp-flood"), 10)
    attack(tap, w, agent, "no timer: SYN flood", syn_flood, ("flood", "syn-flood"), 10)
    agent.stop()
    guard.off()


def brief():
    tap = Tap()
    w = World()
    agent_closes(tap, w, w.guard("native", profile=PROFILE, object=UNTIMED))
    tap.done()


def main():
    tap = Tap()
    w = World()
    serve(w)
    guard = w.guard("native", profile=PROFILE)
    agent = Agent(w, guard)
    if not tap.ok(agent.start(), "the agent watches"):
        tap.diag(agent.text())
        tap.done()
    since = len(agent.text())
    got = download(w)
    tap.ok(got == DOWNLOAD and not agent.alarms(since), "a large download in its channel raises nothing", agent.alarms(since))
    attack(tap, w, agent, "160 SYN/s to anybody", lambda w: scan(w, 160, 3), ("scan", "horizontal-scan"), 4)
    attack(tap, w, agent, "UDP flood", udp_flood, ("flood", "udp-flood"), 4)
    attack(tap, w, agent, "SYN flood", syn_flood, ("flood", "syn-flood"), 4)
    attack(tap, w, agent, "guesses at SSH", guess, ("scan", "brute-force"), 6)
    without_agent(tap, w, agent)
    another_profile(tap, w, agent)
    attack(tap, w, agent, "one SYN a second to anybody", lambda w: scan(w, 1, 20), ("scan", "horizontal-scan"), 30,
           ends=False)  # a slow scan may pause for three minutes
    agent.stop()
    guard.off()
    agent_closes(tap, w, w.guard("native", profile=PROFILE, object=UNTIMED))
    w.close()
    tap.equal(w.leftovers(), [], "everything created was destroyed")
    tap.done()


brief() if "brief" in sys.argv else main()
