#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the kernel does the work; the command line under test runs in functional.t
"""Hostile frames at a guarded device: isic, tcpsic, udpsic, icmpsic, esic, fragments, mutants.

Of each kind a number of random frames (tests/net/hostile.c), IPv4 and IPv6, at random destinations
within the device's stack and, the mutants, in its own flows. What must hold: every frame is counted
once, strangers' frames get no answer, the session with the mirror lives, and the kernel's log stays
as it was. HG_FUZZ_FRAMES frames of each kind (10000), HG_FUZZ_SEED to repeat a run. With scapy on
the machine its own mutants take part. Without a guard the same frames are answered, which shows
that they could be. Arguments: the modes (native tc).
"""
import json
import os
import random
import shutil
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import packet as pk
import session
from world import BUILD, DEV4, DEV6, NET4, NET6, Tap, World, run, wait_for

FRAMES = int(os.environ.get("HG_FUZZ_FRAMES", "10000"))
SEED = int(os.environ.get("HG_FUZZ_SEED", "0"), 0) or random.SystemRandom().getrandbits(32)
RATE = 100000  # frames a second; a queue that overflows is counted, but tests less
STRANGERS = ("isic", "tcpsic", "udpsic", "icmpsic", "fragments", "esic")
SIC = BUILD + "/tests/net/sic"
OPEN_UDP, LISTEN = 8081, 8080
ETH_P_ALL, OUTGOING = 3, 4
# What a device may answer a stranger, since the guard lets the question in: who has this address,
# who is in this group.
CHORES = {133, 134, 135, 136, 143, 131, 132}


class Watch:
    """Every frame that comes out of the device while something is sent to it."""

    def __init__(self, w):
        with w.at("net"):
            self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.s.bind(("n0", ETH_P_ALL))
        self.drain()

    def drain(self):
        out = []
        self.s.setblocking(False)
        try:
            while True:
                frame, where = self.s.recvfrom(2048)
                if where[2] != OUTGOING:
                    out.append(frame)
        except BlockingIOError:
            return out


def is_chore(frame):
    p = pk.Packet(frame)
    if p.kind == 0x806 or p.proto == 2:
        return True
    if p.proto == 0 and len(p.load) > 8:  # hop-by-hop, then MLD
        return p.load[0] == pk.ICMP6 and p.load[8] in CHORES
    return p.proto == pk.ICMP6 and p.load[:1] and p.load[0] in CHORES


def link(w, name, dev):
    """The interface's own numbers."""
    got = json.loads(w.run(name, "ip", "-s", "-j", "link", "show", "dev", dev).stdout)[0]
    return got["stats64"]


def inbound(status):
    """Frames from outside that the guard has judged."""
    passed = {k: v for k, v in status["passed"].items() if k != "out"}
    return {**passed, **status["dropped"]}


def control(tap):
    """The device without a guard."""
    w = World()
    watch = Watch(w)
    for kind in ("tcpsic", "icmpsic"):
        w.run("net", SIC, "n0", w.mac("dev", "d0").hex(":"), DEV4, kind,
              FRAMES // 10, SEED, RATE)
        answered = wait_for(lambda: [a for a in watch.drain() if not is_chore(a)], 5)
        tap.ok(answered, f"without a guard {kind} is answered")
    w.close()


class Run:
    def __init__(self, tap, mode, v6):
        self.tap, self.w = tap, World()
        self.label = f"{mode} {'IPv6' if v6 else 'IPv4'}"
        self.addr, self.dev = (NET6, DEV6) if v6 else (NET4, DEV4)
        self.quiet()
        session.serve(self.w)
        self.guard = self.w.guard(mode, mirror=(self.addr, session.SERVER)).on()
        self.long = session.connect(self.w, self.addr)
        with self.w.at("dev"):
            family = socket.AF_INET6 if v6 else socket.AF_INET
            self.listeners = [socket.create_server((self.dev, LISTEN), family=family),
                              socket.socket(family, socket.SOCK_DGRAM)]
            self.listeners[1].bind((self.dev, OPEN_UDP))
            self.own = socket.socket(family, socket.SOCK_DGRAM)
        self.own.sendto(b"open", (self.addr, session.SERVER))
        session.exchange(self.long)
        self.mac = self.w.mac("dev", "d0").hex(":")
        self.watch = Watch(self.w)

    def quiet(self):
        """Neighbours know each other, so that a frame is a frame of the test."""
        for name, dev, peer, peer_dev in (("dev", "d0", "net", "n0"), ("net", "n0", "dev", "d0")):
            mac = self.w.mac(peer, peer_dev).hex(":")
            for addr in ((NET4, NET6) if peer == "net" else (DEV4, DEV6)):
                self.w.run(name, "ip", "neigh", "replace", addr, "lladdr", mac, "dev", dev, "nud",
                           "permanent")
            self.w.run(name, "sysctl", "-qw", f"net.ipv6.conf.{dev}.router_solicitations=0",
                       f"net.ipv6.conf.{dev}.accept_ra=0", check=False)

    def flows(self):
        return [f"{kind},{s.getsockname()[1]},{self.addr},{session.SERVER}"
                for kind, s in (("tcp", self.long), ("udp", self.own))]

    def send(self, kind, count, *flows):
        """Sends them and returns (sent, least and most that crossed, counted by reason, answers).

        The wire is read before and after each status: a frame that a stack sends by itself may
        cross between the two, and is then counted or not.
        """
        first, before, second = self.wire(), inbound(self.guard.status()), self.wire()
        p = self.w.run("net", SIC, "n0", self.mac, self.dev, kind, count, SEED,
                       RATE, *flows, timeout=3600)
        self.settle()
        third, after, fourth = self.wire(), inbound(self.guard.status()), self.wire()
        by_reason = {k: n - before[k] for k, n in after.items() if n - before[k]}
        return int(p.stdout), (third - second, fourth - first), by_reason, self.watch.drain()

    def wire(self):
        return link(self.w, "net", "n0")["tx"]["packets"]

    def settle(self):
        """Until no more frames arrive: the same number twice, 50 ms apart."""
        last = []

        def same():
            last.append(link(self.w, "dev", "d0")["rx"]["packets"])
            return len(last) > 1 and last[-1] == last[-2]
        wait_for(same, 10, 0.05)

    def strangers(self, kind, count):
        sent, (least, most), by_reason, answers = self.send(kind, count)
        name = "scapy" if kind.startswith("file:") else kind
        counted = sum(by_reason.values())
        # Before tc the kernel takes the outermost VLAN tag off; a frame that ends in it is gone.
        lost = least // 500 if name in ("esic", "scapy") and self.label.startswith("tc") else 0
        self.tap.ok(least >= sent * 9 // 10 > 0 and least - lost <= counted <= most,
                    f"{self.label} {name}: {sent} frames, each that crossed was counted",
                    f"{least} to {most} crossed, {counted} counted", by_reason)
        bad = [pk.Packet(a) for a in answers if not is_chore(a)]
        self.tap.ok(not bad, f"{self.label} {name}: no answer", *bad[:5])

    def session(self, when):
        try:
            good = session.exchange(self.long)
        except OSError as e:
            good = False
            Tap.diag(repr(e))
        self.tap.ok(good, f"{self.label}: the session lives {when}")

    def mutants(self):
        """They may belong to a flow of the device: some pass, and some of those get an answer."""
        sent, (least, most), by_reason, _ = self.send("mutants", FRAMES, *self.flows())
        counted = sum(by_reason.values())
        # What passed made the stacks talk: both sides' packets cross, and are counted, too.
        self.tap.ok(sent and least <= counted <= most,
                    f"{self.label} mutants: {sent} frames, each that crossed was counted",
                    f"{least} to {most} crossed, {counted} counted", by_reason)
        got = wait_for(lambda: self.again(), 10, 0.2)
        self.tap.ok(got, f"{self.label}: after mutants a new session works")

    def again(self):
        try:
            return session.once(self.w, self.addr)
        except OSError:
            return False

    def all(self):
        for kind in STRANGERS:
            self.strangers(kind, FRAMES)
        if SCAPY:
            path = self.w.tmp + "/scapy"
            run(SCAPY, os.path.dirname(os.path.abspath(__file__)) + "/mutants.py", path,
                min(max(FRAMES // 80, 100), 2000), SEED, self.dev, timeout=3600)
            self.strangers("file:" + path, 0)
        self.session("after strangers' frames")
        self.mutants()
        self.guard.off()
        for s in (*self.listeners, self.own, self.long):
            s.close()
        self.w.close()
        self.tap.equal(self.w.leftovers(), [], f"{self.label}: nothing is left behind")


def scapy():
    """A Python that has it; Debian's own, if the first in PATH has not."""
    for python in (sys.executable, "/usr/bin/python3"):
        if shutil.which(python) and not run(python, "-c", "import scapy.packet",
                                            check=False).returncode:
            return python
    return None


def kernel_says():
    """Lines of the kernel's log that tell of a fault of its own."""
    if not shutil.which("dmesg"):
        return []
    lines = run("dmesg", check=False).stdout.splitlines()
    return [s for s in lines if any(w in s for w in ("BUG:", "WARNING:", "Oops", "UBSAN:", "KASAN:"))]


SCAPY = scapy()


def main():
    tap = Tap()
    tap.diag(f"HG_FUZZ_SEED={SEED}")
    before = len(kernel_says())
    control(tap)
    for mode in sys.argv[1:] or ("native", "tc"):
        for v6 in (False, True):
            Run(tap, mode, v6).all()
    tap.equal(kernel_says()[before:], [], "the kernel complained of nothing")
    tap.done()


main()
