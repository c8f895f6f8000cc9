# SPDX-License-Identifier: MIT
"""What the tests of the score share: an agent in a world of tests/net/world.py, attacks of its device,
and what must be said of them.

    dev (10.77.0.2, guard and agent) ---- net (10.77.0.1, servers; behind it everybody else)
"""
import os
import random
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../net")
from world import BUILD, wait_for

WEB = 8080
VICTIM = "198.51.100.7"
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
