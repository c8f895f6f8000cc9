#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A device resolves names of its profile, and its connections come into the right channel.

    outside  "net"                                         device  "dev"
    10.77.0.1    resolver             <==veth==>           10.77.0.2  heliographd, guard
    198.51.100.N servers, stranger's resolver on .53       fd77::2
    2001:db8:77::N

Resolvers and servers are threads here, and so are the device's sockets.
"""
import json
import os
import signal
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../net")
from world import BUILD, NET4, NET6, Tap, World, wait_for

A, CNAME, AAAA = 1, 5, 28
STRANGER, EVIL = "198.51.100.53", "198.51.100.66"
NAMES = 20  # resolved and connected to at once
PROFILE = [("dns", "udp", [53], ["dns"]), ("cloud", "tcp", [443], ["name:Host.example.com", "name:*.example.net"]),
           ("log", "tcp", [8883], ["name:host.example.com"])]

zone = {  # name: records of its answer
    "host.example.com": [("host.example.com", A, 300, "198.51.100.1")],
    "host6.example.net": [("host6.example.net", AAAA, 300, "2001:db8:77::1")],
    "www.example.net": [("edge.cdn.test", A, 300, "198.51.100.3"),  # out of order, and one stranger
                        ("other.test", A, 300, EVIL),
                        ("www.example.net", CNAME, 60, "lb.cdn.test"),
                        ("lb.cdn.test", CNAME, 30, "edge.cdn.test")],
    "new.other.test": [("new.other.test", A, 300, "198.51.100.4")],
    "blocked.example.net": [("blocked.example.net", A, 300, "0.0.0.0")],
}
for i in range(NAMES):
    zone[f"n{i}.example.net"] = [(f"n{i}.example.net", A, 60, f"198.51.100.{100 + i}")]


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def question(name, kind, number=7):
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + wire(name) + struct.pack(">2H", kind, 1)


def record(owner, kind, ttl, data):
    if kind == CNAME:
        data = wire(data)
    else:
        data = socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, data)
    return wire(owner) + struct.pack(">2HIH", kind, 1, ttl, len(data)) + data


def asked(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    return ".".join(labels), query[:at + 5]


def answer(query, records):
    name, head = asked(query)
    return head[:2] + struct.pack(">5H", 0x8180, 1, len(records), 0, 0) + head[12:] + \
        b"".join(record(*r) for r in records)


def resolver(sock, evil):
    """Answers by the zone; the evil one gives everything its own address. "bad." is no DNS."""
    while True:
        query, peer = sock.recvfrom(2048)
        name = asked(query)[0].lower()
        reply = answer(query, [(name, A, 300, EVIL)] if evil else zone.get(name, []))
        if name == "bad.example.net":
            reply = reply[:7] + b"\xff" + reply[8:]  # 255 answers, none there
        sock.sendto(reply, peer)


def server(sock):
    held = []
    while True:
        held.append(sock.accept()[0])


def thread(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def net_side(w):
    for n in [1, 3, 4, 9, 53, 66, *range(100, 100 + NAMES)]:
        w.run("net", "ip", "addr", "add", f"198.51.100.{n}/32", "dev", "lo")
    w.run("net", "ip", "addr", "add", "2001:db8:77::1/128", "dev", "lo", "nodad")
    with w.at("net"):
        for address, evil in ((NET4, False), (STRANGER, True)):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((address, 53))
            thread(resolver, s, evil)
        for port in (443, 8883, 53):
            thread(server, socket.create_server(("::", port), family=socket.AF_INET6, backlog=64,
                                                dualstack_ipv6=True))


class Agent:
    def __init__(self, w):
        self.w, self.guard, self.p = w, w.guard(dns=[NET4, NET6]), None
        self.profile, self.log = w.tmp + "/profile.json", open(w.tmp + "/log", "ab")
        with open(self.guard.conf, "a", encoding="ascii") as f:
            f.write(f"[agent]\nsocket = {w.tmp}/sock\n[device]\nstate_dir = {w.tmp}/state\n"
                    f"[profile]\nfile = {self.profile}\n")

    def start(self, channels=None):
        channels = [{"name": n, "proto": p, "ports": ports, "remote": r, "envelope": {}}
                    for n, p, ports, r in channels or PROFILE]
        with open(self.profile, "w", encoding="ascii") as f:
            json.dump({"model": "names", "firmware": "1", "channels": channels}, f)
        self.p = self.w.start("dev", BUILD + "/heliographd", "-c", self.guard.conf, stderr=self.log,
                              stdout=self.log)
        return wait_for(self.status)

    def stop(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        self.p.wait(20)

    def status(self):
        """Of the guard as the agent sees it; None if the agent does not answer yet."""
        said = self.w.run("dev", BUILD + "/heliograph", "-c", self.guard.conf, "--json", "status", check=False).stdout
        return json.loads(said)["guard"] if said else None

    def bound(self):
        return {e["address"]: e["channels"] for e in json.loads(self.guard("names", "--json").stdout)}

    def opened(self, channel):
        """How many flows the guard counted there: the fifth number of the channel's windows."""
        dump = self.w.run("dev", "bpftool", "-j", "map", "dump", "pinned", self.guard.pins + "/maps/hg_windows").stdout
        rows = [[int(b, 16) for b in row["value"]] for row in json.loads(dump)]
        return sum(int.from_bytes(bytes(row[32:40]), sys.byteorder) for row in rows[channel::64])

    def channel(self, address, port):
        """Of the newest flow there; None if there is none."""
        found = [f for f in self.guard.flows() if f["remote"] == address and f["remote_port"] == port]
        return min(found, key=lambda f: f["idle"])["channel"] if found else None


def resolve(w, name, kind=A, at=NET4):
    """What a device's stub does: a socket, a question, an answer."""
    with w.at("dev"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((at, 53))
        s.send(question(name, kind))
        return s.recv(2048)


def connect(w, address, port=443):
    with w.at("dev"):
        return socket.create_connection((address, port), timeout=5)


def check_names(tap, w, agent):
    resolve(w, "HOST.example.com")
    tap.ok(wait_for(lambda: agent.bound().get("198.51.100.1") == [2, 3]), "an address is bound to the channels of its name")
    held = [connect(w, "198.51.100.1"), connect(w, "198.51.100.1", 8883)]
    tap.equal(agent.channel("198.51.100.1", 443), 2, "a connection to it is in its channel from the start")
    tap.equal(agent.channel("198.51.100.1", 8883), 3, "another port, another channel")
    resolve(w, "www.example.net")
    tap.ok(wait_for(lambda: agent.bound().get("198.51.100.3") == [2]), "a chain of CNAMEs leads to its end")
    tap.ok(EVIL not in agent.bound(), "and not to what is beside it")
    held.append(connect(w, "198.51.100.3"))
    tap.equal(agent.channel("198.51.100.3", 443), 2, "connected")
    resolve(w, "host6.example.net", AAAA)
    tap.ok(wait_for(lambda: agent.bound().get("2001:db8:77::1") == [2]), "AAAA")
    held.append(connect(w, "2001:db8:77::1"))
    tap.equal(agent.channel("2001:db8:77::1", 443), 2, "connected")
    return held


def check_strangers(tap, w, agent):
    resolve(w, "new.other.test")
    tap.ok(wait_for(lambda: agent.bound().get("198.51.100.4") == []), "a name that the profile lacks: known, in no channel")
    held = [connect(w, "198.51.100.4"), connect(w, "198.51.100.9")]
    tap.equal(agent.channel("198.51.100.4", 443), 0, "a connection to it is outside")
    tap.equal(agent.channel("198.51.100.9", 443), 0, "so is one to a bare address")
    resolve(w, "host.example.com", at=STRANGER)
    resolve(w, "blocked.example.net")
    before = agent.status()["names"]["answers"]
    resolve(w, "bad.example.net")
    tap.ok(wait_for(lambda: agent.status()["names"]["bad"] == 1), "an answer that is none is counted")
    bound = agent.bound()
    tap.ok(EVIL not in bound, "a stranger's resolver binds nothing")
    tap.ok("0.0.0.0" not in bound, "nor does the answer of one that blocks")
    tap.ok(before == agent.status()["names"]["answers"] and "198.51.100.9" not in bound, "nothing else was taken")
    return held


def check_race(tap, w, agent):
    """Connects in the moment of the answer, as devices do."""
    held, before = [], [agent.opened(c) for c in (0, 2)]
    for i in range(NAMES):
        resolve(w, f"n{i}.example.net")
        held.append(connect(w, f"198.51.100.{100 + i}"))
    outside, inside = [agent.opened(c) - n for c, n in zip((0, 2), before)]
    tap.equal(outside + inside, NAMES, "each connection is counted once")
    tap.diag(f"{inside} of {NAMES} in their channel, {outside} outside: the agent was slower")
    tap.ok(wait_for(lambda: all(agent.bound().get(f"198.51.100.{100 + i}") == [2] for i in range(NAMES))), "all are bound")
    for s in held:
        s.send(b"x")
    tap.ok(wait_for(lambda: all(agent.channel(f"198.51.100.{100 + i}", 443) == 2 for i in range(NAMES))),
           "a flow that was faster is in its channel with its next packet")
    return held


def check_restart(tap, w, agent, held):
    """The next agent knows the names, and puts them into another profile's channels."""
    file = w.tmp + "/sock.names"
    agent.stop()
    tap.ok("198.51.100.3 www.example.net\n" in open(file, encoding="ascii").readlines(), "the names are kept in a file")
    tap.equal(os.stat(file).st_mode & 0o777, 0o600, "that is the agent's own")
    tap.equal(agent.bound().get("198.51.100.1"), [2, 3], "the guard goes on without an agent")
    resolve(w, "late.example.net")
    zone["late.example.net"] = [("late.example.net", A, 60, "198.51.100.9")]
    resolve(w, "late.example.net")
    agent.start([PROFILE[0], ("other", "tcp", [443], ["name:*.other.test"]), ("cloud", "tcp", [443], ["name:www.example.net"])])
    # Channels that are new get numbers that were free: 4 and 5.
    tap.ok(wait_for(lambda: agent.bound().get("198.51.100.4") == [4]), "another profile: what was outside is in a channel")
    tap.equal(agent.bound().get("198.51.100.3"), [5], "another channel")
    tap.equal(agent.bound().get("198.51.100.1"), [], "or in none")
    held[2].send(b"x")
    tap.ok(wait_for(lambda: agent.channel("198.51.100.3", 443) == 5), "flows follow")
    tap.ok(wait_for(lambda: agent.bound().get("198.51.100.9") == []), "an answer that came while no agent was there is not lost")
    agent.stop(signal.SIGKILL)
    with open(file, "w", encoding="ascii") as f:
        f.write("heliograph names 1 another boot\n198.51.100.5 www.example.net\n")
    agent.start()
    tap.ok(wait_for(lambda: not agent.bound()), "names of another boot are not taken, and the guard forgets them")
    agent.stop()


def main():
    tap = Tap()
    w = World()
    net_side(w)
    agent = Agent(w)
    if not tap.ok(agent.start(), "an agent with a profile that has names"):
        tap.diag(open(w.tmp + "/log", encoding="utf-8").read())
        tap.done()
    held = check_names(tap, w, agent)
    held += check_strangers(tap, w, agent)
    held += check_race(tap, w, agent)
    check_restart(tap, w, agent, held)
    agent.guard.off()
    log = open(w.tmp + "/log", encoding="utf-8").read()
    tap.ok("names:" not in log, "no complaint in the log", log)
    w.close()
    tap.equal(w.leftovers(), [], "everything is gone")
    tap.done()


main()
