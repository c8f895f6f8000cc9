#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the kernel does the work; agent and alarms are tested under sanitizers in tests/agent
"""Alarms get out while the device floods: what `police` is for.

    device "dev"                 home router "net"                          collector "isp"
    d0 10.77.0.2 <==veth==> n0 10.77.0.1 | u0 10.78.0.2 <==10 Mbit/s==> i0 10.78.0.1
       the guard                              queue of 50 packets

The device's agent makes test alarms, 20 a second, while hping3 floods a victim behind the uplink
with six to eight times what that carries. An alarm counts as delivered when its first datagram
comes: they are told apart by their counters, and repeats come 0.75 s after it or later. Without
police the figure is only told; it must show that the queue was full.
"""
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import BUILD, TOP, Tap, World, run, skip_all, wait_for

UPLINK, HOME, PORT, VICTIM = "10.78.0.1", "10.78.0.2", 4647, 9
FLOOD_S, GAP_S = 15, 0.05
REPEAT_S = 0.7  # before that nothing is repeated
PROFILE = {
    "model": "camera", "firmware": "1",
    "outside": {"1": {"packets": 20, "bytes": 40000, "flows": 4, "failed": 4}},
    "channels": [{"name": "alarm", "proto": "udp", "remote": "collector",
                  "envelope": {"1": {"packets": 100, "bytes": 60000, "flows": 4, "failed": 4}}}]}


def head(data, at):
    """One CBOR head: major type, value, where its content begins."""
    kind, low = data[at] >> 5, data[at] & 31
    if low < 24:
        return kind, low, at + 1
    n = 1 << (low - 24)
    return kind, int.from_bytes(data[at + 1:at + 1 + n], "big"), at + 1 + n


def skip(data, at):
    kind, value, at = head(data, at)
    if kind in (2, 3):
        return at + value
    for _ in range({4: value, 5: 2 * value, 6: 1}.get(kind, 0)):
        at = skip(data, at)
    return at


def alarm(datagram):
    """Counter and class of an alarm (docs/alarm-format.md); None: an enrolment."""
    at = skip(datagram, head(datagram, head(datagram, 0)[2])[2])  # tag, array, protected
    _, _, at = head(datagram, skip(datagram, at))                 # unprotected; payload
    _, count, at = head(datagram, at)
    members = {}
    for _ in range(count):
        _, key, at = head(datagram, at)
        kind, value, _ = head(datagram, at)
        members[key] = value if kind == 0 else None
        at = skip(datagram, at)
    return (members[2], members.get(4, 0)) if members[0] == 2 else None


def build_world():
    w = World()
    w.add("isp")
    w.run("net", "ip", "link", "add", "u0", "type", "veth", "peer", "name", "i0", "netns",
          w.ns("isp"))
    for name, dev, addr in (("net", "u0", HOME), ("isp", "i0", UPLINK)):
        w.wire_like(name, dev)
        w.run(name, "ip", "addr", "add", addr + "/24", "dev", dev)
        w.run(name, "ip", "link", "set", dev, "up")
    w.run("net", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    w.run("isp", "ip", "route", "add", "10.77.0.0/24", "via", HOME)
    if w.run("net", "tc", "qdisc", "add", "dev", "u0", "root", "handle", "1:", "tbf", "rate",
             "10mbit", "burst", "16kb", "latency", "50ms", check=False).returncode:
        skip_all("this kernel has no tbf, which makes the uplink narrow")
    w.run("net", "tc", "qdisc", "add", "dev", "u0", "parent", "1:1", "pfifo", "limit", "50")
    pki = w.tmp + "/pki"
    run("sh", "-c", f". {TOP}/tests/lib.sh; pki_ca {pki}; pki_device {pki} cam-1; "
        f"pki_server {pki} collector {UPLINK}", env={**os.environ, "HG_TOP": TOP})
    return w


def start_agent(w, police):
    conf = w.tmp + "/agent.conf"
    with open(w.tmp + "/profile.json", "w", encoding="ascii") as f:
        json.dump(PROFILE, f)
    with open(conf, "w", encoding="ascii") as f:
        f.write(f"""[agent]
            socket = {w.tmp}/sock
            [device]
            state_dir = {w.tmp}/state
            [mirror]
            cert = {w.tmp}/pki/cam-1.crt
            key = {w.tmp}/pki/cam-1.key
            [collector]
            host = {UPLINK}
            port = {PORT}
            cert = {w.tmp}/pki/collector.crt
            [profile]
            file = {w.tmp}/profile.json
            [guard]
            interface = d0
            pin_dir = {w.tmp}/bpf/guard
            object = {BUILD}/ebpf/heliograph.bpf.o
            police = {police}
            """.replace("\n            ", "\n"))
    log = open(w.tmp + "/agent.log", "w", encoding="utf-8")
    agent = w.start("dev", BUILD + "/heliographd", "-c", conf, stderr=log)
    if not wait_for(lambda: Agent.answers(w), 20):
        raise RuntimeError(open(log.name, encoding="utf-8").read())
    return agent


class Agent:
    """A client of the agent's socket."""

    def __init__(self, w):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(10)
        self.s.connect(w.tmp + "/sock")
        self.lines = self.s.makefile("r", encoding="utf-8")

    def call(self, op):
        self.s.sendall(json.dumps({"op": op, "id": 1}).encode() + b"\n")
        return json.loads(self.lines.readline())

    @staticmethod
    def answers(w):
        try:
            status = Agent(w).call("alarm.status")
        except OSError:
            return False
        return "true" in json.dumps(status)  # connected


class Collector(threading.Thread):
    """Notes when each counter came first."""

    def __init__(self, w):
        super().__init__(daemon=True)
        with w.at("isp"):
            self.s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.s.bind((UPLINK, PORT))
        self.s.settimeout(0.1)
        self.first, self.kinds, self.over = {}, {}, False

    def run(self):
        while not self.over:
            try:
                found = alarm(self.s.recv(2048))
            except TimeoutError:
                continue
            if found and found[0] not in self.first:
                self.first[found[0]] = time.monotonic()
                self.kinds[found[0]] = found[1]
        self.s.close()


def flood(w):
    """1,028 bytes, 10,000 times a second, of one flow; returns when the first has come."""
    with w.at("isp"):
        victim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        victim.bind((UPLINK, VICTIM))
    victim.settimeout(10)
    with victim:
        p = w.start("dev", "hping3", "--udp", "-q", "-i", "u100", "-d", "1000", "-k", "-s", "5555",
                    "-p", VICTIM, UPLINK)
        victim.recv(2048)
    return p


def queue_drops(w):
    stats = w.run("net", "tc", "-s", "-j", "qdisc", "show", "dev", "u0").stdout
    return sum(q["drops"] for q in json.loads(stats))


def alarms_during(w, flooding, agent):
    """Counter -> when it was sent, until the flood's time is over."""
    sent, start, i = {}, time.monotonic(), 0
    while time.monotonic() < start + FLOOD_S and flooding.poll() is None:
        now = time.monotonic()
        sent[agent.call("alarm.test")["result"]["counter"]] = now
        i += 1
        time.sleep(max(0, start + i * GAP_S - time.monotonic()))
    return sent


def is_scored(w):
    """The first second that the guard closes is only where it counts from."""
    p = w.run("dev", "bpftool", "-j", "map", "lookup", "pinned", w.tmp + "/bpf/guard/maps/hg_score", "key", 0, 0, 0, 0,
              check=False)
    return not p.returncode and json.loads(p.stdout)["formatted"]["value"]["based"]


def measure(w, police):
    """Sent, delivered at once, ever delivered; seconds to the first and to the score's alarm."""
    daemon = start_agent(w, police)
    collector = Collector(w)
    collector.start()
    agent = Agent(w)
    before = agent.call("alarm.test")["result"]["counter"]
    if not wait_for(lambda: before in collector.first, 10):
        raise RuntimeError("no alarm arrives although nothing floods")
    wait_for(lambda: is_scored(w))
    drops = queue_drops(w)
    flooding = flood(w)
    start = time.monotonic()
    sent = alarms_during(w, flooding, agent)
    alive = flooding.poll() is None
    flooding.kill()
    wait_for(lambda: all(c in collector.first for c in sent), REPEAT_S)
    first = {c: t for c, t in collector.first.items() if t > start}
    own = [t - start for c, t in first.items() if collector.kinds[c]]
    result = {"sent": len(sent), "alive": alive,
              "delivered": sum(c in first and first[c] - t < REPEAT_S for c, t in sent.items()),
              "ever": sum(c in first for c in sent),
              "first": min(first.values(), default=start + 999) - start,
              "own": min(own, default=None), "drops": queue_drops(w) - drops}
    collector.over = True
    collector.join()
    daemon.terminate()
    daemon.wait()
    # An episode outlives the agent: without the guard there is none for the next measurement.
    w.run("dev", BUILD + "/heliograph", "-c", w.tmp + "/agent.conf", "guard", "off")
    return result


def told(r):
    own = f"{r['own']:.2f} s" if r["own"] is not None else "none"
    return f"{r['delivered']} of {r['sent']} alarms delivered, " \
        f"{100 * r['delivered'] / max(1, r['sent']):.1f} %; the first after {r['first']:.2f} s, " \
        f"the score's own after {own}; the uplink's queue dropped {r['drops']} packets"


def main():
    tap = Tap()
    w = build_world()
    open_, policed = measure(w, "no"), measure(w, "yes")
    tap.diag("without police: " + told(open_))
    tap.diag("with police: " + told(policed))
    tap.ok(open_["alive"] and policed["alive"] and min(open_["sent"], policed["sent"]) > 200,
           "the flood lasted, and alarms were made meanwhile", open_, policed)
    tap.ok(open_["delivered"] < open_["sent"] and open_["drops"] > 10000,
           "without police the queue is full and alarms are lost", open_)
    tap.ok(policed["delivered"] * 100 >= policed["sent"] * 99,
           "with police 99 % of the alarms are delivered", policed)
    tap.ok(policed["first"] <= 1, "the first within a second of the flood's start", policed)
    tap.ok(policed["own"] is not None and policed["own"] <= 2,
           "the score sees the flood that does not get out, and its alarm arrives", policed)
    w.close()
    tap.equal(w.leftovers(), [], "nothing is left behind")
    tap.done()


main()
